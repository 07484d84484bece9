"""How long a dead worker's partitions stand still on Kafka.

    python -m tests.bench.takeover [--kills 5] [--open 100000]

Two workers share four partitions under live load, a tick every second; so many conversations are open before. One is
killed with SIGKILL; the time runs until a record written after its death is told of on `chat.readings`, in every
partition, also those of the one that lives. Then it is started again, before the next is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from config.settings import Kafka
from streams.events import EVENTS, Event, Record, Tick, encode
from streams.tables import ensure_topics
from tests.bench.machine import machine
from tests.bench.starts import fill_state
from tests.bench.worker.kafka import PARTITIONS
from tests.kafka.broker import running
from tests.kafka.test_worker import Heard, Workers

GOAL_S = 12.0
WITHIN_S = 120.0
EACH = 10
"""Events of a record; ten records a second and partition."""


class Flow:
    """Live load, written as a gateway writes it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.last = dict.fromkeys(range(PARTITIONS), -1)
        """The newest offset of each partition."""

    async def run(self) -> None:
        """Write for ever."""
        number = 0
        while True:
            for partition in range(PARTITIONS):
                at = time.time_ns() // 1_000_000
                record = Record(events=[self._event(number, partition, place, at) for place in range(EACH)])
                await self._write(partition, record)
                if number % 10 == 0:
                    await self._write(partition, Record(tick=Tick(at)))
            number += 1
            await asyncio.sleep(0.1)

    async def _write(self, partition: int, record: Record) -> None:
        sent = await self._producer.send_and_wait(EVENTS, encode(record), partition=partition)
        self.last[partition] = sent.offset

    @staticmethod
    def _event(number: int, partition: int, place: int, at: int) -> Event:
        return Event(
            id=f"e{number}", kind="message", at=at, tenant="live", conversation=f"c-{partition}-{place}-{number // 20}",
            channel="web", queue="q", author="customer", author_id="u", text="…", received_at=at, sentiment=0.0,
        )  # fmt: skip


@dataclass(frozen=True)
class Death:
    """What the death of a worker costs."""

    first_s: float
    """Until the other has opened the first partition anew."""
    served_s: float
    """Until all are served."""


class Stage:
    """Two workers, what is written and what is heard."""

    def __init__(self, directory: Path, workers: Workers, flow: Flow, heard: Heard) -> None:
        self._directory, self._workers, self._flow, self._heard = directory, workers, flow, heard

    async def until_served(self) -> float:
        """Seconds until something written from now on was told of in every partition."""
        begun, mark = time.monotonic(), dict(self._flow.last)
        await self._until(lambda: all(self._heard.positions[part] > mark[part] for part in mark))
        return time.monotonic() - begun

    async def until_opened(self, name: str, times: int) -> float:
        """Seconds until a worker has opened a partition so many times."""
        begun = time.monotonic()
        await self._until(lambda: self.opened(name) >= times)
        return time.monotonic() - begun

    def opened(self, name: str) -> int:
        """How often it has opened a partition."""
        return (self._directory / f"{name}.log").read_text().count("partition_opened")

    async def _until(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + WITHIN_S
        while not what():
            assert time.monotonic() < until, (
                f"{self._heard.positions}: {self._workers.said('a')}\n{self._workers.said('b')}"
            )
            await asyncio.sleep(0.02)


async def _run(bootstrap: str, directory: Path, kills: int, n: int) -> list[Death]:
    await ensure_topics(Kafka(bootstrap=bootstrap, partitions=PARTITIONS))
    await fill_state(bootstrap, n, directory)
    producer, workers, heard = AIOKafkaProducer(bootstrap_servers=bootstrap), Workers(bootstrap, directory), Heard()
    await producer.start()
    flow = Flow(producer)
    tasks = [asyncio.create_task(flow.run()), asyncio.create_task(heard.listen(bootstrap))]
    stage = Stage(directory, workers, flow, heard)
    deaths: list[Death] = []
    try:
        workers.start("a")
        await stage.until_served()
        workers.start("b")
        await stage.until_opened("b", 1)
        for number in range(kills):
            await stage.until_served()
            await asyncio.sleep(3)  # both at rest: a commit of Faust's, a heartbeat
            victim = "ab"[number % 2]
            other = "ba"[number % 2]
            first = asyncio.create_task(stage.until_opened(other, stage.opened(other) + 1))
            workers.kill(victim)
            served = await stage.until_served()
            deaths.append(Death(await first, served))
            opened = stage.opened(victim)
            workers.start(victim)
            await stage.until_opened(victim, opened + 1)
            print(f"  first partition after {deaths[-1].first_s:.1f} s, all after {served:.1f} s; "
                  f"load average {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    finally:
        workers.kill_all()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await producer.stop()
    return deaths


def run(kills: int, n: int) -> list[Death]:
    """What each death cost."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-takeover-") as here, running(Path(here)) as broker:
        return asyncio.run(_run(broker.bootstrap, Path(here), kills, n))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--open", type=int, default=100_000, help="conversations open before")
    given = parser.parse_args()
    print(machine(), flush=True)
    deaths = run(given.kills, given.open)
    served = [one.served_s for one in deaths]
    print(f"SIGKILL of one of two workers, {given.open} open: served again after {statistics.median(served):.1f} s "
          f"(median of {len(served)}), at most {max(served):.1f} s; goal {GOAL_S:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
