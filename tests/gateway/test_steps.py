"""A hostile frame is read in steps: everybody else has their turn meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.parse import read, reading
from gateway.server import HELD_UP_S, REMEMBERED_S, _HeldUp
from gateway.steps import at_once, in_turns
from gateway.wire import Source
from tests.gateway.rig import ask, gate, message, run

NOW = 1_795_226_400_000
SOURCE = Source("*", NOW)
DIGITS = "1 2-3 " * 150
HOSTILE = json.dumps({"seq": 1, "events": [message(str(n), at=NOW, text=DIGITS) for n in range(900)]})
STRICT = json.dumps([{**message(str(n), at=NOW), "more": [{}] * 300} for n in range(900)])


async def longest_wait(work: asyncio.Future[object] | asyncio.Task[object]) -> float:
    """How much, at the worst, was done before something else had its turn: seconds of this process's processor time."""
    worst = 0.0
    while not work.done():
        before = time.process_time()
        await asyncio.sleep(0.001)
        worst = max(worst, time.process_time() - before)
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("frame", [HOSTILE, STRICT], ids=["digits", "objects"])
def test_a_large_frame_is_read_in_turns_and_comes_to_the_same(frame: str) -> None:
    async def story() -> None:
        began = time.process_time()
        whole = await asyncio.to_thread(read, frame, SOURCE)
        took = time.process_time() - began
        work = asyncio.ensure_future(in_turns(reading(frame, SOURCE)))
        worst = await longest_wait(work)
        assert work.result() == whole
        assert worst < max(took / 4, 0.05)

    run(story())


def test_steps_hand_long_calls_to_whoever_drives_them() -> None:
    def steps(calls: list[str]):  # type: ignore[no-untyped-def]
        calls.append("a")
        value = yield lambda: 20
        yield None
        return value + 1

    assert at_once(steps([])) == 21
    assert asyncio.run(in_turns(steps([]))) == 21


@pytest.mark.slow
def test_others_are_answered_while_hostile_frames_come(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as evil, gateway.socket() as good:
            for _ in range(4):
                await evil.send(HOSTILE)
            worst = 0.0
            async with aiohttp.ClientSession(f"http://{gateway.host}") as web:
                for number in range(20):
                    began = time.process_time()
                    assert (await ask(good, message(f"g{number}")))["accepted"] == 1
                    async with web.get("/healthz") as answer:
                        assert answer.status == 200
                    worst = max(worst, time.process_time() - began)
            assert worst < 1.0
            assert json.loads(await asyncio.wait_for(evil.recv(), 30))["accepted"] == 900

    run(story())


def test_a_loop_that_was_held_up_is_not_ready_for_a_while() -> None:
    held_up = _HeldUp()
    assert held_up.woke(10.0, 10.1) == pytest.approx(0.1)
    assert held_up.why_not(10.1) is None
    held_up.woke(20.0, 20.0 + HELD_UP_S + 0.5)
    assert held_up.why_not(23.0) == "held up for 2.5 s"
    held_up.woke(24.0, 24.0)
    assert held_up.why_not(24.0) is not None
    assert held_up.why_not(23.0 + REMEMBERED_S) is None
