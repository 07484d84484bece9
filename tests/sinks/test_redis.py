"""The present in Redis, on a real one: thousands of keys hold nobody up, and no write is half of one moment."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from config.settings import Settings, TenantSettings
from gateway.held import Held, decode_change
from sinks.redis import CHANGES, KEYS, LISTS, META, SERIES, Show
from streams.events import AgentRow, Event, Reading, Record, Segment, Tick
from streams.lines import Lines
from streams.notifier import Reader
from streams.policy import Policies, Policy
from streams.shard import Shard
from tests.board.stage import running_redis
from tests.streams.line import Shelf

pytestmark = pytest.mark.slow
NOW = 1_772_445_600_000
QUEUES = 1_000
MOST = 0.5
"""Of the loop's time in a write, in one go: with breaths about a tenth, and without any nearly all of it."""


class Stream:
    """What a worker says while somebody new waits in each of so many queues."""

    def __init__(self) -> None:
        policy = Policy(TenantSettings())
        self._shard = Shard(0, lambda _: policy, Shelf())
        self._position = self._asked = 0

    def step(self, queues: int) -> Reading:
        """One more waits in each; a tick."""
        at = NOW + self._position
        events = [self._question(f"q{number}", at) for number in range(queues)]
        for record in (Record(events=events), Record(tick=Tick(at, None))):
            self._position += 1
            self._shard.step(self._position, record)
        reading = self._shard.reading()
        assert reading is not None
        return reading

    def _question(self, queue: str, at: int) -> Event:
        self._asked += 1
        return Event(
            id="m", kind="message", at=at, tenant="shop", conversation=f"c{self._asked}", author="customer", text="?",
            queue=queue, received_at=at,
        )  # fmt: skip


@asynccontextmanager
async def shown(directory: Path) -> AsyncIterator[tuple[Reader, Show, redis.Redis]]:
    """A present, what writes it, and a look at what is written."""
    gc.freeze()  # as the role does: what this process holds besides is not walked through within a write
    async with running_redis(directory) as url:
        reader = Reader(1, Policies(Settings()))
        show = Show(url, reader.shown, lambda _: {}, {}, still=reader.still)
        look = redis.Redis.from_url(url)
        try:
            yield reader, show, look
        finally:
            await look.aclose()
            await show.close()
            gc.unfreeze()


async def longest(work: asyncio.Task[None]) -> float:
    """The longest that the loop's thread was at work without a turn for us: a share of all until the work is done."""
    most, begun = 0.0, time.thread_time()
    before = begun
    while not work.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        most, before = max(most, now - before), now
    await work
    return most / (before - begun)


def test_thousands_of_keys_are_written_with_a_turn_for_everybody_in_between(tmp_path: Path) -> None:
    async def story() -> None:
        async with shown(tmp_path) as (reader, show, look):
            stream = Stream()
            async with asyncio.TaskGroup() as tasks:
                await reader._take(stream.step(QUEUES), Lines(reader._apply, tasks))
            assert await longest(asyncio.create_task(show._write())) < MOST, "the first write, with all curves"
            assert await look.hlen(KEYS) == await look.hlen(SERIES) == 2 * QUEUES + 2
            async with asyncio.TaskGroup() as tasks:
                await reader._take(stream.step(QUEUES), Lines(reader._apply, tasks))
            assert await longest(asyncio.create_task(show._write())) < MOST
            assert json.loads(await look.get(META) or "{}")["seq"] == 3

    asyncio.run(asyncio.wait_for(story(), 240))


def test_what_comes_while_the_keys_are_gathered_is_in_the_next_write(tmp_path: Path) -> None:
    """The sum over all queues is that of the queues, in every write."""

    async def story() -> None:
        async with shown(tmp_path) as (reader, show, look), asyncio.TaskGroup() as tasks:
            stream, lines = Stream(), Lines(reader._apply, tasks)
            await reader._take(stream.step(60), lines)
            for waiting in range(1, 6):
                writing = asyncio.create_task(show._write())
                while not reader.still.locked():
                    await asyncio.sleep(0)
                await asyncio.gather(writing, reader._take(stream.step(60), lines))
                found = {tuple(json.loads(name)): json.loads(told) for name, told in (await look.hgetall(KEYS)).items()}
                assert found["shop", "*", "*"]["open"] == 60 * waiting
                assert {found["shop", f"q{number}", "*"]["open"] for number in range(60)} == {waiting}

    asyncio.run(asyncio.wait_for(story(), 240))


def test_who_hears_only_of_the_agents_that_changed_has_all_of_them_as_they_are(tmp_path: Path) -> None:
    async def story() -> None:
        async with shown(tmp_path) as (reader, show, look), look.pubsub() as changes:
            await changes.subscribe(CHANGES)
            held, sizes = Held(), []
            for turn, who in enumerate((range(300), [7], [3, 299], range(5, 320), [4], [])):
                agents = [AgentRow("shop", f"a{one:03}", turn + 1, open=turn + one % 3) for one in who]
                reader.shown.take(0, Segment(tick=NOW + turn, agents=agents))
                await show._write()
                said = await anext(one["data"] async for one in changes.listen() if one["type"] == "message")
                held.apply(decode_change(said))
                sizes.append(len(said))
                stored = json.loads(await look.hget(LISTS, "shop") or "{}")["agents"]
                assert held.lists["shop"].values["agents"] == stored
                assert len(stored) == (300 if turn < 3 else 320)
            assert max(sizes[1], sizes[2], sizes[4], sizes[5]) < sizes[0] / 10
            assert held.lists["shop"].values["agents"][4]["open"] == 5

    asyncio.run(asyncio.wait_for(story(), 240))


def test_a_mistake_in_one_number_leaves_a_write_out_and_the_next_is_whole(tmp_path: Path) -> None:
    """The board is told nothing meanwhile, and says so; who writes it goes on, and with it whoever tells of alerts."""

    async def story() -> None:
        async with shown(tmp_path) as (reader, show, look), asyncio.TaskGroup() as tasks:
            await reader._take(Stream().step(20), Lines(reader._apply, tasks))
            view = reader.shown.views["shop"]
            key, failed = view.key, asyncio.Event()

            def mistaken(*given: Any) -> dict[str, Any]:
                view.key = key  # type: ignore[method-assign]  # once
                failed.set()
                return {"n": 1 // 0, "of": given}

            view.key = mistaken  # type: ignore[assignment,method-assign]
            writing = tasks.create_task(show.run())
            await failed.wait()
            assert await look.get(META) is None
            while await look.hlen(KEYS) < 2 * 20 + 2:
                await asyncio.sleep(0.05)
            writing.cancel()

    asyncio.run(asyncio.wait_for(story(), 60))
