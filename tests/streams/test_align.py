"""Cuts are at ticks that all partitions have said; what lies behind one waits.

partition 0  ─a──1──b──c──2──d──▶        cut 1: a, e    cut 2: b c, f g    d and h wait
partition 1  ─e──1──f──g──2──h──▶
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.align import Aligner, Cut
from streams.events import REAL, Reading, Segment

CLOCKS = (REAL, "shop")
Said = dict[tuple[int, str], list[Segment]]
"""(partition, clock) → what it says, in order."""
Story = tuple[int, Said, list[tuple[int, list[Segment]]], int]
"""How many partitions, what each says, the readings as they come, how many ticks."""


def plain(name: str, clock: str = REAL, tick: int | None = None) -> Segment:
    """A segment that can be told from the others."""
    return Segment(clock=clock, late={name: 1}, tick=tick)


def names(cut: Cut) -> list[str]:
    """Which segments a cut applies."""
    return [name for _, segment in cut.segments for name in segment.late]


def feed(
    aligner: Aligner, partition: int, *segments: Segment, base: bool = False
) -> list[tuple[str, int | None, list[str]]]:
    """What can be applied after one more reading: (clock, tick, segments)."""
    cuts = aligner.feed(Reading(partition, 0, list(segments), base=base))
    return [(cut.clock, cut.tick, names(cut)) for cut in cuts]


def test_a_tick_is_cut_when_the_last_partition_says_it_with_all_that_was_said_before() -> None:
    aligner = Aligner(2)
    assert feed(aligner, 0, plain("a", tick=1), plain("b"), plain("c", tick=2), plain("d")) == []
    assert feed(aligner, 1, plain("e")) == []
    assert feed(aligner, 1, plain("f", tick=1)) == [(REAL, 1, ["a", "e", "f"])]
    assert feed(aligner, 1, plain("g", tick=2), plain("h")) == [(REAL, 2, ["b", "c", "g"])]


def test_a_partition_ahead_waits_however_far() -> None:
    aligner = Aligner(3)
    for tick in range(1, 50):
        assert feed(aligner, 0, plain(f"a{tick}", tick=tick)) == []
        assert feed(aligner, 1, plain(f"b{tick}", tick=tick)) == []
    assert [tick for _, tick, _ in feed(aligner, 2, *[plain("c", tick=tick) for tick in range(1, 50)])] == list(
        range(1, 50)
    )


def test_clocks_are_apart_one_that_waits_holds_up_no_other() -> None:
    aligner = Aligner(2)
    assert feed(aligner, 0, plain("a", "shop", 5), plain("b", tick=1)) == []
    assert feed(aligner, 1, plain("c", tick=1)) == [(REAL, 1, ["b", "c"])]
    assert feed(aligner, 1, plain("d", "other", 5)) == []
    assert feed(aligner, 1, plain("e", "shop", 5)) == [("shop", 5, ["a", "e"])]


def test_a_partition_that_missed_a_tick_is_taken_up_at_its_next() -> None:
    """After a restart a partition says only its last one again."""
    aligner = Aligner(2)
    assert feed(aligner, 0, plain("a", tick=1), plain("b", tick=2), plain("c", tick=3)) == []
    assert feed(aligner, 1, plain("d", tick=3)) == [(REAL, 1, ["a"]), (REAL, 2, ["b"]), (REAL, 3, ["c", "d"])]


def test_a_tenant_that_leaves_its_replay_leaves_when_all_partitions_say_so() -> None:
    aligner = Aligner(2)
    leave = Segment(clock="shop", live="shop")
    assert feed(aligner, 0, plain("a", "shop", 1), plain("b", "shop"), leave) == []
    assert feed(aligner, 1, plain("c", "shop", 1)) == [("shop", 1, ["a", "c"])]
    assert feed(aligner, 1, plain("d", "shop")) == []
    (last,) = aligner.feed(Reading(1, 0, [Segment(clock="shop", live="shop")]))
    assert (last.clock, last.tick, names(last)) == ("shop", None, ["b", "d"])
    assert [partition for partition, segment in last.segments if segment.live == "shop"] == [0, 1]
    assert feed(aligner, 0, plain("e", tick=9)) == []
    assert feed(aligner, 1, plain("f", tick=9)) == [(REAL, 9, ["e", "f"])]
    assert feed(aligner, 0, plain("g", "shop", 1)) == [], "what was said before is not said again"


def test_a_tenant_is_live_before_the_first_tick_of_the_real_clock_that_was_said_after() -> None:
    """Also where one reading holds it all: history, its tick, the leave, what is said live, and a tick."""
    aligner = Aligner(2)
    leave = Segment(clock="shop", live="shop")
    assert feed(aligner, 0, plain("a", "shop", 1), leave, plain("b"), plain("c", tick=9)) == []
    cuts = feed(aligner, 1, plain("d", "shop", 1), leave, plain("e", tick=9))
    assert [(clock, tick) for clock, tick, _ in cuts] == [("shop", 1), ("shop", None), (REAL, 9)]
    assert cuts[2][2] == ["b", "c", "e"]


def test_what_a_worker_says_at_its_start_is_applied_at_once_and_is_no_tick() -> None:
    aligner = Aligner(2)
    assert feed(aligner, 0, plain("waits", tick=7)) == []
    assert feed(aligner, 1, plain("a", tick=3), plain("b", "shop", 2), base=True) == [("", None, ["a", "b"])]
    assert feed(aligner, 1, plain("c", tick=7)) == [(REAL, 7, ["waits", "c"])]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Partitions that say the same ticks, with other things between; their readings in any order between partitions."""
    chance, partitions, ticks = Random(draw(st.integers(0, 2**32))), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    said: Said = {}
    queues: list[list[list[Segment]]] = []
    for partition in range(partitions):
        lines = []
        for clock in CLOCKS:
            line = [
                plain(f"{partition}{clock}{tick}.{n}", clock, tick if n == 2 and tick <= ticks else None)
                for tick in range(1, ticks + 2)
                for n in range(chance.randrange(3), 3)
            ]
            said[partition, clock] = line
            lines.append(list(line))
        mixed: list[Segment] = []
        while any(lines):
            mixed.append(chance.choice([line for line in lines if line]).pop(0))
        queues.append([])
        while mixed:
            size = chance.randrange(1, 5)
            queues[-1].append(mixed[:size])
            mixed = mixed[size:]
    order = []
    while any(queues):
        partition = chance.choice([number for number, queue in enumerate(queues) if queue])
        order.append((partition, queues[partition].pop(0)))
    return partitions, said, order, ticks


@given(stories())
@settings(max_examples=150, deadline=None)
def test_every_cut_is_as_of_its_tick_and_as_early_as_can_be(story: Story) -> None:
    partitions, said, order, ticks = story
    aligner = Aligner(partitions)
    heard = dict.fromkeys(said, 0)
    cut_at = dict.fromkeys(CLOCKS, 0)
    applied: dict[tuple[int, str], list[Segment]] = {key: [] for key in said}
    for partition, segments in order:
        for segment in segments:
            heard[partition, segment.clock] = max(heard[partition, segment.clock], segment.tick or 0)
        for cut in aligner.feed(Reading(partition, 0, segments)):
            assert cut.tick == cut_at[cut.clock] + 1
            cut_at[cut.clock] = cut.tick
            for number, segment in cut.segments:
                assert segment.clock == cut.clock
                applied[number, cut.clock].append(segment)
            for number in range(partitions):
                line = said[number, cut.clock]
                upto = next(i for i, segment in enumerate(line) if segment.tick == cut.tick)
                assert applied[number, cut.clock] == line[: upto + 1]
        for clock in CLOCKS:
            assert cut_at[clock] == min(heard[number, clock] for number in range(partitions))
    assert set(cut_at.values()) == {ticks}
