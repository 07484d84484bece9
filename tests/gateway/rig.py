"""A gateway on free ports, with the real broker where Kafka matters; sockets, tokens and events to use it with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from websockets.asyncio.client import ClientConnection, connect

from config.settings import Settings
from gateway.auth import sign_token
from gateway.server import serve_until
from streams.events import EVENTS, Record, decode_record
from tidewatch import servers

SECRET = "a secret that only these tests know, 32+"
PARTITIONS = 4
NOWHERE = "127.0.0.1:9"
"""A broker that never answers."""


def token(*roles: str, tenant: str = "*", ttl_s: float = 600, secret: str = SECRET) -> str:
    """A token with these roles; without any: for ingest and replay."""
    return sign_token(secret, "tests", tenant, roles or ("ingest", "replay"), ttl_s, time.time())


def message(ident: str = "m1", conversation: str = "c1", at: object = None, **more: Any) -> dict[str, Any]:
    """A customer's message, now."""
    at = int(time.time() * 1_000) if at is None else at
    return {"id": ident, "kind": "message", "at": at, "conversation": conversation, "author": "customer", **more}


class Gate:
    """A running gateway."""

    def __init__(self, port: int, data: Path | None) -> None:
        self.port = port
        self.data = data

    @property
    def host(self) -> str:
        """`address:port`."""
        return f"127.0.0.1:{self.port}"

    def socket(self, path: str = "/v1/ingest", bearer: str | None = None, **more: Any) -> connect:
        """A connection with a token in the header; one for ingest and replay by default."""
        headers = {"Authorization": f"Bearer {token() if bearer is None else bearer}"}
        return connect(f"ws://{self.host}{path}", additional_headers=headers, compression=None, **more)


@contextlib.asynccontextmanager
async def gate(data: Path | None, bootstrap: str = NOWHERE, **more: Any) -> AsyncIterator[Gate]:
    """A gateway that is stopped the way SIGTERM stops it."""
    gateway = {"port": 0, **more.pop("gateway", {})}
    kafka = {"bootstrap": bootstrap, "partitions": PARTITIONS}
    settings = Settings(secret=SECRET, data=data, gateway=gateway, kafka=kafka, **more)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve_until(settings, stop, ready))
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    try:
        yield Gate(ready.result(), data)
    finally:
        stop.set()
        await asyncio.wait_for(running, 15)


async def ask(socket: ClientConnection, content: Any) -> dict[str, Any]:
    """Send a frame (text as it is, else as JSON); its answer."""
    await socket.send(content if isinstance(content, str) else json.dumps(content))
    answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
    assert isinstance(answer, dict)
    return answer


def errors(answer: dict[str, Any]) -> list[str]:
    """What was rejected, each as `index: error`."""
    return [f"{one['index']}: {one['error']}" for one in answer["rejected"]]


async def until(true: Callable[[], object], within_s: float = 10) -> None:
    """Return once `true`; fail when it takes too long."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


class Metronome:
    """Beats fifty times a second in the loop that a test and its gateway share; `late_s` is how late all beats were,
    together: what a busy machine took from both. Whoever measures by the clock takes it off.
    """

    def __init__(self) -> None:
        self.late_s = 0.0

    @classmethod
    @contextlib.asynccontextmanager
    async def beating(cls) -> AsyncIterator[Metronome]:
        """One that beats while it is open."""
        one = cls()
        beats = asyncio.create_task(one._beat())
        try:
            yield one
        finally:
            beats.cancel()

    async def _beat(self) -> None:
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.late_s += max(0.0, time.monotonic() - due - 0.005)


class Stopwatch:
    """How long something took in a shared loop, seconds, without what the loop was late by."""

    def __init__(self, metronome: Metronome) -> None:
        self._metronome = metronome
        self._began, self._late = time.monotonic(), metronome.late_s

    @property
    def s(self) -> float:
        """Until now."""
        return time.monotonic() - self._began - (self._metronome.late_s - self._late)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, for at most a minute."""

    async def bounded() -> None:
        await asyncio.wait_for(story, 60)

    asyncio.run(bounded())


@contextlib.contextmanager
def broker_process(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The embedded broker on this port, without topics, until killed."""
    command = servers.broker_command(servers.broker_program(), port)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def broker(port: int | None = None) -> AsyncIterator[str]:
    """The embedded broker with its topics; where it listens."""
    port = port or servers.free_port()
    with broker_process(port):
        deadline = time.monotonic() + 10
        while not await servers.listens(port):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await servers.create_topics(port, PARTITIONS)
        yield f"127.0.0.1:{port}"


async def records(bootstrap: str, enough: Callable[[list[tuple[int, Record]]], bool]) -> list[tuple[int, Record]]:
    """All records of `chat.events` from the beginning, with their partitions, once there are enough."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    found: list[tuple[int, Record]] = []
    try:
        consumer.assign([TopicPartition(EVENTS, partition) for partition in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        deadline = time.monotonic() + 20
        while not enough(found):
            assert time.monotonic() < deadline, f"only {len(found)} records"
            for topic, some in (await consumer.getmany(timeout_ms=200)).items():
                found += [(topic.partition, decode_record(record.value)) for record in some]
    finally:
        await consumer.stop()
    return found
