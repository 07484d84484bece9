"""A hundred viewers of a gateway in a process of its own: one that reads nothing harms nobody, and all come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gateway.live import NO_PROGRESS_S
from tests.board.scenes import surge
from tests.board.stage import Feeder, running_redis
from tests.gateway.rig import NOWHERE, SECRET, token

pytestmark = pytest.mark.slow

VIEWERS = 100


def now() -> int:
    return time.time_ns() // 1_000_000


class Gate:
    """A gateway process, its Redis, and who writes there."""

    def __init__(self, process: psutil.Process, port: int, feeder: Feeder) -> None:
        self.process, self.port, self.feeder = process, port, feeder

    def spent(self) -> float:
        """Seconds of processor it has taken: what others do on the machine does not count."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def viewer(self) -> connect:
        """A connection to the feed."""
        headers = {"Authorization": f"Bearer {token('supervisor')}"}
        return connect(
            f"ws://127.0.0.1:{self.port}/v1/live", additional_headers=headers, max_size=None, compression=None
        )

    async def connections(self) -> int:
        """How many viewers the gateway counts."""
        async with aiohttp.ClientSession() as web, web.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            line = next(
                line
                for line in (await answer.text()).splitlines()
                if line.startswith('tidewatch_gateway_connections{door="live"')
            )
            return int(float(line.rpartition(" ")[2]))


@contextlib.asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    async with running_redis(folder) as url:
        data = folder / "data"
        data.mkdir()
        told = {
            "TIDEWATCH_DATA": str(data), "TIDEWATCH_SECRET": SECRET, "TIDEWATCH_REDIS__URL": url,
            "TIDEWATCH_GATEWAY__PORT": "0", "TIDEWATCH_KAFKA__BOOTSTRAP": NOWHERE,
        }  # fmt: skip
        environ = os.environ | told | {"PYTHONPATH": str(Path(__file__).parents[2])}
        command = (sys.executable, "-P", "-m", "tidewatch.cli", "gateway")
        child = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.DEVNULL)
        feeder = Feeder(url)
        try:
            async with asyncio.timeout(30):
                while not (data / "ports" / "gateway").exists():
                    await asyncio.sleep(0.05)
            await feeder.write(surge(now()))
            yield Gate(psutil.Process(child.pid), int((data / "ports" / "gateway").read_text()), feeder)
        finally:
            await feeder.close()
            child.kill()
            await child.wait()


async def snapshot(viewer: ClientConnection) -> bytes:
    """The first frame."""
    return await asyncio.wait_for(viewer.recv(decode=False), 20)


def numbers(frame: bytes) -> Any:
    """Every key of a frame."""
    return {(key["queue"], key["channel"]): key["backlog"] for key in json.loads(frame)["keys"]}


async def deaf(port: int) -> asyncio.StreamWriter:
    """A viewer that takes nothing from the first byte on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
    writer.write(
        f"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {token('supervisor')}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readexactly(12)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return writer


def test_a_hundred_viewers_do_not_feel_one_that_reads_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as house, contextlib.AsyncExitStack() as open_ones:
            viewers = [await open_ones.enter_async_context(house.viewer()) for _ in range(VIEWERS)]
            for viewer in viewers:
                await snapshot(viewer)
            slow = await deaf(house.port)
            before = house.process.memory_info().rss
            gaps = [0.0] * VIEWERS
            counts = [0] * VIEWERS
            done = asyncio.Event()

            async def read(number: int) -> None:
                last = time.monotonic()
                while not done.is_set():
                    await viewers[number].recv(decode=False)
                    gaps[number], last = max(gaps[number], time.monotonic() - last), time.monotonic()
                    counts[number] += 1

            readers = [asyncio.create_task(read(number)) for number in range(VIEWERS)]
            began = time.monotonic()
            while await house.connections() > VIEWERS:
                assert time.monotonic() - began < 30, "it was never cut"
                await house.feeder.write(surge(now()))
                await asyncio.sleep(0.25)
            done.set()
            await asyncio.gather(*readers)
            assert max(gaps) < NO_PROGRESS_S / 2  # nobody waited for the deaf one to be cut
            assert min(counts) >= 3
            assert house.process.memory_info().rss - before < 64 << 20
            slow.close()

    asyncio.run(asyncio.wait_for(story(), 120))


async def caught_up(viewer: ClientConnection, want: dict[tuple[str, str], int]) -> None:
    """Reads frames until their numbers are those wanted: with what changed left out of one, it never would."""
    seen: dict[tuple[str, str], int] = {}
    while seen != want:
        seen |= numbers(await snapshot(viewer))


def test_a_hundred_dropped_viewers_are_back_exact_for_little_work(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as house:
            async with contextlib.AsyncExitStack() as open_ones:
                viewers = [await open_ones.enter_async_context(house.viewer()) for _ in range(VIEWERS)]
                for viewer in viewers:
                    await snapshot(viewer)
                for viewer in viewers:
                    viewer.transport.abort()
            present = surge(now())
            for key in present["keys"]:
                key["backlog"] += 1_000
            await house.feeder.write(present)
            want = {(key["queue"], key["channel"]): key["backlog"] for key in present["keys"]}
            before = house.spent()
            viewers = await asyncio.gather(*(house.viewer().__aenter__() for _ in range(VIEWERS)))
            await asyncio.gather(*(caught_up(viewer, want) for viewer in viewers))
            assert house.spent() - before < 2.0  # so a machine with a core to spare has them back within two seconds
            await asyncio.gather(*(viewer.close() for viewer in viewers))

    asyncio.run(asyncio.wait_for(story(), 120))
