"""Bytewax as its documentation has it: a Kafka source, an event clock, a tumbling count window, recovery on disk."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow

from tests.bench.peers.meter import Meter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
meter = Meter()


def parsed(message: Any) -> Any:
    """One record's value, where it is to be counted."""
    event = orjson.loads(message.value)
    if event["kind"] != "message":
        return None
    meter.tick()
    return event


def key_of(event: Any) -> str:
    """What is counted by."""
    return f"{event['queue']}|{event['channel']}"


def at_of(event: Any) -> datetime:
    """When it happened."""
    return datetime.fromtimestamp(event["at"] / 1_000, UTC)


def told(item: Any) -> Any:
    """A closed window as a record."""
    key, (window, count) = item
    at = round((EPOCH + window * MINUTE).timestamp() * 1_000)
    return KafkaSinkMessage(key.encode(), f"{at} {count}".encode())


brokers = [os.environ["BENCH_BOOTSTRAP"]]
flow = Dataflow("bench")
source = KafkaSource(brokers, [os.environ["BENCH_TOPIC"]], tail=False, add_config={"fetch.queue.backoff.ms": "10"})
events = op.filter_map("parsed", op.input("in", flow, source), parsed)
clock: Any = win.EventClock(at_of, wait_for_system_duration=timedelta(seconds=int(os.environ["BENCH_GRACE_S"])))
counted = win.count_window("count", events, clock, win.TumblingWindower(MINUTE, EPOCH), key_of)
op.output("out", op.map("told", counted.down, told), KafkaSink(brokers, os.environ["BENCH_OUT"]))
