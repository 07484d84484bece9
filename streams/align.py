"""Readings of many partitions, cut at ticks: what was said up to a tick by all of them, and then the tick. Pure.

Each clock is aligned on its own. A partition that is ahead waits here, so whoever judges at a tick sees the numbers of
that tick, whether they come live, in a fast replay, or after a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from streams.events import REAL, Reading, Segment


class Cut(NamedTuple):
    """What to apply next. With a tick: after these segments, all numbers of the clock are as of it."""

    segments: list[tuple[int, Segment]]
    clock: str
    tick: int | None


class Aligner:
    """Holds back what lies behind a tick that not all partitions have reached."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._waiting: dict[str, dict[int, deque[Segment]]] = {}

    def feed(self, reading: Reading) -> Iterator[Cut]:
        """Take a reading; yields what can be applied now, in order."""
        if reading.base:
            yield Cut([(reading.partition, segment) for segment in reading.segments], "", None)
            return
        clocks = set()
        for segment in reading.segments:
            queues = self._waiting.setdefault(segment.clock, {})
            queues.setdefault(reading.partition, deque()).append(segment)
            clocks.add(segment.clock)
        for clock in sorted(clocks, key=lambda clock: (clock == REAL, clock)):  # who goes live does so before its ticks
            yield from self._release(clock)

    def _release(self, clock: str) -> Iterator[Cut]:
        queues = self._waiting[clock]
        while len(queues) == self._partitions:
            ticks = [_next_tick(queue) for queue in queues.values()]
            if None in ticks:
                break
            tick = min(one for one in ticks if one is not None)
            out = []
            for partition, queue in queues.items():
                if _next_tick(queue) == tick:
                    out += [(partition, segment) for segment in _until(queue, tick)]
            yield Cut(out, clock, tick)
        if len(queues) == self._partitions and all(_has_left(queue) for queue in queues.values()):
            out = [(partition, segment) for partition, queue in queues.items() for segment in queue]
            del self._waiting[clock]
            yield Cut(out, clock, None)


def _next_tick(queue: deque[Segment]) -> int | None:
    return next((segment.tick for segment in queue if segment.tick is not None), None)


def _until(queue: deque[Segment], tick: int) -> Iterator[Segment]:
    while queue:
        segment = queue.popleft()
        yield segment
        if segment.tick == tick:
            return


def _has_left(queue: deque[Segment]) -> bool:
    return any(segment.live is not None for segment in queue)
