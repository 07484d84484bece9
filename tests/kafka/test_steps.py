"""FAULTS V-02 on a real Kafka: a sink of the next release begins, then the one before ends, while readings come.

Who has one sink only ends it first: then its start is in the pause too.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from config.settings import Settings
from sinks.store import ensure_topics
from tests.faults.sinking import Sink, Stream, longest_pause_s, more, stopped_and_started, there
from tests.integration.outside import wait
from tests.kafka.broker import Broker as Kafka
from tests.rig.clickhouse import running
from tests.sinks.test_store import PARTITIONS, Broker

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]


class OnKafka(Broker):
    """A real one in the embedded one's place."""

    def __init__(self, bootstrap: str) -> None:
        self.port = int(bootstrap.rpartition(":")[2])
        asyncio.run(ensure_topics(Settings(kafka={"bootstrap": bootstrap, "partitions": PARTITIONS})))


def test_v02_a_release_pauses_the_history_for_a_rebalance_and_loses_and_doubles_nothing(
    own_broker: Kafka, tmp_path: Path
) -> None:
    broker = OnKafka(own_broker.bootstrap)
    with running(tmp_path / "server") as server, Stream(broker) as stream:
        sink = Sink(broker, tmp_path / "first", server.port)
        more(server, stream)
        for number in range(3):
            began = time.time()
            following = Sink(broker, tmp_path / f"next-{number}", server.port)
            wait("it has begun", lambda one=following: "sink_started" in one.log.read_text())  # type: ignore[misc]  # bound at once
            more(server, stream)
            assert sink.end() == 0
            more(server, stream)
            sink = following
            print(f"longest pause between inserts: {longest_pause_s(server, began):.1f} s")
        stream.end()
        wait("all rows, once", lambda: there(server, 0) == (stream.sent, stream.sent))
        assert sink.end() == 0


def test_v02_a_single_sink_that_is_stopped_and_started_loses_and_doubles_nothing(
    own_broker: Kafka, tmp_path: Path
) -> None:
    stopped_and_started(OnKafka(own_broker.bootstrap), tmp_path)
