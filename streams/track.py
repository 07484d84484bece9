"""What the model of volume said of one key's closed minutes: the last three hours, and the day's sums. Pure.

What was said stands, though the model learns on: the board, ClickHouse and an alert show the same number of a minute.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from streams.windows import MINUTE

KEPT = 180
"""Minutes kept: a `series`."""
DECIMALS = 3


class Said(NamedTuple):
    """Of one minute, or summed over some: messages expected, the bounds of the usual, whether a surge was on."""

    expected: float
    low: float
    high: float
    surge: bool


def rounded(expected: float, low: float, high: float, *, surge: bool) -> Said:
    """As it is told, the same everywhere."""
    return Said(round(expected, DECIMALS), round(low, DECIMALS), round(high, DECIMALS), surge)


def total(parts: Iterable[Said]) -> Said | None:
    """The sum over minutes; a surge, where one of them has one. None: nothing is known of any."""
    found = list(parts)
    if not found:
        return None
    return Said(
        sum(one.expected for one in found),
        sum(one.low for one in found),
        sum(one.high for one in found),
        any(one.surge for one in found),
    )


class Track:
    """One key's closed minutes; some 6 kB."""

    __slots__ = ("_bands", "_minutes", "_surges", "day", "today")

    def __init__(self) -> None:
        self._minutes = array("i", [-1]) * KEPT
        self._bands = array("d", [0.0]) * (3 * KEPT)
        self._surges = bytearray(KEPT)
        self.day = -1
        """The midnight at which `today` begins, ms."""
        self.today: Said | None = None

    def put(self, minute: int, said: Said) -> None:
        """Take what was said of a minute (ms)."""
        number = minute // MINUTE
        slot = number % KEPT
        self._minutes[slot] = number
        self._bands[3 * slot : 3 * slot + 3] = array("d", said[:3])
        self._surges[slot] = said.surge

    def count(self, said: Said, day: int) -> None:
        """Add a minute to its day."""
        if day != self.day:
            self.day, self.today = day, None
        self.today = said if self.today is None else total((self.today, said))

    def at(self, minute: int) -> Said | None:
        """What was said of a minute; None: nothing, or too long ago."""
        number = minute // MINUTE
        slot = number % KEPT
        if self._minutes[slot] != number:
            return None
        expected, low, high = self._bands[3 * slot : 3 * slot + 3]
        return Said(expected, low, high, bool(self._surges[slot]))
