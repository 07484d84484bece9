"""Kaplan–Meier over what many windows share: to the same numbers as `streams.metrics.kaplan_meier`, by arrays. Pure.

All windows of a key end with the pane in progress, so who waits still is in each of them. Those waits are sorted once;
where they are more than `EXACT_WAITS` a window adds its own by bucket, of which there are some hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.metrics import EXACT_WAITS, kaplan_meier
from streams.waits import Waits, bucket, each

QUANTILES = (0.5, 0.9)
FEW = 150
"""Up to so many waits the plain form is faster."""

Ints = npt.NDArray[np.int64]
Curve = list[tuple[int | None, bool]]
"""`metrics.kaplan_meier` for `QUANTILES`."""


class Own(NamedTuple):
    """The waits of a window: ms → how many, the same by bucket, and how many they are."""

    answered: Mapping[int, int]
    censored: Mapping[int, int]
    by_bucket: tuple[Mapping[int, int], Mapping[int, int]]
    n: int


def tally(into: dict[int, int], waits: Mapping[int, int], sign: int = 1) -> int:
    """Let buckets count these as well, or (sign −1) no more. How many they are, with their sign."""
    before = 0
    for ms, n in waits.items():
        lower = bucket(ms)
        total = into.get(lower, 0) + sign * n
        if total:
            into[lower] = total
        else:
            del into[lower]
        before += n
    return sign * before


class _Part(NamedTuple):
    """Waits in order, each length once: how many were answered then, and how many ended in all."""

    ms: Ints
    answered: Ints
    all: Ints


class Shared:
    """The waits that all windows of a key have: of those waiting, and of those that ended after the windows' end."""

    def __init__(self, waiting: Ints, answered: Mapping[int, int], censored: Mapping[int, int]) -> None:
        self._waiting = waiting
        self._answered, self._censored = answered, censored
        self.n = len(waiting) + sum(answered.values()) + sum(censored.values())
        self._by_bucket: _Part | None = None
        self._exact: _Part | None = None
        self._still: Mapping[int, int] | None = None

    def curve(self, own: Own) -> Curve:
        """The quantiles of a window with these waits of its own."""
        total = self.n + own.n
        if total <= FEW:
            return kaplan_meier(_sum(own.answered, self._answered), _sum(own.censored, self._ended()), QUANTILES)
        if total > EXACT_WAITS:
            return _quantiles(_merged(self._bucketed(), *own.by_bucket))
        return _quantiles(_merged(self._as_they_are(), own.answered, own.censored))

    def _ended(self) -> Mapping[int, int]:
        if self._still is None:
            self._still = Counter(self._waiting.tolist())
            self._still.update(self._censored)
        return self._still

    def _as_they_are(self) -> _Part:
        if self._exact is None:
            ms, n = np.unique(self._waiting, return_counts=True)
            self._exact = _merged(_Part(ms, np.zeros(len(ms), np.int64), n), self._answered, self._censored)
        return self._exact

    def _bucketed(self) -> _Part:
        if self._by_bucket is None:
            exact = self._as_they_are()
            self._by_bucket = _once(buckets(exact.ms), exact.answered, exact.all)
        return self._by_bucket


def waiting(instants: Iterable[Waits], now: int, end: int) -> Ints:
    """How long those have waited by `now` who have since before `end`, ms."""
    since = np.concatenate([np.empty(0, np.int64), *(_array(one) for one in instants)])
    return np.asarray(np.maximum(now - since[since < end], 0), np.int64)


def _array(waits: Waits) -> Ints:
    return np.frombuffer(waits, np.int64) if isinstance(waits, bytes) else np.fromiter(each(waits), np.int64)


def buckets(ms: Ints) -> Ints:
    """`waits.bucket` of each."""
    shift = np.maximum(np.frexp(ms.astype(np.float64))[1] - 8, 0)
    return np.asarray(np.where(ms < 256, ms, (ms >> shift) << shift), np.int64)


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    if not other:
        return one
    both = Counter(one)
    both.update(other)
    return both


def _merged(part: _Part, answered: Mapping[int, int], censored: Mapping[int, int]) -> _Part:
    if not answered and not censored:
        return part
    ended, gone = _columns(answered), _columns(censored)
    none = np.zeros(len(gone[0]), np.int64)
    return _once(
        np.concatenate([part.ms, ended[0], gone[0]]),
        np.concatenate([part.answered, ended[1], none]),
        np.concatenate([part.all, ended[1], gone[1]]),
    )


def _columns(waits: Mapping[int, int]) -> tuple[Ints, Ints]:
    n = len(waits)
    return np.fromiter(waits.keys(), np.int64, n), np.fromiter(waits.values(), np.int64, n)


def _once(ms: Ints, answered: Ints, all_: Ints) -> _Part:
    """Each length once, in order."""
    order = np.argsort(ms, kind="stable")
    ms = ms[order]
    first = np.flatnonzero(np.concatenate([[True], ms[1:] != ms[:-1]])) if len(ms) else np.empty(0, np.int64)
    if not len(first):
        return _Part(ms, answered, all_)
    return _Part(ms[first], np.add.reduceat(answered[order], first), np.add.reduceat(all_[order], first))


def _quantiles(part: _Part) -> Curve:
    """As `metrics.kaplan_meier`, step by step in the same order, so to the same digit."""
    at_risk = part.all[::-1].cumsum()[::-1]
    steps = np.flatnonzero(part.answered)
    reached = 1 - np.cumprod(1 - part.answered[steps] / at_risk[steps])
    found: Curve = []
    for q in QUANTILES:
        place = int(np.argmax(reached >= q - 1e-12)) if len(reached) else 0
        there = len(reached) > 0 and bool(reached[place] >= q - 1e-12)
        found.append((int(part.ms[steps[place]]), False) if there else (int(part.ms[-1]), True))
    return found
