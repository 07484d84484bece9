"""The worker on a real Kafka: two in one group, killed at chance moments, still come to what the reference says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from config.crash import POINTS
from config.settings import Kafka
from streams.events import EVENTS, READINGS, Event, Reading, Record, Tick, decode_reading, encode, partition_of
from streams.tables import ensure_topics
from tests.conformance.cases import Row
from tests.kafka.broker import Broker
from tests.reference.metrics import reckon
from tests.reference.streams import stream
from tests.streams.line import PARTITIONS, Line, event_of
from tests.streams.test_reference import differences

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TENANT = "case"
WITHIN_S = 150
PLACES = [place for place in POINTS if place.startswith("moving.")]
"""The steps of a commit on Kafka."""
MOST_UNDERWAY = 60
"""Records sent and not yet heard of: so few that every kill comes in the middle."""


class Workers:
    """Worker processes of one group, by name."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self._directory = directory
        own = {"TIDEWATCH_KAFKA__BOOTSTRAP": bootstrap, "TIDEWATCH_KAFKA__PARTITIONS": str(PARTITIONS)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")}
        self.wish = directory / "wish"
        """A place of `config.crash` written there kills whoever passes it next."""
        test = {"TIDEWATCH_TEST": "1", "TIDEWATCH_CRASH_AT": f"@{self.wish}"}
        self._environment = kept | own | test | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one."""
        with (self._directory / f"{name}.log").open("ab") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-c", "from tidewatch.cli import main; main()", "worker"],
                env=self._environment, cwd=self._directory, stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        process = self._running.pop(name)
        assert process.poll() is None, self.said(name)
        process.kill()
        process.wait()

    def died(self, name: str) -> bool:
        """Whether it was killed."""
        return self._running[name].poll() == -signal.SIGKILL

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running[name].send_signal(number)

    def end(self, name: str) -> int:
        """SIGTERM; its exit code."""
        process = self._running.pop(name)
        process.terminate()
        return process.wait(30)

    def said(self, name: str) -> str:
        """The end of its log."""
        return (self._directory / f"{name}.log").read_text()[-4_000:]

    def kill_all(self) -> None:
        """SIGKILL those that are left."""
        for process in self._running.values():
            process.kill()
            process.wait()


class Heard:
    """All readings so far, in the order of their partitions."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.positions = dict.fromkeys(range(PARTITIONS), -1)

    async def listen(self, bootstrap: str) -> None:
        """Read for ever."""
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(READINGS, number) for number in range(PARTITIONS)])
        try:
            async for message in consumer:
                reading = decode_reading(message.value)
                self.readings.append(reading)
                if not reading.base:
                    self.positions[reading.partition] = max(self.positions[reading.partition], reading.pos)
        finally:
            await consumer.stop()

    @property
    def total(self) -> int:
        """The positions of all partitions together."""
        return sum(self.positions.values())

    @property
    def bases(self) -> int:
        """How often a partition was opened."""
        return sum(reading.base for reading in self.readings)

    def beyond(self, total: int) -> bool:
        """Whether so much was heard."""
        return self.total > total

    async def until(self, what: Callable[[], bool], why: Callable[[], str]) -> None:
        """Wait for a condition."""
        for _ in range(WITHIN_S * 20):
            if what():
                return
            await asyncio.sleep(0.05)
        pytest.fail(f"not within {WITHIN_S} s: {self.positions}\n{why()}")


class Sent:
    """Records in, as a gateway packs them."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.last = dict.fromkeys(range(PARTITIONS), -1)

    @property
    def total(self) -> int:
        """The positions of all partitions together."""
        return sum(self.last.values())

    async def events(self, events: list[Event]) -> None:
        """One record for each partition."""
        packs: dict[int, list[Event]] = {}
        for event in events:
            key = event.agent or "" if event.kind == "agent_status" else event.conversation or ""
            packs.setdefault(partition_of(event.tenant, key, PARTITIONS), []).append(event)
        for partition, some in packs.items():
            await self.record(partition, encode(Record(events=some)))

    async def tick(self, at: int) -> None:
        """To every partition."""
        for partition in range(PARTITIONS):
            await self.record(partition, encode(Record(tick=Tick(at, TENANT))))

    async def record(self, partition: int, value: bytes) -> None:
        """One record."""
        stored = await self._producer.send_and_wait(EVENTS, value, partition=partition)
        self.last[partition] = stored.offset


@asynccontextmanager
async def line_up(broker: Broker, directory: Path) -> AsyncIterator[tuple[Sent, Heard, Workers]]:
    """Topics, a producer, a listener, and no worker yet."""
    await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
    heard, workers = Heard(), Workers(broker.bootstrap, directory)
    listening = asyncio.create_task(heard.listen(broker.bootstrap))
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield Sent(producer), heard, workers
    finally:
        workers.kill_all()
        await producer.stop()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def told(readings: list[Reading], tick: int) -> Row:
    """What all readings come to, repeats included."""
    line = Line()
    for reading in readings:
        line._read(reading)
    view = line.present.view(TENANT)
    return {
        "episodes": [msgspec.structs.asdict(row) for row in line.episode_rows()],
        "live": {(key[0], key[1]): view.key(key, tick) for key in view.keys},
        "minutes": {(row["queue"], row["channel"], row["minute"]): row for row in line.minute_rows()},
        "agents": {row["agent"]: row for row in view.agent_rows()},
        "late": sorted(row.event.id for row in line.events.values() if row.late),
    }


@pytest.mark.nightly
def test_a_worker_killed_at_every_step_of_a_commit_comes_to_what_the_reference_says(
    broker: Broker, tmp_path: Path
) -> None:
    wire = stream(7, 600)
    tick = max(int(event["at"]) for event in wire) + 60_000
    events = [event_of(row, TENANT) for row in wire]

    async def story() -> list[Reading]:
        async with line_up(broker, tmp_path) as (sent, heard, workers):
            workers.start("one")
            share = -(-len(events) // len(PLACES))
            for number, place in enumerate(PLACES):
                some = events[number * share : (number + 1) * share]
                workers.wish.write_text(place)
                await sent.events(some)
                await sent.tick(max(event.at for event in some))
                await heard.until(lambda: workers.died("one"), lambda: workers.said("one"))
                workers.start("one")
                await heard.until(lambda: heard.positions == sent.last, lambda: workers.said("one"))
            await sent.tick(tick)
            await heard.until(lambda: heard.positions == sent.last, lambda: workers.said("one"))
            return heard.readings

    readings = asyncio.run(story())
    assert differences(reckon(wire, {}, tick), told(readings, tick)) == []


def test_two_workers_killed_and_held_at_chance_moments_come_to_what_the_reference_says(
    broker: Broker, tmp_path: Path
) -> None:
    chance = Random(20_260_302)
    wire = stream(11, 5_000)
    tick = max(int(event["at"]) for event in wire) + 60_000

    async def story() -> tuple[list[Reading], int]:
        async with line_up(broker, tmp_path) as (sent, heard, workers):
            workers.start("one")
            workers.start("two")

            def why() -> str:
                return workers.said("one") + workers.said("two")

            async def send() -> None:
                events, newest = [event_of(row, TENANT) for row in wire], 0
                while events:
                    n = chance.choice((1, 2, 5, 20, 60))
                    pack, events = events[:n], events[n:]
                    await sent.events(pack)
                    newest = max(newest, *(event.at for event in pack))
                    if chance.random() < 0.1:
                        await sent.tick(newest)
                    await heard.until(lambda: sent.total - heard.total < MOST_UNDERWAY, why)
                await sent.tick(tick)

            sending = asyncio.create_task(send())
            for victims in (["one"], ["two"], ["one", "two"]):
                await heard.until(partial(heard.beyond, heard.total + chance.randint(60, 160)), why)
                for name in victims:
                    workers.kill(name)
                for name in victims:
                    workers.start(name)
            await heard.until(partial(heard.beyond, heard.total + chance.randint(60, 160)), why)
            opened = heard.bases
            workers.signal("two", signal.SIGSTOP)
            await heard.until(lambda: heard.bases >= opened + PARTITIONS, why)  # the other has taken over
            workers.signal("two", signal.SIGCONT)
            await sending
            await heard.until(lambda: heard.positions == sent.last, why)
            assert [workers.end(name) for name in ("one", "two")] == [0, 0], why()
            return heard.readings, sent.total + PARTITIONS

    readings, records = asyncio.run(story())
    print(f"{len(wire)} events in {records} records, {len(readings)} readings, {sum(r.base for r in readings)} bases")
    assert differences(reckon(wire, {}, tick), told(readings, tick)) == []
