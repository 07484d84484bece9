"""What each rule has judged lately, a number a minute: the course that a letter's picture shows.

In memory only, and of what is judged here: after a restart it begins anew. Nobody is woken by it, so nothing waits for
it to be written down.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from alerts.judging import Sample
from alerts.readings import METRICS, Place
from alerts.state import Alert, Slot

MINUTE = 60_000
KEPT = 180
"""Minutes: what happened before, nobody asks who is woken now."""
LEAST = 5
"""Points from which on there is something to see."""
MOST = 20_000
"""Courses kept at once, 1 kB each; what comes beyond them has none."""


@dataclass(slots=True)
class Course:
    """The values of a slot by minute; nan where none was judged."""

    clock: str
    first: int
    """The minute of the first value, counted from the epoch."""
    values: array[float] = field(default_factory=lambda: array("f"))

    @property
    def end(self) -> int:
        """The minute behind the last value."""
        return self.first + len(self.values)

    def put(self, minute: int, value: float) -> None:
        """The value of a minute; one that is before what is known begins anew: another clock."""
        if minute < self.end - 1 or minute - self.end > KEPT:
            self.first, self.values = minute, array("f")
        del self.values[max(0, minute - self.first) :]
        self.values.extend([nan] * (minute - self.end))
        self.values.append(value)
        over = len(self.values) - KEPT
        if over > 0:
            del self.values[:over]
            self.first += over


class Courses:
    """The courses of all slots that are judged."""

    def __init__(self) -> None:
        self._of: dict[Slot, Course] = {}
        self._minutes: dict[str, int] = {}

    def note(self, clock: str, as_of: int, seen: Callable[[], Iterable[Sample]]) -> None:
        """Keep what is seen at a tick, the first of each minute. `seen` is asked only then."""
        minute = as_of // MINUTE
        if self._minutes.get(clock) == minute:
            return
        self._minutes[clock] = minute
        for sample in seen():
            if sample.value is not None and sample.rule.metric.place is not Place.FLAG:
                self._put(sample.slot, clock, minute, sample.value)
        stale = [slot for slot, one in self._of.items() if one.clock == clock and not -1 <= minute - one.end < KEPT]
        for slot in stale:
            del self._of[slot]

    def _put(self, slot: Slot, clock: str, minute: int, value: float) -> None:
        course = self._of.get(slot)
        if course is None:
            if len(self._of) >= MOST:
                return
            course = self._of[slot] = Course(clock, minute)
        course.clock = clock
        course.put(minute, value)

    def chart(self, alert: Alert) -> dict[str, Any] | None:
        """The course where an alert is, to its last value, with its bound; None where too little is known of it."""
        course = self._of.get(alert.slot)
        if course is None or alert.value is None:
            return None
        known = Course(course.clock, course.first, course.values[:])
        known.put(alert.at // MINUTE, alert.value)
        values = [None if isnan(value) else round(value, 4) for value in known.values]
        if sum(value is not None for value in values) < LEAST:
            return None
        metric = METRICS.get(alert.metric)
        return {
            "from": known.first * MINUTE, "step_s": 60, "values": values, "unit": alert.unit,
            "limit": alert.facts.high if alert.upward else alert.facts.low,
            "name": {"zh": metric.zh, "en": metric.en} if metric else {"zh": alert.metric, "en": alert.metric},
        }  # fmt: skip
