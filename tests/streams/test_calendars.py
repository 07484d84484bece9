"""Business time against a count of minutes, over clock changes, versions, holidays and make-up days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.settings import WEEKDAYS, CalendarSettings
from streams.calendars import business_ms
from streams.windows import DAY, HOUR, MINUTE

Week = dict[str, Any]

CHANGES = [
    ("Asia/Shanghai", "2026-02-14"),
    ("UTC", "2026-03-01"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("Asia/Beirut", "2022-03-27"),
    ("Asia/Beirut", "2022-10-30"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Asia/Kathmandu", "2026-05-05"),
]
"""Zones, and days on which most of them change their clocks: by night or at midnight, by an hour or half of one."""


def counted(calendar: CalendarSettings, start: int, end: int) -> int:
    """The same, minute by minute: is the shop open when the clock on the wall says this?"""
    zone = ZoneInfo(calendar.zone)
    versions: list[Any] = calendar.versions if calendar.versions is not None else [calendar]
    total = 0
    for minute in range(start, end, MINUTE):
        begun = [version for version in versions if _since(version) <= minute]
        if begun:
            local = datetime.fromtimestamp(minute / 1000, zone)
            version = max(begun, key=_since)
            total += MINUTE * any(opens <= f"{local:%H:%M}" < closes for opens, closes in _hours(version, local.date()))
    return total


def _since(version: Any) -> float:
    given = getattr(version, "from_", None)
    return -1e18 if given is None else given.timestamp() * 1000


def _hours(version: Any, day: date) -> list[tuple[str, str]]:
    if day in version.workdays:
        return list(version.workdays[day])
    return [] if day in version.holidays else version.weekly.get(WEEKDAYS[day.weekday()], [])


clocks = st.sampled_from(["00:00", "04:00", "08:30", "12:00", "13:15", "18:00", "22:30", "24:00"])
"""Hours of the day that every day has once."""
hours = st.lists(clocks, unique=True, max_size=6).map(
    lambda some: [(a, b) for a, b in zip(sorted(some)[::2], sorted(some)[1::2], strict=False)]
)


@st.composite
def weeks(draw: st.DrawFn, about: date) -> Week:
    """A week with holidays and make-up days near a date."""
    near = st.integers(-3, 3).map(lambda days: about + timedelta(days=days))
    return {
        "weekly": {name: draw(hours) for name in draw(st.sets(st.sampled_from(WEEKDAYS), min_size=3))},
        "holidays": draw(st.lists(near, max_size=2)),
        "workdays": draw(st.dictionaries(near, hours, max_size=2)),
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[CalendarSettings, int, int]:
    """A calendar, and a span of up to three days around a change of the clocks."""
    zone, day = draw(st.sampled_from(CHANGES))
    about = date.fromisoformat(day)
    noon = int(datetime(about.year, about.month, about.day, 12, tzinfo=ZoneInfo(zone)).timestamp()) * 1000
    whole = st.integers(-36 * 60, 36 * 60).map(lambda minutes: noon + minutes * MINUTE)
    form: Week = draw(weeks(about))
    if draw(st.booleans()):
        starts = draw(st.lists(whole, min_size=1, max_size=3, unique=True))
        some = [draw(weeks(about)) | {"from": datetime.fromtimestamp(at / 1000, ZoneInfo("UTC"))} for at in starts]
        form = {"versions": draw(st.permutations(some + ([draw(weeks(about))] if draw(st.booleans()) else [])))}
    start, end = sorted((draw(whole), draw(whole)))
    return CalendarSettings(zone=zone, **form), start, end


@given(cases())
@settings(max_examples=60, deadline=None)
def test_business_time_is_what_a_count_of_open_minutes_comes_to(case: tuple[CalendarSettings, int, int]) -> None:
    assert business_ms(*case) == counted(*case)


@given(cases(), st.integers(0, 36 * HOUR))
@settings(max_examples=60, deadline=None)
def test_a_span_is_the_sum_of_its_halves_to_the_millisecond(case: tuple[CalendarSettings, int, int], cut: int) -> None:
    calendar, start, end = case
    assume(start + cut <= end)
    whole = business_ms(calendar, start, end)
    assert whole == business_ms(calendar, start, start + cut) + business_ms(calendar, start + cut, end)
    assert 0 <= whole <= end - start


ALWAYS = {name: [("00:00", "24:00")] for name in WEEKDAYS}


def at(zone: str, text: str) -> int:
    """An instant, as a clock in the zone says it."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


@pytest.mark.parametrize(
    ("zone", "day", "hours_long"),
    [
        ("America/Sao_Paulo", "2018-11-04", 23), ("America/Sao_Paulo", "2018-02-17", 25),
        ("Asia/Beirut", "2022-03-27", 23), ("Asia/Beirut", "2022-10-29", 25),
        ("America/New_York", "2026-03-08", 23), ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5), ("Asia/Shanghai", "2026-02-14", 24),
    ],
)  # fmt: skip
def test_a_day_has_the_hours_it_really_had(zone: str, day: str, hours_long: float) -> None:
    name = WEEKDAYS[date.fromisoformat(day).weekday()]
    only = CalendarSettings.model_validate({"zone": zone, "weekly": {name: ALWAYS[name]}})
    noon = at(zone, f"{day}T12:00")
    assert business_ms(only, noon - 3 * DAY, noon + 3 * DAY) == hours_long * HOUR


def test_a_make_up_day_wins_over_a_holiday_and_both_over_the_week() -> None:
    """The week after the New Year of 2026: Saturday 14 February was worked, 16 to 20 February were off."""
    calendar = CalendarSettings.model_validate(
        {
            "zone": "Asia/Shanghai",
            "weekly": {name: [("09:00", "18:00")] for name in WEEKDAYS[:5]},
            "holidays": [f"2026-02-{day}" for day in (14, 16, 17, 18, 19, 20)],
            "workdays": {"2026-02-14": [("09:00", "12:00")], "2026-02-19": []},
        }
    )

    def open_on(day: int) -> float:
        return (
            business_ms(calendar, at("Asia/Shanghai", f"2026-02-{day}"), at("Asia/Shanghai", f"2026-02-{day + 1}"))
            / HOUR
        )

    assert [open_on(day) for day in range(13, 22)] == [9, 3, 0, 0, 0, 0, 0, 0, 0]
    assert open_on(23) == 9


def test_a_version_ends_where_the_next_begins_in_the_middle_of_a_span() -> None:
    calendar = CalendarSettings.model_validate(
        {
            "zone": "Asia/Shanghai",
            "versions": [
                {"from": "2026-03-02T10:30:00+08:00", "weekly": {"mon": [("10:00", "11:00")]}},
                {"weekly": {"mon": [("09:00", "12:00")]}},
                {"from": "2026-03-02T10:45:00+08:00", "weekly": {}},
            ],
        }
    )
    monday = at("Asia/Shanghai", "2026-03-02T00:00")
    assert business_ms(calendar, monday, monday + DAY) == (90 + 15) * MINUTE


def test_nothing_is_open_before_the_first_version() -> None:
    calendar = CalendarSettings.model_validate(
        {"zone": "UTC", "versions": [{"from": "2026-03-02T10:00:00Z", "weekly": ALWAYS}]}
    )
    assert business_ms(calendar, at("UTC", "2026-03-02T09:00"), at("UTC", "2026-03-02T10:00:01")) == 1_000


def test_an_empty_span_and_one_that_ends_before_it_begins_have_none() -> None:
    calendar = CalendarSettings.model_validate({"zone": "UTC", "weekly": ALWAYS})
    now = at("UTC", "2026-03-02T09:00")
    assert business_ms(calendar, now, now) == 0
    assert business_ms(calendar, now, now - HOUR) == 0
