"""What a second of chat costs, by partitions and keys: `python -m tests.bench.scale`. In memory, on one core.

A second is 2,000 messages of 2,000 conversations, packed as the gateway packs them (at most ten records a second and
partition), a tick to every partition, ten commits. Measured is the CPU of the fold with its readings, of encoding them,
and of what the notifier does with them; and the bytes that cross `chat.readings`. No broker, no disk, no ClickHouse.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from random import Random

import msgspec

from config.settings import TenantSettings
from streams.events import Event, Reading, Record, Tick, decode_reading, encode, partition_of
from streams.policy import Policy
from streams.present import Present
from streams.shard import Shard
from tests.bench.machine import machine
from tests.streams.line import Shelf

RATE, SECONDS, WARM = 2_000, 12, 4
CONVERSATIONS = 2_000
START = 1_772_445_600_000
TENANT = "bench"
POINTS = [(partitions, keys) for partitions in (4, 16, 64) for keys in (100, 2_000)]


def message(number: int, keys: int, at: int) -> Event:
    """One message; its conversation always has the same key."""
    place = number * 7 % CONVERSATIONS
    queue, channel = divmod(place % keys, 4)
    return Event(
        id=f"e{number}", kind="message", at=at, tenant=TENANT, conversation=f"c{place}", channel=f"ch{channel}",
        queue=f"q{queue}", author="customer" if number // CONVERSATIONS % 2 == 0 else "agent", author_id="a", text="?",
        received_at=at, sentiment=0.1,
    )  # fmt: skip


def measure(partitions: int, keys: int) -> dict[str, float]:
    """CPU ms and bytes of one second of chat."""
    policy = Policy(TenantSettings())
    shards = [Shard(number, lambda _: policy, Shelf()) for number in range(partitions)]
    present = Present(partitions, lambda _: policy)
    spent = dict.fromkeys(("fold", "encode", "notifier"), 0.0)
    size = position = number = 0
    chance = Random(1)
    for second in range(SECONDS):
        if second == WARM:
            spent, size = dict.fromkeys(spent, 0.0), 0
        for tenth in range(10):
            at = START + second * 1_000 + tenth * 100
            packs: dict[int, list[Event]] = {}
            for _ in range(RATE // 10):
                event = message(number, keys, at + chance.randint(0, 99))
                packs.setdefault(partition_of(TENANT, event.conversation or "", partitions), []).append(event)
                number += 1
            began = time.process_time()
            for partition, events in packs.items():
                position += 1
                shards[partition].step(position, Record(events=events))
            if tenth == 9:
                for shard in shards:
                    position += 1
                    shard.step(position, Record(tick=Tick(at)))
            readings: list[Reading] = [one for shard in shards if shard.stirred and (one := shard.reading())]
            for shard in shards:
                shard.changes()
            spent["fold"] += time.process_time() - began
            began = time.process_time()
            values = [encode(reading) for reading in readings]
            spent["encode"] += time.process_time() - began
            size += sum(map(len, values))
            spent["notifier"] += _notify(present, values, at, tenth)
    measured = SECONDS - WARM
    return {name: 1_000 * value / measured for name, value in spent.items()} | {"bytes": size / measured}


def _notify(present: Present, values: list[bytes], at: int, tenth: int) -> float:
    """Take the readings; four times a second the keys that changed are built and encoded."""
    began = time.process_time()
    for value in values:
        reading = decode_reading(value)
        for segment in reading.segments:
            present.take(reading.partition, segment)
    view = present.view(TENANT)
    if tenth % 3 == 2:
        for key in view.dirty | view.active(at):
            msgspec.json.encode(view.key(key, at))
        view.dirty.clear()
    return time.process_time() - began


def table(points: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Of so many partitions and keys, in Markdown, line by line as it is measured."""
    yield "| partitions | keys | fold, ms | encode, ms | notifier, ms | readings, kB |"
    yield "|--:|--:|--:|--:|--:|--:|"
    for partitions, keys in points:
        cost = measure(partitions, keys)
        words = " | ".join(f"{cost[name]:.0f}" for name in ("fold", "encode", "notifier"))
        yield f"| {partitions} | {keys} | {words} | {cost['bytes'] / 1_000:.0f} |"


def main() -> None:
    """Print the table."""
    print(f"{machine()}; {RATE} messages/s, one core, load average {os.getloadavg()[0]:.1f}\n")
    for line in table(POINTS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
