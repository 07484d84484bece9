from __future__ import annotations

from tests.conformance.cases import Row, at_of
from tests.reference.clocks import business_ms, day_of, midnight_of

HOUR = 3_600_000


def ms(text: str) -> int:
    return at_of({"at": text})


def always(zone: str, *spans: list[str]) -> Row:
    return {"zone": zone, "weekly": {day: list(spans) for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}}


def test_no_calendar_has_no_business_time() -> None:
    assert business_ms(None, 0, HOUR) is None


def test_an_hour_that_the_clocks_skip_is_not_open() -> None:
    start, end = ms("2026-03-29T00:00:00+01:00"), ms("2026-03-29T06:00:00+02:00")
    assert business_ms(always("Europe/Berlin", ["01:30", "04:00"]), start, end) == HOUR * 3 // 2


def test_an_hour_that_the_clocks_repeat_is_open_twice() -> None:
    start, end = ms("2026-10-25T00:00:00+02:00"), ms("2026-10-25T06:00:00+01:00")
    assert business_ms(always("Europe/Berlin", ["01:30", "04:00"]), start, end) == HOUR * 7 // 2


def test_spans_that_overlap_count_once() -> None:
    start = ms("2026-03-02T00:00:00Z")
    calendar = always("UTC", ["09:00", "12:00"], ["11:00", "13:00"])
    assert business_ms(calendar, start, start + 24 * HOUR) == 4 * HOUR


def test_a_holiday_closes_and_a_make_up_day_opens() -> None:
    start = ms("2026-10-01T00:00:00+08:00")
    calendar = always("Asia/Shanghai", ["09:00", "10:00"]) | {
        "holidays": ["2026-10-01", "2026-10-02"],
        "workdays": {"2026-10-02": [["00:00", "24:00"]]},
    }
    assert business_ms(calendar, start, start + 72 * HOUR) == 25 * HOUR


def test_before_the_first_version_nothing_is_open() -> None:
    start = ms("2026-03-02T00:00:00Z")
    later = {"from": "2026-03-02T12:00:00Z", "weekly": {"mon": [["00:00", "24:00"]]}}
    assert business_ms({"zone": "UTC", "versions": [later]}, start, start + 24 * HOUR) == 12 * HOUR


def test_a_day_begins_at_midnight_in_the_zone_even_if_the_clocks_skip_it() -> None:
    noon = ms("2026-03-29T12:00:00+03:00")
    assert day_of(noon, "Asia/Beirut") == "2026-03-29"
    assert midnight_of(noon, "Asia/Beirut") == ms("2026-03-28T22:00:00Z")
    assert midnight_of(ms("2026-03-02T15:59:00Z"), "Asia/Shanghai") == ms("2026-03-01T16:00:00Z")
