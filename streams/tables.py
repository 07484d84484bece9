"""Durable state on Kafka, in production: a compacted changelog topic with the partitions of `chat.events`.

A commit is one Kafka transaction: the changed rows and the last applied offset, or nothing of it. Each partition's
producer has a transactional id of its own, so whoever opens the partition shuts out the one who had it before, even a
worker that was only asleep. What was committed is read back into a scratch file (`streams.states.Files`), which answers
what a shard asks for and may be lost at any time.

Faust's own tables are not used: their rows are written one by one, so a kill tears a commit apart; nothing shuts out an
old owner; and their recovery does not end behind transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
    TopicAlreadyExistsError,
    for_code,
)
from lz4.block import compress, decompress

from config.settings import Kafka
from streams.ending import go_on
from streams.events import EVENTS, READINGS
from streams.shard import Changed
from streams.states import TALK, Batch, Files, Shelf
from streams.topics import LABELS, need_partitions

log = structlog.get_logger()

STATE = "tidewatch-worker-state-changelog"
MAX_ROW = 8 << 20
"""Bytes of one row: a conversation is kept whole."""
REQUEST_MS = 120_000
"""So long a commit is tried while the broker is away; then the worker ends and begins anew."""
TRANSACTION_MS = 60_000
LAYOUT = 1
"""Of what is in the changelog. One that a newer release wrote is refused; older ones would be brought up here."""
_APPLIED, _LAYOUT = "applied", "layout"
_FETCH_MS = 200


class Lost(Exception):
    """Another worker has opened the partition; nothing of the commit was kept."""


class Newer(RuntimeError):
    """The changelog is of a release that this one cannot read. The message is one line with the mend."""


class Tables:
    """Opens partitions. One per worker."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def open(self, partition: int) -> Table:
        """The partition's state, all others shut out. Takes as long as reading it does.

        Raises:
            KafkaError: it cannot be had now.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=f"{STATE}-{partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            request_timeout_ms=REQUEST_MS,
            max_request_size=MAX_ROW,
            max_batch_size=1 << 19,
        )
        scratch = tempfile.TemporaryDirectory(prefix="tidewatch-state-")
        table = Table(partition, producer, Files(Path(scratch.name) / "rows.db", durable=False), scratch)
        try:
            await producer.start()  # from here on, no other commits and none is open
            await self._read_back(table)
        except BaseException:
            await table.close()
            raise
        return table

    async def _read_back(self, table: Table) -> None:
        line = TopicPartition(STATE, table.partition)
        async with self._reading(line, isolation_level="read_committed") as consumer:
            end = (await consumer.end_offsets([line]))[line]
            await consumer.seek_to_beginning(line)
            while await consumer.position(line) < end:
                for records in (await consumer.getmany(timeout_ms=_FETCH_MS)).values():
                    await table.take_up(records)

    async def beginning(self, partition: int) -> int:
        """The offset of the oldest record of `chat.events` that is still there."""
        line = TopicPartition(EVENTS, partition)
        async with self._reading(line) as consumer:
            return int((await consumer.beginning_offsets([line]))[line])

    async def next_record(self, partition: int, offset: int) -> int:
        """The first offset of `chat.events` from this one on that holds a record."""
        line = TopicPartition(EVENTS, partition)
        async with self._reading(line) as consumer:
            consumer.seek(line, offset)
            return int((await consumer.getone()).offset)

    @contextlib.asynccontextmanager
    async def _reading(self, line: TopicPartition, **more: Any) -> Any:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=MAX_ROW,
            **more,
        )
        try:
            await consumer.start()
            consumer.assign([line])
            yield consumer
        finally:
            await consumer.stop()


class Table:
    """One partition's state, until it is closed or another opens it."""

    def __init__(
        self, partition: int, producer: AIOKafkaProducer, files: Files, scratch: tempfile.TemporaryDirectory[str]
    ) -> None:
        self.partition = partition
        self._producer = producer
        self._files = files
        self._scratch = scratch
        self._open: dict[str, dict[str, bytes]] = {}
        """Tenant → open conversations that were read back and not taken up yet; compressed, as a shard has them."""

    async def take_up(self, records: Iterable[Any]) -> None:
        """Take in what was committed, in its order. Open conversations never touch the disk."""
        batch = _unpacked(self.partition, self.position, records)
        for row in batch.changes:
            if row.kind == TALK and row.live:
                self._open.setdefault(row.tenant, {})[row.key] = compress(row.value)
            elif row.kind == TALK:
                self._open.get(row.tenant, {}).pop(row.key, None)
        await asyncio.to_thread(self._files.commit, [_not_in_memory(batch)])

    @property
    def position(self) -> int:
        """The last offset committed, −1 before the first."""
        return self._files.position(self.partition)

    def shelf(self) -> _Shelf:
        """Its rows; those of a commit under way are found already. Open conversations are handed out once."""
        return _Shelf(self._files.shelf(self.partition), self._open)

    def stage(self, position: int, changes: Sequence[Changed]) -> Batch:
        """What to commit. From here on its rows are found: a shard may already have let go of them."""
        batch = Batch(self.partition, position, changes, ())
        self._files.stage([_not_in_memory(batch)])
        return batch

    async def commit(self, batch: Batch) -> None:
        """Keep all of it or nothing.

        Raises:
            Lost: another worker has the partition.
            KafkaError: nobody can say whether it was kept; open the partition anew.
        """
        sent: list[Any] = []
        try:
            await self._producer.begin_transaction()
            try:
                await self._send(_packed(batch), sent)
                await self._producer.commit_transaction()
            finally:
                await asyncio.gather(*sent, return_exceptions=True)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Lost(type(error).__name__) from error
        await asyncio.to_thread(self._files.commit, [_not_in_memory(batch)])
        self._files.unstage()

    async def _send(self, rows: Iterable[tuple[bytes, bytes]], sent: list[Any]) -> None:
        """Send rows in whole batches: one by one, each costs ten times as much. `sent`: takes what to wait for."""
        batch = self._producer.create_batch()
        for key, value in rows:
            if batch.append(timestamp=None, key=key, value=value) is None:
                sent.append(await self._producer.send_batch(batch, STATE, partition=self.partition))
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        sent.append(await self._producer.send_batch(batch, STATE, partition=self.partition))

    async def close(self) -> None:
        """Let go. A commit under way is kept whole or not at all."""
        with contextlib.suppress(KafkaError, OSError, TimeoutError, AssertionError):
            async with asyncio.timeout(5):
                await self._producer.stop()
        self._files.close()
        self._scratch.cleanup()


class _Shelf(Shelf):
    """What a shard finds again (`streams.shard.Kept`): open conversations in memory, all else in the scratch file."""

    def __init__(self, rows: Shelf, talks: dict[str, dict[str, bytes]]) -> None:
        super().__init__(rows._db, rows._part, rows._staged, rows._names)  # noqa: SLF001 - the same rows
        self._open = talks

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        talk = self._open.get(tenant, {}).get(key) if kind == TALK else None
        return super().find(kind, tenant, key, at) if talk is None else decompress(talk)

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are."""
        talks = self._open.get(tenant, {}) if kind == TALK else {}
        return super().find_all(kind, tenant, keys) | {key: decompress(talks[key]) for key in keys if key in talks}

    def live(self, kind: str) -> Iterator[bytes]:
        """The rows of a kind that a start needs; an open conversation is not kept here any longer."""
        if kind != TALK:
            return super().live(kind)
        talks = [talk for talks in self._open.values() for talk in talks.values()]
        self._open.clear()
        return _handed_out(talks)


def _handed_out(talks: list[bytes]) -> Iterator[bytes]:
    """Each in its order, and none kept any longer than it is looked at."""
    talks.reverse()
    while talks:
        yield decompress(talks.pop())


def _not_in_memory(batch: Batch) -> Batch:
    """What a shard may ask for again: never an open conversation, which stays with it."""
    return batch._replace(changes=[row for row in batch.changes if row.kind != TALK or not row.live])


def _packed(batch: Batch) -> Iterable[tuple[bytes, bytes]]:
    encode = _encode
    for kind, tenant, key, at, live, value in batch.changes:
        yield encode((kind, tenant, key, at)), encode((live, value))
    yield encode((_LAYOUT, "", "", 0)), encode((True, encode(LAYOUT)))
    yield encode((_APPLIED, "", "", 0)), encode((True, encode(batch.position)))


_encode = msgspec.msgpack.Encoder().encode
_key = msgspec.msgpack.Decoder(tuple[str, str, str, int]).decode
_value = msgspec.msgpack.Decoder(tuple[bool, bytes]).decode


def _unpacked(partition: int, position: int, records: Iterable[Any]) -> Batch:
    changes = []
    for record in records:
        kind, tenant, key, at = _key(record.key)
        live, value = _value(record.value)
        if kind == _APPLIED:
            position = msgspec.msgpack.decode(value, type=int)
        elif kind == _LAYOUT:
            _need_known(msgspec.msgpack.decode(value, type=int))
        else:
            changes.append(Changed(kind, tenant, key, at, live, value))
    return Batch(partition, position, changes, ())


def _need_known(layout: int) -> None:
    if layout > LAYOUT:
        raise Newer(
            f"{STATE} was written by a newer Tidewatch (layout {layout}, this one knows {LAYOUT}): update this worker, "
            "or stop the others and `tidewatch rebuild`"
        )


async def ensure_topics(kafka: Kafka) -> None:
    """Return once the worker's topics are there with as many partitions as the settings say. Waits for the broker.

    Raises:
        WrongPartitions: one has another number of them.
    """
    while True:
        try:
            found = await _topics(kafka)
            if all(found.values()):
                break  # before, a topic just made is not known everywhere yet
        except (KafkaConnectionError, OSError, KafkaError) as error:
            go_on()
            log.warning("broker_not_ready", error=type(error).__name__)
        await asyncio.sleep(0.5)
    for topic, partitions in found.items():
        need_partitions(topic, partitions, _partitions(topic, kafka))


def _partitions(topic: str, kafka: Kafka) -> int:
    return 1 if topic == LABELS else kafka.partitions


async def _topics(kafka: Kafka) -> Mapping[str, int]:
    configs: dict[str, dict[str, str]] = {
        EVENTS: {"max.message.bytes": str(4 << 20)},
        READINGS: {"max.message.bytes": str(4 << 20)},
        STATE: {"cleanup.policy": "compact", "max.message.bytes": str(MAX_ROW + (1 << 16))},
        LABELS: {"retention.ms": "-1", "retention.bytes": str(1 << 30)},  # some 3 million examples
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        wanted = [
            NewTopic(topic, _partitions(topic, kafka), kafka.replication, topic_configs=config)
            for topic, config in configs.items()
            if topic not in there
        ]
        if wanted:
            made = await admin.create_topics(wanted)
            for _, code, *_ in made.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise for_code(code)
        return {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(list(configs))}
    finally:
        await admin.close()
