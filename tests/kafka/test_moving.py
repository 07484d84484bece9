"""Partitions that move: what comes before its turn, between two generations, or after another has opened them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.settings import Kafka, TenantSettings
from streams import moving as streams_moving
from streams.events import EVENTS, decode_reading
from streams.moving import Moving
from streams.policy import Policy
from streams.tables import Tables, ensure_topics
from tests.kafka.broker import Broker
from tests.kafka.test_faults import message
from tests.kafka.test_worker import line_up
from tests.streams.line import PARTITIONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class One:
    """A worker of one partition, handed records by hand."""

    def __init__(self, broker: Broker, partition: int) -> None:
        self.tables = Tables(broker.bootstrap)
        self.partition = partition
        self.generation = 1
        self.acked: list[int] = []
        self.said: list[bytes] = []
        self.ends: dict[int, int] = {}
        self.moving = Moving(
            self.tables, lambda _: Policy(TenantSettings()), self.publish, lambda: self.generation,
            end_of=self.ends.get,
        )  # fmt: skip

    async def publish(self, _: int, value: bytes) -> None:
        """Keep it."""
        self.said.append(value)

    def event(self, offset: int) -> Any:
        """A record as Faust hands it over."""
        record = SimpleNamespace(
            topic=EVENTS, partition=self.partition, offset=offset, value=message(f"e{offset}"),
            generation_id=self.generation, timestamp=1.0,
        )  # fmt: skip
        return SimpleNamespace(message=record, ack=lambda: self.acked.append(offset))

    async def take(self, *offsets: int) -> None:
        """These, in this order, and a commit."""
        for offset in offsets:
            await self.moving.take(self.event(offset))
        await self.moving.commit()

    def events(self) -> list[str]:
        """Ids in the order in which they were said."""
        readings = [decode_reading(value) for value in self.said]
        return [row.event.id for reading in readings for segment in reading.segments for row in segment.events]


@asynccontextmanager
async def worker(broker: Broker, directory: Path, partition: int, records: int) -> AsyncIterator[One]:
    """One, with so many records in its partition."""
    async with line_up(broker, directory) as (sent, _, _):
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        for number in range(records):
            await sent.record(partition, message(f"e{number}"))
        one = One(broker, partition)
        try:
            yield one
        finally:
            await one.moving.close()


def test_records_before_their_turn_are_let_pass_and_taken_when_it_comes(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(broker, tmp_path, 0, 4) as one:
            one.moving.assigned([0])
            await one.take(2, 3)  # fetched before a rebalance
            assert one.acked == []
            await one.take(0, 1, 2, 3)
            assert one.acked == [0, 1, 2, 3]
            assert one.events() == ["e0", "e1", "e2", "e3"]

    asyncio.run(story())


def test_others_have_their_turn_however_many_records_come_at_once(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_moving, "TURN_S", 0.0)

    async def story() -> None:
        async with worker(broker, tmp_path, 0, 4) as one:
            one.moving.assigned([0])
            await one.moving.take(one.event(0))
            turns: list[int] = []
            asyncio.get_running_loop().call_soon(turns.append, 1)
            await one.moving.take(one.event(1))
            assert turns == [1]
            async with one.moving._busy:  # as while a commit is under way
                then = asyncio.ensure_future(_hops(streams_moving.TURNS - 1))
                await one.moving.take(one.event(2))
                assert then.done(), "a parcel and its answer had to wait for more than one record"

    asyncio.run(story())


async def _hops(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_how_much_is_still_to_be_taken_is_known_once_every_partition_is_open(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(broker, tmp_path, 0, 4) as one:
            one.moving.assigned([0])
            one.ends[0] = 100
            assert one.moving.waiting() is None
            await one.take(0, 1, 2, 3)
            assert one.moving.waiting() == 96
            one.ends[0] = 2  # of a fetch before
            assert one.moving.waiting() == 0
            one.ends.clear()
            assert one.moving.waiting() is None

    asyncio.run(story())


def test_where_their_turn_does_not_come_the_worker_begins_anew(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.home.GAP_S", 0.0)

    async def story() -> None:
        async with worker(broker, tmp_path, 1, 3) as one:
            one.moving.assigned([1])
            await one.take(2)
            with pytest.raises(RuntimeError, match="0 should come next, 2 came"):
                await one.moving.until_failed()
            assert one.acked == []

    asyncio.run(story())


def test_what_comes_between_two_generations_waits_for_the_word_whose_it_is(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(broker, tmp_path, 2, 2) as one:
            one.moving.assigned([2])
            one.moving.revoked()
            one.generation = 2
            taking = asyncio.create_task(one.take(0, 1))
            await asyncio.sleep(0)
            assert not taking.done()
            one.moving.assigned([2])
            await asyncio.wait_for(taking, 60)
            assert one.acked == [0, 1]

    asyncio.run(story())


def test_openings_of_one_worker_never_shut_out_each_other(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        async with worker(broker, tmp_path, 3, 6) as one:
            for offset in range(3):
                for generation in range(4):
                    one.generation = 10 * offset + generation
                    one.moving.assigned([3])
                await one.take(offset)
                assert one.acked == list(range(offset + 1))

    asyncio.run(story())


def test_a_partition_that_another_opened_is_let_go_and_said_where_the_group_knows_nothing_of_it(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with worker(broker, tmp_path, 3, 3) as one:
            one.moving.assigned([3])
            first = (await one.tables.beginning(3)) or 0
            await one.moving.take(one.event(first))
            other = await one.tables.open(3)
            try:
                kept = other.position
                monkeypatch.setattr(streams_moving, "HOLD_S", 0.0)
                await one.take(*range(kept + 1, kept + 3))
                assert one.acked == []
                with pytest.raises(RuntimeError, match="another's by its state"):
                    await asyncio.wait_for(one.moving.until_failed(), 60)
            finally:
                await other.close()

    asyncio.run(story())
