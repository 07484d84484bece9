"""FAULTS T-01, T-03, T-02, T-04, D-02, K-08, B-06: the rows that take seconds, so every run of the suite has them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import redis as redis_client

from streams.events import Record, Tick, encode, partition_of
from tests.conformance.cases import Row, permuted
from tests.faults.test_deaths import assert_exact, live_equals_reference, parts, short
from tests.faults.test_poison import CANARY, PARTITIONS, POISON, event, foreign, ids, produce
from tests.faults.test_rows import keys, settled
from tests.integration.outside import History, Sender, snapshot, wait
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.processes import Rig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


def test_t01_and_t03_disorder_and_up_to_five_copies_through_two_doors_change_no_number(rigged: Rig) -> None:
    seed, tenant = 501, "t03"
    chance = Random(seed)
    once = short(stream(seed, 1_500))
    bodies = parts(permuted([event for event in once for _ in range(chance.randint(1, 5))], chance, 30_000), tenant)
    doors = [threading.Thread(target=Sender(rigged.access).send, args=(bodies[door::2],)) for door in range(2)]
    for door in doors:
        door.start()
    rigged.kill("worker")
    for door in doors:
        door.join(120)
        assert not door.is_alive()
    assert_exact(rigged, tenant, once)


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


def readiness(access: Row, patience_s: float) -> tuple[int, str]:
    """What who asks whether the gateway is ready is answered; (0, "") where nobody answers in time."""
    try:
        with urlopen(f"{access['url']}/readyz", timeout=patience_s) as answer:
            return int(answer.status), ""
    except HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def test_k08_a_gateway_whose_loop_stands_keeps_its_sockets_and_goes_on_by_itself(rigged: Rig, ledger: Ledger) -> None:
    """A stopped process is a blocked loop, seen from outside."""
    tenant = "k08"
    with ThreadPoolExecutor(1) as pool, Load(rigged.access, ledger, 607, clients=20) as load:
        wait("all sockets", lambda: load.open == 20)
        load.flow(chat(607, tenant), 100, 1)
        load.drained()
        opened = len(load.seen.connected)
        with rigged.stopped("gateway"):
            assert readiness(rigged.access, 2) == (0, ""), "who asks is not told within 2 s that it is ready"
            late = pool.submit(readiness, rigged.access, 60)
            time.sleep(3)
        status, said = late.result()
        assert (status, "held up for" in said) == (503, True), "awake again, it says so of itself"
        wait("ready again", lambda: readiness(rigged.access, 2)[0] == 200)
        load.flow(chat(608, tenant, prefix="b"), 100, 1)
        load.drained()
        assert len(load.seen.connected) == opened, "no socket was lost"
    rigged.ready()
    settled(rigged, ledger, tenant)


def test_b06_each_poisoned_record_is_a_dead_letter_once_and_its_neighbours_are_on_time(rigged: Rig) -> None:
    bootstrap = rigged.stack.environment["TIDEWATCH_KAFKA__BOOTSTRAP"]
    big = foreign("big", "poison", text="字" * 700_000)
    place = partition_of("poison", "c-big", PARTITIONS)
    records: list[tuple[int, bytes | None]] = [(1, value) for value in POISON]
    offsets = asyncio.run(produce(bootstrap, [*records, (place, big)]))[: len(POISON)]
    Sender(rigged.access, replay=False).send([{"events": [event("near", "poison")]}])
    history = History(rigged.access)
    query = "SELECT offset, reason, size FROM dead_letters WHERE topic = 'chat.events' AND partition = 1"

    def letters() -> list[dict[str, object]]:
        return [row for row in history.rows(query) if row["offset"] in offsets]

    wait("every dead letter", lambda: len(letters()) == len(POISON))
    assert sorted(row["offset"] for row in letters()) == offsets  # type: ignore[type-var]  # integers
    assert all(row["reason"] for row in letters())
    assert CANARY not in json.dumps(letters())
    wait("the neighbours, one of 2 MiB", lambda: ids(history, "poison") == {"big", "near"})
    assert oracle.leaked([rigged.logs], CANARY) == [], "O7"
    assert letters() == letters()
    rigged.ready()


def test_a_tick_that_goes_back_changes_nothing_and_one_through_the_door_is_refused(rigged: Rig) -> None:
    bootstrap = rigged.stack.environment["TIDEWATCH_KAFKA__BOOTSTRAP"]
    before = snapshot(rigged.access)["as_of"]
    old = encode(Record(tick=Tick(1_600_000_000_000)))
    asyncio.run(produce(bootstrap, [(partition, old) for partition in range(PARTITIONS)]))
    wait("a later clock", lambda: snapshot(rigged.access)["as_of"] > before)
    sender = Sender(rigged.access)
    sender.send(
        [{"tick": 1_772_445_600_000, "tenant": "goes-back"}, {"tick": 1_772_445_500_000, "tenant": "goes-back"}]
    )
    assert len(sender.rejected) == 1
    assert sender.rejected[0]["error"]
