"""Topic in, through Faust: the worker's app, which does not wait for unacked events when it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import faust
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from streams.transport import carry, urls

MAX_FETCH = 4 * 1024 * 1024
MAX_REQUEST = 4 * 1024 * 1024


class OneByOne(DefaultSchedulingStrategy):
    """What was fetched, one partition after the other: in turns, each drives the others from the processor's cache."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Each record, with where it is from."""
        for partition, fetched in records.items():
            for record in fetched:
                yield partition, record


def make_app(name: str, bootstrap: str, embedded: bool) -> Any:
    """A Faust app that reads raw records, acks by hand, serves no web and prints nothing.

    On the embedded broker a group's timings are short, because Tansu holds every join for half the session time.
    """
    app = faust.App(
        name,
        broker=";".join(str(url) for url in urls(bootstrap)),
        store="memory://",
        web_enabled=False,
        ConsumerScheduler=OneByOne,
        topic_disable_leader=True,
        stream_wait_empty=False,
        broker_commit_interval=1.0,
        broker_max_poll_records=500,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_FETCH,
        producer_max_request_size=MAX_REQUEST,
        producer_max_batch_size=1 if embedded else 16_384,
        producer_compression_type="zstd" if embedded else None,  # the embedded broker keeps all of it in memory
        broker_rebalance_timeout=3.0 if embedded else 60.0,
        broker_session_timeout=6.0 if embedded else 9.0,
        broker_heartbeat_interval=1.0,  # the next beat after a death is when the others hear of it
    )
    carry(app, bootstrap, embedded)
    return app


def raw_topic(app: Any, name: str, partitions: int) -> Any:
    """A topic of bytes; nothing of it is decoded before our own code sees it."""
    return app.topic(
        name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        partitions=partitions,
        internal=False,
    )


def end_of(app: Any, topic: str, partition: int) -> int | None:
    """The offset behind the last record that was there with the last fetch; None before the first."""
    end: int | None = app.monitor.tp_end_offsets.get(TP(topic, partition))
    return end


async def records(stream: Any) -> AsyncIterator[Any]:
    """Events of a stream whose messages are acked by hand (`event.ack()`)."""
    async for event in stream.noack().events():
        yield event
