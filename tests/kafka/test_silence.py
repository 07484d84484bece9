"""FAULTS B-03: a Kafka that swallows what it is sent. No false ack, bounded memory, and who comes anew is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from config.settings import Kafka
from gateway.direct import LOOK_S
from gateway.kafka import SILENT_S
from streams.tables import ensure_topics
from tests.conformance.cases import Row
from tests.gateway.rig import PARTITIONS, SECRET, records, token
from tests.integration.outside import socket, wait
from tests.kafka.broker import Broker
from tests.kafka.conftest import need_kafka
from tests.rig.clickhouse import ROOT
from tests.rig.ledger import Ledger
from tests.rig.load import Load, chat
from tests.rig.proxy import Fault, Proxy
from tidewatch.servers import free_port, redis_config, redis_program

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1_200)]
TENANT = "b03"
A_SECOND = 200
"""Messages, in one frame a client: who is told `retry` waits a second."""
MOST_GROWN = 64 << 20
REFUSED_S = 5.0


class Standing(NamedTuple):
    """A gateway as in production."""

    access: Row
    process: psutil.Process
    proxy: Proxy
    """All that goes to Kafka goes through it."""


def kafka_behind(proxy: Proxy, broker: Broker) -> None:
    """Start the broker, which tells everybody to come through the proxy."""
    text = broker._properties.read_text()
    own = f"advertised.listeners=PLAINTEXT://{broker.bootstrap}"
    assert own in text
    broker._properties.write_text(text.replace(own, f"advertised.listeners=PLAINTEXT://{proxy.address}"))
    broker.start()


@contextmanager
def started(
    words: list[str], environment: dict[str, str], log: Path, given: bytes = b""
) -> Iterator[subprocess.Popen[bytes]]:
    """A process; what is said on its input. It is killed at the end."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            words, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output
        ) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def standing(folder: Path) -> Iterator[Standing]:
    """Kafka behind a proxy, Redis, and a gateway that is ready."""
    need_kafka()
    with ExitStack() as stack:
        broker = Broker(folder)
        proxy = stack.enter_context(Proxy(*broker.bootstrap.split(":")))  # type: ignore[arg-type]  # a port is a name, too
        stack.callback(broker.kill)
        kafka_behind(proxy, broker)
        asyncio.run(ensure_topics(Kafka(bootstrap=proxy.address, partitions=PARTITIONS)))
        memory, door = free_port(), free_port()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")}
        (folder / "redis").mkdir()
        given = redis_config(folder / "redis", memory, "pass")
        stack.enter_context(started([redis_program(), "-"], plain, folder / "redis.log", given))
        settings = {
            "TIDEWATCH_SECRET": SECRET, "TIDEWATCH_GATEWAY__PORT": str(door),
            "TIDEWATCH_KAFKA__BOOTSTRAP": proxy.address, "TIDEWATCH_KAFKA__PARTITIONS": str(PARTITIONS),
            "TIDEWATCH_REDIS__URL": f"redis://:pass@127.0.0.1:{memory}/0",
        }  # fmt: skip
        words = [sys.executable, "-m", "tidewatch.cli", "gateway"]
        process = stack.enter_context(started(words, plain | settings, folder / "gateway.log"))
        access = {"url": f"http://127.0.0.1:{door}", "ingest_token": token()}
        wait("the gateway", lambda: status(access) == 101)
        yield Standing(access, psutil.Process(process.pid), proxy)


def status(access: Row) -> int:
    """What who asks for a socket is answered; 0: there is no gateway."""
    try:
        with socket(access["url"], "/v1/ingest", access["ingest_token"]):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
    except OSError:
        return 0


def through_silence(folder: Path, silent_s: float) -> None:
    """L1 while nothing comes from Kafka for so long; then all that was sent is acked, and there."""
    ledger = Ledger(folder / "ledger.db")
    with standing(folder) as (access, process, proxy), Load(access, ledger, 431) as load:
        load.flow(chat(431, TENANT), A_SECOND, 3)
        load.drained()
        before = most = process.memory_info().rss
        proxy.fault, began, second = Fault(black_hole=True), time.monotonic(), 0
        wait("who comes anew is refused", lambda: status(access) == 503, 60)
        print(f"refused after {time.monotonic() - began:.1f} s")
        acked = len(ledger.acks())
        while time.monotonic() - began < silent_s:
            event = chat(432, TENANT, prefix=f"s{second}-")
            load.put([[event(number) for number in range(A_SECOND)]])
            time.sleep(1)
            second, most = second + 1, max(most, process.memory_info().rss)
        assert status(access) == 503
        assert len(ledger.acks()) == acked, "nothing was acked that nobody has stored"
        print(f"{(most - before) / 2**20:+.1f} MiB")
        assert most - before <= MOST_GROWN
        proxy.fault = Fault()
        load.drained(240)
        stored = asyncio.run(asyncio.wait_for(everything(proxy.address, ledger), 120))
    assert ledger.names(TENANT, accepted=True) - stored == set(), "lost"
    assert stored - ledger.names(TENANT) == set(), "invented"
    ledger.close()


async def everything(bootstrap: str, ledger: Ledger) -> set[tuple[str, str]]:
    """What is on the topic, once it is as much as was acked."""
    many = len(ledger.names(TENANT, accepted=True))

    def names(found: list[tuple[int, object]]) -> set[tuple[str, str]]:
        return {(event.conversation, event.id) for _, record in found for event in record.events}  # type: ignore[attr-defined]

    return names(await records(bootstrap, lambda some: len(names(some)) >= many))  # type: ignore[arg-type]


def test_b03_a_silent_kafka_is_acked_by_nobody_and_who_comes_anew_is_refused(tmp_path: Path) -> None:
    assert LOOK_S + SILENT_S < REFUSED_S, "the longest that a gateway to which nobody speaks may take to notice"
    through_silence(tmp_path, 30)


@pytest.mark.nightly
def test_b03_five_minutes_of_silence(tmp_path: Path) -> None:
    through_silence(tmp_path, 300)
