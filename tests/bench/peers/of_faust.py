"""Faust as its documentation has it: typed records, a windowed table with a changelog, `table[key] += 1`.

Without `group_by`, which doubled counts where it was tried. A worker's table is one for all its partitions, so this is
right as long as there is one worker and it never restarts.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import faust

from tests.bench.peers.meter import Meter

NAME = "bench-faust"
meter = Meter()


class Message(faust.Record):
    """What is counted."""

    id: str
    kind: str
    queue: str
    channel: str


app = faust.App(
    NAME,
    broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
    topic_partitions=4,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    datadir=os.environ["BENCH_STATE"],
)
messages = app.topic(os.environ["BENCH_TOPIC"], key_type=str, key_serializer="raw", value_type=Message)
counts: Any = app.Table("counts", default=int).tumbling(timedelta(minutes=1), expires=timedelta(days=1))


@app.agent(messages)
async def count(stream: Any) -> None:
    """Count by queue, channel and minute of the record."""
    async for message in stream:
        if message.kind == "message":
            counts[f"{message.queue}|{message.channel}"] += 1
            meter.tick()
