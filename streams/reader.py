"""Readings in, for those who keep the present: every partition from its beginning, without a group.

The worker says all that stands whenever it starts, so the topic's beginning is a whole picture; what comes again
replaces itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain, zip_longest

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.ending import go_on
from streams.events import READINGS, Reading, decode_reading
from streams.topics import need_partitions

log = structlog.get_logger()

FETCH_WAIT_MS = 50
FETCH_BYTES = 1024 * 1024
"""Of a partition at a time, or a record that is larger. So much and a little more is held undecoded after a start."""
QUIET_S = 0.5


class Block:
    """What came at once, in each partition's order; nothing where nothing came for half a second."""

    def __init__(self, values: Iterable[bytes], *, last: bool) -> None:
        self._values = deque(values)
        self.empty = not self._values
        self.last = last
        """Whether no more than this stood on the topic then."""

    def readings(self) -> Iterator[Reading]:
        """Its readings, once, each decoded in its turn: of a whole block they would take ten times its bytes."""
        while self._values:
            yield decode_reading(self._values.popleft())


def in_turn(batches: Iterable[Sequence[bytes]]) -> Iterator[bytes]:
    """One of each partition after another, so that all of them come to the same minute at about the same time."""
    return (value for value in chain.from_iterable(zip_longest(*batches)) if value is not None)


async def readings(bootstrap: str, partitions: int) -> AsyncIterator[Block]:
    """Blocks of readings, for ever.

    Raises:
        WrongPartitions: the topic has another number of them: some would never be heard, or be waited for in vain.
    """
    while True:
        try:
            async for block in _from_the_beginning(bootstrap, partitions):
                yield block
        except KafkaError as error:
            go_on()
            log.warning("readings_interrupted", reason=type(error).__name__)
            await asyncio.sleep(1)


async def _from_the_beginning(bootstrap: str, partitions: int) -> AsyncIterator[Block]:
    need_partitions(READINGS, await _partitions(bootstrap), partitions)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        await consumer.start()
        topics = [TopicPartition(READINGS, number) for number in range(partitions)]
        consumer.assign(topics)
        await consumer.seek_to_beginning(*topics)
        while True:
            batches = await consumer.getmany(timeout_ms=int(QUIET_S * 1000), max_records=500)
            values = list(in_turn([[record.value for record in records] for records in batches.values()]))
            del batches
            yield Block(values, last=all([await _at_the_end(consumer, topic) for topic in topics]))
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str) -> int:
    """How many the topic has, once somebody has made it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        while True:
            if READINGS in await admin.list_topics():
                (found,) = await admin.describe_topics([READINGS])
                return len(found["partitions"])
            await asyncio.sleep(QUIET_S)
    finally:
        await admin.close()


async def _at_the_end(consumer: AIOKafkaConsumer, topic: TopicPartition) -> bool:
    end = consumer.highwater(topic)
    return end is not None and await consumer.position(topic) >= end
