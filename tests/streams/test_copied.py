"""What is copied of an event is what it says, whatever it says; and an event that is over is not held on to."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import copied, native
from streams.events import Event
from streams.heard import NUMBERS, OTHERS, TEXTS, TRUTHS, Heard

compiled = pytest.mark.skipif(native.form() == native.SOURCE, reason="this very run is of the source")
FIELDS = (*TEXTS, *OTHERS, *NUMBERS, *TRUTHS)
words = st.none() | st.text(max_size=8)
numbers = st.integers(-(2**70), 2**70) | st.sampled_from([0, -1, 2**61, 2**62 - 1, 2**62, -(2**62), 2**63])
events = st.builds(
    Event, id=st.text(), kind=st.text(max_size=8), at=numbers, tenant=st.text(max_size=8), seq=numbers,
    received_at=numbers, private=st.booleans(), replay=st.booleans(), resolved=st.none() | st.booleans(),
    score=st.none() | st.integers(), sentiment=st.none() | st.floats(-1, 1), keywords=st.tuples(st.text()),
    gains=st.none() | st.dictionaries(st.text(), st.integers(1, 9)),
    **{name: words for name in TEXTS if name not in {"id", "kind", "tenant"}},
)  # fmt: skip


def hear(heard: Heard, event: Event) -> bool:
    """As a shard does. Whether it was copied at once."""
    done = copied.copy(event, heard)
    if not done:
        heard.take(event)
    return done


@given(st.lists(events, max_size=6))
def test_what_is_heard_is_the_event_whatever_was_heard_before(some: list[Event]) -> None:
    heard = Heard()
    for event in some:
        hear(heard, event)
        assert {name: getattr(heard, name) for name in FIELDS} == {name: getattr(event, name) for name in FIELDS}


@compiled
def test_what_is_compiled_copies_at_once() -> None:
    assert copied.copy is not copied._one_by_one, "the fields were not found where they were looked for"
    assert hear(Heard(), Event("a", "message", 1_772_445_600_000, text="?", score=3))


def test_an_event_that_is_over_is_not_held_on_to() -> None:
    heard, text, gains, large = Heard(), "only here " * 3, {"refund": 1}, 2**80
    before = [sys.getrefcount(one) for one in (text, gains, large)]
    for _ in range(3):
        hear(heard, Event("a", "message", large, text=text, gains=gains))
        hear(heard, Event("b", "message", 5))
    assert [sys.getrefcount(one) for one in (text, gains, large)] == before


@compiled
def test_what_is_no_event_or_stands_in_no_place_of_its_own_is_refused() -> None:
    own: Any = import_module("streams._heard")
    for wrong in ((Event("a", "message", 1), "heard"), ("event", Heard()), (Heard(), Event("a", "message", 1)), ()):
        with pytest.raises(TypeError):
            own.copy(*wrong)
    same = Event("a", "message", 1)
    assert own.apart(same, same) == -1
    assert own.apart(same, Event("b", "label", 1)) == -1, "two fields differ"
    for place in ((-8, 16, 0), (16, 7, 0), (16, 10**6, 0), (10**6, 16, 0)):
        with pytest.raises(ValueError, match="no such place"):
            own.lay(Event, Heard, [place])
    with pytest.raises(LookupError):
        copied._places(lambda _a, _b: -1)


@compiled
def test_both_sides_go_by_the_same_numbers() -> None:
    own: Any = import_module("streams._heard")
    assert (own.OBJECT, own.NUMBER, own.TRUTH) == (copied.OBJECT, copied.NUMBER, copied.TRUTH)
