"""The file of a health check is touched while the loop turns, stands still with it, and is gone at the end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from config import alive


def test_it_is_touched_while_the_loop_turns_and_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alive"
    monkeypatch.setenv(alive.VARIABLE, str(file))
    monkeypatch.setattr(alive, "EVERY_S", 0.01)

    async def work() -> None:
        async with asyncio.timeout(60):
            while not file.exists():
                await asyncio.sleep(0.01)
            first = file.stat().st_mtime_ns
            while file.stat().st_mtime_ns == first:
                await asyncio.sleep(0.01)
        last = file.stat().st_mtime_ns
        time.sleep(0.1)  # a loop that stands touches nothing
        assert file.stat().st_mtime_ns == last

    asyncio.run(alive.beating(work()))
    assert not file.exists()


def test_a_place_that_cannot_be_written_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(alive.VARIABLE, "/nowhere/alive")
    done: list[bool] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    asyncio.run(alive.beating(work()))
    monkeypatch.delenv(alive.VARIABLE)
    asyncio.run(alive.beating(work()))
    assert done == [True, True]
