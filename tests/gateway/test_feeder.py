from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway import feeder as module
from gateway.feeder import Feeder
from gateway.journal import Journal
from gateway.kafka import Broker
from gateway.packing import load_events, load_tick
from streams.events import Event, Record, Tick
from tests.gateway.rig import PARTITIONS, broker, records, run, until
from tidewatch import servers

pytestmark = pytest.mark.slow


@contextlib.asynccontextmanager
async def feeding(data: Path, bootstrap: str, applied: Mapping[int, int]) -> AsyncIterator[Journal]:
    """A journal that is written and fed until the block ends; `applied` is what the worker says."""
    journal = Journal(data, PARTITIONS)
    sender = Broker(bootstrap, embedded=True)
    feeder = Feeder(journal, sender, lambda: dict(applied), PARTITIONS)
    tasks = [asyncio.create_task(journal.run()), asyncio.create_task(feeder.run())]
    try:
        yield journal
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sender.close()
        await journal.close()


async def write(journal: Journal, first: int, count: int) -> None:
    """So many events, one after another, over all partitions, each with a tick behind it."""
    for number in range(first, first + count):
        event = Event(id=str(number), kind="message", at=0, conversation=f"c{number % 7}")
        journal.append(load_events([event], PARTITIONS))
        await journal.append(load_tick(Tick(number), PARTITIONS))


def in_order(found: list[tuple[int, Record]]) -> list[str]:
    """The ids, after the check that positions only rise within a partition when what is older is left out."""
    last: dict[int, int] = {}
    ids = []
    for partition, record in found:
        assert record.pos is not None
        if record.pos > last.get(partition, 0):
            last[partition] = record.pos
            ids += [event.id for event in record.events]
    return sorted(ids, key=int)


def holds(count: int) -> object:
    return lambda found: len({event.id for _, record in found for event in record.events}) >= count


def test_the_journal_comes_out_of_the_broker_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker() as bootstrap, feeding(tmp_path, bootstrap, {}) as journal:
            await write(journal, 0, 50)
            await until(lambda: journal.fed == journal.last)
            found = await records(bootstrap, lambda some: len(some) == journal.last)
            assert in_order(found) == [str(number) for number in range(50)]
            assert sorted(record.pos or 0 for _, record in found) == list(range(1, journal.last + 1))

    run(story())


def test_what_the_worker_has_committed_is_not_fed_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker() as bootstrap, feeding(tmp_path, bootstrap, {}) as journal:
            await write(journal, 0, 5)
            last = journal.last
        async with broker() as bootstrap:
            committed = dict.fromkeys(range(PARTITIONS), last - 1)
            async with feeding(tmp_path, bootstrap, committed) as journal:
                await until(lambda: journal.fed == last)
                found = await records(bootstrap, lambda some: len(some) >= 1)
                assert [record.pos for _, record in found] == [last]

    run(story())


def test_an_absent_broker_is_waited_out(tmp_path: Path) -> None:
    async def story() -> None:
        port = servers.free_port()
        async with feeding(tmp_path, f"127.0.0.1:{port}", {}) as journal:
            await write(journal, 0, 5)
            assert journal.fed == 0
            async with broker(port) as bootstrap:
                found = await records(bootstrap, lambda some: len(some) >= journal.last)
                assert in_order(found) == [str(number) for number in range(5)]

    run(story())


def test_a_broker_that_forgot_everything_is_fed_from_the_workers_position(tmp_path: Path) -> None:
    async def story() -> None:
        port = servers.free_port()
        committed: dict[int, int] = {}
        async with feeding(tmp_path, f"127.0.0.1:{port}", committed) as journal:
            async with broker(port):
                await write(journal, 0, 10)
                await until(lambda: journal.fed == journal.last)
                committed |= dict.fromkeys(range(PARTITIONS), journal.last)
                await write(journal, 10, 5)
                await until(lambda: journal.fed == journal.last)
            await write(journal, 15, 2)
            async with broker(port) as bootstrap:
                await write(journal, 17, 3)
                await records(
                    bootstrap, lambda some: {e.id for _, r in some for e in r.events} == {*map(str, range(10, 20))}
                )

    run(story())


def test_the_backlog_waits_on_the_disk_while_the_worker_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD", 20_000)
    monkeypatch.setattr(module, "CHUNK", 4_000)

    async def story() -> None:
        committed: dict[int, int] = {}
        async with broker() as bootstrap, feeding(tmp_path, bootstrap, committed) as journal:
            await write(journal, 0, 300)
            await until(lambda: journal.fed > 0)
            held = journal.fed
            assert held < journal.last
            committed |= dict.fromkeys(range(PARTITIONS), journal.last)
            await until(lambda: journal.fed == journal.last)
            found = await records(bootstrap, lambda some: len(some) >= journal.last)
            assert in_order(found) == [str(number) for number in range(300)]

    run(story())
