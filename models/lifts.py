"""The moment of one instant for every key: planned events about some queues or channels lift each key differently.

A sum is lifted by what part of its usual volume the queues and channels of the event are; that is reckoned once for an
instant, from what is usual of all keys without the event.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product

from models.moments import ANY, Days, Moment, Planned

Key = tuple[str, ...]
"""(queue, channel, …); either may be `*`, the sum."""
Rates = Callable[[Moment], Iterable[tuple[Key, float]]]
"""What is usual of every key at a moment."""


class Lifts:
    """One instant (ms) as every key lives it."""

    def __init__(self, days: Days, at_ms: int) -> None:
        self.days = days
        self.at_ms = at_ms
        self.plain = Days(days.zone, days.holidays, days.workdays).moment(at_ms)
        self._events = days.under_way(at_ms)
        self._known: dict[Key, Moment] = {}
        self._rates: dict[Key, float] = {}
        self._meant: dict[Planned, dict[Key, float]] = {}

    def moment(self, key: Key, rates: Rates) -> Moment:
        """The instant as a key lives it. `rates` is asked only where an event is about some of a sum."""
        if not self._events:
            return self.plain
        found = self._known.get(key)
        if found is None:
            queue, channel = (*key, ANY, ANY)[:2]
            factor = self.days.factor(self.at_ms, queue, channel, lambda event: self._part(event, key, rates))
            found = self._known[key] = self.plain._replace(factor=factor)
        return found

    def _part(self, event: Planned, key: Key, rates: Rates) -> float:
        if not self._rates:
            self._rates = dict(rates(self.plain))
        if event not in self._meant:
            self._meant[event] = _sums(event, self._rates)
        for name in (key, key[:2]):  # a topic is not known by channel: then as the queue as a whole
            whole, meant = self._rates.get(name, 0.0), self._meant[event].get(name, 0.0)
            if whole > 0 and meant > 0:
                return meant / whole
        return 0.0


def _sums(event: Planned, rates: dict[Key, float]) -> dict[Key, float]:
    """What an event is about, added up for every sum it is a part of."""
    found: dict[Key, list[float]] = {}
    for key, rate in rates.items():
        if len(key) >= 2 and event.covers(key[0], key[1]):
            names = [
                {name, ANY} if pattern != ANY else {name} for name, pattern in zip(key, _patterns(event), strict=False)
            ]
            for above in product(*names):
                found.setdefault((*above, *key[2:]), []).append(rate)
    return {key: math.fsum(parts) for key, parts in found.items()}  # exactly, so that their order does not matter


def _patterns(event: Planned) -> tuple[str, str]:
    return event.queue, event.channel
