"""Instants as they are sent, RFC 3339 with an offset or integer milliseconds; finer digits are cut off."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

FIRST_MS, END_MS = 946_684_800_000, 4_102_444_800_000
"""The years 2000 to 2099, UTC."""

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def instant(value: int | str | None) -> int | str:
    """Milliseconds since the epoch, of an instant in either form of `at`; or what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return "at: neither RFC 3339 nor an integer"
    at = value if isinstance(value, int) else _rfc3339(value)
    if at is None:
        return "at: not RFC 3339 with an offset"
    return at if FIRST_MS <= at < END_MS else "at: outside the years 2000 to 2099"


def _rfc3339(text: str) -> int | None:
    found = _RFC3339.fullmatch(text)
    day = found and _day_ms(found[1])
    if found is None or day is None:
        return None
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    off_hour, off_minute = int(found[7] or 0), int(found[8] or 0)
    if hour > 23 or minute > 59 or second > 60 or off_hour > 23 or off_minute > 59:
        return None
    offset = (off_hour * 60 + off_minute) * (-1 if found[6] == "-" else 1)
    minutes = hour * 60 + minute - offset
    if second == 60 and minutes % 1440 != 1439:  # a leap second is 23:59:60 UTC; it counts as the second after it
        return None
    return day + minutes * 60_000 + second * 1_000 + int(((found[5] or "0") + "00")[:3])


@lru_cache(maxsize=4_096)
def _day_ms(day: str) -> int | None:
    try:
        return (date.fromisoformat(day).toordinal() - 719_163) * 86_400_000
    except ValueError:
        return None
