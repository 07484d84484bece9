"""In which order the worker takes what was fetched."""

from __future__ import annotations

from faust.types import TP

from streams.feed import make_app


def test_one_partition_after_the_other_each_in_its_order() -> None:
    first, second = TP("chat.events", 0), TP("chat.events", 1)
    scheduler = make_app("tidewatch-worker", "127.0.0.1:9", embedded=False).conf.ConsumerScheduler()
    taken = list(scheduler.iterate({first: ["a", "b"], second: ["c"]}))
    assert taken == [(first, "a"), (first, "b"), (second, "c")]
