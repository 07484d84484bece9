"""The models of volume on a real Kafka: an heir goes on from the changelog as a run in one piece would have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from streams.events import Segment
from streams.leading import OnStore
from streams.shelf import Memory, Shelf
from streams.windows import MINUTE
from tests.kafka.broker import Broker
from tests.kafka.test_changelog import Member
from tests.models.streams import MONDAY, counts
from tests.streams.watching import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LEAF = ("billing", "web")
HISTORY = counts(180, 40.0, seed=4)
SURGE = MONDAY + len(HISTORY) * MINUTE
MOVES = (len(HISTORY) * 2 + 9, len(HISTORY) * 2 + 40)
"""Segments after which another leads: within the surge's second minute, and while it has not yet ended."""


def story() -> list[Segment]:
    """Three hours, a surge of four minutes, and what is usual again."""
    stage, level = Stage(), sum(HISTORY[-10:]) // 10
    usual = list(stage.minutes(MONDAY, ({LEAF: n} for n in HISTORY)))
    minutes = [5 * level] * 4 + [level] * 14
    return usual + [part for n, many in enumerate(minutes) for part in stage.filling(SURGE + n * MINUTE, {LEAF: many})]


async def lived(stage: Stage, heard: Sequence[Segment], first: int = 0) -> list[Any]:
    """Hear these; what the whole tenant's volume is said to be after each, from the `first` on."""
    said = []
    for n, segment in enumerate(heard):
        await stage.take([segment])
        if n >= first:
            said.append(stage.key()["volume"])
    return said


def learned(shelf: Shelf) -> dict[str, bytes]:
    """Every key's model, with its watches: whatever it will ever score, it scores by these."""
    return dict(shelf.kept("key/"))


def test_an_heir_scores_as_if_nobody_had_gone(broker: Broker, tmp_path: Path) -> None:
    async def run() -> None:
        heard = story()
        whole = Stage(Memory())
        expected = await lived(whole, heard, MOVES[0])
        stage, said, members = Stage(), [], []
        for n, (since, until) in enumerate(zip((0, *MOVES), (*MOVES, len(heard)), strict=True)):
            members.append(Member(broker, tmp_path / f"{n}.db"))
            await members[n].lead()  # whoever led is still there: it was cut off, and did not say goodbye
            stage = Stage(OnStore(members[n].store), stage.broker)
            said += await lived(stage, heard[:until], since if n else until)
            await members[n].store.safe()
        kept = learned(stage.shelf)
        for member in members:
            await member.end()
        assert said == expected
        assert {one["surge"] for one in said} == {True, False}
        assert not said[-1]["surge"]
        assert stage.rows == whole.rows
        assert kept == learned(whole.shelf) != {}

    asyncio.run(run())
