"""FAULTS C-01, D-01, D-02, T-02, T-04, T-07, K-08 to K-10: no Redis, odd stamps, idle partitions, a stop."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis as redis_client

from streams.events import partition_of
from tests.conformance.cases import Row
from tests.faults.test_deaths import assert_exact, crowd, live_equals_reference, parts, ticking
from tests.integration.outside import History, Sender, snapshot, wait
from tests.integration.test_kills import Up
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.hygiene import tracebacks
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig, finish
from tidewatch.embedded import GRACE, STOPPED

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1_200)]
KILLS = int(os.environ.get("TIDEWATCH_KILLS", "8")) // 2


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


def test_d01_without_redis_chat_is_taken_and_stored_as_before_and_the_board_says_so(
    rigged: Rig, ledger: Ledger
) -> None:
    tenant = "d01"
    with Load(rigged.access, ledger, 601, clients=2) as load:
        load.flow(chat(601, tenant), 50, 3)
        load.drained()
        before = [acked - sent for sent, acked in ledger.acks()]
        history = settled(rigged, ledger, tenant)
        alarmed(rigged, "d01-with")
        with rigged.stopped("redis"):
            began = time.monotonic()
            load.flow(chat(602, tenant, prefix="r"), 50, 3)
            wait("the board says so", lambda: snapshot(rigged.access)["stale_reason"] == "redis")
            print(f"stale after {time.monotonic() - began:.1f} s")
            load.drained()
            settled(rigged, ledger, tenant)
            alarmed(rigged, "d01-without")
            wait("O6", lambda: oracle.same_alerts(history, "d01-with", "d01-without"), 400)
        during = [acked - sent for sent, acked in ledger.acks()][len(before) :]
    print(f"acks: median {statistics.median(before):.3f} s before, {statistics.median(during):.3f} s without Redis")
    assert statistics.median(during) < 10 * statistics.median(before) + 0.5
    wait("fresh again", lambda: snapshot(rigged.access)["stale"] is False)


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


def test_d02_an_emptied_redis_is_filled_again_with_the_same_numbers(rigged: Rig, ledger: Ledger) -> None:
    tenant = "d02"
    with Load(rigged.access, ledger, 603, clients=2) as load:
        load.flow(chat(603, tenant), 100, 2)
        load.drained()
    settled(rigged, ledger, tenant)
    looks: list[list[Row]] = []

    def stands() -> bool:
        looks.append(keys(rigged.access, tenant))
        return len(looks) > 8 and bool(looks[-1]) and all(look == looks[-1] for look in looks[-8:])

    wait("a board that stands", stands)
    before = looks[-1]
    client = redis_client.Redis.from_url(rigged.stack.environment["TIDEWATCH_REDIS__URL"])
    client.flushall()
    began = time.monotonic()
    wait("the keys again", lambda: client.hlen("tw:keys") > 0)
    wait("the same board", lambda: keys(rigged.access, tenant) == before)
    print(f"rebuilt after {time.monotonic() - began:.1f} s")
    client.close()


def test_t02_and_t04_no_stamp_poisons_the_clock_of_others(rigged: Rig, ledger: Ledger) -> None:
    tenant, now = "t04", int(time.time() * 1000)
    hour, day = 3_600_000, 86_400_000

    def message(name: str, at: object, conversation: str = "odd") -> Row:
        row: Row = {"id": name, "kind": "message", "at": at, "tenant": tenant, "conversation": conversation}
        return row | {"author": "customer", "author_id": "x", "text": "?"}

    refused = [
        message("y9999", "9999-12-31T23:59:59Z"), message("negative", -1), message("seconds", now // 1000),
        message("micros", now * 1000), message("nonsense", "yesterday"), message("fraction", now + 0.5),
    ]  # fmt: skip
    taken = [
        message("hour-ahead", now + hour), message("day-ahead", now + 30 * day), message("minute-ahead", now + 90_000),
        message("late", now - 3 * hour, "c1"), message("too-late", now - 25 * hour, "c2"), message("now", now, "c3"),
    ]  # fmt: skip
    sender = Sender(rigged.access, replay=False)
    sender.send([{"events": refused}, {"events": taken}])
    assert [one["id"] for one in sender.rejected] == [one["id"] for one in refused]
    history = History(rigged.access)
    query = "SELECT id, clock_suspect, late, event_time FROM events WHERE tenant = 't04'"
    rows = {row["id"]: row for row in wait("what was taken", lambda: _all(history.rows(query), len(taken)))}
    assert {name for name, row in rows.items() if row["clock_suspect"]} == {"hour-ahead", "day-ahead"}
    assert all(abs(rows[name]["event_time"] - now) < hour // 2 for name in ("hour-ahead", "day-ahead"))
    assert {name for name, row in rows.items() if row["late"]} == {"too-late"}
    with Load(rigged.access, ledger, 604, clients=1) as load:
        load.flow(chat(604, tenant + "b"), 50, 2)
        load.drained()
    settled(rigged, ledger, tenant + "b")
    events = ledger.events(tenant + "b")
    wait("others' numbers", lambda: live_equals_reference(rigged, history, tenant + "b", events))
    late = "SELECT late_total FROM late WHERE tenant = 't04'"
    wait("the count of the late", lambda: history.rows(late) == [{"late_total": 1}])
    minute = (now - 3 * hour) // 60_000 * 60_000
    restated = "SELECT messages FROM minutes WHERE tenant = 't04' AND minute = {m:DateTime64(3)}"
    wait("a restatement, within a day", lambda: history.rows(restated, m=minute / 1000) == [{"messages": 1}])


def _all(rows: list[Row], many: int) -> list[Row] | None:
    return rows if len(rows) == many else None


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


def test_k08_a_gateway_whose_loop_stands_keeps_its_sockets_and_goes_on_by_itself(rigged: Rig, ledger: Ledger) -> None:
    """A stopped process is a blocked loop, seen from outside."""
    tenant = "k08"
    with Load(rigged.access, ledger, 607, clients=20) as load:
        wait("all sockets", lambda: load.open == 20)
        load.flow(chat(607, tenant), 100, 1)
        load.drained()
        opened = len(load.seen.connected)
        with rigged.stopped("gateway"):
            wait("not ready", lambda: any("gateway" in one for one in rigged.stack.missing()))
            time.sleep(3)
        load.flow(chat(608, tenant, prefix="b"), 100, 1)
        load.drained()
        assert len(load.seen.connected) == opened, "no socket was lost"
    rigged.ready()
    settled(rigged, ledger, tenant)


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's memory")
def test_k10_a_worker_without_memory_dies_or_waits_and_never_counts_wrong(rigged: Rig) -> None:
    import resource

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
