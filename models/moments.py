"""Where in the week a pane lies, as people there live it: local time of day, kind of day, planned events.

Holidays, make-up working days (调休, which win over holidays) and planned events are given from outside. A holiday is
a day off like a weekend; a make-up day is a working day that is no particular weekday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

NO_WEEKDAY = 7
"""The weekday of a day that is not what its weekday usually is."""


class Moment(NamedTuple):
    """The start of a pane, seen locally."""

    at: int
    """Seconds since the epoch."""
    second: int
    """Of the local day, 0 to 86,399."""
    weekday: int
    """0 is Monday; `NO_WEEKDAY` on holidays and make-up days."""
    off: bool
    """People are off: a weekend or holiday."""
    factor: float = 1.0
    """By how much planned events lift what is usual."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned event: between two instants (ms, half open), `factor` times the usual."""

    start_ms: int
    end_ms: int
    factor: float


@dataclass(frozen=True, slots=True)
class Days:
    """A place's zone, its exceptional days, and what is planned."""

    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    planned: tuple[Planned, ...] = ()

    def moment(self, at_ms: int) -> Moment:
        """The moment of an instant, in whole seconds. Overlapping events multiply."""
        local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(self.zone))
        weekday, off = self._kind(local.date())
        factor = 1.0
        for event in self.planned:
            if event.start_ms <= at_ms < event.end_ms:
                factor *= event.factor
        second = local.hour * 3600 + local.minute * 60 + local.second
        return Moment(at_ms // 1000, second, weekday, off, min(max(factor, 0.01), 1000.0))

    def _kind(self, day: date) -> tuple[int, bool]:
        if day in self.workdays:
            return (day.weekday() if day.weekday() < 5 else NO_WEEKDAY), False
        if day in self.holidays:
            return NO_WEEKDAY, True
        return day.weekday(), day.weekday() >= 5


def naive(at: datetime) -> Moment:
    """The moment of a naive local time, in a week without exceptions."""
    seconds = int(at.replace(tzinfo=UTC).timestamp())
    return Moment(seconds, seconds % 86_400, at.weekday(), at.weekday() >= 5)
