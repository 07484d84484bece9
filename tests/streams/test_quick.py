"""The short way of a message and the definition come to the same: what is said, and what is kept, byte for byte."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.events import AgentRow, Event, encode
from streams.said import LISTS, Told
from tests.reference.streams import START, Stream, story, streams
from tests.streams.line import Line
from tests.streams.test_words_in_the_fold import Table, stamped

TENANT = "case"


class Heard(Line):
    """A line that keeps what its first partition says."""

    def __init__(self, given: dict[str, Any] | None, short: bool = True) -> None:
        super().__init__(given, partitions=1, reader=Table(), short=short)
        self.said: list[Any] = []
        self.agents: dict[str, AgentRow] = {}

    def flush(self) -> None:
        told = self.shards[0].told()
        self.shelves[0].keep(self.shards[0].changes())
        if told is not None:
            self.said += rows(told)
            for segment in told.decoded().segments:
                self.agents |= {row.agent: msgspec.structs.replace(row, version=0) for row in segment.agents}

    def kept(self) -> dict[Any, Any]:
        """All that is kept, conversations without what only serves the moment."""
        out: dict[Any, Any] = {}
        for key, row in self.shelves[0].rows.items():
            out[key] = msgspec.msgpack.decode(row.value)
            if row.kind == "conversation":
                out[key] = (row.live, out[key][:-1])
        return out


def rows(told: Told) -> list[Any]:
    """What is said, in order; of rows whose order means nothing, as a set. An agent said again unchanged counts not."""
    return [
        (
            part.clock,
            part.tick,
            part.live,
            {name: sorted(part.rows.get(name, [])) for name in LISTS if name != "agents"},
        )
        for part in told.parts
    ]


def through(events: list[Event], given: dict[str, Any], tick: int, seed: int, short: bool) -> Heard:
    """A line after these events, with ticks, commits and restarts as chance will have them."""
    chance, line = Random(seed), Heard(given, short)
    events = [msgspec.json.decode(encode(event), type=Event) for event in events]  # as they come: no text is a constant
    while events:
        some = chance.choice((1, 2, 5, 20))
        line.send(events[:some])
        newest = max(event.at for event in events[:some])
        events = events[some:]
        if chance.random() < 0.5:
            line.tick(min(tick, newest), TENANT)
        if chance.random() < 0.4:
            line.flush()
            if chance.random() < 0.3:
                line.restart(0)
    line.tick(tick, TENANT)
    line.flush()
    return line


def same(events: list[Event], given: dict[str, Any], tick: int, seed: int) -> None:
    """Both ways come to the same."""
    short = through(events, given, tick, seed, short=True)
    long = through(events, given, tick, seed, short=False)
    assert short.said == long.said
    assert short.kept() == long.kept()
    assert short.agents == long.agents


@pytest.mark.parametrize("seed", range(30))
def test_a_made_up_stream_is_said_and_kept_the_same_either_way(seed: int) -> None:
    stream = story(seed)
    same([stamped(wire) for wire in stream.events], stream.settings, stream.tick, seed)


@given(stream=streams(), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_stream_is_said_and_kept_the_same_either_way(stream: Stream, seed: int) -> None:
    same([stamped(wire) for wire in stream.events], stream.settings, stream.tick, seed)


STEPS = (
    *["customer"] * 4, *["agent"] * 3, *["assigned"] * 2, "bot", "note", "system", "left", "back", "queued", "handoff",
    "transferred", "closed", "closed", "rated",
)  # fmt: skip


ROUTES: dict[str, tuple[dict[str, Any], ...]] = {
    "transferred": ({"agent": "bob", "queue": "vip"}, {"queue": "vip"}),
    "assigned": ({"agent": "amy"}, {"agent": "bob"}, {"agent": "amy", "queue": "vip"}, {"agent": ""}),
    "closed": ({}, {"by": "agent"}, {"agent": "amy"}, {"by": "customer", "resolved": False}, {"topic": "refund"}),
    "queued": ({}, {"queue": "vip"}),
    "handoff": ({},),
    "rated": ({"score": 5},),
}


@st.composite
def talks(draw: st.DrawFn) -> list[Event]:
    """A few conversations with many turns, which is where the short way is taken; with disorder and repeats."""
    events: list[Event] = []
    for name in range(draw(st.integers(1, 3))):
        at = START + draw(st.sampled_from((0, 3_600_000)))
        for number, step in enumerate(draw(st.lists(st.sampled_from(STEPS), min_size=3, max_size=25))):
            at += draw(st.sampled_from((0, 1, 5_000, 59_999, 60_000, 20 * 60_000, 25 * 3_600_000)))
            events.append(turn(f"c{name}", number, at, step))
    for _ in range(draw(st.integers(0, 4))):
        one = draw(st.integers(0, len(events) - 1))
        events.insert(draw(st.integers(0, len(events))), events.pop(one) if draw(st.booleans()) else events[one])
    return events


def turn(name: str, number: int, at: int, step: str) -> Event:
    """One event of a talk."""
    kinds = {"left": "customer_left", "back": "customer_back"} | {kind: kind for kind in ROUTES}
    who = f"{step}-{number % 2}" if number % 7 else None
    more: dict[str, Any] = {"author": step, "author_id": who, "customer": "u" if number % 4 == 0 else None}
    if step in kinds:
        more = ROUTES.get(step, ({},))[number % len(ROUTES.get(step, ({},)))]
    if step == "note":
        more |= {"author": "agent", "private": True}
    if step == "customer":
        more["sentiment"], more["type"] = ((None, "image"), (0.0, None), (-0.5, None), (0.4, None))[number % 4]
        more["keywords"] = (("parcel", "money", "hello")[number % 3],)
    return Event(
        id=f"{name}-{number}", kind=kinds.get(step, "message"), at=at, tenant=TENANT, conversation=name, channel="web",
        replay=True, text="thanks" if number % 5 == 0 else "a text that is longer than a goodbye", **more,
    )  # fmt: skip


POLICIES: tuple[dict[str, Any], ...] = ({}, {"expire_s": 300, "expire_backlog_s": 100}, {"target_s": 5, "short_s": 1})


@given(events=talks(), seed=st.integers(0, 9), given=st.sampled_from(POLICIES))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_talks_of_many_turns_are_said_and_kept_the_same_either_way(
    events: list[Event], seed: int, given: dict[str, Any]
) -> None:
    same(events, given, max(event.at for event in events) + 30 * 60_000, seed)
