"""What outlived its time is kept as little as it is known: smaller on disk, and nobody can tell otherwise."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from streams.conversation import FORGET
from streams.events import Event
from streams.packing import unpacked
from streams.shard import SWEPT
from tests.reference.streams import story
from tests.streams.test_quick import TENANT, Heard
from tests.streams.test_words_in_the_fold import stamped

START = 1_772_445_600_000


def event(number: int, kind: str, at: int, conversation: str = "c", **more: object) -> Event:
    """One event of a replay."""
    return Event(f"e{number}", kind, at, TENANT, conversation=conversation, replay=True, **more)  # type: ignore[arg-type]


def talk(name: str = "c") -> list[Event]:
    """Three messages and a closing."""
    who = {"author": "customer", "author_id": "u", "text": "where is my parcel, please"}
    return [
        *(event(number, "message", START + number * 1_000, name, **who) for number in range(3)),
        event(3, "closed", START + 4_000, name),
    ]


def swept(line: Heard) -> None:
    """One sweep, and what it came to is kept."""
    line.shards[0].sweep()
    line.flush()


def size(line: Heard, name: str = "c") -> int:
    """Bytes that are kept of a conversation."""
    return len(line.shelves[0].rows["conversation", TENANT, name, 0].value)


def test_a_conversation_that_was_closed_ninety_days_ago_shrinks_to_what_is_known_of_it() -> None:
    line = Heard({})
    line.send(talk())
    line.flush()
    line.restart(0)
    line.tick(START + 4_000 + FORGET - 1, TENANT)
    before = size(line)
    swept(line)
    assert size(line) == before
    line.tick(START + 4_000 + FORGET, TENANT)
    swept(line)
    assert size(line) < before / 3
    kept = unpacked(line.shelves[0].rows["conversation", TENANT, "c", 0].value)
    assert (kept.number, kept.forgotten, kept.memory.customer, kept.episodes, kept.log.n) == (1, 1, "u", [], 0)


def test_one_that_is_in_memory_or_was_heard_of_since_is_left_alone() -> None:
    line = Heard({})
    line.send(talk())
    line.flush()
    line.tick(START + 2 * FORGET, TENANT)
    swept(line)
    assert size(line) > 100, "it is in memory"
    line.restart(0)
    line.shards[0].sweep()
    line.send([event(9, "message", START + 2 * FORGET, author="customer", author_id="v")])
    line.flush()
    kept = unpacked(line.shelves[0].rows["conversation", TENANT, "c", 0].value)
    assert (kept.number, kept.forgotten, len(kept.episodes)) == (2, 1, 1)


def test_sweeps_come_by_all_of_them_and_begin_again() -> None:
    line = Heard({})
    for number in range(SWEPT + 50):
        line.send(talk(f"c{number:04}"))
    line.flush()
    line.restart(0)
    line.tick(START + 2 * FORGET, TENANT)
    for rest in (50, 0):
        swept(line)
        assert sum(size(line, f"c{number:04}") > 300 for number in range(SWEPT + 50)) == rest


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_is_the_same_with_sweeps_and_without(seed: int) -> None:
    def through(sweeps: bool) -> Heard:
        stream, chance, line = story(seed), Random(seed), Heard({})
        events = [stamped(wire) for wire in stream.events]
        later = [
            msgspec.structs.replace(one, id=f"{one.id}-x", at=one.at + days * FORGET // 90)
            for one in events
            for days in (89, 90, 91, 200)
            if chance.random() < 0.1
        ]
        for one in sorted(events, key=lambda one: one.at) + sorted(later, key=lambda one: one.at):
            line.send([one])
            line.tick(one.at, TENANT)
            if chance.random() < 0.3:
                line.flush()
                line.restart(0)
                if sweeps:
                    line.shards[0].sweep()
                line.flush()
        return line

    assert through(sweeps=True).said == through(sweeps=False).said
