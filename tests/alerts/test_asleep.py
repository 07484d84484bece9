"""Two notifiers on one directory: the one that holds its lock leads, also while it is only asleep."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.test_notifiers import AROUND, heard, house, one_leads, told
from tests.sinks.test_store import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ASLEEP_TICKS = 10
"""More seconds than any lease lasts."""


@pytest.fixture
def broker() -> Iterator[Broker]:
    """The embedded one."""
    started = Broker()
    yield started
    started.close()


async def story(bootstrap: str, directory: Path) -> Counter[tuple[str, str, str]]:
    """The leader falls asleep while it tells, wakes, tells the rest, and dies; the other tells what comes after."""
    (directory / "data").mkdir()
    async with house(bootstrap, directory, directory / "data") as (notifiers, stream, there):
        await one_leads(notifiers, stream)
        await stream.step(AROUND)
        await heard(stream, there, 3, notifiers)
        with notifiers.stopped("one"):
            before = told(there)
            await stream.step(AROUND)
            for _ in range(ASLEEP_TICKS):
                await asyncio.sleep(1)
                await stream.step()
            assert "notifier_ready" not in notifiers.said("two"), "the lock is held"
            assert sum(told(there).values()) <= sum(before.values()) + 1, "nobody speaks for it"
        await heard(stream, there, 2 * AROUND, notifiers)
        assert notifiers.leader() == "one"
        notifiers.kill("one")
        await stream.step(AROUND)
        await heard(stream, there, 3 * AROUND, notifiers)
        assert notifiers.leader() == "two"
        return told(there)


def test_a_leader_that_is_only_asleep_keeps_its_directory_and_tells_all_once_when_it_wakes(
    broker: Broker, tmp_path: Path
) -> None:
    found = asyncio.run(asyncio.wait_for(story(f"127.0.0.1:{broker.port}", tmp_path), 500))
    assert len(found) == len({queue for queue, _, _ in found}) == 3 * AROUND, "one alert a queue, with one id"
    assert sum(found.values()) <= 3 * AROUND + 1, "but for the one post that was under way when it was killed"
