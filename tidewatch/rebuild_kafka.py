"""`tidewatch rebuild` on Kafka: the changelog of the workers is made anew, from ClickHouse or from the topic of events.

From the topic: the changelog is emptied and the group begins again with the oldest event that is still there. From
ClickHouse: history is folded up to the offset that each partition's clocks stand for (they are stored behind all rows),
and the group goes on behind it. No worker may run meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from config.settings import Settings
from streams.events import EVENTS
from streams.shard import Changed
from streams.tables import STATE, Tables, ensure_topics
from tidewatch.rebuild import CannotRebuild, from_history
from tidewatch.refold import scratch
from tidewatch.verify import open_client

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

GROUP = "tidewatch-worker"
AT_ONCE = 5_000
"""Rows of one transaction."""
GONE_TRIES = 150
"""A topic that is deleted is known for a moment more; looked for five times a second."""


async def rebuild(settings: Settings, source: str) -> Mapping[int, int]:
    """Make the changelog anew; the last offset that each partition's state stands for, −1: none.

    Raises:
        CannotRebuild: a worker runs, or the broker does not answer.
    """
    try:
        await _need_no_worker(settings)
        if source == "topic":
            await _empty_changelog(settings)
            first = await _beginnings(settings)
            await _begin_at(settings, first)
            return {partition: offset - 1 for partition, offset in first.items()}
        client = await asyncio.to_thread(open_client, settings, None)
        until = await asyncio.to_thread(_stored, client, settings.kafka.partitions)
        with tempfile.TemporaryDirectory(prefix="tidewatch-rebuild-") as place:
            files = scratch(Path(place))
            await asyncio.to_thread(from_history, client, settings, until, files)
            files.close()
            await _empty_changelog(settings)
            await _write(settings, Path(place) / "state.db", until)
        first = await _beginnings(settings)
        await _begin_at(settings, {one: max(until[one] + 1, first[one]) for one in until})
    except (KafkaError, OSError) as error:
        raise CannotRebuild(f"Kafka at {settings.kafka.bootstrap}: {type(error).__name__}: try again") from None
    return until


def _stored(client: Client, partitions: int) -> dict[int, int]:
    """How far every row of each partition is stored."""
    query = "SELECT partition, max(version) FROM clocks_base GROUP BY partition"
    found = {int(partition): int(offset) for partition, offset in client.query(query).result_rows}
    return {number: found.get(number, -1) for number in range(partitions)}


async def _need_no_worker(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap, request_timeout_ms=5_000)
    await admin.start()
    try:
        for answer in await admin.describe_consumer_groups([GROUP]):
            for group in answer.groups:
                if group[5]:  # its members
                    raise CannotRebuild(f"{len(group[5])} workers run on {settings.kafka.bootstrap}: stop them first")
    finally:
        await admin.close()


async def _empty_changelog(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap, request_timeout_ms=5_000)
    await admin.start()
    try:
        if STATE in await admin.list_topics():
            await admin.delete_topics([STATE])
        for _ in range(GONE_TRIES):
            if STATE not in await admin.list_topics():
                break
            await asyncio.sleep(0.2)
    finally:
        await admin.close()
    await ensure_topics(settings.kafka)


async def _beginnings(settings: Settings) -> dict[int, int]:
    tables = Tables(settings.kafka.bootstrap)
    return {number: await tables.beginning(number) for number in range(settings.kafka.partitions)}


async def _write(settings: Settings, state: Path, until: Mapping[int, int]) -> None:
    tables = Tables(settings.kafka.bootstrap)
    for partition, offset in until.items():
        table = await tables.open(partition)
        try:
            for some in _parts(state, partition):
                await table.commit(table.stage(offset, some))
        finally:
            await table.close()


def _parts(state: Path, partition: int) -> Iterator[list[Changed]]:
    with closing(sqlite3.connect(state)) as db:
        found = db.execute("SELECT kind, tenant, key, at, live, value FROM rows WHERE part = ?", (partition,))
        while rows := found.fetchmany(AT_ONCE):
            yield [Changed(kind, tenant, key, at, bool(live), value) for kind, tenant, key, at, live, value in rows]
    yield []  # the offset alone, where there are no rows


async def _begin_at(settings: Settings, offsets: Mapping[int, int]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        lines = {TopicPartition(EVENTS, partition): offset for partition, offset in offsets.items()}
        consumer.assign(list(lines))
        await consumer.commit(lines)
    finally:
        await consumer.stop()
