"""An internal note is invisible: wherever one is written, and whenever it arrives, every number stays as it was."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from tests.conformance.cases import Row
from tests.reference.given import DAY, MINUTE
from tests.reference.metrics import reckon
from tests.reference.streams import Stream, story
from tests.streams.line import Line, event_of
from tests.streams.test_reference import TENANT, differences, told

START = 1_772_445_600_000


def noted(stream: Stream, chance: Random) -> Stream:
    """The same, with notes in its conversations: some of them days ahead, and known before what lies behind them."""
    events = list(stream.events)
    names = sorted({event["conversation"] for event in events if "conversation" in event})
    for number in range(6 if names else 0):
        at = chance.choice(events)["at"] + chance.choice((0, 1, -1, MINUTE, 10 * MINUTE, DAY, 2 * DAY))
        events.insert(chance.randint(0, len(events)), note(f"note{number}", at, chance.choice(names)))
    return dataclasses.replace(stream, events=events)


def note(name: str, at: int, conversation: str) -> Row:
    """A private message that says all that a message may."""
    return {
        "id": name, "kind": "message", "at": at, "conversation": conversation, "author": "agent", "author_id": "zed",
        "private": True, "text": "?", "queue": "other", "channel": "other", "customer": "other",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_notes_change_no_number(seed: int) -> None:
    stream = story(seed)
    answer = told(noted(stream, Random(seed)), seed)
    answer["late"] = [name for name in answer["late"] if not name.startswith("note")]
    assert differences(reckon(stream.events, stream.settings, stream.tick), answer) == []


def test_a_note_after_the_tick_closes_nothing() -> None:
    line = Line({"expire_s": 600})
    sent = [
        {"id": "a", "kind": "message", "at": START, "conversation": "c", "author": "agent", "author_id": "amy"},
        note("b", START + 700_000, "c"),
    ]
    line.send([event_of(row, TENANT) for row in sent])
    for now, state in ((START + 500_000, "waiting_on_customer"), (START + 600_000, "closed")):
        line.tick(now, TENANT)
        line.flush()
        (row,) = line.episode_rows()
        assert row.state == state
    assert [event.episode for event in line.events.values()] == [1, None]
