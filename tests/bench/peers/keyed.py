"""The peers' input: the same events as the worker's, made as easy for them as can be, and what they must count.

Each record lies in its conversation's partition, as chat has to, carries its own queue and stands for one event that
comes once; its timestamp is the event's, moved so that the load ends now. So nobody must join, drop repeats, or believe
that windows of last spring have run out. Or, easier still: keyed, and partitioned, by what is counted by.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from streams.events import Event, encode, partition_of
from tests.bench.worker.kafka import BATCH, PARTITIONS
from tests.bench.worker.load import Load

MINUTE_MS = 60_000
Counts = Counter[tuple[str, int]]
"""By (queue|channel, minute)."""


def keyed(load: Load, most: int, stretch: int = 1) -> list[tuple[str, Event]]:
    """(key, event) of the first so many events, in their order, over `stretch` times as long."""
    first: dict[tuple[str, str], Event] = {}
    for event in load.events:
        first.setdefault((event.conversation or "", event.id), event)
    queue: dict[str, str] = {}
    named: dict[str, str] = {}
    for event in sorted(first.values(), key=lambda one: (one.conversation, _number(one))):
        name = event.conversation or ""
        queue[name] = event.queue or queue[name]
        named[event.id] = queue[name]
    now, until = int(time.time() * 1_000) // MINUTE_MS * MINUTE_MS, load.until

    def moved(event: Event) -> Event:
        return replace(event, queue=named[event.id], at=now - (until - event.at) * stretch)

    return [(f"{named[event.id]}|{event.channel}", moved(event)) for event in list(first.values())[:most]]


def _number(event: Event) -> int:
    return int(event.id.rsplit("-", 1)[1])


def truth(rows: Sequence[tuple[str, Event]]) -> Counts:
    """What must be counted."""
    return Counter((key, event.at - event.at % MINUTE_MS) for key, event in rows if event.kind == "message")


def _keys(key: str, event: Event, easy: bool) -> tuple[bytes, int]:
    """The record's key, and its partition."""
    if easy:
        return key.encode(), crc32(key.encode()) % PARTITIONS
    conversation = event.conversation or ""
    return conversation.encode(), partition_of(event.tenant, conversation, PARTITIONS)


async def fill(bootstrap: str, topic: str, rows: Sequence[tuple[str, Event]], easy: bool) -> None:
    """Write them, each stamped with its event's time; `easy`: keyed by what is counted by."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=BATCH)
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            for name, event in rows:
                key, place = _keys(name, event, easy)
                if place != partition:
                    continue
                row = {"key": key, "value": encode(event), "timestamp": event.at}
                if batch.append(**row) is None:
                    await (await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(**row)
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
