"""Quix Streams as its documentation has it: a dataframe, grouped, a tumbling window, state in RocksDB."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own

from tests.bench.peers.meter import Meter


def main() -> None:
    """Run until told to end."""
    meter = Meter()
    app = Application(
        broker_address=os.environ["BENCH_BOOTSTRAP"],
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        state_dir=os.environ["BENCH_STATE"],
        consumer_extra_config={"fetch.queue.backoff.ms": 10},  # librdkafka's default stalls a fast consumer
        loglevel="WARNING",
    )
    messages = app.topic(os.environ["BENCH_TOPIC"], key_deserializer="str", value_deserializer="json")
    out = app.topic(os.environ["BENCH_OUT"], key_serializer="str", value_serializer="json")
    frame: Any = app.dataframe(messages)
    frame = frame[frame["kind"] == "message"]
    frame = frame.group_by(lambda row: f"{row['queue']}|{row['channel']}", name="key")
    grace = timedelta(seconds=int(os.environ["BENCH_GRACE_S"]))
    frame = frame.tumbling_window(timedelta(minutes=1), grace_ms=grace).count().current()
    frame = frame.update(lambda _: meter.tick())
    frame.to_topic(out)
    app.run()


if __name__ == "__main__":
    main()
