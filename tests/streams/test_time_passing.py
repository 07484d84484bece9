"""What time leaves behind as it passes: gauges of every minute, windows that empty, restatements told once."""

from __future__ import annotations

from config.settings import TenantSettings
from streams.events import PaneRow, Run, Segment
from streams.policy import Policy
from streams.present import Present, View
from streams.windows import HOUR, MINUTE
from tests.conformance.cases import Row
from tests.streams.line import Line, event_of

T0 = 1_772_445_600_000
KEY = ("a", "web")


class Runs(Line):
    """A line that keeps the runs of gauges it is told."""

    def __init__(self) -> None:
        super().__init__(partitions=1)
        self.runs: list[Run] = []

    def flush(self) -> None:
        reading = self.shards[0].reading()
        for segment in reading.segments if reading else []:
            self.runs += segment.runs

    def minutes(self) -> list[int]:
        """The minutes after T0 for which gauges were told, in order."""
        return [minute for run in self.runs for minute in range((run.since - T0) // MINUTE, (run.until - T0) // MINUTE)]


def said(at: int, author: str, name: str = "c") -> Row:
    """A message."""
    return {"id": f"{at}{author}", "kind": "message", "at": at, "conversation": name, "author": author, "queue": "a"}


def test_every_minute_until_a_closing_has_its_gauges_when_one_tick_jumps_over_hours() -> None:
    line = Runs()
    line.send([event_of(said(T0, "customer"), "t"), event_of(said(T0 + HOUR, "agent"), "t")])
    line.tick(T0 + 72 * HOUR, "t")
    line.flush()
    closed = 25 * 60  # a day after the answer
    assert line.minutes() == list(range(closed))


def test_a_minute_keeps_the_backlog_it_ended_with_when_the_answer_is_what_closes_it() -> None:
    line = Runs()
    line.send([event_of(said(T0 + 10_000, "customer"), "t"), event_of(said(T0 + 200_000, "agent"), "t")])
    line.tick(T0 + 10 * MINUTE, "t")
    line.flush()
    told = [
        (minute, run.backlog, run.oldest_since)
        for run in line.runs
        for minute in range((run.since - T0) // MINUTE, (run.until - T0) // MINUTE)
    ]
    waiting = (1, T0 + 10_000)
    assert told[:3] == [(0, *waiting), (1, *waiting), (2, *waiting)], "none of the minute before it opened"
    assert told[3:] == [(minute, 0, None) for minute in range(3, 9)]


def test_a_quiet_minute_has_its_row_when_all_is_closed_before_the_watermark_passes_it() -> None:
    line = Runs()
    closing = {"id": "z", "kind": "closed", "at": T0 + 125_000, "conversation": "c"}
    line.send([event_of(said(T0 + 10_000, "customer"), "t"), event_of(closing, "t")])
    line.tick(T0 + 10 * MINUTE, "t")
    line.flush()
    told = {m: run.backlog for run in line.runs for m in range((run.since - T0) // MINUTE, (run.until - T0) // MINUTE)}
    assert told == {0: 1, 1: 1, 2: 0}


def view_at(now: int, *panes: PaneRow) -> View:
    """A view that has shown its key at `now`."""
    present = Present(1, lambda _: Policy(TenantSettings()))
    present.take(0, Segment(panes=list(panes)))
    view = present.view("t")
    for key in view.keys:
        view.key(key, now)
    view.dirty.clear()
    return view


def test_a_key_that_falls_silent_is_shown_again_however_far_the_clock_jumps() -> None:
    view = view_at(T0, PaneRow("t", *KEY, T0 - MINUTE, 1, {"closed": 1}))
    later = T0 + 6 * HOUR
    assert KEY in view.active(later)
    assert view.key(KEY, later)["windows"]["30m"]["closed"] == 0
    assert KEY not in view.active(later + MINUTE)


def test_a_restatement_of_a_minute_without_a_row_is_told_with_what_was_there_before() -> None:
    view = view_at(T0)
    view.take_pane(0, PaneRow("t", *KEY, T0 - 9 * MINUTE, 5, {"customer_messages": 1}, restated=1))
    told = [(item["field"], item["old"], item["new"]) for item in view.key(KEY, T0)["restated"]]
    assert told == [("customer_messages", 0, 1)]


def test_what_stands_is_no_restatement_when_it_is_said_again() -> None:
    line = Line(partitions=1)
    line.send([event_of(said(T0, "customer"), "t"), event_of(said(T0 + HOUR, "customer", "d"), "t")])
    line.send([event_of(said(T0 + MINUTE, "customer", "e"), "t")])
    line.tick(T0 + HOUR, "t")
    line.flush()
    key = line.present.view("t").key(KEY, T0 + HOUR)
    assert {item["new"] for item in key["restated"] if item["field"] == "customer_messages"} == {1}
    line.present.views.clear()
    line.restart(0)
    assert line.present.view("t").key(KEY, T0 + HOUR)["restated"] == []
