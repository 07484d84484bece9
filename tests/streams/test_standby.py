"""What a stand-by keeps: everything whoever leads may not have judged, in order, and no more than is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import standby
from streams.align import Cut
from streams.events import REAL, Segment
from streams.standby import BEFORE_MS, Standby


def cut(clock: str, tick: int | None, live: str | None = None) -> Cut:
    """What all partitions said up to a tick of a clock."""
    segment = Segment(clock=clock, tick=tick, live=live)
    return Cut([(0, segment)], clock, tick)


def test_what_was_judged_is_let_go_a_little_later_and_the_rest_is_the_heirs() -> None:
    kept = Standby()
    cuts = [cut(REAL, BEFORE_MS + number) for number in range(10)]
    for one in cuts:
        kept.hold(one)
    assert list(kept.judged({})) == []
    assert list(kept.judged({REAL: 2 * BEFORE_MS + 3})) == cuts[:4]
    assert list(kept.rest()) == cuts[4:]
    assert list(kept.rest()) == []


def test_a_replay_that_stands_still_holds_up_nobody() -> None:
    kept = Standby()
    still, running = cut("old", BEFORE_MS + 1), cut(REAL, 5)
    kept.hold(still)
    kept.hold(running)
    assert list(kept.judged({"old": BEFORE_MS + 1, REAL: BEFORE_MS + 5})) == [running]
    assert list(kept.rest()) == [still]


def test_a_tenant_that_goes_live_is_behind_what_it_said_before() -> None:
    kept = Standby()
    before, after, then = cut("t", 10), cut("t", None, live="t"), cut(REAL, 7)
    for one in (cut(REAL, 6), before, after, then):
        kept.hold(one)
    assert [one for one in kept.rest() if one.clock == "t" or one is then] == [before, after, then]


def test_what_stands_is_let_go_at_once_unless_something_is_kept_before_it() -> None:
    kept = Standby()
    base, later, behind = cut(REAL, None), cut(REAL, 6), cut(REAL, None)
    kept.hold(base)
    assert list(kept.standing()) == [base]
    for one in (later, behind):
        kept.hold(one)
    assert list(kept.standing()) == []
    assert list(kept.rest()) == [later, behind]


def test_what_a_tenant_says_as_it_goes_live_is_nothing_that_stands() -> None:
    kept = Standby()
    live = cut("t", None, live="t")
    kept.hold(live)
    assert list(kept.standing()) == []
    assert list(kept.rest()) == [live]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "MOST", 100)
    kept = Standby()
    let_go = 0
    for number in range(1_000):
        kept.hold(cut(REAL, BEFORE_MS + number))
        let_go += sum(1 for _ in kept.judged({}))
    assert let_go == 900
    assert sum(1 for _ in kept.rest()) == 100


@given(st.lists(st.tuples(st.sampled_from([REAL, "a", "b"]), st.integers(0, 5)), max_size=40), st.data())
def test_nothing_is_lost_doubled_or_turned_around(moves: list[tuple[str, int]], data: st.DataObject) -> None:
    kept, ticks = Standby(), {REAL: 0, "a": 0, "b": 0}
    held: dict[str, list[Cut]] = {REAL: [], "a": [], "b": []}
    out: dict[str, list[Cut]] = {REAL: [], "a": [], "b": []}
    for clock, step in moves:
        ticks[clock] += 1 + step * BEFORE_MS
        one = cut(clock, ticks[clock])
        held[clock].append(one)
        kept.hold(one)
        judged = {name: data.draw(st.integers(0, tick)) for name, tick in ticks.items()}
        for gone in kept.judged(judged):
            assert gone.tick is not None
            assert gone.tick <= judged[gone.clock]
            out[gone.clock].append(gone)
    for one in kept.rest():
        out[one.clock].append(one)
    assert out == held
