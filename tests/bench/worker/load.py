"""The worker's load: made-up conversations as the gateway hands them on, and what they come to, counted apart.

Two thousand events a second in conversations of up to forty: customers wait, are assigned, answered, transferred, met
by a bot, give up; a few events arrive late or twice. Events are 228 bytes of JSON on the average. What comes out is
known from the script of each conversation, without the product's code.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from random import Random

import msgspec

from gateway.packing import load_events, load_tick, pack
from streams.events import Event, Tick, encode, partition_of
from streams.stamps import stamp

START = 1_772_445_600_000
SIZE = 228
"""Bytes of an event, on the average."""
RATE = 2_000
"""Events a second, of event time."""
UNDER_WAY = 22_000
"""Conversations at any time: so many begin at once, the others as these end."""
TENANT = "shop"
QUEUES = ("billing", "returns", "shipping", "technical", "vip")
CHANNELS = ("web", "app", "wechat")
AGENTS = 2_000
WORDS = (
    *"你好 请问 我的 订单 什么时候 发货 退款 没有 收到 物流 显示 已经 签收 但是 包裹 不见了 谢谢 麻烦".split(),  # noqa: SIM905
    *"the order has not arrived yet please check refund invoice card was charged twice login does not work".split(),  # noqa: SIM905
)


@dataclass
class Truth:
    """What must come out."""

    messages: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """Public messages by queue, channel and minute."""
    customer_messages: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    episodes: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)
    """Conversation → outcome and first response, ms, of its only episode."""


@dataclass
class Load:
    """Events in the order in which they arrive."""

    events: list[Event]
    truth: Truth
    distinct: int = 0
    """Without those that come twice."""

    @property
    def until(self) -> int:
        """A tick behind all of it."""
        return max(event.received_at for event in self.events) + 1_000


class _Over(Exception):
    """The load ends before the conversation does."""


class _Script:
    """One conversation: its events, and what they come to."""

    def __init__(self, number: int, at: int, end: int, chance: Random, truth: Truth) -> None:
        self.end, self.outcome = end, "waiting"
        self.name, self.at, self.chance, self.truth = f"c-{number:06}", at, chance, truth
        self.queue, self.channel = chance.choice(QUEUES), chance.choice(CHANNELS)
        self.customer, self.agent = f"u-{chance.randrange(200_000):06}", f"a-{chance.randrange(AGENTS):04}"
        self.events: list[Event] = []
        self.demand: int | None = None
        self.reply: int | None = None

    def add(self, kind: str, pause_s: float, **fields: object) -> Event:
        """One event, so long after the last one."""
        self.at += int(pause_s * 1_000)
        if self.at >= self.end:
            raise _Over
        event = Event(
            id=f"{self.name}-{len(self.events)}", kind=kind, at=self.at, tenant=TENANT, conversation=self.name,
            channel=self.channel, received_at=self.at + self.chance.randrange(20, 400), **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        if kind == "transferred" or not self.events:
            event.queue = self.queue
        self.events.append(event)
        return event

    def say(self, author: str, pause_s: float) -> None:
        """A public message."""
        who = {"customer": self.customer, "agent": self.agent}.get(author, author)
        self.add("message", pause_s, author=author, author_id=who, type="text", text=_text(self.chance))
        key = (self.queue, self.channel, self.at - self.at % 60_000)
        self.truth.messages[key] += 1
        if author == "customer":
            self.truth.customer_messages[key] += 1
            if self.demand is None:
                self.demand = self.at
        elif author == "agent" and self.reply is None:
            self.reply, self.outcome = self.at, "answered"

    def play(self, turns: int) -> list[Event]:
        """As much of it as there is time for."""
        try:
            self._play(turns)
        except _Over:
            pass
        frt = None if self.reply is None else self.reply - (self.demand or 0)
        self.truth.episodes[self.name] = self.outcome, frt
        return self.events

    def _play(self, turns: int) -> None:
        chance = self.chance
        bot, leaves = chance.random() < 0.15, chance.random() < 0.06 and self.channel != "wechat"
        self.say("customer", 0)
        if bot:
            self.say("bot", 1 + chance.random())
            self.outcome = "with_bot"
            self.say("customer", 5 + 10 * chance.random())
            self.demand, self.outcome = self.add("handoff", 2).at, "waiting"
        if leaves:
            self.add("customer_left", 5 + chance.expovariate(1 / 60))
            self.outcome = "abandoned"
            return
        self.add("assigned", chance.expovariate(1 / 20), agent=self.agent)
        self.say("agent", 2 + chance.expovariate(1 / 15))
        for turn in range(turns):
            if turn == 2 and chance.random() < 0.12:
                self._transfer()
            self.say("customer", 3 + chance.expovariate(1 / 8))
            if chance.random() < 0.25:
                self.say("customer", 2 + chance.expovariate(1 / 4))
            self.say("agent", 3 + chance.expovariate(1 / 8))
        self.add("closed", 3 + 9 * chance.random(), by="agent", resolved=chance.random() < 0.8)
        if chance.random() < 0.2:
            self.add("rated", 20 * chance.random(), score=chance.choice((1, 3, 4, 5, 5)))

    def _transfer(self) -> None:
        self.agent = f"a-{self.chance.randrange(AGENTS):04}"
        queue, self.queue = self.queue, self.chance.choice(QUEUES)
        try:
            self.add("transferred", 1, agent=self.agent)
        except _Over:
            self.queue = queue
            raise


def _text(chance: Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, 5)))


def made(events: int, seed: int = 1) -> Load:
    """About so many events, the same for the same seed."""
    chance, truth = Random(seed), Truth()
    end = START + events * 1_000 // RATE
    ends = [START + chance.randrange(15_000) for _ in range(UNDER_WAY)]
    heapify(ends)
    out: list[Event] = []
    distinct = number = 0
    while ends[0] < end:
        turns = 2 + min(12, int(chance.expovariate(1 / 4.2)))
        turns = chance.randrange(turns) if number < UNDER_WAY else turns
        script = _Script(number, ends[0], end, chance, truth)
        played = script.play(turns)
        heapreplace(ends, script.at + chance.randrange(1, 8_000))
        number += 1
        distinct += len(played)
        out += played
        out += [msgspec.structs.replace(event) for event in played if chance.random() < 0.005]
    for event in out:
        if chance.random() < 0.01:
            event.received_at += chance.randrange(1_000, 30_000)
    out.sort(key=lambda event: event.received_at)
    _pad(out)
    return Load(out, truth, distinct)


def _pad(events: Sequence[Event]) -> None:
    """Lengthen texts until the average is `SIZE`."""
    missing = SIZE * len(events) - sum(len(encode(event)) for event in events)
    spoken = [event for event in events if event.text]
    some, more = divmod(max(0, missing), len(spoken))
    for index, event in enumerate(spoken):
        event.text = (event.text or "") + "." * (some + (index < more))


def packed(load: Load, partitions: int) -> Iterator[tuple[int, bytes]]:
    """As the gateway stamps and packs them: up to 500 events of a second in a record, a tick after every second."""
    some: list[Event] = []
    second = load.events[0].received_at // 1_000
    for event in map(msgspec.structs.replace, load.events):
        stamp(event)
        if event.received_at // 1_000 != second:
            yield from _second(some, second, partitions)
            some, second = [], event.received_at // 1_000
        some.append(event)
    yield from _second(some, second, partitions)


def _second(events: list[Event], second: int, partitions: int) -> list[tuple[int, bytes]]:
    return pack([load_events(events, partitions), load_tick(Tick((second + 1) * 1_000), partitions)], partitions)


def bare(load: Load, partitions: int) -> Iterator[tuple[int, bytes]]:
    """One event a record, and nothing else."""
    for event in load.events:
        yield partition_of(event.tenant, event.conversation or "", partitions), encode(event)


def singles(load: Load, partitions: int) -> Iterator[tuple[int, bytes]]:
    """As a foreign producer writes them: one event a record; a tick of ours at the end."""
    yield from bare(load, partitions)
    yield from pack([load_tick(Tick(load.until), partitions)], partitions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    load = made(parser.parse_args().events)
    records = [record for record in packed(load, 4) if b'"events"' in record[1]]
    sizes = [len(encode(event)) for event in load.events]
    kinds = Counter(event.author or event.kind for event in load.events)
    print(
        f"{len(load.events)} events ({load.distinct} distinct) of {sum(sizes) / len(sizes):.1f} bytes in "
        f"{len(load.truth.episodes)} conversations over {(load.until - START) / 1000:.0f} s; "
        f"{len(records)} records of {len(load.events) / len(records):.0f}; {dict(kinds)}"
    )
