"""Panes, days and business time (METRICS §1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.conformance.cases import Row
from tests.reference.given import DAY, MINUTE

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH = date(1970, 1, 1)


def pane_of(ms: int) -> int:
    """The start of the minute that holds the instant, ms."""
    return ms // MINUTE * MINUTE


@lru_cache(maxsize=1 << 16)
def offset_ms(zone: str, second: int) -> int:
    """How far the zone's wall clock is ahead of UTC at an instant (in s since the epoch), in ms."""
    ahead = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return round((ahead or timedelta()).total_seconds()) * 1000


def day_of(ms: int, zone: str) -> str:
    """The date in the zone, ISO."""
    return (EPOCH + timedelta(days=(ms + offset_ms(zone, ms // 1000)) // DAY)).isoformat()


def midnight_of(ms: int, zone: str) -> int:
    """The first instant of the zone's day that holds the instant."""
    day = date.fromisoformat(day_of(ms, zone))
    return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def business_ms(calendar: Row | None, start: int, end: int) -> int | None:
    """How much of `[start, end)` lies in business hours, ms; None without a calendar.

    An instant is in business hours when its wall clock lies in a span of its date, under the version then in force.
    """
    if calendar is None:
        return None
    total = 0
    for version, since, until in _versions(calendar):
        for low, high, ahead in _constant(calendar["zone"], max(start, since), min(end, until)):
            total += _open(version, low + ahead, high + ahead)
    return total


FOREVER = 10**15


def _versions(calendar: Row) -> Iterator[tuple[Row, int, int]]:
    """Each version with the span in which it is in force."""
    versions = calendar.get("versions") or [calendar]
    starts = [_instant(version.get("from")) for version in versions]
    dated = sorted(zip(starts, range(len(versions)), strict=True))
    for place, (since, number) in enumerate(dated):
        until = dated[place + 1][0] if place + 1 < len(dated) else FOREVER
        yield versions[number], since, until


def _instant(text: Any) -> int:
    if text is None:
        return -FOREVER
    return round(datetime.fromisoformat(str(text)).timestamp() * 1000)


def _constant(zone: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The span in pieces over which the zone's offset does not change, with that offset."""
    low = start
    while low < end:
        high = min(end, low + DAY)
        ahead = offset_ms(zone, low // 1000)
        if offset_ms(zone, (high - 1) // 1000) != ahead:
            same, other = low, high - 1
            while other // 1000 - same // 1000 > 1:
                middle = (same + other) // 2
                same, other = (middle, other) if offset_ms(zone, middle // 1000) == ahead else (same, middle)
            high = other // 1000 * 1000
        yield low, high, ahead
        low = high


def _open(version: Row, low: int, high: int) -> int:
    """Business time between two readings of the wall clock, ms, each counted once however spans overlap."""
    total = 0
    for day in range(low // DAY, (high - 1) // DAY + 1):
        reached = max(low, day * DAY)
        for start, end in sorted(_spans(version, EPOCH + timedelta(days=day))):
            begins, ends = max(reached, day * DAY + start), min(high, day * DAY + end)
            if ends > begins:
                total += ends - begins
                reached = ends
    return total


def _spans(version: Row, day: date) -> list[tuple[int, int]]:
    """The spans of a date, in ms since its midnight: a make-up day's, else none on a holiday, else the week's."""
    workdays = {str(key): spans for key, spans in (version.get("workdays") or {}).items()}
    if day.isoformat() in workdays:
        spans = workdays[day.isoformat()]
    elif day.isoformat() in {str(holiday) for holiday in version.get("holidays") or []}:
        spans = []
    else:
        spans = (version.get("weekly") or {}).get(WEEKDAYS[day.weekday()], [])
    return [(_clock(start), _clock(end)) for start, end in spans]


def _clock(text: str) -> int:
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * MINUTE
