"""The worker: where its parts are made and wired. Faust runs inside our loop, so that stopping is ours."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import structlog

from config.settings import Settings
from streams.agents import Follow
from streams.events import EVENTS, READINGS
from streams.feed import make_app, raw_topic, records
from streams.learner import Learner
from streams.lessons import Lessons
from streams.native import form
from streams.pace import calm_collector
from streams.policy import Policies
from streams.states import Files
from streams.topics import LABELS

log = structlog.get_logger()

STOP_S = 6
"""How long the last commit, and then Faust, may take when the worker ends."""
CANCEL_S = 1
"""How long is waited for what is called off: a consumer whose broker is away takes its time."""


async def run(settings: Settings) -> None:
    """The worker's role, until SIGTERM. What was applied is committed before it ends.

    Without a data directory it keeps its state on Kafka (`streams.cluster`).
    """
    if settings.data is None:
        from streams.cluster import run as run_on_kafka

        return await run_on_kafka(settings)
    partitions = settings.kafka.partitions
    app = make_app("tidewatch-worker", settings.kafka.bootstrap, embedded=True)
    topics = {name: raw_topic(app, name, partitions) for name in (EVENTS, READINGS)}
    files = Files(settings.data / "worker.db")

    async def publish(partition: int, value: bytes) -> None:
        await (await topics[READINGS].send(key=None, value=value, partition=partition))

    labels = raw_topic(app, LABELS, 1)

    async def teach(value: bytes) -> None:
        await (await labels.send(key=None, value=value, partition=0))

    lessons = Lessons(Learner(), teach)
    follow = Follow(partitions, Policies(settings), files, publish, settings.data / "sink.db", lessons)

    @app.agent(topics[EVENTS], name="follow", concurrency=1)  # type: ignore[untyped-decorator]  # Faust has no types for it
    async def follow_agent(stream: Any) -> None:
        """events → readings: fold each record into its partition's state, publish the totals that changed."""
        async for event in records(stream):
            await follow.take(event)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    calm_collector()
    follow.load()
    calm_collector()
    app.finalize()
    await app.start()
    listening = asyncio.create_task(lessons.listen(settings.kafka.bootstrap))
    await follow.begin()
    log.info("worker_ready", partitions=partitions, fold=form())
    committing = asyncio.create_task(follow.rounds.for_ever())
    try:
        await _until_first(stop.wait(), app.wait_until_stopped(), asyncio.shield(committing), listening)
    finally:
        follow.rounds.end()
        try:
            async with asyncio.timeout(STOP_S):
                await committing
        finally:
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await app.stop()
            files.close()


async def _until_first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=CANCEL_S)


def main(settings: Settings) -> None:
    """Run the worker's role in a loop of its own."""
    asyncio.run(run(settings))
