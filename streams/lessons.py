"""The worker's way to and from `chat.labels`: what people said goes out, and everybody learns it in the topic's order.

On Kafka the topic keeps every example, and a worker that starts reads it from its beginning. The embedded broker
forgets: there the examples are kept in `worker.db` with the state they came from, with the models and how far they have
learned; at a start those that were not learned are said again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.events import encode
from streams.labels import Example
from streams.learner import Learner
from streams.states import Files
from streams.topics import LABELS

log = structlog.get_logger()

POLL_MS = 500
LEARN_S = 10.0
"""How long a worker that starts waits for what it had not learned, before it goes on with its records."""
MOST = 500
"""Examples learned before the loop is given up."""
KEEP_EVERY_S = 10
"""How often models that learn are kept: until then their examples are."""
_decode = msgspec.json.Decoder(Example).decode


class Lessons:
    """Says and hears examples. `publish` puts a record on `chat.labels`."""

    def __init__(self, learner: Learner, publish: Callable[[bytes], Awaitable[None]]) -> None:
        self.learner = learner
        self.caught_up = asyncio.Event()
        """Set once all that stood in the topic when we began to listen is learned."""
        self._publish = publish
        self._said = 0
        self._kept_at = 0.0
        self._something = asyncio.Event()

    async def say(self, examples: Iterable[Example]) -> None:
        """Tell everybody, us included."""
        for example in examples:
            await self._publish(encode(example))

    # -- the embedded stack ------------------------------------------------------------------------------------------

    def take_up(self, files: Files) -> None:
        """Know what was learned before."""
        lost = self.learner.restore(files.models(), files.learned())
        self._said = self.learner.learned
        if lost:
            log.warning("topics_begin_anew", tenants=len(lost), mend="they learn again from the labels to come")

    async def say_kept(self, files: Files) -> None:
        """Say the examples that are kept and were not said since the start."""
        for n, value in files.examples(self._said):
            example = _decode(value)
            example.n = n
            await self.say([example])
            self._said = n

    async def heard(self, patience_s: float = LEARN_S) -> bool:
        """Return once all that was said is learned; False: not within this time, so it comes a little later."""
        until = asyncio.get_running_loop().time() + patience_s
        while self.learner.learned < self._said:
            self._something.clear()
            left = until - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left):
                    await self._something.wait()
            except TimeoutError:
                log.warning("labels_not_learned_yet", behind=self._said - self.learner.learned)
                return False
        return True

    def keep(self, files: Files) -> None:
        """Keep what was learned since the last time; its examples are needed no more."""
        now = asyncio.get_running_loop().time()
        if now - self._kept_at < KEEP_EVERY_S:
            return
        self._kept_at = now
        changed = self.learner.changed()
        try:
            if changed:
                files.keep_models(changed, self.learner.learned)
        except sqlite3.OperationalError as error:
            self.learner.unkept(changed)
            log.error("topics_not_kept", reason=str(error), mend="free space on the disk of the data directory")

    # -- both --------------------------------------------------------------------------------------------------------

    async def listen(self, bootstrap: str) -> None:
        """Learn from the topic, from its beginning, for ever.

        Raises:
            KafkaError: the topic cannot be read.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
        )
        try:
            await consumer.start()
            line = TopicPartition(LABELS, 0)
            consumer.assign([line])
            await consumer.seek_to_beginning(line)
            end = (await consumer.end_offsets([line]))[line]
            while True:
                if await consumer.position(line) >= end:
                    self.caught_up.set()
                for records in (await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST)).values():
                    for record in records:
                        self._hear(record)
        except KafkaError as error:
            log.error("labels_cannot_be_read", error=type(error).__name__)
            raise
        finally:
            await consumer.stop()

    def _hear(self, record: Any) -> None:
        try:
            example = _decode(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("label_unreadable", topic=record.topic, offset=record.offset)
            return
        self.learner.learn(example)
        self._something.set()
