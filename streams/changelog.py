"""The notifier's memory on Kafka: a compacted topic of one partition, written in transactions.

A commit to the scratch store hands over the rows it changed; they are one transaction, or part of one, never torn.
Nothing is sent before what tells of it is written (`safe`), so a notifier that is killed leaves its heir everything,
and one that was shut out while it slept can say nothing more. While the broker is away alerts go out all the same, as
long as the lease says that nobody else leads: what they rest on is written when the broker is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced, TopicAlreadyExistsError, for_code

from alerts.outbox import Copy, Store
from streams.ending import go_on

log = structlog.get_logger()

TOPIC = "tidewatch-notifier-state-changelog"
MAX_ROW = 8 << 20
"""Bytes of one row: what a model of volume keeps of one key is far less."""
BATCH = 1 << 20
"""Bytes sent at once: the thousands of rows of a storm are a few requests, not hundreds that wait for each other."""
TRANSACTION_MS = 60_000
REQUEST_MS = 5_000
CLOSE_S = 5.0
UNSURE_S = 5.0
"""So long a sending waits for the broker before the lease's word is enough."""
FRESH_S = 3.0
"""A transaction that began longer ago proves nothing: who was asleep meanwhile may have an heir (a lease is longer)."""
_LINE = TopicPartition(TOPIC, 0)
_BEAT = msgspec.msgpack.encode(("lead",))
"""The row that proves who leads, where nothing else is to be written. No table: stores leave it out."""


class Lost(Exception):
    """Another notifier leads; nothing more may be said."""


class Changelog:
    """Reads the topic into a store; then writes what the store commits."""

    def __init__(self, bootstrap: str, replication: int, store: Store, lease_ours: Callable[[], bool]) -> None:
        self._bootstrap, self._replication = bootstrap, replication
        self._store, self._lease_ours = store, lease_ours
        self._position = 0
        self._producer: AIOKafkaProducer | None = None
        self._waiting: list[Copy] = []
        self._wake = asyncio.Event()
        self._begun = self._done = 0
        """Transactions begun and done, by number; the next that begins is the first to hold what waits now."""
        self._proved_at = 0.0
        """When the last transaction that was done began; monotonic seconds."""
        self._settled = asyncio.Condition()
        self._lost: Lost | None = None

    # Reading

    async def follow(self) -> None:
        """Read along for ever; the topic is made where there is none."""
        while True:
            try:
                await self._ensure()
                await self._read(to_the_end=False)
            except (KafkaError, OSError) as error:
                go_on()
                log.warning("changelog_not_read", reason=type(error).__name__)
                await asyncio.sleep(1)

    async def read(self) -> None:
        """Read what stands, and no more.

        Raises:
            KafkaError: it cannot be had.
        """
        await self._ensure()
        await self._read(to_the_end=True)

    async def lead(self) -> None:
        """Shut out whoever led before, and read what it wrote to the end. From here on the store's commits are kept."""
        while True:
            try:
                await self._ensure()
                self._producer = await self._opened()
                await self._read(to_the_end=True)
                break
            except (KafkaError, OSError) as error:
                go_on()
                log.warning("changelog_not_read", reason=type(error).__name__)
                await self._drop_producer()
                await asyncio.sleep(1)
        self._store.copy_to(self._take)
        self._store.safe = self.safe

    async def _read(self, to_the_end: bool) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=MAX_ROW,
            fetch_max_wait_ms=100,
        )
        try:
            await consumer.start()
            consumer.assign([_LINE])
            consumer.seek(_LINE, self._position)
            end = (await consumer.end_offsets([_LINE]))[_LINE] if to_the_end else None
            while end is None or await consumer.position(_LINE) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    self._store.take((record.key, record.value) for record in records)
                    self._position = records[-1].offset + 1
        finally:
            await consumer.stop()

    # Writing

    def _take(self, copies: list[Copy]) -> None:
        self._waiting += copies
        self._wake.set()

    async def write(self) -> None:
        """Write what the store commits, for ever.

        Raises:
            Lost: another leads.
        """
        copies: list[Copy] = []
        while True:
            if not copies:
                await self._wake.wait()
                self._wake.clear()
                copies, self._waiting = self._waiting, []
                self._begun += 1
            began = time.monotonic()
            try:
                await self._transaction(copies)
            except asyncio.CancelledError:
                self._waiting = copies + self._waiting  # nobody knows whether they were written: `close` does it again
                raise
            except Lost as lost:
                self._lost = lost
                await self._tell()
                raise
            except (KafkaError, OSError) as error:
                go_on()
                log.warning("changelog_not_written", reason=type(error).__name__)
                await self._reopen()
                continue
            copies, self._done, self._proved_at = [], self._begun, began
            await self._tell()

    async def _tell(self) -> None:
        async with self._settled:
            self._settled.notify_all()

    async def safe(self) -> None:
        """Return once all that was committed before is on Kafka, and Kafka says that we lead.

        Where the broker does not answer, the lease's word is enough.

        Raises:
            Lost: another leads.
        """
        number, until = self._proof(), time.monotonic() + UNSURE_S
        while self._done < number or time.monotonic() - self._proved_at > FRESH_S:
            if self._lost is not None:
                raise Lost(str(self._lost))
            if self._done >= number:
                number = self._proof()
            if time.monotonic() > until and self._lease_ours():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.1, until - time.monotonic())), self._settled:
                    await self._settled.wait_for(lambda: self._done >= number or self._lost is not None)  # noqa: B023

    def _proof(self) -> int:
        """The transaction that holds all that was committed, and whose success says that we lead.

        The one under way will do, where nothing waits behind it: so the result of one sending and the leave to begin
        the next are one transaction, not two.
        """
        if not self._waiting and self._done < self._begun:
            return self._begun
        if not self._waiting:
            self._take([(_BEAT, b"")])
        return self._begun + 1

    async def _transaction(self, copies: Sequence[Copy]) -> None:
        producer = self._producer
        if producer is None:
            raise KafkaError("no producer")
        try:
            await producer.begin_transaction()
            for key, value in _newest(copies):
                sent = await producer.send(TOPIC, key=key, value=value, partition=0)
                sent.add_done_callback(_heard)  # nobody waits for it: a broker that is silent would hold up the end
            await producer.commit_transaction()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Lost(type(error).__name__) from error

    async def _opened(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=TOPIC,
            transaction_timeout_ms=TRANSACTION_MS,
            request_timeout_ms=REQUEST_MS,
            max_request_size=MAX_ROW,
            max_batch_size=BATCH,
        )
        try:
            await producer.start()
        except BaseException:
            with contextlib.suppress(KafkaError, OSError, AssertionError):
                await producer.stop()
            raise
        return producer

    async def _reopen(self) -> None:
        """Have a producer again, whatever became of the last transaction: it is written once more, and changes nothing.

        Only while the lease is ours: to open it is to shut out who leads.
        """
        await self._drop_producer()
        while self._producer is None:
            go_on()
            await asyncio.sleep(1)
            if not self._lease_ours():
                continue
            try:
                self._producer = await self._opened()
            except (KafkaError, OSError) as error:
                log.warning("changelog_not_written", reason=type(error).__name__)

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, OSError, TimeoutError, AssertionError):
                async with asyncio.timeout(5):
                    await producer.stop()

    async def close(self) -> None:
        """Write what waits, if that can be done soon and nobody else leads, and let go."""
        led = self._producer is not None
        await self._drop_producer()
        if led and self._waiting and self._lost is None and self._lease_ours():
            with contextlib.suppress(KafkaError, OSError, TimeoutError, Lost, AssertionError):
                async with asyncio.timeout(CLOSE_S):
                    self._producer = await self._opened()
                    await self._transaction(self._waiting)
            await self._drop_producer()

    async def _ensure(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_MS)
        try:
            await admin.start()
            if TOPIC in await admin.list_topics():
                return
            configs = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_ROW + (1 << 16))}
            made = await admin.create_topics([NewTopic(TOPIC, 1, self._replication, topic_configs=configs)])
            for _, code, *_ in made.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise for_code(code)
        finally:
            await admin.close()


def _heard(sent: asyncio.Future[object]) -> None:
    """What became of one sending is what became of its transaction."""
    if not sent.cancelled():
        sent.exception()


def _newest(copies: Sequence[Copy]) -> Iterable[Copy]:
    """Of each row the last copy."""
    return dict(copies).items()
