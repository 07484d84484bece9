"""A day of panes is not held in memory: what is some hours old is let go of, and found again when it changes."""

from __future__ import annotations

from streams.events import Event
from streams.line import WARM_PANES
from streams.windows import HOUR, MINUTE
from tests.streams.line import Line

START, TENANT = 1_772_445_600_000, "case"
HOURS = 8


def said(name: str, at: int) -> Event:
    """A customer's first message in a conversation of its own."""
    who = {"conversation": name, "author": "customer", "author_id": "u", "text": "where is my parcel"}
    return Event(f"m-{name}", "message", at, TENANT, replay=True, **who)  # type: ignore[arg-type]


def through(hours: int) -> Line:
    """A message at the beginning of every hour, each committed."""
    line = Line(partitions=1)
    for hour in range(hours):
        line.send([said(f"c{hour}", START + hour * HOUR)])
        line.tick(START + hour * HOUR + 10 * MINUTE, TENANT)
        line.flush()
    return line


def in_memory(line: Line) -> set[int]:
    """Minutes of the panes that are held, in hours since the start."""
    return {(minute - START) // HOUR for _, _, minute in line.shards[0]._lines[TENANT].panes}


def messages(line: Line, minute: int) -> int:
    """What table `minutes` says of one."""
    return sum(row["messages"] for row in line.minute_rows() if row["minute"] == minute)


def test_panes_of_hours_ago_are_let_go_of_and_count_on_when_something_comes_for_them() -> None:
    line = through(HOURS)
    assert in_memory(line) == set(range(HOURS - WARM_PANES // HOUR, HOURS))
    line.send([said("late", START + 1_000)])
    line.flush()
    assert messages(line, START) == 2, "the one that came then, and the one that comes now"
    line.send([said("later", START + 2_000)])
    line.tick(START + HOURS * HOUR, TENANT)
    line.flush()
    assert messages(line, START) == 3
    assert 0 not in in_memory(line)


def test_a_start_says_all_panes_of_the_day_again_and_holds_the_last_hours() -> None:
    line = through(HOURS)
    line.panes.clear()
    line.restart(0)
    assert [messages(line, START + hour * HOUR) for hour in range(HOURS)] == [1] * HOURS
    line.tick(START + HOURS * HOUR, TENANT)
    line.flush()
    assert len(in_memory(line)) <= WARM_PANES // HOUR + 1
