"""FAULTS B-07, and what B-06 poisons topics with: of our own gateway, many unreadable records stop the line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer

from streams.events import EVENTS, Event, encode
from streams.suspicion import MARK, MOST
from tests.integration.outside import History, Sender, snapshot, wait
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
