"""Whether a surge's alert names its cause first: injected surges with a known cause, in made-up and in real chat.

    python -m tests.bench.cause                     all
    python -m tests.bench.cause simulated --surges 60 --seed 7

Every event goes through the very line that a backtest and the live stack use: fold, topics learned from what agents
say, models, judging; what is held against the cause is what the alert on all queues together said when it fired (of the
demo's surge, the alert on its queue).

*simulated*: four queues, three channels, three segments, eight topics, each with its own words; agents file three
conversations in ten. Each surge is of one topic and one segment in one queue on one channel, and two in three of its
messages have a word nobody used before.
*real*: the demo's desk, woven from real help channels, its conversations filed by lists of words. Each surge is made of
real conversations of one queue about one topic, to which a word was added in the same way.
*demo*: the same desk with the demo's own surge, begun at eleven places of it; here, too, the alert must be out in 90 s.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from config.logs import configure
from config.settings import Settings
from gateway.wire import Source, Wire, event_of
from streams.events import Event
from tests.bench.machine import machine
from tidewatch.backtest_line import LEARNING_MS, Line
from tidewatch.backtest_score import Fire

MINUTE = 60_000
START = 1_772_409_600_000
"""2026-03-02T00:00Z."""
FIRST = 90 * MINUTE
"""Before the first surge: half an hour is the least a model must have seen."""
EVERY, LONG = 160 * MINUTE, 10 * MINUTE
"""From surge to surge, and how long each is: what comes too often is no surge, but usual."""
BAR = 0.9
IN_TIME_S = 90
RULES = """rules:
  - {name: surge, metric: surge, severity: warning, scope: {%s}}
"""
ALL_QUEUES, DEMOS = 'tenant: "*"', "queue: ubuntu"
"""What a kind of surge is judged on; the demo's as the demo does."""
UNHEARD = (  # noqa: SIM905 - words are plainer without quotes
    "walrus lantern umbrella saddle turnip violin anchor pyramid canoe thimble parrot glacier hammock trumpet compass "
    "waffle cactus harpoon meadow bonnet kettle magnet orchid pebble quiver raccoon sapling tractor vulture wigwam "
    "almond beetle candle dolphin easel falcon gazelle hinge iceberg jigsaw kayak lobster mosaic nectar oyster plaza "
    "quarry rooster sickle tulip urchin velvet wrench yacht zeppelin acorn badger cobweb dagger elbow fiddle goblet"
).split()
"""Words that stand in no lists of topics: one for each surge."""


@dataclass(frozen=True)
class Cause:
    """What a surge was made of. None: not known of it."""

    since: int
    topic: str
    queue: str | None
    channel: str | None
    word: str
    segment: str | None = None


class Tally:
    """How often each part of the cause stood first."""

    def __init__(self) -> None:
        self.first: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.missed: list[str] = []
        self.waits: list[float] = []

    def hold(self, cause: Cause, fire: Fire | None) -> None:
        """Hold what an alert said against its cause."""
        self.asked["alert"] += 1
        if fire is None:
            self.missed.append(f"{cause}: no alert")
            return
        self.first["alert"] += 1
        self.waits.append((fire.since - cause.since) / 1000)
        for name in ("topic", "queue", "channel", "segment"):
            value = getattr(cause, name)
            if value is not None:
                self._note(name, value, _first(fire, name), cause)
        said = fire.keywords[0] if fire.keywords else None
        self._note("keyword", cause.word, said, cause)

    def _note(self, name: str, value: str, said: str | None, cause: Cause) -> None:
        self.asked[name] += 1
        self.first[name] += value == said
        if value != said:
            self.missed.append(f"{name}: {said} in place of {value} ({cause.queue}, {cause.topic})")

    def rates(self) -> dict[str, float]:
        """Share of the surges that had an alert, and of these those in which each part of the cause stood first."""
        return {name: self.first[name] / n for name, n in self.asked.items()}


def _first(fire: Fire, dimension: str) -> str | None:
    drivers = [one for one in fire.drivers if one.get("dimension") == dimension and one["value"] != "other"]
    return str(max(drivers, key=lambda one: float(one["excess"]))["value"]) if drivers else None


# Made-up chat

QUEUES = {"returns": 0.35, "delivery": 0.3, "billing": 0.2, "account": 0.15}
CHANNELS = {"web": 0.5, "app": 0.3, "wechat": 0.2}
SEGMENTS = {"private": 0.7, "business": 0.2, "reseller": 0.1}
WORDS = {
    "refund": "refund money back return parcel shop receipt exchange amount label",
    "damaged": "broken scratch cracked damaged box bottle leaking torn defect photo",
    "late": "late delay waiting courier tracking shipment arrive week depot driver",
    "address": "address street city change moved house wrong postcode recipient door",
    "invoice": "invoice tax company title header receipt amount copy issue paper",
    "payment": "payment card charged twice failed bank paid checkout wallet declined",
    "login": "login password code account locked sms verify reset phone device",
    "coupon": "coupon discount voucher promo expired apply points member price rebate",
}
TOPICS = {name: words.split() for name, words in WORDS.items()}
MIX = {
    "returns": {"refund": 5, "damaged": 4, "coupon": 1}, "delivery": {"late": 6, "address": 3, "damaged": 1},
    "billing": {"invoice": 4, "payment": 5, "coupon": 2}, "account": {"login": 7, "coupon": 2, "address": 1},
}  # fmt: skip
COMMON = "hello please help me with the order you can today need still what about it thanks item again now".split()  # noqa: SIM905
USUAL = 7.0
"""Conversations a minute."""
FACTOR = 5.0
"""Conversations in a surge, as a multiple of what is usual: clear ones, for what is asked is their cause."""


def simulated(surges: int, rng: random.Random, factor: float = FACTOR) -> tuple[Iterator[dict[str, Any]], list[Cause]]:
    """The events in order of time, and what the surges were."""
    causes = []
    for n in range(surges):
        queue = _drawn(QUEUES, rng)
        topic = rng.choice(list(MIX[queue])) if rng.random() < 0.5 else rng.choice(list(TOPICS))
        at = START + FIRST + n * EVERY + rng.randrange(5 * MINUTE)
        word = UNHEARD[n % len(UNHEARD)]
        causes.append(Cause(at, topic, queue, _drawn(CHANNELS, rng), word, _drawn(SEGMENTS, rng)))
    return _chat(causes, START + FIRST + surges * EVERY, rng, factor), causes


def _drawn(weights: dict[str, Any], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _chat(causes: list[Cause], end: int, rng: random.Random, factor: float) -> Iterator[dict[str, Any]]:
    starts: list[tuple[int, int, Cause | None]] = []
    at, number = float(START), 0
    while at < end:
        at += rng.expovariate(USUAL) * MINUTE
        starts.append((int(at), number := number + 1, None))
    for cause in causes:
        at = float(cause.since)
        while at < cause.since + LONG:
            at += rng.expovariate(USUAL * (factor - 1)) * MINUTE
            starts.append((int(at), number := number + 1, cause))
    heap: list[tuple[int, int, dict[str, Any]]] = []
    for begun, number, why in sorted(starts, key=lambda one: one[:2]):
        while heap and heap[0][0] <= begun:
            yield heapq.heappop(heap)[2]
        for event in _conversation(begun, number, why, rng):
            heapq.heappush(heap, (event["at"], id(event), event))
    while heap:
        yield heapq.heappop(heap)[2]


def _conversation(at: int, number: int, cause: Cause | None, rng: random.Random) -> Iterator[dict[str, Any]]:
    queue = (cause.queue if cause else None) or _drawn(QUEUES, rng)
    topic = cause.topic if cause else _drawn(MIX[queue], rng)
    channel = (cause.channel if cause else None) or _drawn(CHANNELS, rng)
    about: dict[str, Any] = {"v": 1, "conversation": f"c{number}", "channel": channel, "kind": "message"}
    segment = (cause.segment if cause else None) or _drawn(SEGMENTS, rng)
    for turn in range(rng.choice((1, 1, 2))):
        words = rng.choices(TOPICS[topic], k=3) + rng.choices(COMMON, k=5)
        words += [cause.word] if cause and rng.random() < 2 / 3 else []
        rng.shuffle(words)
        said = {"author": "customer", "author_id": f"u{number}", "queue": queue, "text": " ".join(words)}
        yield about | said | {"id": f"m{turn}", "at": at + turn * 40_000, "attrs": {"segment": segment}}
    reply = {"id": "a", "author": "agent", "author_id": f"a{number % 9}", "text": "Let me look into it"}
    yield about | reply | {"at": at + rng.randrange(60_000, 120_000)}
    filed = {"topic": topic} if rng.random() < 0.3 else {}
    yield about | {"id": "z", "kind": "closed", "by": "agent", "agent": f"a{number % 9}", "at": at + 240_000} | filed


# Real chat


def real(surges: int, rng: random.Random) -> tuple[Iterator[dict[str, Any]], list[Cause]]:
    """The demo's desk with surges of its own conversations."""
    from tidewatch.demo import shipped
    from tidewatch.weave import closed, flow, later

    desk = shipped()
    threads = [thread for parts in desk.lanes.values() for part in parts for thread in part.threads]
    by_cause: dict[tuple[str, str], list[Any]] = {}
    for thread in threads:
        filed = [one for one in flow([thread]) if one["kind"] == "closed" and one.get("topic")]
        if filed and len(thread.said) <= 8:
            by_cause.setdefault((thread.queue, filed[0]["topic"]), []).append(closed(thread))
    causes, injected = [], []
    choices = sorted(name for name, some in by_cause.items() if len(some) >= 15)
    for n in range(min(surges, int((desk.reach - FIRST) // EVERY))):
        queue, topic = rng.choice(choices)
        at, word = FIRST + n * EVERY, UNHEARD[n % len(UNHEARD)]
        causes.append(Cause(START + at, topic, queue, None, word))
        for i in range(260):
            thread = rng.choice(by_cause[queue, topic])
            begun = at + round(LONG * i / 260)
            injected.append(_worded(later(thread, begun - thread.at, f"s{n}-{i}-"), word, rng))
    whole = heapq.merge(desk.events(), flow(sorted(injected, key=lambda one: one.at)), key=lambda one: one["at"])
    last = FIRST + len(causes) * EVERY
    return ({**one, "at": one["at"] + START} for one in _until(whole, last)), causes


def demo(surges: int, _: random.Random) -> tuple[Iterator[dict[str, Any]], list[Cause]]:
    """The demo's desk with the demo's surge, begun again and again."""
    from tidewatch.demo import shipped
    from tidewatch.weave import flow, later

    desk = shipped()
    places = [FIRST + n * EVERY for n in range(min(surges, int((desk.reach - FIRST) // EVERY)))]
    causes = [Cause(START + at, "upgrade", None, None, "upgrade") for at in places]
    injected = [later(thread, at, f"s{at}-") for at in places for thread in desk.surge]
    whole = heapq.merge(desk.events(), flow(injected), key=lambda one: one["at"])
    return ({**one, "at": one["at"] + START} for one in _until(whole, places[-1] + EVERY)), causes


def _until(events: Iterable[dict[str, Any]], last: int) -> Iterator[dict[str, Any]]:
    for event in events:
        if event["at"] > last:
            return
        yield event


def _worded(thread: Any, word: str, rng: random.Random) -> Any:
    from dataclasses import replace

    said = [
        replace(one, text=f"{one.text} {word}") if one.author == "customer" and rng.random() < 2 / 3 else one
        for one in thread.said
    ]
    return replace(thread, said=tuple(said))


# Through the line


class _Near(Line):
    """The line, which judges around the surges only: everything else learns all the time."""

    causes: list[Cause]

    def judges(self, tick: int) -> bool:
        return any(cause.since - MINUTE <= tick < cause.since + 2 * LONG for cause in self.causes)

    def _step_ms(self, at: int) -> int:
        return self._every if self.judges(at + LEARNING_MS) else LEARNING_MS


async def run(events: Iterable[dict[str, Any]], causes: list[Cause], scope: str) -> Tally:
    """Live through it, and hold every surge's alert against its cause."""
    with TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(RULES % scope)
        line = _Near(Settings(), rules, None, START, 10_000)
        line.causes = causes
        end = START
        for wire in events:
            end = wire["at"]
            await line.take(_event(wire))
        await line.end(end + MINUTE)
    tally = Tally()
    for cause in causes:
        near = [fire for fire in line.fires if cause.since <= fire.since < cause.since + LONG + 2 * MINUTE]
        tally.hold(cause, near[0] if near else None)
    print(f"  {line.events:,} events, {len(causes)} surges", flush=True)
    return tally


def _event(wire: dict[str, Any]) -> Event:
    made = {name: value for name, value in wire.items() if name in Wire.__struct_fields__}
    event = event_of(Wire(**made), Source("default", 0, replay=True))
    assert isinstance(event, Event), event
    event.received_at, event.replay = event.at, False
    return event


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["simulated", "real", "demo", "all"], default="all")
    parser.add_argument("--surges", type=int, default=30, help="of each; real: at most as the desk's 33 hours hold")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--factor", type=float, default=FACTOR, help="of the simulated surges: times the usual")
    parser.add_argument("--missed", action="store_true", help="say what stood first in place of the cause")
    args = parser.parse_args()
    configure("bench", "warning")
    print(machine())
    good = True
    for name, make in (("simulated", partial(simulated, factor=args.factor)), ("real", real), ("demo", demo)):
        if name not in args.what and "all" not in args.what:
            continue
        began = time.monotonic()
        print(f"{name}:")
        scope = DEMOS if name == "demo" else ALL_QUEUES
        tally = asyncio.run(run(*make(args.surges, random.Random(args.seed)), scope))
        for part, rate in tally.rates().items():
            good &= rate >= BAR
            word = "in" if part == "alert" else "first in"
            print(f"  {part:8s} {word} {rate:.0%} of {tally.asked[part]} (bar {BAR:.0%})")
        waits = sorted(tally.waits)
        if waits:
            soon = sum(wait <= IN_TIME_S for wait in waits)
            print(f"  alert after {waits[len(waits) // 2]:.0f} s (median), at most {waits[-1]:.0f} s; "
                  f"{soon} of {len(waits)} within {IN_TIME_S} s; {time.monotonic() - began:.0f} s to run")  # fmt: skip
        for line in tally.missed if args.missed else ():
            print("   ", line)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
