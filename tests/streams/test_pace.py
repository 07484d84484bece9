"""How long a worker gathers before it commits: not at all when it is about to end, whatever there is to catch up on."""

from __future__ import annotations

import asyncio

from streams.events import Event, Record, Tick
from streams.pace import BUSY, Pace


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


def test_it_knows_when_the_last_event_came_by_its_gateway_or_else_by_the_broker() -> None:
    pace = Pace()
    pace.take(some(2, received_at=1_772_445_600_000), 5.0)
    assert (pace.taken, pace.came_at) == (2, 1_772_445_600.0)
    pace.take(some(1), 1_772_445_700.0)
    assert (pace.taken, pace.came_at) == (3, 1_772_445_700.0)
    pace.take(Record(tick=Tick(1)), 1_772_445_900.0)
    assert (pace.taken, pace.came_at) == (3, 1_772_445_700.0), "a tick says nothing of how far behind it is"
