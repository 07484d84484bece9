"""The pace of a channel: one post a gap, however many post; and no waiting for a Redis that is away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from alerts.pace import Shared
from tests.alerts.receiver import run
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
