"""Business time: how much of a span lies in opening hours. Source: METRICS §1, two clocks.

A calendar has a zone and versions; the version in force at each instant counts. Within a version a make-up day (调休)
wins over a holiday, and both over the week. Local hours are turned into instants day by day, so a day with a clock
change has the hours it really had.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from config.settings import WEEKDAYS, CalendarSettings, CalendarVersion

MAX_DAYS = 800
"""Longest span that is counted day by day; waits are closed by the clock long before."""


def business_ms(calendar: CalendarSettings, start: int, end: int) -> int:
    """Opening time in `[start, end)`, ms. 0 where the span is empty."""
    zone = ZoneInfo(calendar.zone)
    day = datetime.fromtimestamp(start / 1000, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end / 1000, zone).date()
    total = 0
    for _ in range(MAX_DAYS):
        if day > last:
            break
        total += sum(_overlap(calendar, span, day, start, end) for span in _versions(calendar))
        day += timedelta(days=1)
    return total


def _overlap(
    calendar: CalendarSettings, version: tuple[int, int, CalendarVersion], day: date, start: int, end: int
) -> int:
    """Opening time of one day under one version, cut to the version's life and to the span."""
    since, until, week = version
    low, high = max(start, since), min(end, until)
    return sum(
        max(0, min(closes, high) - max(opens, low))
        for opens, closes in (_instants(calendar.zone, day, span) for span in _spans(week, day))
    )


def in_force(calendar: CalendarSettings) -> list[tuple[CalendarVersion, Callable[[date], bool]]]:
    """Every version, and whether it was in force at noon of a day."""

    def within(since: int, until: int) -> Callable[[date], bool]:
        return lambda day: since <= _instant(calendar.zone, day, "12:00") < until

    return [(version, within(since, until)) for since, until, version in _versions(calendar)]


def _spans(week: CalendarVersion, day: date) -> list[tuple[str, str]]:
    if day in week.workdays:
        return week.workdays[day]
    if day in week.holidays:
        return []
    return {str(name): spans for name, spans in week.weekly.items()}.get(WEEKDAYS[day.weekday()], [])


def _versions(calendar: CalendarSettings) -> list[tuple[int, int, CalendarVersion]]:
    """(since, until, version) in order; each ends where the next begins."""
    if calendar.versions is None:
        only = CalendarVersion(weekly=calendar.weekly, holidays=calendar.holidays, workdays=calendar.workdays)
        return [(_BEGINNING, _END, only)]
    ordered = sorted(calendar.versions, key=_since)
    ends = [_since(version) for version in ordered[1:]] + [_END]
    return [(_since(version), end, version) for version, end in zip(ordered, ends, strict=True)]


_BEGINNING, _END = -(10**15), 10**15


def _since(version: CalendarVersion) -> int:
    return _BEGINNING if version.from_ is None else int(version.from_.timestamp() * 1000)


@lru_cache(maxsize=4096)
def _instants(zone: str, day: date, span: tuple[str, str]) -> tuple[int, int]:
    return _instant(zone, day, span[0]), _instant(zone, day, span[1])


def _instant(zone: str, day: date, clock: str) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if hours == 24:
        day, hours = day + timedelta(days=1), 0
    return int(datetime.combine(day, time(hours, minutes), ZoneInfo(zone)).timestamp()) * 1000
