"""The one connection to the broker: started when needed, thrown away when it fails."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError

from streams.ending import go_on
from streams.suspicion import MARK

log = structlog.get_logger()

MAX_RECORD = 4 << 20
REQUEST_MS = 5_000
SILENT_S = 3.0
"""A cluster that was asked and has answered nothing for so long takes nothing now. The client itself would wait on:
what was handed to an idempotent producer has no time limit."""


class Unavailable(Exception):
    """The broker did not take it, or not for sure. Try again."""


class Broker:
    """Sends records."""

    def __init__(self, bootstrap: str, *, embedded: bool) -> None:
        self._trouble: str | None = "not connected yet"
        self._asked = 0
        """Questions under way."""
        self._heard_at = 0.0
        """When the last was answered, or the first of those under way asked; by `time.monotonic`."""
        self._patience_s = math.inf if embedded else SILENT_S
        self._bootstrap = bootstrap
        embedded_only = {"max_batch_size": 1, "compression_type": "zstd"}
        # one record a batch: the embedded broker's "latest offset" is wrong for batches of several; and it keeps all
        self._more: dict[str, Any] = embedded_only if embedded else {"enable_idempotence": True}
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be sent now, in a word, or None."""
        silent = self._asked > 0 and time.monotonic() - self._heard_at > self._patience_s
        return self._trouble or ("is silent" if silent else None)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if not self._asked:
            self._heard_at = time.monotonic()
        self._asked += 1
        try:
            yield
            self._heard_at = time.monotonic()
        finally:
            self._asked -= 1

    async def send(self, topic: str, value: bytes, partition: int) -> int:
        """Return the record's offset once every replica that must have it has it.

        Raises:
            Unavailable: it may or may not be stored.
        """
        producer = await self._connected()
        try:
            with self._asking():
                stored = await producer.send_and_wait(topic, value, partition=partition, headers=[MARK])
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            await self._lost(producer, error)
            raise Unavailable(type(error).__name__) from error
        self._trouble = None
        return int(stored.offset)

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has, asked of the broker itself; 0: there is none.

        Raises:
            Unavailable: nobody answers.
        """
        producer = await self._connected()
        try:
            with self._asking():
                await producer.partitions_for(topic)  # what the client knows of it is kept fresh from now on
                if not await producer.client.force_metadata_update():
                    raise Unavailable("NoMetadata")
                return len(producer.client.cluster.partitions_for_topic(topic) or ())
        except (KafkaError, OSError, TimeoutError) as error:
            await self._lost(producer, error)
            raise Unavailable(type(error).__name__) from error

    async def close(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            await _stop(self._producer)
            self._producer = None

    async def _connected(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    acks="all",
                    request_timeout_ms=REQUEST_MS,
                    max_request_size=MAX_RECORD,
                    **self._more,
                )
                try:
                    async with asyncio.timeout(REQUEST_MS / 1_000):
                        await producer.start()
                except (KafkaError, OSError, TimeoutError) as error:
                    await _stop(producer)
                    go_on()
                    self._say(error)
                    raise Unavailable(type(error).__name__) from error
                except asyncio.CancelledError:
                    await _stop(producer)
                    raise
                self._producer, self._trouble = producer, None
            return self._producer

    async def _lost(self, producer: AIOKafkaProducer, error: Exception) -> None:
        go_on()
        self._say(error)
        async with self._lock:
            if self._producer is producer:
                self._producer = None
                await _stop(producer)
                go_on()

    def _say(self, error: Exception) -> None:
        if isinstance(error, UnknownError) and self._more.pop("enable_idempotence", False):
            # the embedded broker, used in production's place; repeats are known by their ids all the same
            log.warning("broker_without_idempotence")
        if self._trouble is None:
            log.warning("broker_lost", error=type(error).__name__)
        self._trouble = f"does not answer ({type(error).__name__})"


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(2):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError, AssertionError):
        pass
