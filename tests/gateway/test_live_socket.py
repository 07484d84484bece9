from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.live import MOST_UNSENT
from tests.board.scenes import huge, surge
from tests.board.stage import Claims, Feeder, Stage, running_redis, until
from tests.gateway.rig import Metronome, Stopwatch

pytestmark = pytest.mark.slow


def now() -> int:
    return time.time_ns() // 1_000_000


class House:
    """A real Redis, a feeder, a small gateway."""

    def __init__(self, stage: Stage, feeder: Feeder, port: int) -> None:
        self.stage, self.feeder, self.port = stage, feeder, port

    @contextlib.asynccontextmanager
    async def viewer(self, **claims: Any) -> AsyncIterator[ClientConnection]:
        self.stage.claims = Claims(**claims)
        async with connect(f"ws://127.0.0.1:{self.port}/v1/live", max_size=None) as viewer:
            yield viewer


@contextlib.asynccontextmanager
async def house() -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory() as folder:
        async with running_redis(Path(folder)) as url:
            stage, feeder = Stage(url), Feeder(url)
            following = asyncio.create_task(stage.mirror.run())
            server = await stage.start()
            try:
                yield House(stage, feeder, server.sockets[0].getsockname()[1])
            finally:
                following.cancel()
                server.close()
                await feeder.close()


def story(tell: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    """Run a test's story in a house of its own."""

    def test() -> None:
        async def whole() -> None:
            async with asyncio.timeout(180), house() as one:
                await tell(one)

        asyncio.run(whole())

    test.__name__, test.__doc__ = tell.__name__, tell.__doc__
    return test


async def frame(viewer: ClientConnection) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await asyncio.wait_for(viewer.recv(), 60))
    return body


async def frame_where(viewer: ClientConnection, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            body = await frame(viewer)
            if true(body):
                return body


@story
async def test_a_snapshot_then_deltas_at_most_four_a_second_and_one_every_two(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    async with Metronome.beating() as metronome, house.viewer() as viewer:
        assert (await frame(viewer))["kind"] == "snapshot"
        started = time.monotonic()
        deltas: list[dict[str, Any]] = []
        while len(deltas) < 8:
            await house.feeder.write(surge(now()))
            with contextlib.suppress(TimeoutError):
                deltas.append(json.loads(await asyncio.wait_for(viewer.recv(), 0.02)))
        assert {one["kind"] for one in deltas} == {"delta"}
        assert len(deltas) <= (time.monotonic() - started) * 4 + 1
        gaps = []
        for _ in range(3):
            watch = Stopwatch(metronome)
            await frame(viewer)
            gaps.append(watch.s)
        assert max(gaps) <= 2.1


@story
async def test_the_numbers_go_stale_when_nothing_is_written_and_come_back(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    async with Metronome.beating() as metronome, house.viewer() as viewer:
        assert (await frame(viewer))["stale"] is False
        silent = Stopwatch(metronome)
        stale = await frame_where(viewer, lambda body: body["stale"])
        assert stale["stale_reason"] == "stream"
        assert silent.s < 6
        house.stage.mirror.broker_gone = True
        await frame_where(viewer, lambda body: body["stale_reason"] == "broker")
        await house.feeder.write(surge(now()))
        await frame_where(viewer, lambda body: body["stale"] is False)


@story
async def test_numbers_without_a_clock_are_stale_until_every_partition_has_said_its_own(house: House) -> None:
    restoring, whole = surge(now()), surge(now())
    restoring["meta"]["real"] = None
    await house.feeder.write(restoring)
    await until(lambda: house.stage.mirror.ready)
    async with house.viewer() as viewer:
        first = await frame(viewer)
        assert (first["stale"], first["stale_reason"]) == (True, "stream")
        await house.feeder.write(whole)
        await frame_where(viewer, lambda body: body["stale"] is False)


def test_when_redis_is_gone_the_board_is_told_within_five_seconds_and_is_exact_again_after() -> None:
    async def tell() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            async with running_redis(path) as url:
                stage, feeder = Stage(url), Feeder(url)
                following = asyncio.create_task(stage.mirror.run())
                await feeder.write(surge(now()))
                await until(lambda: stage.mirror.stale is None)
                await feeder.close()
            async with Metronome.beating() as metronome:
                gone = Stopwatch(metronome)
                await until(lambda: stage.mirror.stale == "redis", within_s=60)
                assert gone.s < 5
            (path / "redis.sock").unlink(missing_ok=True)
            async with running_redis(path) as url:
                feeder = Feeder(url)
                present = surge(now())
                present["keys"] = present["keys"][:3]
                await feeder.write(present)
                await until(lambda: stage.mirror.stale is None)
                assert {id_[1] for id_ in stage.mirror.held.keys} == {key["queue"] for key in present["keys"]}
                await feeder.close()
            following.cancel()

    asyncio.run(asyncio.wait_for(tell(), 60))


@story
async def test_a_missed_change_is_mended_by_reading_all_again(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    async with house.viewer() as viewer:
        await frame(viewer)
        house.feeder.seq += 5
        present = surge(now())
        present["keys"][2]["backlog"] = 4321
        house.feeder._last = present  # so that the change itself says nothing of it
        await house.feeder.write(present)
        body = await frame_where(viewer, lambda body: any(key.get("backlog") == 4321 for key in body.get("keys", ())))
        assert body["kind"] == "delta"


@story
async def test_each_wish_is_answered_and_orders_reach_the_notifier(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    async with house.viewer(tenant="demo") as viewer:
        await frame(viewer)
        replies = []
        for wish in (
            {"ack": "9f3c51"},
            {"ack": "nothing"},
            {"silence": {"match": {"queue": "tech"}, "minutes": 60, "reason": "drill"}},
            {"watch": {"queues": ["vip"]}},
        ):
            await viewer.send(json.dumps(wish))
            replies.append(await frame_where(viewer, lambda body: body["kind"] == "reply"))
        assert [reply["ok"] for reply in replies] == [True, False, True, True]
        assert replies[1]["error"] == "there is no such alert"
        told = [(order["do"], "refused" in order) for order in house.stage.orders]
        assert told == [("ack", False), ("ack", True), ("silence", False)]
        house.stage.refuse = True
        await viewer.send('{"ack": "9f3c51"}')
        reply = await frame_where(viewer, lambda body: body["kind"] == "reply")
        assert reply == {"kind": "reply", "ok": False, "error": "the order could not be stored; try again"}


@story
async def test_who_watches_gets_the_history_in_the_next_frame(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    async with house.viewer() as viewer:
        await frame(viewer)
        await viewer.send('{"watch": {"queues": ["vip"]}}')
        body = await frame_where(viewer, lambda body: body["kind"] == "delta" and bool(body["keys"]))
        assert [len(key["series"]["arrivals"]) for key in body["keys"] if key["queue"] == "vip"] == [180]


@story
async def test_without_a_right_or_after_its_end_a_token_shows_nothing(house: House) -> None:
    for claims, code in (({"roles": ("ingest",)}, 4403), ({"exp": time.time() - 1}, 4401)):
        async with house.viewer(**claims) as viewer:
            with pytest.raises(ConnectionClosed) as closed:
                await frame_where(viewer, lambda body: body["kind"] == "never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code


@story
async def test_a_viewer_that_reads_nothing_is_cut_and_slows_nobody(house: House) -> None:
    await house.feeder.write(huge(now(), many=400))
    await until(lambda: house.stage.mirror.ready)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    house.stage.claims = Claims()
    writer.write(
        b"GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await until(lambda: len(house.stage.mirror.viewers) == 1)
    (slow,) = house.stage.mirror.viewers
    async with house.viewer() as viewer:
        await frame(viewer)
        waits, started = [], time.monotonic()
        while slow in house.stage.mirror.viewers:
            assert time.monotonic() - started < 60, "it was never cut"
            assert slow.unsent <= slow.in_flight + MOST_UNSENT  # type: ignore[attr-defined]
            await house.feeder.write(huge(now(), many=400))
            before = time.process_time()
            await frame(viewer)
            waits.append(time.process_time() - before)
            await asyncio.sleep(0.5)
        assert len(waits) >= 3  # whoever waited for the slow one would have had one frame in its ten seconds
        assert max(waits) < 2
        assert len(house.stage.mirror.viewers) == 1
    writer.close()
    del reader


@story
async def test_a_flood_of_pings_from_one_who_never_reads_stays_within_bounds(house: House) -> None:
    await house.feeder.write(surge(now()))
    await until(lambda: house.stage.mirror.ready)
    _, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    house.stage.claims = Claims()
    writer.write(
        b"GET /v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await until(lambda: len(house.stage.mirror.viewers) == 1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    ping = b"\x89\xfd" + b"\0\0\0\0" + b"x" * 125
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            while house.stage.mirror.viewers:
                writer.write(ping * 500)
                await asyncio.sleep(0.001)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(writer.drain(), 0.2)
    assert not house.stage.mirror.viewers
    writer.close()
