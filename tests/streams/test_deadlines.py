"""What is to be looked at later: no more of it stays than stands, and what stands is not lost."""

from __future__ import annotations

from streams.windows import HOUR, MINUTE
from tests.conformance.cases import Row
from tests.streams.line import Line, event_of

T0 = 1_772_445_600_000
MANY, ENDED = 40, 9
FOR_ALL = 1 << 60
"""A round behind all others: every conversation is at rest by then."""


def said(at: int, author: str, name: str) -> Row:
    """A message."""
    return {"id": f"{at}{author}", "kind": "message", "at": at, "conversation": name, "author": author, "queue": "a"}


def lived(tidied: bool) -> tuple[Line, list[tuple[int, int]]]:
    """Conversations that went to and fro for an hour and rested between, some closed. And of each turn's end: how many
    deadlines there are, and how many are open.
    """
    line, there = Line(partitions=1), []
    for turn in range(12):
        at = T0 + turn * 5 * MINUTE
        for number in range(turn % 2, MANY, 2) if turn < 8 else range(10 + turn % 3, MANY, 3):
            name = f"c-{number}"
            line.send([event_of(said(at + number, "customer", name), "t")])
            if number % 3 or turn % 3:
                line.send([event_of(said(at + number + 3_000, "agent", name), "t")])
        if turn == 8:
            ends = [
                {"id": f"end-{n}", "kind": "closed", "at": at + HOUR // 60, "conversation": f"c-{n}"}
                for n in range(ENDED)
            ]
            line.send([event_of(end, "t") for end in ends])
        line.tick(at + 4 * MINUTE, "t")
        one = line.shards[0]._lines["t"]
        one.most_deadlines = 0 if tidied and turn % 4 == 3 else 1_000_000  # so that some rest with several
        line.flush()
        one._rest(FOR_ALL)
        there.append((len(one.deadlines), sum(gauge.open for gauge in one.gauges.values())))
    return line, there


def test_deadlines_that_stand_no_more_are_let_go_of() -> None:
    assert all(there == of for there, of in lived(tidied=True)[1][3::4])
    there, of = lived(tidied=False)[1][-1]
    assert there > of + of // 2


def test_all_ends_when_it_would_have_ended_with_every_deadline_kept() -> None:
    tidied, kept = lived(tidied=True)[0], lived(tidied=False)[0]
    for line in (tidied, kept):
        line.tick(T0 + 72 * HOUR, "t")
        line.flush()
    assert [row.closed_at for row in tidied.episode_rows()] == [row.closed_at for row in kept.episode_rows()]
    by_the_clock = [row for row in tidied.episode_rows() if (row.closed_at or 0) > T0 + 24 * HOUR]
    assert len(by_the_clock) > MANY // 2
    assert tidied.minute_rows() == kept.minute_rows()
    assert tidied.shelves[0].rows == kept.shelves[0].rows
