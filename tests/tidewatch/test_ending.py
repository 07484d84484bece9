"""Told to end while what they need is away, at whatever moment: sink, notifier and worker end, and so do their parts.

The gateway's turn is in `tests/gateway/test_ending.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from alerts.pace import Shared as Pace
from config.settings import Kafka, Settings
from gateway.doors import Mode
from gateway.shared import Shared, Unknown
from sinks import store
from streams import cluster, notifier
from streams.reader import readings
from streams.tables import ensure_topics
from tests.gateway.rig import PARTITIONS, SECRET, broker, run
from tests.gateway.test_direct import redis
from tests.rig.proxy import Fault, Proxy
from tests.rig.turns import WITHIN_S, cancelled_at, told_at, who_hangs_up
from tidewatch import servers

pytestmark = pytest.mark.usefixtures("_quiet")
MOMENTS = 40
"""Turns of the loop; a connection that is refused or ended is known within the first dozen."""
Part = Callable[[Settings], Coroutine[Any, Any, None]]


@pytest.fixture
def _quiet() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def settings(port: int, redis_url: str = "") -> Settings:
    """Production's; what has no place of its own is at this port."""
    return Settings(
        secret=SECRET,
        kafka={"bootstrap": f"127.0.0.1:{port}", "partitions": PARTITIONS},
        redis={"url": redis_url or f"redis://127.0.0.1:{port}/0"},
        clickhouse={"url": f"http://127.0.0.1:{port}"},
    )


async def pacing(asked: Settings) -> None:
    """Whose turn it is, asked again and again."""
    pace = Pace(asked.redis.url.get_secret_value())
    while True:
        pace._away_until = 0.0
        await pace.turn("slack", 50)
        await asyncio.sleep(0.01)


async def sharing(asked: Settings) -> None:
    """What gateways share, as a frame that was stored is finished: tried until Redis is there."""
    shared = Shared(asked.redis.url.get_secret_value())
    while True:
        try:
            await shared.put("t", Mode(replay=False))
        except Unknown:
            await asyncio.sleep(0.01)


async def reading(asked: Settings) -> None:
    """Readings, of which none come."""
    async for _ in readings(asked.kafka.bootstrap, PARTITIONS):
        pass


PARTS: dict[str, Part] = {
    "pace": pacing,
    "shared": sharing,
    "readings": reading,
    "the sink's topics": store.ensure_topics,
    "the worker's topics": lambda asked: ensure_topics(asked.kafka),
}
ROLES: dict[str, Part] = {"sink": store.run, "notifier": notifier.run, "worker": cluster.run}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("refused", [True, False], ids=["refused", "hung up on"])
def test_a_part_that_tries_again_and_again_ends_at_whatever_moment_it_is_told_to(name: str, refused: bool) -> None:
    async def story() -> None:
        async with who_hangs_up() as port:
            there = settings(servers.free_port() if refused else port)
            for turns in range(MOMENTS):
                await cancelled_at(turns, lambda: PARTS[name](there))

    run(story())


@pytest.mark.slow
@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("refused", [True, False], ids=["refused", "hung up on"])
def test_a_role_ends_at_whatever_moment_it_is_told_to(name: str, refused: bool) -> None:
    async def story() -> None:
        async with who_hangs_up() as port:
            there = settings(servers.free_port() if refused else port)
            for turns in range(MOMENTS):
                await told_at(turns, lambda: ROLES[name](there))

    run(story())


@pytest.mark.slow
def test_a_worker_whose_broker_falls_silent_while_it_starts_ends_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        silent = asyncio.Event()
        async with broker() as bootstrap:
            with Proxy(*bootstrap.split(":")) as proxy:  # type: ignore[arg-type]  # a port is a name, too

                async def then_silence(kafka: Kafka) -> None:
                    await ensure_topics(kafka)
                    proxy.fault = Fault(black_hole=True)
                    silent.set()

                monkeypatch.setattr(cluster, "ensure_topics", then_silence)
                working = asyncio.create_task(cluster.run(settings(proxy.port)))
                await silent.wait()
                await asyncio.sleep(1)
                signal.raise_signal(signal.SIGTERM)
                await asyncio.wait({working}, timeout=WITHIN_S)
                assert working.done(), "told to end, it goes on"
                working.result()

    run(story())


@pytest.mark.slow
def test_a_notifier_that_would_lead_but_has_no_broker_ends_at_whatever_moment(tmp_path: Path) -> None:
    async def story() -> None:
        async with redis(tmp_path / "r") as url:
            there = settings(servers.free_port(), url)
            for turns in range(MOMENTS):
                await told_at(turns, lambda: notifier.run(there))

    run(story())


LEFT = """
import asyncio, sys, threading, types
async def never():
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass
async def run(settings):
    threading.Thread(target=threading.Event().wait).start()
    run.task = asyncio.create_task(never())
    await asyncio.sleep(0)
    if {raises}:
        raise RuntimeError
sys.modules["role"] = types.ModuleType("role")
sys.modules["role"].run = run
from tidewatch import cli
cli._role("sink", None, "role")
"""


@pytest.mark.slow
@pytest.mark.parametrize("raises", [False, True])
def test_a_role_that_is_done_ends_whoever_stays_in_its_process(raises: bool) -> None:
    environ = os.environ | {"TIDEWATCH_SECRET": SECRET}
    done = subprocess.run([sys.executable, "-c", LEFT.format(raises=raises)], env=environ, timeout=60, check=False)
    assert done.returncode == raises
