"""Who leads: one at a time, by a lock on a directory or a lease in Redis; another when it has gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from alerts.outbox import StoreError
from alerts.state import State
from streams.leading import LEADER, LEASE_MS, Directory, Lease, Lost, OnStore
from tests.board.stage import running_redis

pytestmark = pytest.mark.slow


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story, 60)

    asyncio.run(bounded())


def test_on_a_directory_the_second_stands_by_knows_what_was_judged_and_leads_when_the_first_has_gone(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        first, second = Directory(tmp_path), Directory(tmp_path)
        store = await first.lead()
        waiting = asyncio.create_task(second.lead())
        store.commit(State(), State(judged={"": 7, "t": 9}))
        async with asyncio.timeout(10):
            while second.judged() != {"": 7, "t": 9}:
                await asyncio.sleep(0.05)
        assert not waiting.done()
        await first.close()
        heir = await asyncio.wait_for(waiting, 5)
        assert heir.load().judged == {"": 7, "t": 9}
        await second.close()

    run(story())


def test_a_directory_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "notifier.db").write_bytes(b"no database " * 100)
    with pytest.raises(StoreError):
        run(_lead(tmp_path))


async def _lead(path: Path) -> None:
    await Directory(path).lead()


def test_a_lease_has_one_holder_who_gives_it_back_or_whose_death_frees_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(tmp_path) as url:
            one, two, three = Lease(url), Lease(url), Lease(url)
            await one.get()
            keeping = asyncio.create_task(one.keep())
            waiting = asyncio.create_task(two.get())
            await asyncio.sleep(LEASE_MS / 1000 + 1)
            assert (one.ours(), waiting.done()) == (True, False), "it is renewed"
            keeping.cancel()
            await one.leave()
            assert await three._redis.get(LEADER) != one._me.encode(), "given back, it is free, or another's already"
            await waiting
            assert not one.ours()
            await three.get()  # two has died: it renews no more
            assert not two.ours()
            with pytest.raises(Lost):
                await two.keep()
            for lease in (two, three):
                await lease.leave()

    run(story())


def test_nobody_leads_by_a_redis_that_is_away() -> None:
    async def story() -> None:
        lease = Lease("redis://127.0.0.1:1/0")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lease.get(), 2)
        assert not lease.ours()

    run(story())


def test_the_models_shelf_may_be_kept_from_any_thread(tmp_path: Path) -> None:
    async def story() -> None:
        home = Directory(tmp_path)
        shelf = OnStore(await home.lead())
        shelf.keep({"key/a": b"1", "key/b": b"2", "other": b"3"})
        await asyncio.to_thread(shelf.keep, {"key/a": None, "key/c": b"\x00"})
        assert list(shelf.kept("key/")) == [("key/b", b"2"), ("key/c", b"\x00")]
        await home.close()

    run(story())


def test_a_leader_that_is_busy_for_longer_than_the_lease_lasts_keeps_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(tmp_path) as url:
            one, two = Lease(url), Lease(url)
            await one.get()
            keeping = asyncio.create_task(one.keep())
            await asyncio.sleep(0.1)
            time.sleep(LEASE_MS / 1000 + 1)  # a storm is judged: nobody else has a turn
            assert one.ours()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(two.get(), 1)
            assert not keeping.done()
            keeping.cancel()
            for lease in (one, two):
                await lease.leave()
            assert not one.ours()

    run(story())
