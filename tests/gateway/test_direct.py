from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from streams.events import Record
from tests.gateway.rig import PARTITIONS, Gate, ask, broker, errors, gate, message, records, run
from tidewatch import servers

pytestmark = pytest.mark.slow


@contextlib.asynccontextmanager
async def redis(directory: Path, port: int | None = None) -> AsyncIterator[str]:
    """A Redis server; its URL."""
    port = port or servers.free_port()
    directory.mkdir(exist_ok=True)
    with subprocess.Popen([servers.redis_program(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(servers.redis_config(directory, port, "pass"))
            process.stdin.close()
            deadline = time.monotonic() + 10
            while not await servers.listens(port):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            yield f"redis://:pass@127.0.0.1:{port}/0"
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def production(bootstrap: str, url: str) -> AsyncIterator[Gate]:
    """A gateway without a directory, once it takes events."""
    async with gate(None, bootstrap, redis={"url": url}) as gateway:
        deadline = time.monotonic() + 15
        while not await takes(gateway):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        yield gateway


async def takes(gateway: Gate) -> bool:
    """Whether the ingest door opens."""
    try:
        async with gateway.socket():
            return True
    except InvalidStatus as refused:
        return refused.response.status_code != 503


def ids(found: list[tuple[int, Record]]) -> list[str]:
    return sorted(event.id for _, record in found for event in record.events)


def test_what_is_acked_is_stored_by_the_broker(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker() as bootstrap, redis(tmp_path / "r") as url, production(bootstrap, url) as gateway:
            async with gateway.socket() as socket:
                answer = await ask(socket, [*(message(f"{n:03d}", f"c{n}") for n in range(100)), {}])
                assert (answer["accepted"], errors(answer)) == (100, ["100: kind: missing"])
            found = await records(bootstrap, lambda some: len(ids(some)) >= 100)
            assert ids(found) == [f"{n:03d}" for n in range(100)]
            assert all(record.pos is None for _, record in found)

    run(story())


def test_one_of_two_gateways_writes_the_ticks(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker() as bootstrap, redis(tmp_path / "r") as url:
            async with production(bootstrap, url), production(bootstrap, url):
                found = await records(bootstrap, lambda some: len(some) >= 4 * PARTITIONS)
            ticks = [record.tick.at for partition, record in found if partition == 0 and record.tick]
            assert len(ticks) == len(set(ticks))

    run(story())


def test_two_gateways_agree_about_a_tenants_time(tmp_path: Path) -> None:
    async def story() -> None:
        old = message("a", at="2020-01-01T00:00:00Z", tenant="x")
        tick = {"seq": 1, "tick": "2020-01-01T00:01:00Z", "tenant": "x"}
        async with broker() as bootstrap, redis(tmp_path / "r") as url:
            async with production(bootstrap, url) as one, production(bootstrap, url) as other:
                async with one.socket("/v1/ingest?replay=1") as past, other.socket() as now:
                    assert (await ask(past, [old]))["accepted"] == 1
                    assert errors(await ask(past, tick)) == []
                    assert errors(await ask(now, [message("b", tenant="x")])) == [
                        "0: tenant: is in replay, and takes events of the past only"
                    ]
                async with other.socket("/v1/ingest?replay=1") as past:
                    assert errors(await ask(past, {**tick, "tick": "2020-01-01T00:00:30Z"})) == ["0: tick: goes back"]
                    assert errors(await ask(past, tick)) == []
                    assert errors(await ask(past, {**tick, "tick": None})) == []
            async with production(bootstrap, url) as third, third.socket("/v1/ingest?replay=1") as past:
                answer = await ask(past, [old, {**old, "id": "new"}])
                assert answer["accepted"] == 1
                assert len(errors(answer)) == 1
                async with third.socket() as now:
                    assert (await ask(now, [message("c", tenant="x")]))["accepted"] == 1
            found = await records(bootstrap, lambda some: len(ids(some)) >= 2)
            assert ids(found) == ["a", "c"]
            assert [r.tick.at for p, r in found if p == 0 and r.tick and r.tick.tenant] == [1_577_836_860_000, None]

    run(story())


def test_without_the_broker_the_door_stays_shut(tmp_path: Path) -> None:
    async def story() -> None:
        port = servers.free_port()
        async with redis(tmp_path / "r") as url, gate(None, f"127.0.0.1:{port}", redis={"url": url}) as gateway:
            assert not await takes(gateway)

    run(story())


def test_an_outage_in_the_middle_is_answered_retry_or_late_but_never_falsely(tmp_path: Path) -> None:
    async def story() -> None:
        port = servers.free_port()
        async with redis(tmp_path / "r") as url, contextlib.AsyncExitStack() as stack:
            first = contextlib.AsyncExitStack()
            bootstrap = await first.enter_async_context(broker(port))
            gateway = await stack.enter_async_context(production(bootstrap, url))
            socket = await stack.enter_async_context(gateway.socket())
            assert (await ask(socket, [message("a")]))["accepted"] == 1
            await first.aclose()
            asked = asyncio.create_task(ask_until_taken(socket))
            await asyncio.sleep(0.5)
            assert not asked.done()
            await stack.enter_async_context(broker(port))
            await asyncio.wait_for(asked, 30)
            found = await records(bootstrap, lambda some: "late" in ids(some))
            assert set(ids(found)) == {"late"}

    async def ask_until_taken(socket: object) -> None:
        while "retry" in await ask(socket, [message("late")]):  # type: ignore[arg-type]
            await asyncio.sleep(0.2)

    run(story())
