"""Bringing conversations near changes nothing, whatever they are; and it is done where there is something to gain."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest

from streams import native, near
from streams.conversation import Conversation
from streams.entries import Entry
from streams.episode import NO_HINTS, Episode, Mark, Memory
from streams.events import Hold
from streams.packing import packed, unpacked

compiled = pytest.mark.skipif(native.form() == native.SOURCE, reason="this very run is of the source")


def _talk(name: str) -> Conversation:
    """One with an episode that was held and marked."""
    one = Conversation("shop", name)
    episode = Episode(1, 0, Memory(), NO_HINTS, "web", "billing", 1_000, reopen=False, outbound=False)
    episode.marks.append(Mark("billing", 0))
    episode.holds.append(Hold("ann", 1_000, None))
    episode.replies.append(7)
    one.begin(episode)
    one.log.append(Entry(1_000, 1, f"{name}-1", "customer"))
    return one


@compiled
def test_what_is_compiled_brings_conversations_near() -> None:
    assert near.near is not near._nothing, "what they are made of was not found where it was looked for"


@compiled
def test_what_is_compiled_goes_by_the_same_numbers() -> None:
    own: Any = import_module("streams._near")
    assert (own.AT_ONCE, own.INSIDE, own.LAST) == (near.AT_ONCE, near.INSIDE, near.LAST)


def test_nothing_of_a_conversation_changes_and_none_is_kept() -> None:
    talks: list[Conversation | None] = [
        None,
        Conversation("shop", "new"),
        _talk("a"),
        None,
        unpacked(packed(_talk("b"))),
    ]
    talks += [_talk(f"c-{n}") for n in range(3 * near.AT_ONCE)]
    before = [(None if one is None else packed(one), sys.getrefcount(one)) for one in talks[1:3]]
    rows = [one and packed(one) for one in talks]
    for start in range(len(talks) + near.AT_ONCE):
        near.near(talks, start)
    assert [one and packed(one) for one in talks] == rows
    assert [(None if one is None else packed(one), sys.getrefcount(one)) for one in talks[1:3]] == before
    near.near([], 0)
    near.near([None] * 100, 0)


@compiled
def test_only_lists_from_an_index_on_are_taken() -> None:
    own: Any = import_module("streams._near")
    for given in [((), 0), ([], -1), ([], "0"), ([],)]:
        with pytest.raises((TypeError, ValueError)):
            own.near(*given)


@compiled
@pytest.mark.parametrize(
    "things",
    [[(0, 0, Conversation), (1, 16, Episode)], [(0, 0, Conversation), (0, -3, Episode)], [(0, 0, Conversation)] * 100],
    ids=["held by itself", "nowhere", "too many"],
)
def test_what_makes_no_sense_is_not_laid_out(things: list[tuple[int, int, type]]) -> None:
    own: Any = import_module("streams._near")
    with pytest.raises(ValueError, match=r"thing|at most"):
        own.lay(things)


@compiled
def test_something_that_stands_nowhere_is_not_found() -> None:
    own: Any = import_module("streams._near")
    assert own.place(_talk("a"), object()) == -1
