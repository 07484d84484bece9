"""Where in the week a pane lies, as people there live it: local time of day, kind of day, planned events.

Holidays, make-up working days (调休, which win over holidays) and planned events are given from outside. A holiday is
a day off like a weekend; a make-up day is a working day that is no particular weekday.

A planned event may be about some queues or channels only. Their keys are lifted by its factor; a sum that they are a
part of, by as much as their part of its usual volume makes: `1 + (factor − 1) · part`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

ANY = "*"
"""As a pattern: everything. In a key: the sum over all of them."""
NO_WEEKDAY = 7
"""The weekday of a day that is not what its weekday usually is."""
FACTORS = (0.01, 1000.0)
"""Bounds of what all planned events of an instant come to."""


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
    """A planned event: between two instants (ms, half open), `factor` times the usual, in the queues and channels that
    fit its patterns (`*` stands for anything)."""

    start_ms: int
    end_ms: int
    factor: float
    queue: str = ANY
    channel: str = ANY

    def at(self, at_ms: int) -> bool:
        """Whether it is under way."""
        return self.start_ms <= at_ms < self.end_ms

    def covers(self, queue: str, channel: str) -> bool:
        """Whether all of a key's volume is meant; of a sum, only where the event does not choose among its parts."""
        return _covers(self.queue, queue) and _covers(self.channel, channel)

    def concerns(self, queue: str, channel: str) -> bool:
        """Whether some of a key's volume may be meant."""
        return _concerns(self.queue, queue) and _concerns(self.channel, channel)


def _covers(pattern: str, name: str) -> bool:
    return pattern == ANY or (name != ANY and _fits(pattern, name))


def _concerns(pattern: str, name: str) -> bool:
    return name == ANY or _fits(pattern, name)


@lru_cache(maxsize=65_536)
def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split(ANY))), name, re.DOTALL) is not None


Part = Callable[[Planned], float]
"""What part of a key's usual volume an event is about, 0 to 1."""


def _no_part(_: Planned) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Days:
    """A place's zone, its exceptional days, and what is planned."""

    zone: str = "UTC"
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    planned: tuple[Planned, ...] = ()

    def moment(self, at_ms: int, queue: str = ANY, channel: str = ANY, part: Part = _no_part) -> Moment:
        """The moment of an instant for a key, in whole seconds. Overlapping events multiply.

        `part` is asked about the events that are about some of a sum's volume.
        """
        local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(self.zone))
        weekday, off = self._kind(local.date())
        second = local.hour * 3600 + local.minute * 60 + local.second
        return Moment(at_ms // 1000, second, weekday, off, self.factor(at_ms, queue, channel, part))

    def under_way(self, at_ms: int) -> list[Planned]:
        """The planned events of an instant."""
        return [event for event in self.planned if event.at(at_ms)]

    def factor(self, at_ms: int, queue: str = ANY, channel: str = ANY, part: Part = _no_part) -> float:
        """By how much planned events lift a key's volume."""
        factor = 1.0
        for event in self.under_way(at_ms):
            if event.covers(queue, channel):
                factor *= event.factor
            elif event.concerns(queue, channel):
                factor *= 1.0 + (event.factor - 1.0) * min(max(part(event), 0.0), 1.0)
        return min(max(factor, FACTORS[0]), FACTORS[1])

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
