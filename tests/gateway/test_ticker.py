from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway import ticker
from gateway.journal import Full
from tests.gateway.rig import run, until


@given(st.lists(st.integers(0, 10_000_000), min_size=1))
def test_ticks_stand_at_whole_seconds_and_never_go_back(moments: list[int]) -> None:
    last, ticks = 0, []
    for now in moments:
        last = ticker.due(now, last)
        ticks.append(last)
    assert ticks == sorted(ticks)
    assert all(tick % 1_000 == 0 for tick in ticks)
    assert ticks[0] == moments[0] // 1_000 * 1_000


def test_a_long_pause_is_followed_by_one_tick_and_a_full_disk_by_none() -> None:
    written: list[int] = []
    calls: list[int] = []

    async def write(at: int) -> None:
        calls.append(at)
        if len(calls) == 1:
            await asyncio.sleep(2.5)  # the disk hangs
        if len(calls) == 2:
            raise Full("the disk is full", 1)
        written.append(at)

    async def story() -> None:
        task = asyncio.create_task(ticker.run(write))
        await until(lambda: len(written) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        first, second, third = written[:3]
        assert second - first >= 3_000
        assert third - second == 1_000

    run(story())
