"""FAULTS T-05: the machine's clock steps an hour on, an hour back, and a day on, under a running stack.

The clock of every role, of Redis and of the broker is faketime's; the monotonic one stays, as it does when a real clock
is set. chdb goes by the machine's, as a server elsewhere would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.conformance.cases import Row
from tests.faults.conftest import RULES
from tests.faults.test_deaths import live_equals_reference
from tests.integration.outside import History, snapshot, wait
from tests.rig import oracle
from tests.rig.hygiene import tracebacks
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig, rig

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(1_800)]
HOUR_S, DAY_S = 3_600, 86_400
STANDS = '  - {name: stands, metric: stream_age, fire: "> 20s", severity: critical}\n'
DURATIONS = (
    "frt_ms",
    "frt_customer_ms",
    "frt_any_ms",
    "greeting_ms",
    "handle_ms",
    "abandon_wait_ms",
    "censored_wait_ms",
)


class Clock:
    """What the roles take for the time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ahead_s = 0
        self.step(0)

    def step(self, ahead_s: int) -> None:
        """So far ahead of the machine's from now on."""
        self.ahead_s = ahead_s
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{ahead_s:+d}\n")
        draft.replace(self._file)

    @property
    def now_s(self) -> float:
        """By it."""
        return time.time() + self.ahead_s

    def chat(self, seed: int, tenant: str, prefix: str, conversations: int = 200) -> Callable[[int], Row]:
        """Live chat by this clock."""
        event = chat(seed, tenant, conversations, prefix)
        return lambda number: {**event(number), "at": int(self.now_s * 1000)}


@contextmanager
def clocked(folder: Path) -> Iterator[tuple[Rig, Clock]]:
    """A stack whose clock can be set; skipped where there is no faketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    file = folder / "clock"
    clock = Clock(file)
    environ = {
        "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    (folder / "rules.yaml").write_text(RULES + STANDS)
    with rig(folder, config='rules = "rules.yaml"\n', environ=environ) as rigged:
        yield rigged, clock


def as_of_s(rigged: Rig) -> float:
    """The board's clock."""
    return datetime.fromisoformat(snapshot(rigged.access)["as_of"]).timestamp()


def test_t05_a_clock_that_steps_loses_nothing_and_makes_no_time_negative(tmp_path: Path, ledger: Ledger) -> None:
    with clocked(tmp_path) as (rigged, clock), Load(rigged.access, ledger, 651) as load:
        history = History(rigged.access)

        def told() -> list[Row]:
            """Of a stream that stands."""
            return history.rows("SELECT count() AS n FROM alerts WHERE rule = 'stands' AND state = 'firing'")

        def flow(prefix: str) -> None:
            load.flow(clock.chat(651, "t05", prefix), 50, 3)
            load.flow(clock.chat(652, "t05-few", prefix, conversations=1), 1, 3)
            load.drained()
            for tenant in ("t05", "t05-few"):
                rows = lambda tenant=tenant: oracle.stored(history, tenant)  # noqa: E731
                wait("all that was acked", lambda rows=rows, tenant=tenant: oracle.lost(ledger, rows(), tenant) == [])  # type: ignore[misc]  # bound at once

        flow("calm")
        clock.step(HOUR_S)
        flow("hour")
        wait("the board's clock an hour on", lambda: as_of_s(rigged) > time.time() + HOUR_S - 60)
        assert told() == [{"n": 0}], "an hour that was leapt over is no silence"
        clock.step(0)
        flow("back")
        wait("a clock that stands is told", lambda: snapshot(rigged.access)["stale"] is True)
        wait("people are told that nothing is judged now", lambda: told() == [{"n": 1}], 120)
        assert as_of_s(rigged) > time.time() + HOUR_S - 600, "it never goes back"
        clock.step(DAY_S)
        flow("day")
        wait("the board's clock a day on", lambda: as_of_s(rigged) > time.time() + DAY_S - 60)
        wait("fresh", lambda: snapshot(rigged.access)["stale"] is False)
        assert told() == [{"n": 1}]
        for tenant in ("t05", "t05-few"):
            assert oracle.invented(ledger, oracle.stored(history, tenant), tenant) == []
            assert oracle.double(history, tenant) == []
            negative = " OR ".join(f"{name} < 0" for name in DURATIONS)
            query = f"SELECT count() AS n FROM episodes WHERE tenant = {{t:String}} AND ({negative})"  # names of ours
            assert history.rows(query, t=tenant) == [{"n": 0}]
            events = ledger.events(tenant)
            wait("the reference's numbers", lambda t=tenant, e=events: live_equals_reference(rigged, history, t, e))  # type: ignore[misc]  # bound at once
        fired = "SELECT tenant, count() AS n FROM alerts WHERE state = 'firing' AND rule = 'waits' GROUP BY tenant"
        assert {row["tenant"] for row in history.rows(fired)} == {"t05"}, "many waited in one, one in the other"
        assert tracebacks(rigged.logs) == []
