"""Topics filled and read for the benches, by aiokafka; the ceilings that every figure is a share of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.events import Event, Record

PARTITIONS = 4
BATCH = 900_000
"""Bytes of a batch; a broker takes 1 MiB."""


TOPIC_S = 60


@dataclass
class Pace:
    """How fast something went."""

    messages: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second, from first to last."""
        return self.messages / self.seconds

    @property
    def per_cpu(self) -> float:
        """Messages per second of processor time."""
        return self.messages / self.cpu_s


async def make_topic(bootstrap: str, name: str, partitions: int = PARTITIONS) -> None:
    """A topic of its own, ready to be written to."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        wanted = [NewTopic(name, partitions, 1, topic_configs={"max.message.bytes": str(4 << 20)})]
        until = time.monotonic() + TOPIC_S
        await admin.create_topics(wanted)
        while not await _led(admin, name, partitions):
            assert time.monotonic() < until, f"{name} does not come"
            await asyncio.sleep(0.2)
            await admin.create_topics(wanted)  # a busy broker may have dropped the first; one that is there stays
    finally:
        await admin.close()


async def _led(admin: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    """Whether every partition has a leader."""
    found = (await admin.describe_topics([name]))[0]["partitions"]
    return len(found) == partitions and all(one["leader"] >= 0 for one in found)


async def fill(bootstrap: str, topic: str, records: Iterable[tuple[int, bytes]], key: bytes | None = None) -> int:
    """Write records; returns how many."""
    return await fill_keyed(bootstrap, topic, ((partition, key, value) for partition, value in records))


async def fill_keyed(bootstrap: str, topic: str, records: Iterable[tuple[int, bytes | None, bytes]]) -> int:
    """The same, each with a key of its own. In whole batches, for aiokafka's own way takes ten times as long."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 << 20, max_batch_size=BATCH)
    await producer.start()
    waiting: dict[int, Any] = {}
    sent, n = [], 0
    try:
        for partition, key, value in records:
            n += 1
            batch = waiting.get(partition)
            if batch is None:
                batch = waiting[partition] = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = waiting[partition] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        sent += [await producer.send_batch(batch, topic, partition=part) for part, batch in waiting.items()]
        for one in sent:
            await one
    finally:
        await producer.stop()
    return n


@asynccontextmanager
async def reading(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the beginning of a topic; its `ends` are where it ends now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20, fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    try:
        lines = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(lines)
        consumer.ends = await consumer.end_offsets(lines)
        yield consumer
    finally:
        await consumer.stop()


async def values(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> AsyncIterator[list[Any]]:
    """All records of a topic as it stands, in the lists in which they come."""
    async with reading(bootstrap, topic, partitions) as consumer:
        left = {line: end for line, end in consumer.ends.items() if end}
        while left:
            for line, records in (await consumer.getmany(timeout_ms=1_000)).items():
                yield records
                if records[-1].offset + 1 >= left.get(line, 0):
                    left.pop(line, None)
            for line in [line for line in left if await consumer.position(line) >= left[line]]:
                del left[line]


async def ceiling(bootstrap: str, topic: str, packed: bool) -> Pace:
    """Bare aiokafka and msgspec's decoding of every event: nothing is counted, kept or told."""
    import msgspec

    decode: Any = msgspec.json.Decoder(Record if packed else Event).decode
    n = 0
    async with reading(bootstrap, topic) as consumer:
        left = sum(consumer.ends.values())
        begun, cpu = time.perf_counter(), time.process_time()
        while left:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=None)).values():
                left -= len(records)
                for record in records:
                    event = decode(record.value)
                    n += len(event.events) if packed else 1
        return Pace(n, time.perf_counter() - begun, time.process_time() - cpu)
