"""Who moves to another queue waits in one of them at a time, also in the gauges of panes that close after the move."""

from __future__ import annotations

from streams.events import Reading
from streams.windows import MINUTE
from tests.conformance.cases import Row
from tests.streams.line import Line, event_of

TENANT = "case"
START = 1_772_445_600_000
Gauges = dict[tuple[str, int], tuple[int, int | None]]
"""(queue, minute after the start) → backlog at its end, and how long the oldest had waited, s."""


class Watched(Line):
    """A line that keeps the gauges with which panes closed."""

    def __init__(self) -> None:
        super().__init__({}, partitions=1)
        self.closed: Gauges = {}

    def _read(self, reading: Reading) -> None:
        for run in (run for segment in reading.segments for run in segment.runs if run.backlog):
            for minute in range(run.since, run.until, MINUTE):
                oldest = None if run.oldest_since is None else (minute + MINUTE - run.oldest_since) // 1000
                self.closed[run.queue, (minute - START) // MINUTE] = (run.backlog, oldest)
        super()._read(reading)


def event(at: int, kind: str, conversation: str = "a", **more: object) -> Row:
    return {"id": f"{at}{kind}", "kind": kind, "at": START + at * 1000, "conversation": conversation, **more}


def gauges(*events: Row) -> Gauges:
    """The gauges of all panes, where the events come in their order and the clock ticks every 5 s for 4 min."""
    line = Watched()
    for now in range(START, START + 4 * MINUTE, 5_000):
        due = [event for event in events if now - 5_000 < event["at"] <= now]
        line.send([event_of(wire, TENANT) for wire in due])
        line.tick(now, TENANT)
        line.flush()
    return line.closed


ASKS = event(50, "message", author="customer", text="?", queue="sales")


def test_one_that_moves_before_the_pane_closes_waited_where_it_was_at_its_end() -> None:
    told = gauges(ASKS, event(65, "queued", queue="returns"))
    assert told == {("sales", 0): (1, 10), ("returns", 1): (1, 70)}


def test_one_that_moves_and_is_answered_before_the_pane_closes_was_in_one_queue_only() -> None:
    answer = event(70, "message", author="agent", author_id="amy", text="!")
    assert gauges(ASKS, event(65, "queued", queue="returns"), answer) == {("sales", 0): (1, 10)}


def test_the_oldest_of_the_others_stays_the_oldest() -> None:
    other = event(55, "message", "b", author="customer", text="?", queue="returns")
    told = gauges(ASKS, other, event(65, "transferred", queue="returns"))
    assert told == {("sales", 0): (1, 10), ("returns", 0): (1, 5), ("returns", 1): (2, 70)}


def test_one_that_moves_on_the_border_waited_before_it() -> None:
    told = gauges(ASKS, event(60, "queued", queue="returns"))
    assert told == {("sales", 0): (1, 10), ("returns", 1): (1, 70)}
