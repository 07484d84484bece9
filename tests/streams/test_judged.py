"""The numbers of a tick, reckoned with a breath now and then, are those reckoned at once; nothing is lost in one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

from config.settings import TenantSettings
from streams.events import REAL, Event, Reading, Record, Tick
from streams.lines import Lines
from streams.notifier import KEYS, Judged, Reader
from streams.policy import Policy
from streams.present import Present, View
from streams.shard import Shard
from streams.standby import Standby
from tests.streams.line import Shelf

NOW = 1_772_445_600_000
QUEUES = 5 * KEYS


def reading() -> Reading:
    """One partition in which a customer waits in each of many queues."""
    found = waited_in().reading()
    assert found is not None
    return found


def waited_in() -> Shard:
    """The partition."""
    policy = Policy(TenantSettings())
    shard = Shard(0, lambda _: policy, Shelf())
    events = [
        Event(
            id="m", kind="message", at=NOW, tenant="shop", conversation=f"c{n}", author="customer", text="?",
            queue=f"q{n}", received_at=NOW,
        )
        for n in range(QUEUES)
    ]  # fmt: skip
    shard.step(1, Record(events=events))
    shard.step(2, Record(tick=Tick(NOW + 1_000, None)))
    return shard


def judged() -> Judged:
    """The present that a tick is judged on, with all of it."""
    policy = Policy(TenantSettings())
    present = Present(1, lambda _: policy)
    for segment in reading().segments:
        present.take(0, segment)
    return Judged(present)


def test_what_was_prepared_is_what_is_reckoned_at_once_and_others_had_their_turn() -> None:
    at_once, slowly, turns = judged(), judged(), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def story() -> None:
        task = asyncio.create_task(other())
        await slowly.prepare(REAL, NOW + 1_000)
        task.cancel()

    asyncio.run(story())
    told, wanted = slowly.readings(REAL, NOW + 1_000), at_once.readings(REAL, NOW + 1_000)
    by = {(key["queue"], key["channel"]): key for key in told.keys}
    assert by == {(key["queue"], key["channel"]): key for key in wanted.keys}
    assert turns >= QUEUES // KEYS


def test_what_stands_is_taken_in_before_anybody_leads_and_what_is_to_be_judged_is_kept() -> None:
    policy = Policy(TenantSettings())

    async def story() -> tuple[int, int]:
        reader = Reader(1, lambda _: policy)  # type: ignore[arg-type]  # all it asks of it
        views = reader._judged.present.views
        async with asyncio.TaskGroup() as tasks:
            lines = Lines(reader._apply, tasks)
            await reader._take(reading(), lines)
            before = len(views)
            reader._standby = Standby()
            await reader._take(waited_in().base().decoded(), lines)
        return before, len(views["shop"].gauges)

    assert asyncio.run(story()) == (0, QUEUES)


def test_a_key_that_is_stirred_during_a_breath_is_reckoned_anew() -> None:
    one = judged()
    (view,) = one.present.views.values()
    said: list[str] = []

    def explain(_: View, key: dict[str, Any], __: int) -> dict[str, Any]:
        said.append(key["queue"])
        return key

    one.explain = explain

    async def story() -> None:
        preparing = asyncio.create_task(one.prepare(REAL, NOW + 1_000))
        await asyncio.sleep(0)
        view.stir([("q0", "web")])
        await preparing

    asyncio.run(story())
    before = said.count("q0")
    one.readings(REAL, NOW + 1_000)
    assert said.count("q0") == before + 1
    said.clear()
    one.readings(REAL, NOW + 2_000)
    assert len(said) > QUEUES, "at the next tick what is active is reckoned anew"


def test_a_mistake_in_one_number_leaves_its_tick_out_and_the_next_is_whole() -> None:
    """What was reckoned before it, and what would have come after, is not taken for done."""
    policy, told = Policy(TenantSettings()), []
    desk = SimpleNamespace(watch=SimpleNamespace(known=lambda *_: False, judge=lambda *tick: told.append(tick)))
    insight = SimpleNamespace(ticked=AsyncMock())
    broken, right = Reader(1, lambda _: policy), judged()  # type: ignore[arg-type]  # all it asks of it
    broken._judged, explain, asked = judged(), right.explain, 0

    def mistaken(view: View, key: dict[str, Any], tick: int) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return explain(view, key, tick // 0 if asked == KEYS else tick)

    broken._judged.explain = mistaken
    for view in (broken._judged.present.views["shop"], right.present.views["shop"]):
        view.active = lambda _: set()  # type: ignore[assignment,method-assign]  # time alone changes none of them

    async def story() -> None:
        await broken._judge(REAL, NOW + 1_000, desk, insight)  # type: ignore[arg-type]  # nothing else of them is asked for
        assert told == []
        await broken._judge(REAL, NOW + 2_000, desk, insight)  # type: ignore[arg-type]
        await right.prepare(REAL, NOW + 2_000)

    asyncio.run(story())
    ((_, tick, found),) = told
    assert tick == NOW + 2_000
    assert sorted(found.keys, key=str) == sorted(right.readings(REAL, tick).keys, key=str)
    assert len(found.keys) > QUEUES


def test_a_mistake_in_the_words_of_a_cut_leaves_its_tick_to_be_judged() -> None:
    policy, told = Policy(TenantSettings()), []
    desk = SimpleNamespace(watch=SimpleNamespace(known=lambda *_: False, judge=lambda *tick: told.append(tick)))
    insight = SimpleNamespace(ticked=AsyncMock(), hear=AsyncMock(side_effect=ZeroDivisionError))
    reader = Reader(1, lambda _: policy)  # type: ignore[arg-type]  # all it asks of it
    reader._leading = desk, insight  # type: ignore[assignment]  # nothing else of them is asked for

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            reader._standby.rest()
            await reader._take(reading(), Lines(reader._apply, tasks))

    asyncio.run(story())
    ((_, tick, found),) = told
    assert (tick, len(found.keys) > QUEUES) == (NOW + 1_000, True)
