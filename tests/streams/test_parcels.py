"""A reading goes out in parcels that a broker takes, and comes together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire import MAX_ATTR_KEY, MAX_ATTR_VALUE, MAX_ATTRS, MAX_ID, MAX_NAME, MAX_TENANT, MAX_TEXT
from streams.events import (
    AgentRow,
    Amendment,
    DeadLetter,
    EpisodeRow,
    Event,
    EventRow,
    GaugeRow,
    Hold,
    PaneRow,
    Reading,
    Run,
    Segment,
    StatusRow,
    decode_reading,
)
from streams.parcels import LIMIT, parcels

MIB = 1_048_576
"""What a broker takes at most."""
LISTS = tuple(name for name, default in msgspec.structs.asdict(Segment()).items() if isinstance(default, list))


def told(readings: list[Reading]) -> list[Any]:
    """Everything that readings say, in order, whatever the borders between them."""
    return [
        what
        for reading in readings
        for segment in reading.segments
        for what in (
            *((segment.clock, name, row) for name in LISTS for row in getattr(segment, name)),
            *([(segment.clock, "late", segment.late)] if segment.late else []),
            *(
                [(segment.clock, "end", segment.tick, segment.live)]
                if (segment.tick, segment.live) != (None, None)
                else []
            ),
        )
    ]


def sent(reading: Reading, before: int = 6) -> list[Reading]:
    """The reading as its readers get it; checks what every cutting promises."""
    raw = list(parcels(reading, before))
    assert max(map(len, raw)) <= MIB
    out = [decode_reading(value) for value in raw]
    assert [one.pos for one in out] == [before] * (len(out) - 1) + [reading.pos]
    assert {(one.partition, one.base) for one in out} == {(reading.partition, reading.base)}
    assert told(out) == told([reading])
    return out


def event_row(text: str = "hello", **fields: Any) -> EventRow:
    """A message."""
    given: dict[str, Any] = {"id": "m1", "conversation": "c-1", "author": "customer", "text": text}
    return EventRow(Event(kind="message", at=1, **(given | fields)), 1, False, 7)


def segment(lists: dict[str, Any], **fields: Any) -> Segment:
    """A segment of these rows."""
    return Segment(**lists, **fields)


rows: dict[str, Callable[[int], Any]] = {
    "events": lambda n: event_row("字" * n),
    "amendments": lambda n: Amendment("t", "c", f"m{n}", 7, n),
    "episodes": lambda n: EpisodeRow(
        "t", "c", n + 1, 7, reply_times_ms=[10**9] * n, holds=[Hold("a", 1, 2)] * (n % 90)
    ),
    "panes": lambda n: PaneRow("t", "q", "web", n * 60_000, 7, {"messages": n + 1}, {10**9 + i: 1 for i in range(n)}),
    "runs": lambda n: Run("t", "q", "web", 0, n * 60_000, 7, n),
    "gauges": lambda n: GaugeRow("t", "q", "web", 7, n, waiting={1_772_445_600_000 + i: 1 for i in range(n)}),
    "agents": lambda n: AgentRow("t", f"a{n}", 7, n, {"q": n}),
    "statuses": lambda n: StatusRow("t", "a", n, 7, None, "online", 4),
    "dead_letters": lambda n: DeadLetter("chat.events", 0, n, "empty record", n),
}
"""A row of every kind, of any size."""


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """A segment with a few rows of each kind, some of them long."""
    made = {
        name: [rows[name](n) for n in draw(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 7_000)), max_size=12))]
        for name in draw(st.sets(st.sampled_from(LISTS), max_size=4))
    }
    tick = draw(st.one_of(st.none(), st.integers(0, 10**12)))
    late = draw(st.sampled_from([{}, {"t": 3}]))
    return segment(made, clock=draw(st.sampled_from(["", "shop"])), late=late, tick=tick)


def test_every_kind_of_row_is_tried_here() -> None:
    assert set(rows) == set(LISTS)


@given(st.lists(segments(), max_size=5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_parcels_joined_again_are_the_reading_and_only_the_last_stands_for_its_position(
    some: list[Segment], base: bool
) -> None:
    sent(Reading(2, 7, some, base=base))


def test_a_small_reading_is_one_parcel_also_an_empty_one() -> None:
    assert len(sent(Reading(0, 7))) == 1
    assert len(sent(Reading(0, 7, [Segment(events=[event_row()], tick=5), Segment(clock="shop", live="shop")]))) == 1


def test_a_cut_never_ends_a_segment_so_no_tick_is_said_before_all_rows_of_it() -> None:
    whole = Segment(events=[event_row("字" * MAX_TEXT) for _ in range(60)], late={"t": 1}, tick=5)
    out = sent(Reading(0, 7, [whole, Segment(tick=6)]))
    assert len(out) > 2
    assert [[segment.tick for segment in one.segments] for one in out[:-1]] == [[None]] * (len(out) - 1)
    assert [segment.tick for segment in out[-1].segments] == [5, 6]


def test_parcels_are_filled_rather_than_many() -> None:
    short = Reading(0, 7, [Segment(events=[event_row() for _ in range(5_000)])])
    assert len(sent(short)) <= 5_000 * 1_000 // LIMIT + 1


HOSTILE = {"quotes": '"', "backslashes": "\\", "controls": "\x01", "signs": "字", "outside": "😀"}
"""Characters that JSON writes longer than they are: by up to six bytes each."""


@pytest.mark.parametrize("sign", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_fit_into_a_parcel(sign: str) -> None:
    attrs = {f"{n:02}".ljust(MAX_ATTR_KEY, sign): sign * MAX_ATTR_VALUE for n in range(MAX_ATTRS)}
    hostile = [event_row(sign * MAX_TEXT, comment=sign * MAX_TEXT, attrs=attrs) for _ in range(30)]
    sent(Reading(0, 7, [Segment(events=hostile, tick=1)]))


def named(sign: str) -> dict[str, Any]:
    """Rows whose every name is as long as the door lets it be."""
    tenant, name, ident = sign * MAX_TENANT, sign * MAX_NAME, sign * MAX_ID
    said = {"tenant": tenant, "conversation": name, "channel": name, "queue": name, "customer": name, "author_id": name}
    return {
        "events": event_row("", id=ident, **said),
        "amendments": Amendment(tenant, name, ident, 7, 1),
        "episodes": EpisodeRow(
            tenant, name, 1, 7, False, name, name, name, name, name, first_reply_agent=name, agent_topic=name,
            queue_waits=[(name, 1)], holds=[Hold(name, 1, 2)],
        ),
        "panes": PaneRow(tenant, name, name, 0, 7, {"messages": 1}),
        "runs": Run(tenant, name, name, 0, 60_000, 7),
        "gauges": GaugeRow(tenant, name, name, 7, 1),
        "agents": AgentRow(tenant, name, 7, 1, {name: 1}),
        "statuses": StatusRow(tenant, name, 1, 7),
    }  # fmt: skip


def test_hostile_names_fit_into_a_parcel() -> None:
    for sign in HOSTILE.values():
        for kind, row in named(sign).items():
            sent(Reading(0, 7, [segment({kind: [row] * 3_000}, tick=1)]))
