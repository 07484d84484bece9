"""Told to end while the broker is away, at whatever moment: it ends."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.kafka import Broker, Unavailable
from streams.events import EVENTS
from tests.gateway.rig import run
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
