"""FAULTS K-01, K-02, K-04, B-02, C-03, D-01 in their long form, and S-01: minutes. `make nightly`, `make soak`.

`TIDEWATCH_SOAK_MIN` says for how many minutes `make soak` goes on (240 are four hours); all in it scales with that.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.conformance.cases import Row
from tests.faults.sinking import Sink, lose_answers, there
from tests.faults.test_deaths import (
    SINK,
    WORKER,
    assert_exact,
    die_through,
    live_equals_reference,
    parts,
)  # fmt: skip
from tests.faults.test_rows import without_redis
from tests.integration.outside import History, Sender, wait
from tests.reference.streams import stream
from tests.rig import long, oracle
from tests.rig.clickhouse import Server
from tests.rig.hygiene import tracebacks
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig
from tests.sinks.test_store import Broker, reading

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(20_000)]
KILLS = long.KILLS or 100
SOAK_MIN = long.SOAK_MIN
SLOPE = 1 << 20
"""S-01: bytes an hour and process, after the first quarter."""


def test_k01_a_hundred_deaths_of_the_sink(rigged: Rig) -> None:
    chance = Random(1)
    deaths = [("sink", place, chance.randint(1, 3)) for place in SINK for _ in range(max(1, KILLS // len(SINK)))]
    chance.shuffle(deaths)
    events = stream(1, 20_000)
    took = sorted(one.took_s for one in die_through(rigged, "k01n", parts(events, "k01n"), deaths))
    print(f"{len(deaths)} deaths; first insert after {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (worst)")
    assert_exact(rigged, "k01n", events)


def test_k02_fifty_deaths_of_the_worker(rigged: Rig) -> None:
    chance = Random(2)
    deaths = [("worker", chance.choice(WORKER), chance.randint(1, 5)) for _ in range(max(1, KILLS // 2))]
    events = stream(2, 15_000)
    die_through(rigged, "k02n", parts(events, "k02n"), deaths)
    assert_exact(rigged, "k02n", events)


def test_b02_the_broker_dies_again_and_again(rigged: Rig, ledger: Ledger) -> None:
    tenant = "b02"
    for number in range(max(2, KILLS // 10)):
        with Load(rigged.access, ledger, 700 + number) as load:
            load.flow(chat(700 + number, tenant, prefix=f"{number}-"), 100, 2)
            rigged.kill("broker")
            load.drained(240)
        rigged.ready(120)
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [], 120)
    assert oracle.invented(ledger, oracle.stored(history, tenant), tenant) == []
    assert oracle.double(history, tenant) == []
    events = ledger.events(tenant)
    wait("the reference's numbers", lambda: live_equals_reference(rigged, history, tenant, events), 120)


def test_c03_two_hundred_answers_are_lost_and_nothing_is_double(broker: Broker, server: Server, tmp_path: Path) -> None:
    last = lose_answers(broker, server, tmp_path, 100_000, 2 * KILLS)
    assert there(server, 100_000) == (last - 100_000, last - 100_000)


def test_d01_five_minutes_without_redis(rigged: Rig, ledger: Ledger) -> None:
    without_redis(rigged, ledger, "d01n", 300)


def test_k04_a_sink_that_slept_through_its_successor_doubles_nothing(
    broker: Broker, server: Server, tmp_path: Path
) -> None:
    zombie = Sink(broker, tmp_path / "one", server.port, crash="sink.inserting:3:STOP")
    for begin in range(0, 1_200, 100):
        broker.send(*(reading(n) for n in range(begin, begin + 100)))
    wait("it stands in the middle of an insert", lambda: zombie.stands)
    partner = Sink(broker, tmp_path / "two", server.port)
    broker.send(*(reading(n) for n in range(1_200, 2_000)))
    wait("the partner has all", lambda: there(server, 0) == (2_000, 2_000), 120)
    zombie.process.send_signal(signal.SIGCONT)
    broker.send(*(reading(n) for n in range(2_000, 2_400)))
    wait("all of it, once", lambda: there(server, 0) == (2_400, 2_400), 120)
    assert partner.end() == 0
    broker.send(*(reading(n) for n in range(2_400, 2_600)))
    heir = Sink(broker, tmp_path / "one", server.port) if zombie.ended else zombie
    wait("it is back in the group, or another is", lambda: there(server, 0) == (2_600, 2_600), 120)
    assert heir.end() == 0


def many_people(number: int, tenant: str) -> Callable[[int], Row]:
    """Live chat whose customers are others each time: a few who come thousands of times are no load that there is."""
    event = chat(number, tenant, 500, f"{number}-")

    def of_another(n: int) -> Row:
        row = event(n)
        return row | ({"author_id": f"{number}-{n % 500}"} if row.get("author") == "customer" else {})

    return of_another


@pytest.mark.skipif(not SOAK_MIN, reason="make soak runs it: TIDEWATCH_SOAK_MIN is not set")
def test_s01_hours_under_load_with_a_fault_every_two_minutes(rigged: Rig, ledger: Ledger) -> None:
    chance, tenant = Random(11), "soak"
    print(f"seed 11, {SOAK_MIN} min")
    end, number = time.monotonic() + 60 * SOAK_MIN, 0
    measured: dict[str, list[tuple[float, int]]] = {}
    with Load(rigged.access, ledger, 11) as load:
        while time.monotonic() < end:
            calm_s = min(120.0, max(10.0, SOAK_MIN * 60 / 20))
            load.flow(many_people(number, tenant), 200, calm_s)
            for name, pid in rigged.pids().items():
                measured.setdefault(f"{name} {pid}", []).append((time.time(), psutil.Process(pid).memory_info().rss))
            victim = chance.choice(("worker", "sink", "notifier", "gateway", "broker", "redis"))
            if chance.random() < 0.5:
                rigged.kill(victim)
            else:
                with rigged.stopped(victim):
                    time.sleep(chance.uniform(1, 8))
            number += 1
        load.drained(300)
    rigged.ready(180)
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [], 300)
    assert oracle.invented(ledger, oracle.stored(history, tenant), tenant) == []
    assert oracle.double(history, tenant) == []
    events = ledger.events(tenant)
    with rigged.stopped("gateway"):  # the clock stands while so much is read: a second is too short for it
        wait("the reference's numbers", lambda: live_equals_reference(rigged, history, tenant, events), 600)
    assert tracebacks(rigged.logs) == []
    for name, points in measured.items():
        later = points[len(points) // 4 :]
        hours = (later[-1][0] - later[0][0]) / 3_600
        grown = later[-1][1] - later[0][1]
        print(f"{name}: {later[-1][1] >> 20} MiB, {grown / 2**20:+.1f} MiB in {hours * 60:.0f} min")
        assert hours < 1 or grown <= SLOPE * hours, name
    assert Sender(rigged.access).rejected == []
