"""What comes at once is taken partition by partition in turn, and decoded one by one."""

from __future__ import annotations

from streams.events import Reading, encode
from streams.reader import Block, in_turn


def test_each_partitions_order_holds_and_none_is_far_ahead_of_another() -> None:
    assert list(in_turn([[b"a1", b"a2", b"a3"], [], [b"c1"], [b"d1", b"d2"]])) == [
        b"a1", b"c1", b"d1", b"a2", b"d2", b"a3",
    ]  # fmt: skip
    assert list(in_turn([])) == []


def test_a_block_gives_its_readings_once_and_knows_that_it_had_some() -> None:
    block = Block([encode(Reading(0, 7)), encode(Reading(1, 8))], last=True)
    assert [(one.partition, one.pos) for one in block.readings()] == [(0, 7), (1, 8)]
    assert list(block.readings()) == []
    assert not block.empty
    assert Block([], last=False).empty
