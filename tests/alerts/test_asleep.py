"""Notifiers as processes on one directory: who holds its lock leads, also while asleep; channels change as they run."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.receiver import Receiver, receiver
from tests.kafka.notifying import AROUND, Notifiers, Stream, heard, house, one_leads, ticking, told
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


async def other_channels(bootstrap: str, directory: Path) -> None:
    """The settings' file names another channel while an alert fires; then it has a mistake; then it is right again."""
    config = directory / "tidewatch.toml"
    (directory / "data").mkdir()
    async with house(bootstrap, directory, directory / "data") as (notifiers, stream, there), receiver() as other:
        notifiers.start("one")
        await stream.step(1)
        await heard(stream, there, 1, notifiers)
        before = config.read_text()
        after = before.replace(there.url, other.url).replace('name = "hook"', 'name = "new"')
        assert after != before
        replaced(config, after)
        await said(notifiers, stream, "settings_reloaded")
        await stream.step(1)
        await heard(stream, other, 1, notifiers)
        replaced(config, after.replace('type = "webhook"', 'type = "pigeon"'))
        await said(notifiers, stream, "settings_refused")
        while not refusals(other):
            await ticking(stream, time.monotonic() + 0.5)
        (refused,) = refusals(other)
        assert "pigeon" in refused["reason"]
        await stream.step(1)
        await heard(stream, other, 2, notifiers)
        replaced(config, after)
        while len(refusals(other)) < 2:
            await ticking(stream, time.monotonic() + 0.5)
        assert [one["state"] for one in refusals(other)] == ["firing", "resolved"]
        assert max((told(there) + told(other)).values()) == 1, "nothing twice, and nothing old to the new one"
        assert len(told(there)) == 1
        assert notifiers.running["one"].poll() is None


def replaced(path: Path, text: str) -> None:
    """Write it as editors do."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def refusals(there: Receiver) -> list[dict[str, Any]]:
    """What was told of settings that have a mistake."""
    return [post.json for post in there.posts if post.json["rule"] == "rules-refused/"]


async def said(notifiers: Notifiers, stream: Stream, event: str) -> None:
    """Tick until the log has it."""
    async with asyncio.timeout(120):
        while event not in notifiers.said("one"):
            await ticking(stream, time.monotonic() + 0.5)


def test_other_channels_are_taken_up_without_a_restart_and_a_mistake_keeps_those_before(
    broker: Broker, tmp_path: Path
) -> None:
    asyncio.run(asyncio.wait_for(other_channels(f"127.0.0.1:{broker.port}", tmp_path), 500))
