"""FAULTS T-05, where people are told: a machine's clock that is set hides nothing and invents nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts import tell
from alerts.notices import Policy
from alerts.notifiers import Unavailable
from alerts.outbox import Store
from alerts.state import State
from alerts.watch import Watch
from streams.events import REAL
from tests.alerts.build import BACKLOG, S, key, readings, rules
from tests.alerts.receiver import row, run, until
from tests.alerts.test_tell import Fake, telling

HOUR_MS = 3_600_000
STOPPED = "- {name: stopped, metric: stream_age, fire: '> 60s', severity: critical}"


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, 24 * HOUR_MS])
def test_silence_is_as_long_as_it_lasted_whatever_the_clock_says(tmp_path: Path, step_ms: int) -> None:
    at, passed = 1_780_000_000_000, 0
    with Store(tmp_path / "n.db") as store:
        watch = Watch(
            store,
            rules(STOPPED),
            Policy(("ops",)),
            now=lambda: at + passed * S + (step_ms if passed else 0),
            steady=lambda: passed * S,
        )
        watch.judge(REAL, at, readings([key()]))
        for passed in range(1, 62):
            assert bool(watch.beat()) is (passed == 61)


def test_ticks_that_cannot_be_judged_are_told_as_silence_and_the_next_good_one_is_judged(tmp_path: Path) -> None:
    at, passed = 1_780_000_000_000, 0
    with Store(tmp_path / "n.db") as store:
        watch = Watch(
            store, rules(STOPPED + BACKLOG), Policy(("ops",)), now=lambda: at + passed * S, steady=lambda: passed * S
        )
        watch.judge(REAL, at, readings([key(backlog=3)]))
        for passed in range(1, 62):
            assert not watch.known(REAL, at + passed * S), "as whoever reads the ticks asks before each"
            assert watch.judge(REAL, at + passed * S, readings([key(backlog="no number")])) == []
            assert bool(watch.beat()) is (passed == 61)
        assert watch.judged == at, "who watches us from outside is told so too"
        passed = 62
        changes = watch.judge(REAL, at + passed * S, readings([key(backlog=30)]))
        assert [(one.alert.slot.rule, one.alert.state) for one in changes] == [("backlog-high", "firing")]
        assert [one.alert.state for one in watch.beat()] == ["resolved"]
        assert watch.judged == at + 62 * S


def test_who_waits_to_try_again_waits_no_longer_for_a_clock_that_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_ms = HOUR_MS
    real = tell.now_ms
    monkeypatch.setattr(tell, "now_ms", lambda: real() + ahead_ms)

    async def story() -> None:
        nonlocal ahead_ms
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row(f"a{n}", created_at=tell.now_ms()) for n in range(2)])
            door = Fake(Unavailable("answered 503"))
            async with telling(store, ops=door):
                await until(lambda: len(door.at) == 1)
                ahead_ms = 0
                await until(lambda: store.unsettled() == {})
            assert door.got == [("a0", "firing"), ("a1", "firing")]

    run(story())
