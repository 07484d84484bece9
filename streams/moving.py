"""The worker's agent where partitions move between workers: production, on Kafka.

The order is: readings published, state committed (`streams.tables`), records acked. A kill between two steps repeats
what follows the last one; readings are absolute and records known by their offset, so repeats change nothing. With
every new generation of the group all partitions are dropped and those assigned are opened anew, each once the one
before it is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import structlog

from config import crash
from streams.agents import MOST_UNCOMMITTED, OF_THE_MACHINE, dead_letter, read_record
from streams.events import Record
from streams.home import ASIDE, Home
from streams.lessons import Lessons
from streams.parcels import parcels
from streams.policy import Policy
from streams.rounds import Rounds
from streams.said import Told
from streams.shard import Changed, Shard
from streams.suspicion import Suspicion
from streams.tables import Lost, Tables

log = structlog.get_logger()

TURN_S = 0.002
"""So long records are folded without a turn for anything else."""
TURNS = 5
"""Turns for a commit that is under way: a parcel and its answer take so many, and each would wait for a record else."""
HOLD_S = 30.0
"""So long a partition that another worker has opened may be ours by the group's word; then this one begins anew."""


class Moving:
    """Folds records into the state of the partitions that are ours, and publishes what changed."""

    def __init__(
        self,
        tables: Tables,
        policy_of: Callable[[str], Policy],
        publish: Callable[[int, bytes], Awaitable[None]],
        generation: Callable[[], int],
        lessons: Lessons | None = None,
        end_of: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        """`lessons`: where people's labels go, and what is learned from them; None: nothing is.

        `end_of`: where a partition's records end, as far as that is known.
        """
        self._tables = tables
        self._policy_of = policy_of
        self._publish = publish
        self._generation = generation
        self._lessons = lessons
        self._homes: dict[int, asyncio.Task[Home]] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._settled = asyncio.Event()
        """It is said which partitions are ours."""
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end_of = end_of
        self.rounds = Rounds(self.commit, MOST_UNCOMMITTED, self.waiting)
        """When it commits."""
        self._busy = asyncio.Lock()
        self._suspicion = Suspicion()
        self._turned_at = 0.0

    def assigned(self, partitions: Iterable[int]) -> None:
        """A new generation: these are ours, and no others."""
        self.revoked()
        self._homes = {
            number: asyncio.create_task(self._open(number, self._leaving.get(number))) for number in partitions
        }
        for opening in self._homes.values():
            opening.add_done_callback(self._opened)
        self._settled.set()

    def revoked(self) -> None:
        """None is ours until the next generation. What was not committed is dropped; it will be read again."""
        self._settled.clear()
        homes, self._homes = self._homes, {}
        for number, opening in homes.items():
            self._leaving[number] = asyncio.create_task(self._leave(opening))
        self.rounds.begun()
        self.rounds.done()

    async def until_failed(self) -> None:
        """Wait until something went wrong that only a new start mends, and raise it."""
        await self._failed

    async def take(self, event: Any) -> None:
        """Apply one record, or note that nobody can read it. One that is not ours any more is let pass, unacked."""
        await self.rounds.room()
        await self._settled.wait()
        message = event.message
        opening = self._homes.get(message.partition)
        if opening is None:
            return
        if not opening.done():
            await asyncio.wait([opening])
        await self._turn()
        if self._homes.get(message.partition) is not opening or message.generation_id != self._generation():
            return
        try:
            await self._apply(opening.result(), event)
        except Exception as error:  # noqa: BLE001 - Faust would swallow it and go on with the next record
            self._fail(error)

    async def _turn(self) -> None:
        """Let others have their turn, if they had none for a while."""
        if time.monotonic() - self._turned_at < TURN_S:
            return
        for _ in range(TURNS if self._busy.locked() else 1):
            await asyncio.sleep(0)
        self._turned_at = time.monotonic()

    def waiting(self) -> int | None:
        """How many records of our partitions are there to be taken; None where it is not known of each."""
        waiting = 0
        for number, opening in self._homes.items():
            end = self._end_of(number)
            if end is None or not _is_open(opening):
                return None
            waiting += max(0, end - opening.result().next)
        return waiting

    async def _apply(self, home: Home, event: Any) -> None:
        message, shard = event.message, home.shard
        if await home.out_of_turn(message.offset, self._tables.next_record):
            return
        record = home.aside.get(message.offset) or read_record(message.value)
        if not isinstance(record, str):
            try:
                shard.step(message.offset, record)
            except OF_THE_MACHINE:  # not the record's fault: the next life applies it
                self._homes.pop(shard.partition, None)  # half of a step may be in memory: none of it may be kept
                raise
            except Exception as error:
                await self._set_aside(home, message.offset, f"could not be applied: {type(error).__name__}")
                raise
        elif message.offset > shard.position:
            if message.offset not in home.aside:
                await self._suspicion.note(message, record)
            shard.dead(dead_letter(message, record))
            shard.step(message.offset, Record())
        home.unacked.append(event)
        self.rounds.took(None if isinstance(record, str) else record, message.timestamp)

    async def _set_aside(self, home: Home, offset: int, reason: str) -> None:
        """Note a record that breaks the fold. The worker ends over it; the next leaves it out."""
        del self._homes[home.shard.partition]  # half of a step may be in memory: none of it may be kept
        log.error("record_breaks_the_fold", partition=home.shard.partition, position=offset)
        row = Changed(ASIDE, "", str(offset), 0, True, msgspec.msgpack.encode((offset, reason)))
        async with self._busy:
            await home.table.commit(home.table.stage(home.table.position, [row]))
            await home.table.close()

    async def commit(self) -> None:
        """Publish, commit, ack.

        Raises:
            KafkaError: the broker was away too long; a new start finds out what was kept.
        """
        async with self._busy:
            self.rounds.begun()
            ready = [one.result() for one in self._homes.values() if _is_open(one)]
            await asyncio.gather(*(self._commit(home) for home in ready))
            self.rounds.done()
            if self.rounds.sweeps():
                for home in ready:
                    home.shard.sweep()

    async def _commit(self, home: Home) -> None:
        shard, before = home.shard, home.said
        unacked, home.unacked = home.unacked, []
        if shard.stirred:
            reading = shard.told() or Told(shard.partition, shard.position, [])
            batch = home.table.stage(shard.position, shard.changes())
            home.said = batch.position
            crash.here("moving.taken")
            for value in parcels(reading, before):
                await self._publish(shard.partition, value)
            if self._lessons is not None:
                await self._lessons.say(shard.examples())
            crash.here("moving.published")
            try:
                await home.table.commit(batch)
            except Lost:
                log.warning("partition_lost", partition=shard.partition, position=batch.position)
                self._lose(home)
                return
            crash.here("moving.kept")
        for event in unacked:
            if event.message.generation_id == self._generation():
                event.ack()
        crash.here("moving.acked")

    def _lose(self, home: Home) -> None:
        """Another worker has the partition. The group will say so; where it does not, nobody would commit it again."""
        partition = home.shard.partition
        opening = self._homes.get(partition)
        if opening is None or not _is_open(opening) or opening.result() is not home:
            return  # it was left already
        del self._homes[partition]
        self._leaving[partition] = asyncio.create_task(self._leave(opening))
        asyncio.get_running_loop().call_later(HOLD_S, self._expect_another, partition, self._generation())

    def _expect_another(self, partition: int, generation: int) -> None:
        if self._generation() == generation and self._settled.is_set():
            self._fail(
                RuntimeError(f"partition {partition}: ours by the group, another's by its state; beginning anew")
            )

    async def _open(self, partition: int, before: asyncio.Task[None] | None) -> Home:
        """Open it, once it is closed here. Two openings at once would shut out each other in any order."""
        if before is not None:
            await asyncio.wait([before])
        beginning = await self._tables.beginning(partition)
        table = await self._tables.open(partition)
        try:
            reader = self._lessons.learner if self._lessons is not None else None
            shard = Shard(partition, self._policy_of, table.shelf(), table.position, reader)
            shard.load()
            for value in parcels(shard.base(), shard.position):
                await self._publish(partition, value)
        except BaseException:
            await table.close()
            raise
        log.info("partition_opened", partition=partition, position=shard.position)
        return Home(table, shard, beginning)

    def _opened(self, opening: asyncio.Task[Home]) -> None:
        if not opening.cancelled() and (error := opening.exception()) is not None:
            self._fail(error)

    async def _leave(self, opening: asyncio.Task[Home]) -> None:
        """Close it once no commit of it is under way."""
        await asyncio.wait([opening])
        if _is_open(opening):
            async with self._busy:
                await opening.result().table.close()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def close(self) -> None:
        """Let go of all partitions."""
        self.revoked()
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)


def _is_open(opening: asyncio.Task[Home]) -> bool:
    return opening.done() and not opening.cancelled() and opening.exception() is None
