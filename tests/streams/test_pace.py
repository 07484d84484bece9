"""How long a worker gathers before it commits: not at all when it is about to end, whatever there is to catch up on."""

from __future__ import annotations

import asyncio
import time

from streams.events import Event, Record, Tick
from streams.pace import BUSY, COMMIT_EVERY_S, COMPANY_S, FEW_EVENTS, LEFT_EVENTS, MOST_EVENTS, Pace


def some(n: int, received_at: int = 0) -> Record:
    """A record of so many events."""
    return Record(events=[Event(str(number), "message", 1, received_at=received_at) for number in range(n)])


def test_a_worker_that_is_about_to_end_gathers_no_more() -> None:
    async def gather() -> tuple[int, bool]:
        pace = Pace()
        pace.take(some(2 * BUSY), 1.0)
        pace.hurried = True
        gathering = asyncio.ensure_future(pace.gather())
        await asyncio.sleep(0)
        return pace.taken, gathering.done()

    assert asyncio.run(gather()) == (0, True)


def commits_at_its_end(events: int) -> bool:
    """Whether a worker that is told to end commits so many events."""
    pace = Pace()
    pace.take(some(events), 1.0)
    pace.hurried = True
    return asyncio.run(pace.gather())


def test_a_worker_that_ends_commits_little_and_leaves_much_to_the_next() -> None:
    assert commits_at_its_end(LEFT_EVENTS)
    assert not commits_at_its_end(LEFT_EVENTS + 1), "it is given seconds: as much as a kill would leave is left"


def test_it_knows_when_the_last_event_came_by_its_gateway_or_else_by_the_broker() -> None:
    pace = Pace()
    pace.take(some(2, received_at=1_772_445_600_000), 5.0)
    assert (pace.taken, pace.came_at) == (2, 1_772_445_600.0)
    pace.take(some(1), 1_772_445_700.0)
    assert (pace.taken, pace.came_at) == (3, 1_772_445_700.0)
    pace.take(Record(tick=Tick(1)), 1_772_445_900.0)
    assert (pace.taken, pace.came_at) == (3, 1_772_445_700.0), "a tick says nothing of how far behind it is"


def turns_of_the_loop(waiting: int, events: int) -> int:
    """How many turns of the loop, two at most, one that is far behind gathers for."""

    async def gather() -> int:
        pace = Pace(lambda: waiting)
        pace.take(some(events), 1.0)
        gathering = asyncio.ensure_future(pace.gather())
        for turn in range(2):
            await asyncio.sleep(0)
            if gathering.done():
                return turn + 1
        pace.hurried = True
        await gathering
        return 3

    return asyncio.run(gather())


def test_the_last_piece_of_a_backlog_waits_for_nothing() -> None:
    assert turns_of_the_loop(0, FEW_EVENTS) == 1
    assert turns_of_the_loop(1, FEW_EVENTS) == 3
    assert turns_of_the_loop(0, FEW_EVENTS - 1) == 3, "a slow replay is always behind: each record would be a commit"


def gathered(waiting: int | None, events: int, received_at: int = 1) -> bool:
    """Whether so many events in ten records are enough for a commit, with so many records still to be taken."""
    pace = Pace(lambda: waiting)
    for _ in range(10):
        pace.take(some(events // 10, received_at), 1.0)
    return pace.enough()


def test_far_behind_it_gathers_much_and_towards_the_end_half_of_what_was_left() -> None:
    assert not gathered(11, 2 * FEW_EVENTS)
    assert gathered(10, 2 * FEW_EVENTS)
    assert gathered(1_000, MOST_EVENTS), "what is gathered is in memory"
    assert not gathered(0, FEW_EVENTS - 10), "small commits say the same rows again and again"


def test_one_that_keeps_up_or_does_not_know_what_is_left_gathers_as_it_did() -> None:
    assert not gathered(0, 2 * FEW_EVENTS, received_at=time.time_ns() // 1_000_000)
    assert not gathered(None, 2 * FEW_EVENTS)
    assert gathered(None, MOST_EVENTS)


def waited(pace: Pace) -> float:
    """How long it gathers now, s."""
    began = time.monotonic()
    asyncio.run(pace.gather())
    return time.monotonic() - began


def test_what_comes_after_a_quiet_time_waits_for_company_only_and_what_follows_it_for_the_rest_of_a_turn() -> None:
    found, record = [], some(40, time.time_ns() // 1_000_000)
    for _ in range(20):
        pace = Pace()
        pace.take(record, 1.0)
        begun, first = time.monotonic(), waited(pace)
        pace.take(record, 1.0)
        waited(pace)
        found.append((first, time.monotonic() - begun))
    assert min(first for first, _ in found) < COMMIT_EVERY_S, "it waits a whole turn for nobody"
    assert all(first >= COMPANY_S and both >= COMPANY_S + COMMIT_EVERY_S for first, both in found)


def test_one_that_keeps_up_with_much_gathers_more_of_it() -> None:
    pace, record = Pace(), some(50 * BUSY, time.time_ns() // 1_000_000)
    waited(pace)
    pace.take(record, 1.0)
    assert waited(pace) >= COMPANY_S + COMMIT_EVERY_S
    assert pace.taken == 0
