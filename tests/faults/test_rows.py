"""FAULTS C-01, D-01, D-03, D-04, T-02, T-07, K-09, K-10: no Redis, what comes late, idle partitions, a stop."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis as redis_client

from streams.events import partition_of
from tests.conformance.cases import Row, rfc3339
from tests.faults.test_deaths import assert_exact, crowd, parts, ticking
from tests.integration.outside import History, Sender, snapshot, wait
from tests.integration.test_kills import Up
from tests.reference.streams import stream
from tests.rig import long, oracle
from tests.rig.hygiene import Hygiene, tracebacks
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig, finish
from tidewatch.embedded import GRACE, STOPPED

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1_200)]
KILLS = (long.KILLS or 8) // 2


def keys(access: Row, tenant: str) -> list[Row]:
    """What the board shows of a tenant, without what only the passing of time changes."""
    passing = {"oldest_ms", "ages", "over_target", "drain_s", "windows", "volume", "series", "restated"}
    rows = [row for row in snapshot(access)["keys"] if row["tenant"] == tenant]
    kept = [{name: value for name, value in row.items() if name not in passing} for row in rows]
    return sorted(kept, key=lambda row: (row["queue"], row["channel"]))


def settled(rigged: Rig, ledger: Ledger, tenant: str) -> History:
    """Wait until all that was acked is in the history; it is there once."""
    history = History(rigged.access)
    wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [])
    assert oracle.invented(ledger, oracle.stored(history, tenant), tenant) == []
    assert oracle.double(history, tenant) == []
    return history


def alarmed(rigged: Rig, tenant: str) -> None:
    """A replay in which rules fire, stored to its end."""
    events = crowd(611)
    Sender(rigged.access).send(ticking(parts(events, tenant), tenant))
    tick = finish(rigged.access, events, tenant)
    history = History(rigged.access)
    query = "SELECT as_of FROM clocks WHERE tenant = {t:String}"
    wait("its clock in the history", lambda: history.rows(query, t=tenant) == [{"as_of": tick}])


def test_c01_while_the_history_stands_the_board_and_the_rules_go_on(rigged: Rig, ledger: Ledger) -> None:
    tenant = "c01"
    with Load(rigged.access, ledger, 612, clients=2) as load:
        load.flow(chat(612, tenant), 50, 2)
        load.drained()
        wait("the board", lambda: keys(rigged.access, tenant))
        alarmed(rigged, "c01-with")
        history = History(rigged.access)
        with rigged.stopped("sink"):
            before, shown = snapshot(rigged.access)["as_of"], keys(rigged.access, tenant)
            load.flow(chat(613, tenant, prefix="s"), 50, 5)
            load.drained()
            wait("the board goes on", lambda: keys(rigged.access, tenant) != shown)
            wait("its clock too", lambda: snapshot(rigged.access)["as_of"] > before)
            events = crowd(611)
            Sender(rigged.access).send(ticking(parts(events, "c01-without"), "c01-without"))
            finish(rigged.access, events, "c01-without")
    rigged.ready(180)
    wait("O6", lambda: oracle.same_alerts(history, "c01-with", "c01-without"), 400)
    settled(rigged, ledger, tenant)


def without_redis(rigged: Rig, ledger: Ledger, tenant: str, seconds: float) -> None:
    """D-01: chat is taken, stored and judged as before while Redis stands for so long, and the board says so."""
    with Load(rigged.access, ledger, 601, clients=2) as load:
        load.flow(chat(601, tenant), 50, 3)
        load.drained()
        before = [acked - sent for sent, acked in ledger.acks()]
        history = settled(rigged, ledger, tenant)
        alarmed(rigged, f"{tenant}-with")
        with rigged.stopped("redis"):
            began = time.monotonic()
            load.flow(chat(602, tenant, prefix="r"), 50, 3)
            wait("the board says so", lambda: snapshot(rigged.access)["stale_reason"] == "redis")
            print(f"stale after {time.monotonic() - began:.1f} s")
            load.flow(chat(603, tenant, prefix="s"), 50, max(0.0, seconds - (time.monotonic() - began)))
            load.drained()
            settled(rigged, ledger, tenant)
            alarmed(rigged, f"{tenant}-without")
            wait("O6", lambda: oracle.same_alerts(history, f"{tenant}-with", f"{tenant}-without"), 400)
        during = [acked - sent for sent, acked in ledger.acks()][len(before) :]
    print(f"acks: median {statistics.median(before):.3f} s before, {statistics.median(during):.3f} s without Redis")
    assert statistics.median(during) < 10 * statistics.median(before) + 0.5
    wait("fresh again", lambda: snapshot(rigged.access)["stale"] is False)


def test_d01_without_redis_chat_is_taken_and_stored_as_before_and_the_board_says_so(
    rigged: Rig, ledger: Ledger
) -> None:
    without_redis(rigged, ledger, "d01", 3)


def test_d03_a_redis_that_is_full_stops_nobody_elses_job_and_the_board_says_that_it_is_old(
    rigged: Rig, ledger: Ledger
) -> None:
    tenant = "d03"
    client = redis_client.Redis.from_url(rigged.stack.environment["TIDEWATCH_REDIS__URL"])
    with Load(rigged.access, ledger, 621, clients=2) as load:
        load.flow(chat(621, tenant), 50, 2)
        load.drained()
        history = settled(rigged, ledger, tenant)
        alarmed(rigged, "d03-with")
        before = {name: rigged.stack.pid(name) for name in ("gateway", "worker", "sink", "notifier")}
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis_client.OutOfMemoryError):
                client.set("full", "?")
            load.flow(chat(622, tenant, prefix="f"), 50, 3)
            wait("the board says so", lambda: snapshot(rigged.access)["stale"] is True)
            load.drained()
            settled(rigged, ledger, tenant)
            alarmed(rigged, "d03-full")
            wait("O6", lambda: oracle.same_alerts(history, "d03-with", "d03-full"), 400)
        finally:
            client.config_set("maxmemory", 0)
            client.close()
    wait("fresh again", lambda: snapshot(rigged.access)["stale"] is False)
    assert {name: rigged.stack.pid(name) for name in before} == before, "nobody died of it"
    wait("its tiles", lambda: keys(rigged.access, tenant))


def torn(url: str, tenant: str, ended: threading.Event) -> tuple[int, list[str]]:
    """Read the keys again and again: how often, and each time the total was not the sum of its parts."""
    client, looks, found = redis_client.Redis.from_url(url), 0, []
    while not ended.is_set():
        rows = {tuple(json.loads(name)[1:]): json.loads(value) for name, value in client.hgetall("tw:keys").items()
                if json.loads(name)[0] == tenant}  # fmt: skip
        leaves = [row for key, row in rows.items() if "*" not in key]
        for column in ("open", "backlog", "awaiting_first"):
            whole, parts_of_it = rows.get(("*", "*"), {}).get(column, 0), sum(row[column] for row in leaves)
            if rows and whole != parts_of_it:
                found.append(f"{column}: {whole}, its parts {parts_of_it}")
        looks += 1
        ended.wait(0.02)
    client.close()
    return looks, found


def test_d04_whoever_reads_the_present_reads_all_of_an_update_or_nothing(rigged: Rig, ledger: Ledger) -> None:
    tenant, ended = "d04", threading.Event()
    url = rigged.stack.environment["TIDEWATCH_REDIS__URL"]
    with ThreadPoolExecutor(1) as pool, Load(rigged.access, ledger, 614, clients=2) as load:
        reading = pool.submit(torn, url, tenant, ended)
        try:
            for number in range(KILLS):
                load.flow(chat(615 + number, tenant, prefix=f"{number}-"), 100, 1)
                rigged.kill("notifier")
                wait("the board again", lambda: not snapshot(rigged.access)["stale"])
            load.drained()
        finally:
            ended.set()
        looks, found = reading.result(60)
    print(f"{looks} looks")
    assert looks > KILLS
    assert found == []


def closed_talk(number: int, at: int, tenant: str, queue: str = "past") -> list[Row]:
    """Somebody asks, waits for five minutes, is answered, and it is over."""
    who: Row = {"tenant": tenant, "conversation": f"late{number}", "queue": queue}
    asks: Row = {"kind": "message", "author": "customer", "author_id": f"l{number}", "text": "?"}
    answers: Row = {"kind": "message", "author": "agent", "author_id": "a1", "text": "!"}
    closes: Row = {"kind": "closed", "agent": "a1", "by": "agent", "resolved": True}
    rows = ((at, asks), (at + 300_000, answers), (at + 310_000, closes))
    return [{**who, **what, "id": f"l{number}-{place}", "at": when} for place, (when, what) in enumerate(rows)]


def test_t02_what_comes_late_restates_its_minutes_and_fires_nothing_and_beyond_a_day_is_only_counted(
    rigged: Rig,
) -> None:
    tenant, on_time = "t02", crowd(631)
    begin, history = min(event["at"] for event in on_time), History(rigged.access)
    late = [event for number in range(12) for event in closed_talk(number, begin + 60_000, tenant)]
    whole: list[Row] = sorted([*on_time, *late], key=lambda event: int(event["at"]))
    Sender(rigged.access).send(ticking(parts(whole, "t02-live"), "t02-live"))
    assert_exact(rigged, "t02-live", whole)
    Sender(rigged.access).send(ticking(parts(on_time, tenant), tenant))
    assert_exact(rigged, tenant, on_time)
    rows = "SELECT minute, sum(version) AS v FROM minutes_base FINAL WHERE tenant = {t:String} GROUP BY minute"
    versions = {row["minute"]: row["v"] for row in history.rows(rows, t=tenant)}
    too_late = [{**on_time[0], "id": f"old{n}", "at": begin - 25 * 3_600_000} for n in range(3)]
    after = max(event["at"] for event in on_time) + 600_000
    then = [event for number in (97, 98, 99) for event in closed_talk(number, after, tenant, "after")]
    then.sort(key=lambda event: int(event["at"]))
    ticks: list[Row] = [{"tick": rfc3339(after + ms), "tenant": tenant} for ms in (5_000, 45_000, 90_000)]
    bodies = [*parts([*late, *too_late], tenant), *parts(then[:3], tenant), *ticks, *parts(then[3:], tenant)]
    Sender(rigged.access).send(bodies)
    assert_exact(rigged, tenant, [*on_time, *late, *too_late, *then])
    again = {row["minute"]: row["v"] for row in history.rows(rows, t=tenant)}
    minute = (begin + 60_000) // 60_000 * 60_000
    assert again[minute] > versions[minute], "a restatement is a row of a greater version"
    query = "SELECT late_total FROM late WHERE tenant = {t:String}"
    assert history.rows(query, t=tenant) == [{"late_total": len(too_late)}]
    wait("in time, it would have fired", lambda: fired(history, "t02-live")["past"])
    wait("what fired after it", lambda: fired(history, tenant)["after"])
    assert fired(history, tenant)["past"] == 0, "its window was closed"


def fired(history: History, tenant: str) -> Counter[str]:
    """Queue → how many alerts of it fired."""
    query = "SELECT queue FROM alerts WHERE tenant = {t:String} AND state = 'firing'"
    return Counter(row["queue"] for row in history.rows(query, t=tenant))


def test_t07_windows_close_where_three_of_four_partitions_are_idle(rigged: Rig) -> None:
    tenant, parts = "t07", int(rigged.stack.environment["TIDEWATCH_KAFKA__PARTITIONS"])
    name = next(f"c{n}" for n in range(100) if partition_of(tenant, f"c{n}", parts) == 0)
    now = int(time.time() * 1000)
    event = {"id": "1", "kind": "message", "at": now, "tenant": tenant, "conversation": name, "author": "customer"}
    Sender(rigged.access, replay=False).send([{"events": [event | {"text": "?"}]}])
    shown = wait("its tile", lambda: keys(rigged.access, tenant))
    assert any(row["awaiting_first"] == 1 for row in shown)
    frame = snapshot(rigged.access)
    assert frame["partitions"]["behind"] == 0
    before = frame["as_of"]
    wait("the clock goes on", lambda: snapshot(rigged.access)["as_of"] > before)
    history = History(rigged.access)
    query = "SELECT backlog FROM minutes WHERE tenant = 't07' AND backlog > 0"
    wait("the minute closes, with its backlog", lambda: history.rows(query), 400)  # a minute, and the lateness


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's memory")
def test_k10_a_worker_without_memory_dies_or_waits_and_never_counts_wrong(
    rigged: Rig, everything_is_as_before: Hygiene
) -> None:
    import resource

    everything_is_as_before.told = b"MemoryError"

    tenant, events = "k10", stream(610, 6_000)
    pid = rigged.stack.pid("worker")
    assert pid is not None
    size = psutil.Process(pid).memory_info().vms
    resource.prlimit(pid, resource.RLIMIT_AS, (size + (1 << 20), size + (1 << 20)))
    Sender(rigged.access).send(parts(events, tenant))
    time.sleep(5)
    print("it", "died" if rigged.is_another("worker", pid) else "lives")
    if rigged.stack.pid("worker") == pid:
        rigged.kill("worker")
    rigged.ready()
    assert_exact(rigged, tenant, events)
    history = History(rigged.access)
    reasons = {row["reason"] for row in history.rows("SELECT DISTINCT reason FROM dead_letters")}
    assert not [reason for reason in reasons if "MemoryError" in reason], "no record is blamed for it"


def test_k09_a_stop_under_load_answers_what_is_in_flight_and_loses_nothing(tmp_path: Path, ledger: Ledger) -> None:
    tenant = "k09"
    up = Up(tmp_path / "data")
    access = up.ready()
    try:
        with Load(access, ledger, 605, clients=20) as load:
            load.flow(chat(605, tenant, 1_000), 500, 2)
            began = time.monotonic()
            up.process.send_signal(signal.SIGTERM)
            load.flow(chat(606, tenant, 1_000, "s"), 500, 0.5)
            assert up.process.wait(120) == 0
            print(f"stopped after {time.monotonic() - began:.1f} s")
            assert sum(max(GRACE[name] for name in group) for group in STOPPED) <= 15, "the longest that it may take"
            wait("every socket closed", lambda: load.open == 0)
            assert 1012 in load.seen.closes, load.seen.closes
        up = Up(tmp_path / "data")
        access = up.ready()
        history = History(access)
        wait("all that was acked", lambda: oracle.lost(ledger, oracle.stored(history, tenant), tenant) == [])
        rows = oracle.stored(history, tenant)
        assert oracle.invented(ledger, rows, tenant) == []
        assert oracle.double(history, tenant) == []
        assert tracebacks(tmp_path / "data" / "logs") == []
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(120) == 0
    finally:
        if up.process.poll() is None:
            up.kill()
