"""What nobody can read goes to the dead letters with its place and reason, and holds nobody up."""

from __future__ import annotations

import asyncio
import json
import time

from aiokafka import AIOKafkaProducer

from streams.events import EVENTS, Event, Record, encode, partition_of
from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, wait

CANARY = "canary-13800138000"
DEEP = b'{"events":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
UNREADABLE = (
    b"",
    b"not json " + CANARY.encode(),
    b'{"v": 9, "events": [{"id": "a", "kind": "message", "at": 1}]}',
    b'{"events": [{"id": 7, "kind": "message", "at": 1}]}',
    b'{"events": "\xff\xfe"}',
    b'{"events": [{"id": "a", "kind": "message", "at": 1e400}]}',
    b"[1, 2, 3]",
    DEEP,
)


async def produce(bootstrap: str, records: list[tuple[int, bytes]]) -> list[int]:
    """Put records straight onto the topic, as a stranger's producer would; returns their offsets."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        return [
            (await producer.send_and_wait(EVENTS, value, partition=partition)).offset for partition, value in records
        ]
    finally:
        await producer.stop()


def test_unreadable_records_are_dead_letters_and_their_neighbours_go_through(stack: RunningStack) -> None:
    access: Row = dict(stack.access)
    bootstrap = stack.environment["TIDEWATCH_KAFKA__BOOTSTRAP"]
    now = int(time.time() * 1000)
    foreign = Event(
        id="f1", kind="message", at=now, tenant="letters", conversation="foreign", author="customer", received_at=now
    )
    place = partition_of("letters", "foreign", 4)
    records = [(2, value) for value in UNREADABLE] + [(place, encode(Record(events=[foreign])))]
    offsets = asyncio.run(produce(bootstrap, records))[: len(UNREADABLE)]
    event = {
        "id": "n1",
        "kind": "message",
        "at": now,
        "tenant": "letters",
        "conversation": "c",
        "author": "customer",
        "text": "?",
    }
    Sender(access, replay=False).send([{"events": [event]}])
    history = History(access)
    query = "SELECT offset, reason, size FROM dead_letters WHERE topic = 'chat.events' AND partition = 2"
    found = wait("all dead letters", lambda: rows if len(rows := history.rows(query)) == len(UNREADABLE) else None)
    assert sorted(row["offset"] for row in found) == offsets
    assert all(row["reason"] for row in found)
    assert "13800138000" not in json.dumps(found)
    neighbours = "SELECT id FROM events WHERE tenant = 'letters' ORDER BY id"
    wait("the neighbours", lambda: [row["id"] for row in history.rows(neighbours)] == ["f1", "n1"])
