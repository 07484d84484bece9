"""Notifiers as processes: a house for them, with a stream to judge, and what they told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer

from config.settings import TenantSettings
from streams.events import READINGS, Event, Record, Tick, encode, partition_of
from streams.policy import Policy
from streams.shard import Shard
from tests.alerts.receiver import Receiver, receiver
from tests.board.stage import running_redis
from tests.streams.line import Shelf
from tidewatch.servers import create_topics

PARTITIONS = 2
RULES = 'rules:\n  - {name: waits, metric: backlog, scope: {queue: "*"}, fire: ">= 1", clear: "<= 0"}\n'
TAKEOVER_S = 60
AROUND = 20
"""Alerts that fire before, while, and after a leader is away."""
TICK_S = 1.0
"""As the gateways write them."""


class Notifiers:
    """Processes of the role, all of the same settings, none with a directory."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")}
        self._environment = kept | environment | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """One more."""
        with (self._directory / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-c", "from tidewatch.cli import main; main()", "notifier"],
                env=self._environment, cwd=self._directory, stdout=output, stderr=output,
            )  # fmt: skip

    def said(self, name: str) -> str:
        """Its log."""
        path = self._directory / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def leader(self) -> str | None:
        """Who of those that live leads, as far as their logs say: who began to last, and has not lost it since."""
        lines = ((name, self.said(name)) for name in self.running)
        return next(
            (name for name, said in lines if said.rfind("notifier_ready") > said.rfind("notifier_leads_no")), None
        )

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP within the block: it is asleep, and knows nothing of it."""
        process = self.running[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        """All of them."""
        for name in list(self.running):
            self.kill(name)


class Stream:
    """What two workers would say: conversations that wait, and a tick of the real clock with each step."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        policy = Policy(TenantSettings())
        self._shards = [Shard(number, lambda _: policy, Shelf()) for number in range(PARTITIONS)]
        self._position = 0
        self._number = 0

    async def step(self, waiting: int = 0) -> None:
        """So many more conversations wait, each in a queue of its own; then a tick."""
        now = time.time_ns() // 1_000_000
        for _ in range(waiting):
            self._number += 1
            name = f"c{self._number}"
            event = Event(
                id="m", kind="message", at=now, tenant="shop", conversation=name, author="customer", text="?",
                queue=f"q{self._number}", received_at=now,
            )  # fmt: skip
            self._position += 1
            partition = partition_of("shop", name, PARTITIONS)
            self._shards[partition].step(self._position, Record(events=[event]))
        self._position += 1
        for partition, shard in enumerate(self._shards):
            shard.step(self._position, Record(tick=Tick(now, None)))
            reading = shard.reading()
            if reading is not None:
                await self._producer.send_and_wait(READINGS, encode(reading), partition=partition)


@asynccontextmanager
async def house(
    bootstrap: str, directory: Path, data: Path | None = None
) -> AsyncIterator[tuple[Notifiers, Stream, Receiver]]:
    """Topics, Redis, a webhook, a stream; and no notifier yet. `data`: a directory that all notifiers share."""
    await create_topics(int(bootstrap.rpartition(":")[2]), PARTITIONS)
    (directory / "rules.yaml").write_text(RULES)
    async with running_redis(directory) as redis, receiver() as there:
        (directory / "tidewatch.toml").write_text(
            f'rules = "rules.yaml"\n[redis]\nurl = "{redis}"\n[kafka]\nbootstrap = "{bootstrap}"\n'
            f'partitions = {PARTITIONS}\n[[channels]]\nname = "hook"\ntype = "webhook"\nurl = "{there.url}"\n'
            "allow_private = true\n"
        )
        shared = {} if data is None else {"TIDEWATCH_DATA": str(data)}
        notifiers = Notifiers(directory, {"TIDEWATCH_CONFIG": str(directory / "tidewatch.toml"), **shared})
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await producer.start()
        try:
            yield notifiers, Stream(producer), there
        finally:
            notifiers.end()
            await producer.stop()


def told(there: Receiver) -> Counter[tuple[str, str, str]]:
    """(queue, alert, state) of what was posted about the rule."""
    bodies = [json.loads(post.body) for post in there.posts]
    return Counter((body["queue"], body["alert"], body["state"]) for body in bodies if body["rule"] == "waits")


async def ticking(stream: Stream, until: float) -> None:
    """Tick until then, on the monotonic clock."""
    while time.monotonic() < until:
        await stream.step()
        await asyncio.sleep(TICK_S)


async def heard(stream: Stream, there: Receiver, alerts: int, notifiers: Notifiers, tick_s: float = TICK_S) -> None:
    """Tick until so many alerts were told."""
    end = time.monotonic() + TAKEOVER_S + alerts * 2
    while len(told(there)) < alerts:
        assert time.monotonic() < end, f"{len(told(there))} of {alerts}\n{logs(notifiers)}"
        await stream.step()
        next_at = time.monotonic() + tick_s
        while time.monotonic() < next_at and len(told(there)) < alerts:
            await asyncio.sleep(0.5)


def logs(notifiers: Notifiers) -> str:
    """The end of what each said."""
    return "\n".join(f"{name}: {notifiers.said(name)[-2_000:]}" for name in ("one", "two", "three"))


async def one_leads(notifiers: Notifiers, stream: Stream) -> None:
    """Start two, the second once the first leads; returns when it stands by."""
    notifiers.start("one")
    await stream.step()
    while notifiers.leader() != "one":
        await ticking(stream, time.monotonic() + 0.5)
    notifiers.start("two")
    while "notifier_stands_by" not in notifiers.said("two"):
        await ticking(stream, time.monotonic() + 0.5)
