"""Told to end while the broker is away, at whatever moment: it ends."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from config.settings import Settings
from gateway.kafka import Broker, Unavailable
from gateway.server import serve_until
from streams.events import EVENTS
from tests.gateway.rig import PARTITIONS, SECRET, run
from tests.gateway.test_direct import redis
from tidewatch import servers

MOMENTS = 60
"""Turns of the loop; a refused connection is known within the first dozen."""


async def keep_asking(broker: Broker) -> None:
    while True:
        try:
            await broker.partitions(EVENTS)
        except Unavailable:
            await asyncio.sleep(0.05)


@pytest.fixture
def _quiet() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@pytest.mark.usefixtures("_quiet")
def test_asking_a_broker_that_is_away_ends_at_whatever_moment_it_is_told_to() -> None:
    async def story() -> None:
        for moment in range(MOMENTS):
            broker = Broker(f"127.0.0.1:{servers.free_port()}", embedded=False)
            asking = asyncio.create_task(keep_asking(broker))
            for _ in range(moment):
                await asyncio.sleep(0)
            asking.cancel()
            ended, _ = await asyncio.wait({asking}, timeout=20)
            await broker.close()
            assert ended, f"told to end after {moment} turns of the loop, it goes on"

    run(story())


def test_a_wait_that_is_over_in_the_turn_in_which_it_is_cancelled_ends() -> None:
    async def story() -> None:
        over = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(asyncio.wait_for(over, 20))
        await asyncio.sleep(0)
        over.set_result(None)
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=20)
        assert waiting.cancelled()

    run(story())


@pytest.mark.slow
def test_a_gateway_ends_at_whatever_moment_it_is_told_to(tmp_path: Path) -> None:
    async def story() -> None:
        async with redis(tmp_path / "r") as url:
            for moment in range(MOMENTS):
                stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
                settings = Settings(
                    secret=SECRET,
                    gateway={"port": 0},
                    kafka={"bootstrap": f"127.0.0.1:{servers.free_port()}", "partitions": PARTITIONS},
                    redis={"url": url},
                )
                serving = asyncio.create_task(serve_until(settings, stop, ready))
                await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
                for _ in range(moment):
                    await asyncio.sleep(0)
                stop.set()
                await asyncio.wait({serving}, timeout=20)
                assert serving.done(), f"told to end {moment} turns of the loop after it listened, it goes on"

    run(story())
