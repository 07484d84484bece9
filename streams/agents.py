"""The worker's agent: records in, state committed, readings out, records acked, in this order.

State and readings are committed in one transaction (`streams.states`), and only then published and acked. A kill before
the commit replays the records; one after it says the outbox again. A record that was applied before is acked and
changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from config import crash
from streams.events import DeadLetter, Event, Record, decode_record, encode
from streams.lessons import Lessons
from streams.parcels import parcels
from streams.policy import Policy
from streams.rounds import Rounds
from streams.said import Told
from streams.shard import Shard
from streams.states import Batch, Files, inserted
from streams.suspicion import Suspicion

log = structlog.get_logger()

MOST_UNCOMMITTED = 2_000
"""Records that may wait for a commit; then reading waits."""
TRIM_EVERY_S = 2.0
OF_THE_MACHINE = (MemoryError, OSError, sqlite3.Error)
"""What breaks a fold without any fault of the record."""


class Follow:
    """Folds records into their partitions' state and publishes what changed."""

    def __init__(
        self,
        partitions: int,
        policy_of: Callable[[str], Policy],
        files: Files,
        publish: Callable[[int, bytes], Awaitable[None]],
        sink: Path,
        lessons: Lessons | None = None,
    ) -> None:
        """`lessons`: where people's labels go, and what is learned from them; None: nothing is."""
        self._files = files
        self._publish = publish
        self._sink = sink
        self._lessons = lessons
        reader = lessons.learner if lessons is not None else None
        self._shards = [
            Shard(number, policy_of, files.shelf(number), files.position(number), reader)
            for number in range(partitions)
        ]
        self._said = [shard.position for shard in self._shards]
        self._unacked: list[Any] = []
        self._begun = asyncio.Event()
        self.rounds = Rounds(self.commit, MOST_UNCOMMITTED)
        """When it commits."""
        self._busy = asyncio.Lock()
        self._suspicion = Suspicion()
        self._trimmed_at = 0.0

    def load(self) -> None:
        """Take up the committed state."""
        for shard in self._shards:
            shard.load()
        if self._lessons is not None:
            self._lessons.take_up(self._files)
        log.info("state_loaded", positions=[shard.position for shard in self._shards])

    async def begin(self) -> None:
        """Say all that stands again, and the readings that the sink may not have stored.

        The broker forgets, and readers may be new.
        """
        stored = inserted(self._sink)
        async with self._busy:
            for shard in self._shards:
                for value in parcels(shard.base(), shard.position):
                    await self._publish(shard.partition, value)
                for value in self._files.outbox(shard.partition, stored.get(shard.partition, -1)):
                    await self._publish(shard.partition, value)
            if self._lessons is not None:
                await self._lessons.say_kept(self._files)
        if self._lessons is not None:
            await self._lessons.heard()
        self._begun.set()

    async def take(self, event: Any) -> None:
        """Apply one record, or note that nobody can read it."""
        await self._begun.wait()
        await self.rounds.room()
        message = event.message
        shard = self._shards[message.partition]
        record = read_record(message.value)
        if isinstance(record, str):
            await self._suspicion.note(message, record)
            shard.dead(dead_letter(message, record))
        elif (reason := self._files.quarantined(shard.partition, record.pos)) is not None:
            shard.dead(dead_letter(message, reason))
            shard.step(record.pos, Record())
        else:
            self._step(shard, record)
        self._unacked.append(event)
        self.rounds.took(None if isinstance(record, str) else record, message.timestamp)

    def _step(self, shard: Shard, record: Record) -> None:
        """Apply a record. One that breaks the fold ends this process; the next sets it aside, so nothing stalls."""
        try:
            shard.step(record.pos, record)
        except OF_THE_MACHINE as error:  # not the record's fault: the next life applies it
            log.critical("worker_out_of_means", error=type(error).__name__)
            os._exit(71)
        except Exception as error:
            log.exception("record_breaks_the_fold", partition=shard.partition, position=record.pos)
            if record.pos is not None:
                self._files.quarantine(shard.partition, record.pos, f"could not be applied: {type(error).__name__}")
            os._exit(70)  # half of a step may be in memory: none of it may be kept

    async def commit(self) -> None:
        """Commit, publish, ack. A full disk is waited out in place."""
        async with self._busy:
            self.rounds.begun()
            unacked, self._unacked = self._unacked, []
            batches = [self._batch(shard) for shard in self._shards if shard.stirred]
            crash.here("worker.taken")
            await self._keep(batches)
            crash.here("worker.kept")
            await asyncio.gather(*(self._say(batch) for batch in batches))
            if self._lessons is not None and any(batch.examples for batch in batches):
                await self._lessons.say_kept(self._files)
            crash.here("worker.published")
            for event in unacked:
                event.ack()
            crash.here("worker.acked")
            self.rounds.done()
            if self.rounds.sweeps():
                for shard in self._shards:
                    shard.sweep()
            await self._trim()

    async def _say(self, batch: Batch) -> None:
        """One partition's readings, in order."""
        for value in batch.readings:
            await self._publish(batch.partition, value)

    def _batch(self, shard: Shard) -> Batch:
        before, self._said[shard.partition] = self._said[shard.partition], shard.position
        reading = shard.told() or Told(shard.partition, shard.position, [])
        examples = [encode(example) for example in shard.examples()]
        return Batch(shard.partition, shard.position, shard.changes(), list(parcels(reading, before)), examples)

    async def _keep(self, batches: list[Batch]) -> None:
        self._files.stage(batches)
        while batches:
            try:
                await asyncio.to_thread(self._files.commit, batches)
                self._files.unstage()
                return
            except sqlite3.OperationalError as error:
                log.error("state_not_kept", reason=str(error), mend="free space on the disk of the data directory")
                await asyncio.sleep(1)

    async def _trim(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._trimmed_at < TRIM_EVERY_S:
            return
        self._trimmed_at = now
        with contextlib.suppress(sqlite3.OperationalError):  # of a full disk the next commit tells; this is done later
            await asyncio.to_thread(lambda: self._files.trim(inserted(self._sink)))
        if self._lessons is not None:
            self._lessons.keep(self._files)


def read_record(value: bytes | None) -> Record | str:
    """A record of our gateways, or one event of a foreign producer; or why it is neither."""
    if not value:
        return "empty record"
    try:
        record = decode_record(value)
        if record.v > 1:
            return f"version {record.v}: this release reads version 1"
        if record.events or record.tick is not None:
            return record
        return Record(events=[msgspec.json.decode(value, type=Event)])
    except msgspec.MsgspecError as error:
        return _without_content(error)
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        return f"not readable: {type(error).__name__}"


def _without_content(error: msgspec.MsgspecError) -> str:
    """What a decoder says of the form; it quotes no text of the record, only types and paths."""
    return str(error)[:200]


def dead_letter(message: Any, reason: str) -> DeadLetter:
    value = message.value or b""
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        reason=reason,
        at=int((message.timestamp or 0) * 1000),
        size=len(value),
        digest=hashlib.sha256(value).hexdigest()[:16],
    )
