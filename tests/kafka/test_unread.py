"""FAULTS C-02 on a real Kafka: an outage that outlasts what a topic keeps is told of before it costs, and after."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from streams.events import READINGS, Reading, encode
from streams.unread import READERS, look
from tests.alerts.receiver import Receiver
from tests.kafka.broker import Broker
from tests.kafka.notifying import Notifiers, Stream, house
from tests.rig.hygiene import tracebacks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
HOUR_MS = 3_600_000
AGE_MS = HOUR_MS // 2
"""How old the oldest records are that nobody has read."""
OLD = 5
FIRST = TopicPartition(READINGS, 0)
SINK = READERS["sink"][0]


async def keep_for(admin: AIOKafkaAdminClient, ms: int) -> None:
    """How long the topic keeps its records."""
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, READINGS, {"retention.ms": str(ms)})])


async def stand_at(bootstrap: str, offset: int) -> None:
    """The sink's group has read so far."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=SINK, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([FIRST])
        await consumer.commit({FIRST: OffsetAndMetadata(offset, "")})
    finally:
        await consumer.stop()


async def written_before(bootstrap: str) -> None:
    """Records that are as old."""
    then = int(time.time() * 1000) - AGE_MS
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for _ in range(OLD):
            await producer.send_and_wait(READINGS, encode(Reading(0, -1, [])), partition=0, timestamp_ms=then)


def told(there: Receiver) -> list[tuple[str, str, str]]:
    """(rule, state, what) of what was posted about it, in its order."""
    bodies = [json.loads(post.body) for post in there.posts]
    return [(one["rule"], one["state"], one["summary"]["en"]) for one in bodies if one["rule"].startswith("unread/")]


async def heard(stream: Stream, there: Receiver, notifiers: Notifiers, count: int) -> list[tuple[str, str, str]]:
    """Tick until so much was told of it; what was told last."""
    end = time.monotonic() + 90
    while len(told(there)) < count:
        assert time.monotonic() < end, f"{told(there)}\n{notifiers.said('one')[-2_000:]}"
        await stream.step()
        await asyncio.sleep(0.5)
    return told(there)


async def story(broker: Broker, directory: Path) -> list[tuple[str, str, str]]:
    """Nobody stores; the topic keeps less and less; some of it is deleted; then the sink has read all."""
    async with house(broker.bootstrap, directory) as (notifiers, stream, there):
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            await written_before(broker.bootstrap)
            await stand_at(broker.bootstrap, 0)
            notifiers.start("one")
            await keep_for(admin, AGE_MS * 10 // 6)
            await heard(stream, there, notifiers, 1)
            await keep_for(admin, AGE_MS * 10 // 9)
            await heard(stream, there, notifiers, 2)
            await keep_for(admin, 100 * HOUR_MS)
            await heard(stream, there, notifiers, 4)
            await admin.delete_records({FIRST: RecordsToDelete(3)})
            await heard(stream, there, notifiers, 5)
            assert (await look(broker.bootstrap, "sink")).lost == 3
            await stand_at(broker.bootstrap, OLD)
            found = await heard(stream, there, notifiers, 6)
            assert tracebacks(directory) == []
            return found
        finally:
            await admin.close()


def test_c02_what_nobody_has_read_is_told_of_before_it_is_deleted_and_when_it_was(
    own_broker: Broker, tmp_path: Path
) -> None:
    half, most, *far, lost, again = asyncio.run(asyncio.wait_for(story(own_broker, tmp_path), 500))
    assert half[:2] == ("unread/sink/50", "firing")
    assert half[2].startswith("sink is behind: the oldest record it has not read is 6")
    assert most[:2] == ("unread/sink/80", "firing")
    assert {one[:2] for one in far} == {("unread/sink/50", "resolved"), ("unread/sink/80", "resolved")}
    assert lost == ("unread/sink/lost", "firing", "3 records that sink has not read were deleted")
    assert again == ("unread/sink/lost", "resolved", "sink reads again; 3 records were deleted unread")
