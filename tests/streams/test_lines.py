"""Each clock in a line of its own: in order, and none waits for another."""

from __future__ import annotations

import asyncio

import pytest

from streams.align import Cut
from streams.events import REAL, Segment
from streams.lines import Lines
from tests.tidewatch.door import in_a_loop


def cut(clock: str, tick: int | None, live: bool = False) -> Cut:
    return Cut([(0, Segment(clock=clock, tick=tick, live=clock if live else None))], clock, tick)


@in_a_loop
async def test_a_replay_that_learns_for_long_does_not_hold_up_the_real_clock() -> None:
    done: list[tuple[str, int | None]] = []
    learned = asyncio.Event()

    async def apply(one: Cut) -> None:
        if one.clock == "shop" and one.tick == 1:
            await learned.wait()
        done.append((one.clock, one.tick))

    async with asyncio.TaskGroup() as tasks:
        lines = Lines(apply, tasks)
        for one in (cut("shop", 1), cut(REAL, 1), cut("shop", 2), cut(REAL, 2)):
            await lines.put(one)
        assert done == [(REAL, 1), (REAL, 2)]
        learned.set()
        await lines.end()
    assert done[2:] == [("shop", 1), ("shop", 2)], "and its own order holds"


@in_a_loop
async def test_a_tenant_goes_live_when_all_before_is_applied() -> None:
    done: list[tuple[str, int | None]] = []

    async def apply(one: Cut) -> None:
        await asyncio.sleep(0.01)
        done.append((one.clock, one.tick))

    async with asyncio.TaskGroup() as tasks:
        lines = Lines(apply, tasks)
        for one in (cut("shop", 1), cut("shop", 2), cut("shop", None, live=True), cut(REAL, 9)):
            await lines.put(one)
    assert done == [("shop", 1), ("shop", 2), ("shop", None), (REAL, 9)]


@in_a_loop
async def test_what_fails_in_a_line_ends_the_whole() -> None:
    async def apply(_: Cut) -> None:
        raise ValueError("a bug")

    async def read() -> None:
        async with asyncio.TaskGroup() as tasks:
            await Lines(apply, tasks).put(cut("shop", 1))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await read()
    assert caught.group_contains(ValueError)
