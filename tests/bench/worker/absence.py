"""What it takes when all that was open ends at once, because the stack was away for longer than waits last.

`python -m tests.bench.worker.absence [--open N]`: one partition with so many who wait for a person, and then the first
ticks after the absence. Its state is kept nowhere: what is told is the partition's own memory and processor time.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import psutil

from config.settings import TenantSettings
from streams.events import Event, Record, Tick
from streams.native import form
from streams.pace import calm_collector
from streams.policy import Policy
from streams.shard import Shard
from streams.windows import HOUR, MINUTE, SECOND
from tests.bench.machine import machine
from tests.streams.line import Shelf

T0 = 1_772_445_600_000
APART = 20
"""From one that asks to the next, ms."""
RECORD = 500
EXPIRE = 48 * HOUR
REST = 60
"""Rounds after which all are at rest."""
SMALL = 100
"""Rows of a tick at which nothing ends any more."""


def records(n: int) -> Iterator[Record]:
    """So many ask, and then a minute passes, and another."""
    for first in range(0, n, RECORD):
        yield Record(events=[_question(number) for number in range(first, first + RECORD)])
        yield Record(tick=Tick(T0 + (first + RECORD) * APART))
    for minute in range(1, 10):
        yield Record(tick=Tick(T0 + n * APART + minute * MINUTE))


def _question(number: int) -> Event:
    at = T0 + number * APART
    return Event(
        id="m", kind="message", at=at, tenant="t", conversation=f"c{number}", author="customer", text="?", queue="a",
        received_at=at, keywords=("refund", "order"), sentiment=0.1,
    )  # fmt: skip


def grown(n: int) -> Shard:
    """The partition before the absence, with all of them at rest."""
    policy = Policy(TenantSettings(expire_backlog_s=EXPIRE / SECOND))
    shard = Shard(0, lambda _: policy, Shelf())
    for position, record in enumerate(records(n)):
        shard.step(position, record)
        if position % 40 == 0:
            _say(shard)
    for _ in range(REST):
        _say(shard)
    return shard


def _say(shard: Shard) -> int:
    """Say and keep what changed; how many rows that is."""
    told = shard.told()
    return len(shard.changes()) + (0 if told is None else len(told.parts))


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=150_000)
    given = parser.parse_args()
    calm_collector()
    shard, own = grown(given.open), psutil.Process()
    before, begun, ticks = own.memory_info().rss, time.process_time(), 0
    while not ticks or _say(shard) > SMALL:
        ticks += 1
        shard.step(shard.position + 1, Record(tick=Tick(T0 + 2 * EXPIRE + ticks * SECOND)))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; of all its life
    print(machine())
    print(
        f"{given.open:,} open, {form()}: {before >> 20} MiB before, {most >> 10} MiB at the most, "
        f"{time.process_time() - begun:.1f} s of CPU in {ticks} ticks"
    )


if __name__ == "__main__":
    main()
