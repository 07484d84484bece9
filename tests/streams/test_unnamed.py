"""A person whose message says no id answers as anybody does, and holds nothing: nobody could say who has it."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from tests.conformance.cases import Row
from tests.reference.metrics import reckon
from tests.reference.streams import Stream, story
from tests.streams.line import Line, event_of
from tests.streams.test_reference import TENANT, differences, told

START = 1_772_445_600_000


def unnamed(stream: Stream, chance: Random) -> Stream:
    """The same, with every other agent's name left out."""
    events = [
        {name: value for name, value in event.items() if name != "author_id"}
        if event.get("author") == "agent" and chance.random() < 0.5
        else event
        for event in stream.events
    ]
    return dataclasses.replace(stream, events=events)


@pytest.mark.parametrize("seed", range(20))
def test_the_numbers_are_the_references_where_names_are_missing(seed: int) -> None:
    stream = unnamed(story(seed, conversations=6, steps=20), Random(seed))
    assert differences(reckon(stream.events, stream.settings, stream.tick), told(stream, seed)) == []


def said(number: int, author: str, **more: object) -> Row:
    """One message of the conversation, a second after the one before."""
    row: Row = {"id": f"e{number}", "kind": "message", "at": START + number * 1_000, "seq": number}
    return row | {"conversation": "c", "author": author, "text": "?"} | more


def test_it_is_unassigned_until_somebody_with_a_name_takes_it() -> None:
    line, at = Line(), START + 60_000
    line.send([event_of(row, TENANT) for row in (said(1, "customer"), said(2, "agent"), said(3, "customer"))])
    line.tick(at, TENANT)
    line.flush()
    key = min(line.present.view(TENANT).keys)  # the one of all queues
    now = line.present.view(TENANT).key(key, at)
    assert (now["awaiting_reply"], now["unassigned"]) == (1, 1)
    line.send([event_of(row, TENANT) for row in (said(4, "agent", author_id="bob"), said(5, "customer"))])
    line.tick(at + 1_000, TENANT)
    line.flush()
    now = line.present.view(TENANT).key(key, at + 1_000)
    assert (now["awaiting_reply"], now["unassigned"]) == (1, 0)
    assert [row.agent for row in line.episode_rows()] == ["bob"]
