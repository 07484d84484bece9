"""FAULTS K-01, K-02, K-03, B-01: processes die at every named place, and nothing is lost or counted twice.

The embedded stack, whose history is chdb in the sink's own process; on a Kafka, see `tests/kafka`.
"""

from __future__ import annotations

import statistics
import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import NamedTuple

import psutil
import pytest

from tests.conformance.cases import Row, rfc3339
from tests.integration.outside import History, Sender, wait
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig, finish, until_stored
from tidewatch import wear

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1_200)]
SINK = ("sink.taken", "sink.begun", "sink.inserting", "sink.inserted", "sink.clocked", "sink.positioned", "sink.acked")
WORKER = ("worker.taken", "worker.kept", "worker.published", "worker.acked")
RESTART_S = 10.0
"""K-01: from the new process to its first insert, in time of a processor: others may keep the machine busy."""
LATENESS_MS = 60_000


def parts(events: Sequence[Row], tenant: str, size: int = 50) -> list[Row]:
    """The bodies of the frames that carry the events."""
    named = [{**event, "tenant": tenant} for event in events]
    return [{"events": named[start : start + size]} for start in range(0, len(named), size)]


def ticking(bodies: Sequence[Row], tenant: str) -> list[Row]:
    """The same, with a tick behind each frame: rules are judged along the way."""
    told: list[Row] = []
    newest = clock = 0
    for body in bodies:
        told.append(body)
        newest = max(newest, *(event["at"] for event in body["events"]))
        if newest - LATENESS_MS > clock:
            clock = newest - LATENESS_MS
            told.append({"tick": rfc3339(clock), "tenant": tenant})
    return told


def crowd(seed: int) -> list[Row]:
    """Half an hour in which a hundred customers write at once, and are answered: rules fire, and resolve."""
    event = chat(seed, "", 100)
    return [{**event(number), "at": 1_772_445_600_000 + 3_000 * number} for number in range(500)]


class Back(NamedTuple):
    """A role that is at work again."""

    took_s: float
    """Since there was a new process."""
    busy_s: float
    """Of that, how long it had a processor."""


def die_through(rigged: Rig, tenant: str, bodies: list[Row], deaths: list[tuple[str, str, int]]) -> list[Back]:
    """Send the frames in as many portions as there are deaths, (role, place, times); how each came back."""
    sender, back = Sender(rigged.access), []
    each = max(1, len(bodies) // len(deaths))
    for number, (role, place, times) in enumerate(deaths):
        old = rigged.stack.pid(role)
        rigged.die_at(place, times)
        last = number == len(deaths) - 1
        portion = bodies[number * each :] if last else bodies[number * each : (number + 1) * each]
        sending = threading.Thread(target=sender.send, args=(portion,))
        sending.start()
        wait(f"{role} dead at {place}", rigged.died)
        wait(f"another {role}", partial(rigged.is_another, role, old))
        took = rigged.until_inserting(180)
        back.append(Back(took, _busy(rigged.stack.pid(role))))
        sending.join(300)
        assert not sending.is_alive()
    assert sender.rejected == []
    return back


def _busy(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def assert_exact(rigged: Rig, tenant: str, events: list[Row]) -> None:
    """O1 to O5 of a tenant in replay, all of whose events were acked."""
    tick = finish(rigged.access, events, tenant)
    history = until_stored(rigged.access, tenant, tick)
    rows = oracle.stored(history, tenant)
    names = {oracle.name_of(event) for event in events}
    assert {oracle.name_of(row) for row in rows} == names, "lost or invented"
    assert oracle.double(history, tenant) == []
    assert oracle.wrong(oracle.answer(rigged.access, history, tenant), events, tick) == []


def test_k01_a_sink_that_dies_at_any_point_of_a_block_loses_and_doubles_nothing(rigged: Rig) -> None:
    seed = 101
    chance = Random(seed)
    deaths = [("sink", place, 1 if place == "sink.inserting" else chance.randint(1, 2)) for place in SINK]
    deaths += [("sink", chance.choice(SINK), chance.randint(1, 3)) for _ in range(3)]
    print(f"seed {seed}: {deaths}")
    events = stream(seed, 4_000)
    back = die_through(rigged, "k01", parts(events, "k01"), deaths)
    took = [one.took_s for one in back]
    print(f"first insert after {statistics.median(took):.1f} s (median), {max(took):.1f} s (worst)")
    assert statistics.median(one.busy_s for one in back) <= RESTART_S
    assert_exact(rigged, "k01", events)


def test_k02_and_b12_a_worker_that_dies_in_an_open_window_repeats_nothing_and_leaves_nothing_out(rigged: Rig) -> None:
    seed = 102
    chance = Random(seed)
    deaths = [("worker", place, chance.randint(1, 4)) for place in WORKER]
    print(f"seed {seed}: {deaths}")
    events = stream(seed, 3_000)
    die_through(rigged, "k02", parts(events, "k02"), deaths)
    assert_exact(rigged, "k02", events)
    rush = crowd(seed)
    die_through(rigged, "k02-rush", ticking(parts(rush, "k02-rush"), "k02-rush"), deaths[:2])
    assert_exact(rigged, "k02-rush", rush)
    Sender(rigged.access).send(ticking(parts(rush, "k02-calm"), "k02-calm"))
    assert_exact(rigged, "k02-calm", rush)
    history = History(rigged.access)
    wait("O6", lambda: oracle.same_alerts(history, "k02-calm", "k02-rush"), 400)


def test_a_gateway_that_dies_before_or_after_the_disk_has_a_frame_is_asked_again(rigged: Rig) -> None:
    seed = 103
    deaths = [("gateway", place, times) for place in ("gateway.ruled", "gateway.written") for times in (1, 2)]
    deaths.append(("gateway", "gateway.fed", 2))
    events = stream(seed, 2_000)
    die_through(rigged, "doors", parts(events, "doors"), deaths)
    assert_exact(rigged, "doors", events)


def test_k03_five_hundred_sockets_come_back_after_the_gateway_died_and_nothing_acked_is_lost(
    rigged: Rig, ledger: Ledger
) -> None:
    tenant, sockets = "k03", 500
    with Load(rigged.access, ledger, 303, clients=sockets) as load:
        wait("all sockets", lambda: load.open == sockets)
        load.flow(chat(303, tenant, 1_000), 200, 4)
        old, waited = len(load.seen.connected), len(load.seen.pauses)
        rigged.kill("gateway")
        load.flow(chat(304, tenant, 1_000, "f"), 200, 4)
        wait("95 % of the sockets again", lambda: load.open >= sockets * 95 // 100)
        wait("all sockets again", lambda: load.open == sockets)
        again = sorted(load.seen.connected[old:])
        load.drained()
    seconds = Counter(int(pause) for pause in load.seen.pauses[waited : waited + sockets])
    late = again[len(again) * 95 // 100] - again[0]
    print(f"back within {late:.1f} s (95 %); busiest second: {max(seconds.values()) / sockets:.0%}")
    assert max(seconds.values()) <= 0.25 * sockets, "clients must not come back all at once"
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [])
    rows = oracle.stored(history, tenant)
    assert oracle.invented(ledger, rows, tenant) == []
    assert oracle.counted_twice(rows) == []
    assert oracle.double(history, tenant) == []
    assert oracle.disordered(rows) == []


def live_equals_reference(rigged: Rig, history: History, tenant: str, events: list[Row]) -> bool:
    """O5 of a tenant on the real clock: its rows are the reference's, as of a clock that did not move meanwhile."""
    query = "SELECT as_of FROM clocks WHERE tenant = {t:String}"
    before = history.rows(query, t=tenant)
    told = oracle.answer(rigged.access, history, tenant, live=False)
    if history.rows(query, t=tenant) != before:
        return False
    tick = int(before[0]["as_of"])
    received = [event | {"received_at": event["at"]} for event in events]
    found = oracle.wrong(told | {"agents_by_hour": []}, received, tick, live_door=True)
    found = [line for line in found if not line.startswith("agents_by_hour")]
    if found:
        print(found)
    return not found


def test_b01_a_broker_that_dies_under_load_costs_nothing_that_was_acked(rigged: Rig, ledger: Ledger) -> None:
    tenant = "b01"
    with Load(rigged.access, ledger, 401) as load:
        load.flow(chat(401, tenant), 200, 3)
        rigged.kill("broker")
        load.flow(chat(402, tenant, prefix="g"), 200, 3)
        load.drained(240)
        with rigged.stopped("broker"):
            load.flow(chat(403, tenant, prefix="h"), 200, 30)  # the row's half minute
        load.drained(240)
    rigged.ready(180)
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [])
    rows = oracle.stored(history, tenant)
    assert oracle.invented(ledger, rows, tenant) == []
    assert oracle.double(history, tenant) == []
    events = ledger.events(tenant)
    wait("the reference's numbers", lambda: live_equals_reference(rigged, history, tenant, events))


def test_a_broker_that_holds_too_much_is_begun_anew_without_a_wrong_number(
    rigged: Rig, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, old = "renewed", rigged.stack.pid("broker")
    with Load(rigged.access, ledger, 411) as load:
        load.flow(chat(411, tenant), 100, 2)
        with monkeypatch.context() as patch:
            patch.setattr(wear, "MOST", 1)
            wait("another broker", lambda: rigged.is_another("broker", old))
        load.flow(chat(412, tenant, prefix="g"), 100, 2)
        load.drained(240)
    rigged.ready(120)
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [])
    assert oracle.double(history, tenant) == []
    events = ledger.events(tenant)
    wait("the reference's numbers", lambda: live_equals_reference(rigged, history, tenant, events))


def short(events: list[Row]) -> list[Row]:
    """Those of conversations that are over within 20 h: none of them can be late, in whatever order they come."""
    spans: dict[str, tuple[int, int]] = {}
    for event in events:
        name = str(event.get("conversation") or event.get("agent"))
        low, high = spans.get(name, (event["at"], event["at"]))
        spans[name] = min(low, event["at"]), max(high, event["at"])
    brief = {name for name, (low, high) in spans.items() if high - low < 20 * 3_600_000}
    return [event for event in events if str(event.get("conversation") or event.get("agent")) in brief]
