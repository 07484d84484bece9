"""The worker on a Kafka of its own, in production: any number of them share the partitions of one group."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path
from typing import Any

import structlog

from config.settings import Settings
from streams.ending import shut_out
from streams.events import EVENTS, READINGS
from streams.feed import end_of, make_app, raw_topic, records
from streams.learner import Learner
from streams.lessons import Lessons
from streams.moving import Moving
from streams.pace import calm_collector
from streams.policy import Policies
from streams.tables import Tables, ensure_topics
from streams.topics import LABELS

log = structlog.get_logger()

STOP_S = 6
"""How long the last commit, and then Faust, may take when the worker ends."""
LEARN_S = 30
"""How long a worker that starts may go on learning before it takes its part of the work."""


async def run(settings: Settings) -> None:
    """The worker's role, until SIGTERM. What was applied is committed before it ends.

    Raises:
        RuntimeError: the topics are not those of the settings, or the worker has to begin anew.
        KafkaError: the broker was away too long.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(shut_out)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with tempfile.TemporaryDirectory(prefix="tidewatch-worker-") as scratch:
        preparing = asyncio.create_task(ensure_topics(settings.kafka))
        await _first(preparing, asyncio.create_task(stop.wait()))
        if not preparing.done():
            preparing.cancel()
            return
        preparing.result()
        await _work(settings, stop, Path(scratch))


async def _work(settings: Settings, stop: asyncio.Event, scratch: Path) -> None:
    calm_collector()
    app = make_app("tidewatch-worker", settings.kafka.bootstrap, embedded=False)
    app.conf.datadir = scratch
    labels = raw_topic(app, LABELS, 1)

    async def teach(value: bytes) -> None:
        await (await labels.send(key=None, value=value, partition=0))

    lessons = Lessons(Learner(), teach)
    moving = _wired(app, settings, lessons)
    app.finalize()
    listening = asyncio.create_task(lessons.listen(settings.kafka.bootstrap))
    starting = asyncio.create_task(_start(app, lessons, settings.kafka.partitions))
    await _first(starting, asyncio.create_task(stop.wait()))  # a broker that is silent may hold up a start, but no end
    if starting.done():
        starting.result()
    committing = asyncio.create_task(moving.rounds.for_ever())
    failing = asyncio.create_task(moving.until_failed())
    try:
        await _first(asyncio.create_task(stop.wait()), app.wait_until_stopped(), committing, failing, listening)
        if failing.done():
            failing.result()
    finally:
        moving.rounds.end()
        for task in (starting, failing, listening):
            task.cancel()
        try:
            async with asyncio.timeout(STOP_S):
                await committing
        finally:
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await app.stop()
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await moving.close()
    if not stop.is_set():
        raise RuntimeError("the worker's consumer has stopped")


async def _start(app: Any, lessons: Lessons, partitions: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEARN_S):
            await lessons.caught_up.wait()
    await app.start()
    log.info("worker_ready", partitions=partitions)


def _wired(app: Any, settings: Settings, lessons: Lessons) -> Moving:
    topics = {name: raw_topic(app, name, settings.kafka.partitions) for name in (EVENTS, READINGS)}

    async def publish(partition: int, value: bytes) -> None:
        await (await topics[READINGS].send(key=None, value=value, partition=partition))

    tables = Tables(settings.kafka.bootstrap)
    moving = Moving(
        tables, Policies(settings), publish, lambda: app.consumer_generation_id, lessons,
        lambda partition: end_of(app, EVENTS, partition),
    )  # fmt: skip

    @app.agent(topics[EVENTS], name="follow", concurrency=1)  # type: ignore[untyped-decorator]  # Faust has no types for it
    async def follow_agent(stream: Any) -> None:
        """events → readings: fold each record into its partition's state, publish the totals that changed."""
        async for event in records(stream):
            await moving.take(event)

    async def assigned(_: Any, partitions: Any, **__: Any) -> None:
        moving.assigned(line.partition for line in partitions if line.topic == EVENTS)

    async def revoked(_: Any, partitions: Any, **__: Any) -> None:  # noqa: ARG001 - Faust's signal says it so
        moving.revoked()

    app.on_partitions_assigned.connect(assigned)
    app.on_partitions_revoked.connect(revoked)
    return moving


async def _first(*waits: Any) -> None:
    """Return when the first of these is done; tasks go on."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, wait in zip(tasks, waits, strict=True):
        if task is not wait:
            task.cancel()
