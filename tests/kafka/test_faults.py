"""The worker on a real Kafka: a broker that dies, records nobody can read, and one that breaks the fold."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.settings import Kafka, TenantSettings
from streams.events import EVENTS, Event, Reading, Record, decode_reading, encode
from streams.moving import Moving
from streams.policy import Policy
from streams.tables import Tables, ensure_topics
from tests.kafka.broker import Broker
from tests.kafka.test_worker import Sent, line_up
from tests.streams.line import PARTITIONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def message(name: str, tenant: str = "t") -> bytes:
    """A record of one event."""
    event = Event(id=name, kind="message", at=1_000, conversation="c", tenant=tenant, received_at=1_000)
    return encode(Record(events=[event]))


def test_a_broker_killed_in_the_middle_loses_nothing_and_a_bad_record_is_a_dead_letter_once(
    broker: Broker, tmp_path: Path
) -> None:
    bad = [b"", b"{", b"\xff\xfe", b'{"v": 9}', b'"\\ud800"', b"[" * 100_000]

    async def story() -> list[Reading]:
        async with line_up(broker, tmp_path) as (sent, heard, workers):
            workers.start("one")

            async def send(sent: Sent) -> None:
                for number in range(60):
                    await sent.record(number % PARTITIONS, message(f"e{number}"))
                    if number % 10 == 5:
                        await sent.record(number % PARTITIONS, bad[number // 10])

            sending = asyncio.create_task(send(sent))
            await heard.until(lambda: heard.total > 0, lambda: workers.said("one"))
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
            await sending
            await sent.record(0, message("last"))
            await heard.until(lambda: heard.positions == sent.last, lambda: workers.said("one"))
            assert workers.end("one") == 0, workers.said("one")
            return heard.readings

    segments = [segment for reading in asyncio.run(story()) for segment in reading.segments]
    heard_of = {row.event.id for segment in segments for row in segment.events}
    assert heard_of == {f"e{number}" for number in range(60)} | {"last"}
    letters = Counter((one.partition, one.offset) for segment in segments for one in segment.dead_letters)
    assert len(letters) == len(bad)


def test_a_record_that_breaks_the_fold_is_set_aside_for_the_next_worker(broker: Broker) -> None:
    said: list[bytes] = []

    async def publish(_: int, value: bytes) -> None:
        said.append(value)

    def broken(tenant: str) -> Policy:
        if tenant == "breaks":
            raise ZeroDivisionError
        return Policy(TenantSettings())

    async def life(policy_of: Any, offset: int) -> None:
        """Give one worker one record."""
        moving = Moving(Tables(broker.bootstrap), policy_of, publish, lambda: 1)
        moving.assigned([2])
        record = SimpleNamespace(
            topic=EVENTS, partition=2, offset=offset, value=message("e", "breaks"), generation_id=1, timestamp=1.0
        )
        event = SimpleNamespace(message=record, ack=lambda: None)
        await moving.take(event)
        if policy_of is broken:
            with pytest.raises(ZeroDivisionError):
                await moving.until_failed()
        await moving.commit()
        await moving.close()

    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        first = await Tables(broker.bootstrap).open(2)
        offset = first.position + 1
        await first.close()
        await life(broken, offset)
        said.clear()
        await life(lambda _: Policy(TenantSettings()), offset)
        last = await Tables(broker.bootstrap).open(2)
        assert last.position == offset
        await last.close()

    asyncio.run(story())
    readings = [decode_reading(value) for value in said]
    reasons = [one.reason for reading in readings for segment in reading.segments for one in segment.dead_letters]
    assert reasons == ["could not be applied: ZeroDivisionError"]
    assert not any(segment.events for reading in readings for segment in reading.segments)
