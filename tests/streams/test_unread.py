"""FAULTS C-02: what a group has not read, from offsets alone; and a look that fails ends nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from alerts.ourselves import Unread
from streams import unread
from streams.events import ALERTS, READINGS
from streams.unread import READERS, Standing, watch

NOW = 1_000_000
KEEPS_MS = 1_000


def standing(
    begin: int, end: int, committed: int | None, age_ms: int = 0, topic: str = READINGS, keeps_ms: int = KEEPS_MS
) -> Standing:
    """A partition whose oldest unread record is so old."""
    return Standing(topic, begin, end, keeps_ms, committed, NOW - age_ms)


@pytest.mark.parametrize(
    ("line", "used", "lost"),
    [
        (standing(0, 9, 4, 500), 0.5, 0),
        (standing(0, 9, None, 500), 0.5, 0),
        (standing(3, 9, None, 500), 0.5, 0),  # it never read: nothing was promised
        (standing(5, 9, 2, 900), 0.9, 3),
        (standing(9, 9, 2, 900), 0.0, 7),  # all of it was deleted
        (standing(0, 9, 9, 900), 0.0, 0),
        (standing(0, 9, 12, 900), 0.0, 0),  # the topic was made anew
        (standing(0, 9, 4, 500, keeps_ms=0), 0.0, 0),
        (standing(0, 9, 4, -300), 0.0, 0),  # stamped by a clock that is ahead
        (Standing(READINGS, 0, 9, KEEPS_MS, 4), 0.0, 0),
    ],
)
def test_one_partition(line: Standing, used: float, lost: int) -> None:
    assert unread.reckoned("sink", [line], NOW) == Unread("sink", READINGS, used, lost)


def test_the_topic_that_is_worst_is_named_and_losses_are_added_up() -> None:
    lines = [standing(5, 9, 2, 300), standing(4, 9, 0, 800, ALERTS), standing(0, 9, 9)]
    assert unread.reckoned("sink", lines, NOW) == Unread("sink", ALERTS, 0.8, 7)


def test_a_role_without_topics_has_nothing_unread() -> None:
    assert unread.reckoned("sink", [], NOW) == Unread("sink", READINGS, 0.0, 0)


@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 120))
def test_a_record_is_read_lost_or_still_to_be_read_and_never_two_of_these(
    begin: int, there: int, committed: int | None
) -> None:
    line = standing(begin, begin + there, committed)
    promised = range(begin if committed is None else 0, line.end)
    read = [at for at in promised if committed is not None and at < committed]
    lost = [at for at in promised if at not in read and at < begin]
    left = [at for at in promised if at not in read and at >= begin]
    assert (line.lost, max(0, line.end - line.next)) == (len(lost), len(left))
    assert not left or line.next == left[0]
    assert line.waiting == (line.next < line.end)


def failing(error: BaseException) -> Callable[[str], object]:
    """A look that fails for the sink, and finds something for the others."""

    async def look(role: str) -> Unread:
        if role == "sink":
            raise error
        return Unread(role, "chat.events", 0.5, 0)

    return look


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), OSError("away"), AttributeError("error_code"), asyncio.CancelledError()]
)
def test_a_look_that_fails_tells_nothing_of_its_role_and_the_others_are_told_of(error: BaseException) -> None:
    told: list[Unread] = []

    async def story() -> None:
        watching = asyncio.create_task(watch(failing(error), told.append))  # type: ignore[arg-type]
        while len(told) < len(READERS) - 1:
            assert not watching.done()
            await asyncio.sleep(0)
        assert not watching.done()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    asyncio.run(asyncio.wait_for(story(), 10))
    assert [one.role for one in told] == ["worker"]


def test_it_ends_while_it_looks() -> None:
    async def story() -> None:
        looking = asyncio.Event()

        async def look(_: str) -> Unread:
            looking.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as gone:
                raise KafkaConnectionError from gone
            raise AssertionError

        watching = asyncio.create_task(watch(look, lambda _: None))
        await looking.wait()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    asyncio.run(asyncio.wait_for(story(), 10))
