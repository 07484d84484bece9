"""FAULTS B-06, B-07, and bad input: what nobody can read is a dead letter, once; our own, unread, stop the line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer

from streams.events import EVENTS, Event, Record, Tick, encode, partition_of
from streams.suspicion import MARK, MOST
from tests.integration.outside import History, Sender, snapshot, wait
from tests.rig import oracle
from tests.rig.processes import Rig

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1_200)]
CANARY = "canary-13900139000"
PARTITIONS = 4


def given(text: str) -> bytes:
    """An event with a hole in the middle."""
    return f'{{"events": [{{"id": "a", "kind": "message", "at": 1, "conversation": "c", {text}}}]}}'.encode()


POISON: tuple[bytes | None, ...] = (
    None,  # a tombstone
    b"",
    b"not json " + CANARY.encode(),
    b'{"events": "\xff\xfe"}',
    given('"text": "\\ud800"'),
    given('"score": NaN'),
    given('"seq": 1e400'),
    given('"seq": ' + "9" * 4_301),
    b'{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"v": 9, "events": []}',
    b"[1, 2, 3]",
    b'{"schema": {"type": "struct"}, "payload": {"message_id": 7, "body": "' + CANARY.encode() + b'"}}',
    b"\x00\x00\x00\x00\x2a\x0cavro\x00",
    given(f'"text": "{CANARY * 120_000}"').removesuffix(b"}"),  # 2 MiB, cut off
)


async def produce(
    bootstrap: str, records: Sequence[tuple[int, bytes | None]], headers: list[tuple[str, bytes]] | None = None
) -> list[int]:
    """Put records straight onto the topic; their offsets."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_request_size=4 << 20, max_batch_size=1, enable_idempotence=False
    )
    await producer.start()
    try:
        sent = [
            await producer.send_and_wait(EVENTS, value, key=b"k", partition=partition, headers=headers)
            for partition, value in records
        ]
        return [one.offset for one in sent]
    finally:
        await producer.stop()


def event(name: str, tenant: str, **more: object) -> dict[str, object]:
    """One message, now."""
    now = int(time.time() * 1000)
    row = {
        "id": name,
        "kind": "message",
        "at": now,
        "tenant": tenant,
        "conversation": f"c-{name}",
        "author": "customer",
    }
    return row | {"text": "?"} | more


def foreign(name: str, tenant: str, **more: object) -> bytes:
    """The same as a foreign producer writes it: one message a record."""
    fields = event(name, tenant, **more) | {"received_at": int(time.time() * 1000)}
    return encode(Event(**fields))  # type: ignore[arg-type]  # the fields of an event


def ids(history: History, tenant: str) -> set[str]:
    """What of a tenant is stored."""
    return {row["id"] for row in history.rows("SELECT id FROM events WHERE tenant = {t:String}", t=tenant)}


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


def test_b07_many_unreadable_records_of_our_own_gateway_stop_the_line_and_few_of_a_strangers_do_not(
    rigged: Rig,
) -> None:
    bootstrap = rigged.stack.environment["TIDEWATCH_KAFKA__BOOTSTRAP"]
    history = History(rigged.access)
    strange = [(2, b"a stranger's") for _ in range(MOST + 30)]
    offsets = asyncio.run(produce(bootstrap, strange))
    query = "SELECT offset FROM dead_letters WHERE topic = 'chat.events' AND partition = 2"

    def letters(some: list[int]) -> int:
        return len({row["offset"] for row in history.rows(query)} & set(some))

    wait("a stranger's are set aside, however many", lambda: letters(offsets) == MOST + 30)
    ours = asyncio.run(produce(bootstrap, [(2, b"of another release") for _ in range(MOST + 10)], [MARK]))
    log = rigged.logs / "worker.log"
    wait("the line stops", lambda: "own_records_unreadable" in log.read_text())
    stood = snapshot(rigged.access)["as_of"]
    wait("everybody sees that it stands", lambda: any("worker" in one for one in rigged.stack.missing()))
    wait("those set aside before", lambda: letters(ours) == MOST)
    Sender(rigged.access, replay=False).send([{"events": [event("held", "b07")]}])  # acked: it waits in the journal
    rigged.kill("worker")  # as for a release that reads them: these ten are few enough to be set aside
    wait("the line goes on", lambda: ids(history, "b07") == {"held"})
    wait("the clock too", lambda: snapshot(rigged.access)["as_of"] > stood)
    assert letters(ours) <= MOST + 10
