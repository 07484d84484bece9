"""The sink role: readings, alerts and deeds → ClickHouse; embedded also ClickHouse's door for readers.

Faust's traps (an exception acks, `take` acks what failed) are kept out by acking by hand: nothing is acked before it
is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faust
import stamina
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    TopicAlreadyExistsError,
    for_code,
)

from config.settings import Settings
from config.spare import unmap
from sinks.clickhouse import open_history, without_frames
from sinks.desk import Desk, Found, Positions
from sinks.rows import ALERTS as ALERT_ROWS
from sinks.rows import (
    AUDIT,
    DEAD_LETTERS,
    Unreadable,
    decode_alert,
    decode_deed,
    decode_reading,
    decode_usual,
    rows_of,
    unreadable,
)
from sinks.rows import USUAL as USUAL_ROWS
from streams.ending import go_on
from streams.events import ALERTS, COMMANDS, READINGS
from streams.pace import spare_collector
from streams.topics import USUAL, need_partitions, topics
from streams.transport import carry

if TYPE_CHECKING:
    from faust.types import EventT, StreamT

log = structlog.get_logger()

FINISH_S = 2.5
"""How long an ending sink waits for its last block, and then again for Faust."""
FETCH_WAIT_MS = 250
"""Nobody waits for a row as for the board. Idle, 50 ms took the sink 0.9 % of a core more than Faust's 1.5 s."""
SESSION_S = {True: 2.0, False: 10.0}
"""After how long a dead sink's partitions are free. Embedded (True): the broker holds every join for half of it."""
READ = (READINGS, ALERTS, COMMANDS, USUAL)


async def run(settings: Settings) -> None:
    """Store until told to end (SIGTERM, SIGINT): then finish the block and return within 10 s.

    Raises:
        RuntimeError: something ended that must not; the process should be started again.
    """
    ended = _on_signals()
    if settings.data is not None:
        without_frames()
    history = open_history(settings)
    doorway = None
    with tempfile.TemporaryDirectory(prefix="tidewatch-sink-") as scratch:
        positions = Positions(settings.data / "sink.db") if settings.data else None
        desk = Desk(history, positions, lambda tenant: settings.tenant(tenant).zone, _now)
        app = make_app(settings, desk, Path(scratch))
        prepared = asyncio.Event()
        joining = asyncio.create_task(_join(app, settings, prepared))
        try:
            await _unless(ended, history.prepare())
            prepared.set()
            doorway = await _open_door(settings)
            await _unless(ended, _start_desk(desk, history))
            await _unless(ended, joining)
            spare_collector()
            await asyncio.to_thread(unmap)  # the engine has just begun, and what is to be caught up with comes now
            await _store_until(ended, desk, app)
        except _EndedEarly:
            log.info("sink_ended_early")
        finally:
            await _leave(app, joining)
            if doorway is not None:
                await doorway.close()
            history.close()


async def _join(app: faust.App, settings: Settings, prepared: asyncio.Event) -> None:
    """Embedded, side by side with the engine's start, which is as slow. Else another sink may be at work, and goes on
    with all of it while the schema is made what this one needs.
    """
    await ensure_topics(settings)
    if settings.data is None:
        await prepared.wait()
    await app.start()


async def _leave(app: faust.App, joining: asyncio.Task[None]) -> None:
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FINISH_S):
            await app.stop()
    log.info("sink_stopped")


async def _start_desk(desk: Desk, history: Any) -> None:
    await desk.know(await history.zones())


async def _open_door(settings: Settings) -> Any:
    """Embedded: serve readers over HTTP. Production: they ask ClickHouse itself."""
    if settings.data is None:
        return None
    from sinks.door import Door

    return await Door.open(settings)


async def _store_until(ended: asyncio.Event, desk: Desk, app: faust.App) -> None:
    working = asyncio.create_task(desk.work())
    log.info("sink_started")
    try:
        await _first(working, ended.wait(), app.wait_until_stopped())
        if working.done():
            working.result()
        if not ended.is_set():
            raise RuntimeError("the consumer of the sink has stopped")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await desk.finish()
    finally:
        working.cancel()


def make_app(settings: Settings, desk: Desk, scratch: Path) -> faust.App:
    """The Faust app `tidewatch-sink`: all topics onto one desk."""
    session = SESSION_S[settings.data is not None]
    app = faust.App(
        "tidewatch-sink",
        broker=";".join(f"aiokafka://{server.strip()}" for server in settings.kafka.bootstrap.split(",")),
        store="memory://",
        datadir=str(scratch),
        web_enabled=False,
        autodiscover=False,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_partitions=settings.kafka.partitions,
        broker_commit_interval=1.0,
        broker_max_poll_interval=86_400.0,  # an outage of the database is waited out in place, within the group
        stream_buffer_maxsize=256,
        stream_wait_empty=False,
        producer_max_batch_size=1,
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 6,
        broker_rebalance_timeout=session / 2,
    )
    carry(app, settings.kafka.bootstrap, settings.data is not None, FETCH_WAIT_MS)
    parts = settings.kafka.partitions
    _agent(app, READINGS, "store", desk, lambda value: _from_reading(value, parts))
    _agent(app, ALERTS, "store_alerts", desk, lambda value: Found({ALERT_ROWS: [decode_alert(value)]}))
    _agent(app, COMMANDS, "store_deeds", desk, lambda value: Found({AUDIT: [decode_deed(value)]}))
    _agent(app, USUAL, "store_usual", desk, lambda value: Found({USUAL_ROWS: decode_usual(value)}))
    return app


def _agent(app: faust.App, topic: str, name: str, desk: Desk, read: Callable[[bytes], Found]) -> None:
    channel = app.topic(topic, key_serializer="raw", value_serializer="raw")

    async def body(stream: StreamT[bytes]) -> None:
        async for event in stream.noack().events():  # type: ignore[attr-defined]  # its interface forgets to say so
            await desk.take(_found(event, read), len(event.value or b""), event.ack)

    app.agent(channel, name=name)(body)


def _found(event: EventT[bytes], read: Callable[[bytes], Found]) -> Found:
    """What a record holds; of one that nobody can read, its dead letter."""
    value = event.value or b""
    try:
        return read(value)
    except Unreadable as error:
        message = event.message
        topic, partition, offset = message.topic, message.partition, message.offset
        log.error("record_unreadable", topic=topic, partition=partition, offset=offset)
        at = int(message.timestamp * 1000)
        return Found({DEAD_LETTERS: [unreadable(topic, partition, offset, value, str(error), at)]})


def _from_reading(value: bytes, partitions: int) -> Found:
    """A base reading says what stands again, not what came after the position: it moves none."""
    reading = decode_reading(value)
    return Found(rows_of(reading, partitions), reading.partition, None if reading.base else reading.pos)


async def ensure_topics(settings: Settings) -> None:
    """Return once the topics are there, each with as many partitions as it should have.

    Raises:
        WrongPartitions: one has another number of them.
    """
    async for attempt in stamina.retry_context(
        on=(KafkaConnectionError, OSError, KafkaError), attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
    ):
        with attempt:
            try:
                found = await _topics(settings)
            except (OSError, KafkaError):
                go_on()
                raise
    wanted = topics(settings.kafka.partitions)
    for topic, partitions in found.items():
        need_partitions(topic, partitions, wanted[topic])


async def _topics(settings: Settings) -> dict[str, int]:
    kafka, wanted = settings.kafka, topics(settings.kafka.partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        missing = [topic for topic in READ if topic not in there]
        if missing:
            made = await admin.create_topics([NewTopic(topic, wanted[topic], kafka.replication) for topic in missing])
            for _, code, *_ in made.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise for_code(code)
        found = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(list(READ))}
        if not all(found.values()):  # one that was made a moment ago has none at first
            raise LeaderNotAvailableError
        return found
    finally:
        await admin.close()


class _EndedEarly(Exception):
    """Told to end before everything was there."""


async def _unless(ended: asyncio.Event, work: asyncio.Task[None] | Coroutine[Any, Any, None]) -> None:
    task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
    await _first(task, ended.wait())
    if not task.done():
        task.cancel()
        raise _EndedEarly
    task.result()


async def _first(*waits: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
    """Return when the first of these is done; coroutines are given up, tasks go on."""
    tasks = [wait if isinstance(wait, asyncio.Task) else asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, wait in zip(tasks, waits, strict=True):
        if task is not wait:
            task.cancel()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _on_signals() -> asyncio.Event:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
