"""Several stretches of chat woven into one desk that never closes: pure, seeded, endless.

    lane 1   |--- stretch 7 ---|-- stretch 2 --|------ stretch 9 ...
    lane 2   |-- stretch 4 --|------ stretch 1 ------|-- stretch 7, again ...
    lane 3   |------------ stripe.0 ------------|---- stripe.1 ...

In a lane stretches follow each other; after the last it begins again, under fresh ids. Inside a conversation every gap
is as it was. Only between conversations something is changed: hours in which nobody wrote are left out, and lanes lie
side by side until together they bring the wanted number of messages a minute.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any
from zlib import crc32

from tidewatch.datasets import MINUTE, Mapped, Shift, Thread, moved, shift_events, shifts, thread_events
from tidewatch.tags import topic_of

Item = Thread | Shift

PATIENCE_MS = 20 * MINUTE
"""Threads in which somebody fell silent for longer are left out: on a desk they would be two conversations."""
LINGER_MS = 2 * MINUTE
"""An answered conversation is closed so long after its last message: we know that nothing more comes."""
GIVES_UP_MS = 10 * MINUTE
"""A question nobody answers is closed so long after its last message."""
UNANSWERED_KEPT = 12
"""One in so many of the questions nobody answered is kept: half of them in a chat room, few on a desk."""
IDLE_MS = 2 * MINUTE
"""Time in which no conversation runs is shortened to this."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Conversations that were had side by side, by their start; the first begins at 0. `length` in ms."""

    threads: tuple[Thread, ...]
    length: int

    @property
    def messages(self) -> int:
        return sum(len(thread.said) for thread in self.threads)


def fit_for_a_desk(thread: Thread) -> bool:
    """Whether it reads like one with a help desk: answered (or one of the kept few), without long silence."""
    ats = [said.at for said in thread.said]
    if any(after - before > PATIENCE_MS for before, after in pairwise(ats)):
        return False
    if thread.answered:
        return True
    asked = "?" in thread.said[0].text and ats[-1] - ats[0] <= LINGER_MS
    return asked and crc32(thread.id.encode()) % UNANSWERED_KEPT == 0


def closed(thread: Thread) -> Thread:
    """The thread with the closing a desk would give it, and what a desk would file it under."""
    if thread.closed_by != "system":
        return thread
    thread = replace(thread, topic=thread.topic or topic_of(thread))
    return replace(thread, closed_at=thread.said[-1].at + (LINGER_MS if thread.answered else GIVES_UP_MS))


def stretches(data: Mapped) -> list[Stretch]:
    """The conversations of a data set that fit a desk, by the stretch of log they come from, without idle hours."""
    parts: dict[str, list[Thread]] = {}
    for thread in data.threads:
        if fit_for_a_desk(thread):
            parts.setdefault(thread.id.partition(":")[0], []).append(closed(thread))
    return [squeezed(part) for part in parts.values()]


def squeezed(threads: Sequence[Thread], idle: int = IDLE_MS) -> Stretch:
    """A stretch from conversations: time in which none of them runs is shortened to `idle` ms."""
    kept: list[Thread] = []
    end = cut = 0
    for thread in sorted(threads, key=lambda thread: thread.at):
        if not kept:
            cut = thread.at
        cut = max(cut, thread.at - end - idle) if kept else cut
        kept.append(moved(thread, -cut))
        end = max(end, kept[-1].said[-1].at)
    return Stretch(tuple(kept), end + idle)


def thinned(stretch: Stretch, factor: float) -> Stretch:
    """The same conversations, arriving `factor` times as far apart."""
    threads = tuple(moved(thread, round(thread.at * (factor - 1))) for thread in stretch.threads)
    return Stretch(threads, max(thread.said[-1].at for thread in threads) + IDLE_MS)


def laid_out(parts: Sequence[Stretch], lanes: int) -> list[list[Stretch]]:
    """The stretches dealt to lanes of about equal length: the longest first, each to the lane that is shortest."""
    dealt: list[list[Stretch]] = [[] for _ in range(lanes)]
    for part in sorted(parts, key=lambda part: -part.length):
        min(dealt, key=lambda lane: sum(stretch.length for stretch in lane)).append(part)
    return [sorted(lane, key=lambda stretch: crc32(stretch.threads[0].id.encode())) for lane in dealt]


def items(stretch: Stretch) -> list[Item]:
    """A stretch's conversations, and the shifts of those who answered regularly in its chat room, by their start."""
    rooms = [thread for thread in stretch.threads if thread.channel == "irc"]
    name = stretch.threads[0].id.partition(":")[0]
    there = [replace(shift, id=f"{name}:{shift.agent}") for shift in shifts(rooms)]
    return sorted([*stretch.threads, *there], key=lambda item: item.at)


def later(item: Item, by: int, prefix: str) -> Item:
    """The same `by` ms later, under an id of its own."""
    if isinstance(item, Thread):
        return moved(item, by, prefix)
    return replace(item, id=prefix + item.id, since=item.since + by, until=item.until + by)


def lane(parts: Sequence[Stretch], prefix: str) -> Iterator[Item]:
    """One stretch after another, from 0 on, without end; a round's ids begin with `prefix` and its number."""
    at = 0
    laid = [(items(part), part.length) for part in parts]
    for turn in count(1):
        for part, length in laid:
            yield from (later(item, at, f"{prefix}{turn}-") for item in part)
            at += length


def woven(lanes: Iterable[Iterator[Item]]) -> Iterator[Item]:
    """What all lanes bring, by its start."""
    return heapq.merge(*lanes, key=lambda item: item.at)


def flow(given: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """The events of conversations and shifts that come by their start, in order of time; `at` in ms."""
    heap: list[tuple[int, int, dict[str, Any]]] = []
    order = count()
    for item in given:
        while heap and heap[0][0] < item.at:
            yield heapq.heappop(heap)[2]
        for event in thread_events(item) if isinstance(item, Thread) else shift_events(item):
            heapq.heappush(heap, (event["at"], next(order), event))
    while heap:
        yield heapq.heappop(heap)[2]
