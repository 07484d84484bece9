"""Two notifiers on a real Kafka, without a directory: each alert once; who is killed has an heir who loses nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from tests.kafka.notifying import AROUND, TICK_S, heard, house, logs, one_leads, ticking, told
from tests.rig.hygiene import tracebacks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MANY = int(os.environ.get("TIDEWATCH_ALERTS", "1000"))
"""Alerts of the fault-free run of the long form; a quarter of them more around each kill."""
SLOW_TICK_S = 3.0
"""Of the long form: two thousand queues in which somebody waits, reckoned anew each second, are more than half a core
can do, and what is looked at is who is told."""


async def story(
    broker: Broker, directory: Path, alerts: int, around: int, kills: int, tick_s: float = TICK_S
) -> Counter[tuple[str, str, str]]:
    """Fire alerts in a fault-free run, then some more around each kill of the leader."""
    async with house(broker.bootstrap, directory) as (notifiers, stream, there):
        notifiers.start("one")
        notifiers.start("two")
        await stream.step()
        await heard(stream, there, 0, notifiers)
        began = time.monotonic()
        await stream.step(alerts)
        await heard(stream, there, alerts, notifiers, tick_s)
        print(f"{alerts} alerts told, one a post, in {time.monotonic() - began:.0f} s")
        await ticking(stream, time.monotonic() + 2)
        assert max(told(there).values()) == 1, "a run without a fault repeats nothing"
        leaders = {name for name in ("one", "two") if "notifier_ready" in notifiers.said(name)}
        assert len(leaders) == 1, logs(notifiers)
        for number in range(kills):
            wanted = alerts + around * (number + 1)
            leader = notifiers.leader()
            assert leader is not None
            await stream.step(around)
            if number % 2:
                await heard(stream, there, wanted - around + 1, notifiers, tick_s)
            notifiers.kill(leader)
            (Path(directory) / f"{leader}.log").unlink()
            await heard(stream, there, wanted, notifiers, tick_s)
            notifiers.start(leader)
        await ticking(stream, time.monotonic() + 2)
        return told(there)


def test_each_alert_once_and_an_heir_tells_what_was_left(own_broker: Broker, tmp_path: Path) -> None:
    found = asyncio.run(story(own_broker, tmp_path, 20, 20, kills=1))
    assert len(found) == len({queue for queue, _, _ in found}) == 40, "one alert a queue, with one id"
    assert sum(found.values()) <= 40 + 1


async def asleep(broker: Broker, directory: Path) -> Counter[tuple[str, str, str]]:
    """The leader is paused in the middle of its telling until another leads, and comes back as if nothing had been."""
    async with house(broker.bootstrap, directory) as (notifiers, stream, there):
        await one_leads(notifiers, stream)
        await stream.step(AROUND)
        await heard(stream, there, 3, notifiers)
        with notifiers.stopped("one"):
            await stream.step(AROUND)
            await heard(stream, there, 2 * AROUND, notifiers)
            assert "notifier_ready" in notifiers.said("two")
        while "notifier_leads_no_more" not in notifiers.said("one"):
            await ticking(stream, time.monotonic() + 0.5)
        await stream.step(AROUND)
        await heard(stream, there, 3 * AROUND, notifiers)
        await ticking(stream, time.monotonic() + 3)
        assert notifiers.leader() == "two", "who was asleep stands by; nobody takes the lead back"
        assert notifiers.running["one"].poll() is None
        assert tracebacks(directory) == []
        return told(there)


def test_a_leader_that_was_only_asleep_tells_nothing_more_and_stands_by(own_broker: Broker, tmp_path: Path) -> None:
    found = asyncio.run(asyncio.wait_for(asleep(own_broker, tmp_path), 400))
    assert len(found) == len({queue for queue, _, _ in found}) == 3 * AROUND, "one alert a queue, with one id"
    assert sum(found.values()) <= 3 * AROUND + 1, "but for the one post that was under way when it fell asleep"


@pytest.mark.nightly
@pytest.mark.timeout(10_000)
def test_a_thousand_alerts_and_four_kills(own_broker: Broker, tmp_path: Path) -> None:
    around = MANY // 4
    found = asyncio.run(story(own_broker, tmp_path, MANY, around, kills=4, tick_s=SLOW_TICK_S))
    assert len(found) == len({queue for queue, _, _ in found}) == MANY + 4 * around
    assert sum(found.values()) <= MANY + 4 * around + 4
