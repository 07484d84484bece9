"""Panes are half open, and a day begins when its first instant does."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.windows import DAY, HOUR, LIVE_WINDOWS, MINUTE, first_pane, midnight, pane_of

QUARTER = 15 * MINUTE
ZONES = [
    "UTC", "Asia/Shanghai", "America/New_York", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "America/Havana",
    "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Europe/London",
]  # fmt: skip
instants = st.integers(1_262_304_000_000, 1_893_456_000_000)
"""2010 to 2029."""


def at(zone: str, text: str) -> int:
    """An instant, as a clock in the zone says it."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def day_of(zone: str, instant: int) -> str:
    """What a calendar on the wall says."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(zone)).date().isoformat()


def walked_back(zone: str, now: int) -> int:
    """The first quarter of an hour of the day, found by walking back; every zone here is off by whole quarters."""
    start = now - now % QUARTER
    while day_of(zone, start - QUARTER) == day_of(zone, now):
        start -= QUARTER
    return start


@given(instants)
def test_a_pane_begins_with_its_instant_and_ends_before_the_next(now: int) -> None:
    start = pane_of(now)
    assert start <= now < start + MINUTE
    assert start % MINUTE == 0
    assert pane_of(start) == pane_of(start + MINUTE - 1) == start != pane_of(start + MINUTE)


@given(instants, st.sampled_from(sorted(LIVE_WINDOWS)))
def test_a_live_window_is_the_pane_in_progress_and_those_before_it(now: int, name: str) -> None:
    first = first_pane(name, now, ZoneInfo("Asia/Shanghai"))
    assert len(range(first, now + 1, MINUTE)) == {"1m": 1, "5m": 5, "30m": 30}[name]


@given(instants, st.sampled_from(ZONES))
@settings(max_examples=200, deadline=None)
def test_a_day_begins_where_walking_back_ends(now: int, zone: str) -> None:
    assert midnight(now, ZoneInfo(zone)) == walked_back(zone, now) == first_pane("today", now, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z", 23),  # 00:00 does not exist
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00Z", 25),  # 23:00 comes twice
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00Z", 24),
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00Z", 23),
        ("Asia/Beirut", "2022-10-29", "2022-10-28T21:00Z", 25),
        ("Africa/Cairo", "2023-04-28", "2023-04-27T22:00Z", 23),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00Z", 23),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00Z", 25),  # 00:00 comes twice: the first counts
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", 24),  # the day before it never was
    ],
)
def test_midnight_where_the_clocks_change_at_midnight(zone: str, day: str, begins: str, hours: int) -> None:
    start = int(datetime.fromisoformat(begins).timestamp()) * 1000
    for now in range(start, start + hours * HOUR, QUARTER):
        assert day_of(zone, now) == day
        assert midnight(now, ZoneInfo(zone)) == start
    assert midnight(start - 1, ZoneInfo(zone)) < start
    assert midnight(start + hours * HOUR, ZoneInfo(zone)) == start + hours * HOUR


@given(instants, st.sampled_from(ZONES), st.integers(0, DAY))
@settings(max_examples=100, deadline=None)
def test_today_never_goes_back(now: int, zone: str, later: int) -> None:
    assert midnight(now, ZoneInfo(zone)) <= midnight(now + later, ZoneInfo(zone))


def test_an_evening_belongs_to_its_own_day_in_a_zone_ahead() -> None:
    assert midnight(at("Asia/Shanghai", "2026-03-02T23:59"), ZoneInfo("Asia/Shanghai")) == at("UTC", "2026-03-01T16:00")
