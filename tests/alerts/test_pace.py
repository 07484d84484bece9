"""The pace of a channel: one post a gap, however many post; and no waiting for a Redis that is away."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from alerts.outbox import Store
from alerts.pace import Shared
from alerts.slack import Slack
from alerts.state import State
from alerts.tell import Tell
from config.settings import Channel
from tests.alerts.receiver import Post, receiver, row, run, until
from tests.board.stage import running_redis

pytestmark = pytest.mark.slow
GAP_MS = 150


def test_two_who_share_it_post_no_faster_than_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(tmp_path) as url:
            both, at, began = (Shared(url), Shared(url)), list[float](), time.monotonic()

            async def post(pace: Shared) -> None:
                for _ in range(4):
                    await pace.turn("ops", GAP_MS)
                    at.append(time.monotonic())

            other = asyncio.create_task(both[1].turn("another channel", GAP_MS))
            await asyncio.gather(*map(post, both), other)
            assert len(at) == 8
            soonest = [began + number * GAP_MS / 1000 for number in range(8)]
            assert all(turn > sooner - 0.02 for turn, sooner in zip(sorted(at), soonest, strict=True)), at
            for pace in both:
                await pace.close()

    run(story())


def test_two_notifiers_post_to_one_slack_channel_no_faster_than_one(tmp_path: Path) -> None:
    """Each with an outbox of its own, one after another as fast as they may: Slack allows a message a second."""

    async def story() -> None:
        async with running_redis(tmp_path) as url, receiver() as slack:
            hooked = Channel(name="ops", type="slack", url=slack.url, allow_private=True)
            at: list[float] = []

            def taken(_: Post) -> web.Response:
                at.append(time.monotonic())
                return web.Response(text="ok")

            slack.answer = taken
            began, told, numbers = time.monotonic(), [], count()
            for who in ("one", "two"):
                store, pace = Store(tmp_path / f"{who}.db"), Shared(url)
                tell = Tell(store, {"ops": Slack(hooked, store)}, lambda *_: None, pace)
                told.append((store, tell, pace, asyncio.create_task(tell.run())))
            for _ in range(3):
                for store, tell, *_ in told:
                    store.commit(State(), State(), [row(f"a{next(numbers)}")])
                    tell.poke()
                await until(lambda: all(store.unsettled() == {} for store, *_ in told))
            assert len(at) == 6
            assert all(post > began + number * 0.98 for number, post in enumerate(at)), at
            for store, _, pace, task in told:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await pace.close()
                store.close()

    run(story())


def test_where_redis_is_away_nobody_waits_for_it() -> None:
    async def story() -> None:
        pace = Shared("redis://127.0.0.1:1/0")
        async with asyncio.timeout(60):  # one that waited its turn would take twenty minutes
            for _ in range(20):
                await pace.turn("ops", 60_000)
        await pace.close()

    run(story())


def test_a_channel_without_a_gap_asks_nobody() -> None:
    async def story() -> None:
        pace = Shared("redis://192.0.2.1:1/0")
        await asyncio.wait_for(pace.turn("hook", 0), 60)  # to connect there would time out, and say so
        assert pace._away_until == 0.0
        await pace.close()

    run(story())
