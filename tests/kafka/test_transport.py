"""What Faust drops while partitions move comes again; what Kafka deleted before it was read is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from structlog.testing import capture_logs

from config.settings import Settings
from sinks import store
from sinks.desk import Found
from streams.events import READINGS, Reading, encode
from streams.feed import make_app, raw_topic, records
from streams.transport import NoTables
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PARTITIONS = 2
WITHIN_S = 60
Taken = list[tuple[int, int | None]]
"""Partition and position of each reading an agent was given. None is acked, so the group stands where it stood."""

Make = Callable[[Settings, Taken, Path], Any]
"""An app of these settings that notes what it is given; and a directory of its own."""


def workers_app(settings: Settings, taken: Taken, _: Path) -> Any:
    """One made as the worker's is."""
    app = make_app("tidewatch-worker", settings.kafka.bootstrap, embedded=False)

    async def take(stream: Any) -> None:
        async for event in records(stream):
            found = store._from_reading(event.message.value, PARTITIONS)
            taken.append((found.partition, found.pos))

    app.agent(raw_topic(app, READINGS, PARTITIONS), name="take")(take)
    return app


def sinks_app(settings: Settings, taken: Taken, directory: Path) -> Any:
    """The sink's own."""

    class Desk:
        async def take(self, found: Found, _: int, __: Callable[[], None]) -> None:
            taken.append((found.partition, found.pos))

    return store.make_app(settings, Desk(), directory)  # type: ignore[arg-type]  # nothing else of it is asked for


async def until(what: Callable[[], bool], why: str) -> None:
    """Wait for a condition."""
    for _ in range(WITHIN_S * 20):
        if what():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not within {WITHIN_S} s: {why}")


@asynccontextmanager
async def running(app: Any, directory: Path) -> AsyncIterator[None]:
    """Started; while it goes back to where the group stands, its partitions are looked at as Faust does by itself."""
    app.conf.datadir = directory
    app.finalize()
    await app.start()
    seek = app.consumer.perform_seek

    async def seeks() -> None:
        seeking = asyncio.ensure_future(seek())
        while not seeking.done():
            await app.consumer.verify_all_partitions_active()
        await seeking

    app.consumer.perform_seek = seeks
    try:
        yield
    finally:
        await app.stop()


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[Callable[[int], Any]]:
    """Yields what says a reading of this position in each partition."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()

    async def say(number: int) -> None:
        for partition in range(PARTITIONS):
            await producer.send_and_wait(READINGS, encode(Reading(partition, number)), partition=partition)

    try:
        yield say
    finally:
        await producer.stop()


class Stage(NamedTuple):
    """An app that is not started, with its topics."""

    app: Any
    taken: Taken
    say: Callable[[int], Any]
    commit: Callable[[int], Any]
    """Have its group stand there in the first partition."""


@asynccontextmanager
async def stage(broker: Broker, directory: Path, make: Make) -> AsyncIterator[Stage]:
    """Yields it."""
    settings = Settings(kafka={"bootstrap": broker.bootstrap, "partitions": PARTITIONS})
    taken: Taken = []
    await store.ensure_topics(settings)
    app = make(settings, taken, directory)
    async with producing(settings) as say:
        yield Stage(app, taken, say, partial(_commit, settings, app.conf.id))


@pytest.mark.parametrize("make", [workers_app, sinks_app])
def test_what_was_fetched_too_early_comes_again_where_the_group_stands_at_the_beginning(
    own_broker: Broker, tmp_path: Path, make: Make
) -> None:
    async def story() -> None:
        async with stage(own_broker, tmp_path, make) as (app, taken, say, commit):
            await commit(0)  # of the other, nothing is committed
            async with running(app, tmp_path):
                flow = app.consumer.can_resume_flow
                await say(0)
                await until(lambda: {(0, 0), (1, 0)} <= set(taken), "an agent has the first")
                for number in (1, 2, 3):  # each time a fetch is all but surely under way
                    app.consumer.stop_flow()  # as when partitions move
                    await say(number)
                    await until(lambda: bool(flow._waiters), "it has dropped what the fetch had, and waits")
                    app.consumer.resume_flow()
                    await until(lambda: {(0, number), (1, number)} <= set(taken), f"{number}: {taken}")  # noqa: B023

    asyncio.run(story())


@pytest.mark.parametrize("make", [workers_app, sinks_app])
def test_what_was_deleted_before_it_was_read_is_counted_and_the_rest_is_read(
    own_broker: Broker, tmp_path: Path, make: Make
) -> None:
    async def story() -> Taken:
        async with stage(own_broker, tmp_path, make) as (app, taken, say, commit):
            for number in range(6):
                await say(number)
            await commit(1)
            admin = AIOKafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
            await admin.start()
            await admin.delete_records({TopicPartition(READINGS, 0): RecordsToDelete(4)})
            await admin.close()
            async with running(app, tmp_path):
                await until(lambda: {(0, 5), (1, 5)} <= set(taken), "the last of both")
            return taken

    with capture_logs() as logs:
        taken = asyncio.run(story())
    lost = [(one["partition"], one["count"]) for one in logs if one["event"] == "records_lost"]
    assert set(lost) == {(0, 3)}
    assert {number for partition, number in taken if partition == 0} == {4, 5}


@pytest.mark.parametrize("embedded", [False, True])
def test_who_has_no_tables_joins_at_once_on_kafka(embedded: bool) -> None:
    app = make_app("tidewatch-worker", "127.0.0.1:9", embedded)
    assert isinstance(app.tables, NoTables) is not embedded


async def _commit(settings: Settings, group: str, offset: int) -> None:
    """For the first partition, as state made anew from the topic does."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        line = TopicPartition(READINGS, 0)
        consumer.assign([line])
        await consumer.commit({line: offset})
    finally:
        await consumer.stop()
