"""A changelog of a newer release, a topic with other partitions, state made anew from the topic: on a real Kafka."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from config.settings import Kafka, Settings
from streams.events import EVENTS
from streams.tables import LAYOUT, STATE, Newer, Tables, ensure_topics
from tests.kafka.broker import Broker
from tests.kafka.test_worker import TENANT, line_up, told
from tests.reference.metrics import reckon
from tests.reference.streams import stream
from tests.streams.line import PARTITIONS, event_of
from tests.streams.test_reference import differences
from tidewatch.rebuild import CannotRebuild
from tidewatch.rebuild_kafka import rebuild

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_state_is_made_anew_from_the_topic_while_no_worker_runs(broker: Broker, tmp_path: Path) -> None:
    wire = stream(31, 1_500)
    tick = max(int(event["at"]) for event in wire) + 60_000
    settings = Settings(kafka={"bootstrap": broker.bootstrap, "partitions": PARTITIONS})

    async def story() -> None:
        async with line_up(broker, tmp_path) as (sent, heard, workers):
            workers.start("one")
            events = [event_of(row, TENANT) for row in wire]
            for start in range(0, 1_000, 20):
                await sent.events(events[start : start + 20])
            await heard.until(lambda: heard.positions == sent.last, partial(workers.said, "one"))
            with pytest.raises(CannotRebuild, match="1 workers run on"):
                await rebuild(settings, "topic")
            assert workers.end("one") == 0
            positions = await _when_all_have_left(settings)
            assert positions == dict.fromkeys(range(PARTITIONS), -1), "from the very beginning"
            heard.readings.clear()  # the old ones would do as well: what is said again is the same
            heard.positions = dict.fromkeys(range(PARTITIONS), -1)
            workers.start("two")
            for start in range(1_000, len(events), 20):
                await sent.events(events[start : start + 20])
            await sent.tick(tick)
            await heard.until(lambda: heard.positions == sent.last, partial(workers.said, "two"))
            assert workers.end("two") == 0
            assert differences(reckon(wire, {}, tick), told(heard.readings, tick)) == []

    asyncio.run(story())


async def _when_all_have_left(settings: Settings) -> dict[int, int]:
    for _ in range(60):
        try:
            return dict(await rebuild(settings, "topic"))
        except CannotRebuild:
            await asyncio.sleep(0.5)
    raise AssertionError("the worker never left its group")


def test_a_changelog_of_a_newer_release_is_refused_with_what_to_do(broker: Broker) -> None:
    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await producer.start()
        encode = msgspec.msgpack.encode
        row = encode(("layout", "", "", 0)), encode((True, encode(LAYOUT + 1)))
        await producer.send_and_wait(STATE, key=row[0], value=row[1], partition=1)
        await producer.stop()
        with pytest.raises(Newer, match=f"newer Tidewatch .layout {LAYOUT + 1}, this one knows {LAYOUT}.: update this"):
            await Tables(broker.bootstrap).open(1)
        await (await Tables(broker.bootstrap).open(0)).close()

    asyncio.run(story())


def test_a_topic_with_other_partitions_is_refused(broker: Broker) -> None:
    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.create_partitions({EVENTS: NewPartitions(total_count=PARTITIONS + 2)})
        await admin.close()
        with pytest.raises(RuntimeError, match=rf"{EVENTS} has {PARTITIONS + 2} partitions"):
            await asyncio.wait_for(ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS)), 60)

    asyncio.run(story())
