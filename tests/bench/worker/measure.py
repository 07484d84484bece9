"""The worker as it is shipped, in a process of its own, catching up on a real Kafka; and whether it is exact.

`python -m tests.bench.worker.measure [--events N] [--runs N] [--singles]`. The ceilings run between the runs of the
worker, so what slows the machine slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
from aiokafka.admin import AIOKafkaAdminClient

from config.settings import Kafka
from streams.events import EVENTS, READINGS
from streams.tables import STATE, ensure_topics
from tests.bench.worker.kafka import PARTITIONS, Pace, ceiling, fill, make_topic, reading, values
from tests.bench.worker.load import Load, bare, made, packed, singles
from tests.kafka.broker import running

ROOT = Path(__file__).parents[3]
WITHIN_S = 600
SINGLES = "bench.singles"


class _Pane(msgspec.Struct):
    queue: str
    channel: str
    minute: int
    version: int
    counts: dict[str, int] = {}


class _Episode(msgspec.Struct):
    conversation: str
    episode: int
    version: int
    outcome: str | None = None
    frt_ms: int | None = None
    deleted: bool = False


class _Segment(msgspec.Struct):
    panes: list[_Pane] = []
    episodes: list[_Episode] = []
    events: list[msgspec.Raw] = []


class _Reading(msgspec.Struct):
    partition: int
    segments: list[_Segment] = []


@dataclass
class Published:
    """What the worker's readings come to."""

    panes: dict[tuple[int, str, str, int], _Pane] = field(default_factory=dict)
    episodes: dict[tuple[str, int], _Episode] = field(default_factory=dict)
    events: int = 0

    def take(self, partition: int, segment: _Segment) -> None:
        """Add what a partition says: the newest version of a row counts."""
        self.events += len(segment.events)
        for pane in segment.panes:
            key = (partition, pane.queue, pane.channel, pane.minute)
            if key not in self.panes or self.panes[key].version <= pane.version:
                self.panes[key] = pane
        for row in segment.episodes:
            name = (row.conversation, row.episode)
            if name not in self.episodes or self.episodes[name].version <= row.version:
                self.episodes[name] = row

    def total(self, column: str) -> Counter[tuple[str, str, int]]:
        """A column of `minutes`, by queue, channel and minute."""
        out: Counter[tuple[str, str, int]] = Counter()
        for (_, queue, channel, minute), pane in self.panes.items():
            out[queue, channel, minute] += pane.counts.get(column, 0)
        return out


async def differences(bootstrap: str, load: Load) -> list[str]:
    """Where what the worker published departs from what was counted apart."""
    told, decode = Published(), msgspec.json.Decoder(_Reading).decode
    async for records in values(bootstrap, READINGS):
        for said in [decode(record.value) for record in records]:
            for segment in said.segments:
                told.take(said.partition, segment)
    out = [] if told.events == load.distinct else [f"{told.events} events instead of {load.distinct}"]
    for column, want in (("messages", load.truth.messages), ("customer_messages", load.truth.customer_messages)):
        got = told.total(column)
        out += [f"{column} {key}: {got[key]} instead of {want[key]}" for key in want | got if got[key] != want[key]]
    for name, ending in load.truth.episodes.items():
        row = told.episodes.get((name, 1))
        if row is None or (row.outcome, row.frt_ms) != ending:
            out.append(f"{name}: {row} instead of {ending}")
    if len(told.episodes) != len(load.truth.episodes):
        out.append(f"{len(told.episodes)} episodes instead of {len(load.truth.episodes)}")
    return out


@contextmanager
def worker(bootstrap: str, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The worker's process, and its log; ended on leaving."""
    own = {"TIDEWATCH_KAFKA__BOOTSTRAP": bootstrap, "TIDEWATCH_KAFKA__PARTITIONS": str(PARTITIONS)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")}
    log = directory / "worker.log"
    command = [sys.executable, "-c", "from tidewatch.cli import main; main()", "worker"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=kept | own | {"PYTHONPATH": str(ROOT)}, cwd=directory, stdout=output, stderr=output
        )
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def catch_up(bootstrap: str, load: Load, directory: Path) -> Pace:
    """From when the worker has its partitions until all of it is committed."""
    async with reading(bootstrap, EVENTS) as consumer:
        ends = dict(consumer.ends)
    with worker(bootstrap, directory) as (process, log):
        until = time.monotonic() + WITHIN_S
        while log.read_text().count("partition_opened") < PARTITIONS:
            _check(process, log, until)
            await asyncio.sleep(0.02)
        begun, cpu = time.time(), _cpu_s(process.pid)
        while not await _committed(bootstrap, ends):
            _check(process, log, until)
            await asyncio.sleep(1)  # each question costs what the worker could use; its end is read off the broker
        cpu = _cpu_s(process.pid) - cpu
    return Pace(len(load.events), await _last_written(bootstrap) - begun, cpu)


def _check(process: subprocess.Popen[bytes], log: Path, until: float) -> None:
    if process.poll() is not None or time.monotonic() > until:
        raise RuntimeError(f"the worker is not getting there: {log.read_text()[-3_000:]}")


def _cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


async def _committed(bootstrap: str, ends: dict[object, int]) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets("tidewatch-worker")
    finally:
        await admin.close()
    return all(line in found and found[line].offset >= end for line, end in ends.items() if end)


async def _last_written(bootstrap: str) -> float:
    """When the last row of state and the last reading were written."""
    last = 0
    for topic in (STATE, READINGS):
        async with reading(bootstrap, topic) as consumer:
            for line, end in consumer.ends.items():
                if end:
                    consumer.seek(line, max(0, end - 3))
            for _ in range(6):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    last = max(last, *(record.timestamp for record in records))
    return last / 1_000


def run(load: Load, one_by_one: bool, check: bool = True) -> tuple[Pace, dict[str, Pace]]:
    """One run on a broker of its own, with the ceilings before and after it."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as made_here, running(Path(made_here)) as broker:
        return asyncio.run(_run(broker.bootstrap, load, one_by_one, Path(made_here), check))


async def _run(
    bootstrap: str, load: Load, one_by_one: bool, directory: Path, check: bool
) -> tuple[Pace, dict[str, Pace]]:
    await ensure_topics(Kafka(bootstrap=bootstrap, partitions=PARTITIONS))
    await make_topic(bootstrap, SINGLES)
    await fill(bootstrap, SINGLES, bare(load, PARTITIONS))
    await fill(bootstrap, EVENTS, singles(load, PARTITIONS) if one_by_one else packed(load, PARTITIONS))
    gc.collect()
    gc.freeze()  # else the ceilings would pay for Python's walks through the load that this process holds
    before = await ceiling(bootstrap, SINGLES, packed=False)
    pace = await catch_up(bootstrap, load, directory)
    after = await ceiling(bootstrap, SINGLES, packed=False)
    ceilings = {"aiokafka + decode": _both(before, after)}
    if not one_by_one:
        ceilings["packed decode"] = await ceiling(bootstrap, EVENTS, packed=True)
    wrong = await differences(bootstrap, load) if check else []
    if wrong:
        raise AssertionError(f"{len(wrong)} numbers are wrong: {wrong[:5]}")
    return pace, ceilings


def _both(before: Pace, after: Pace) -> Pace:
    """What was reached before a run and after it, taken together: that is what the run itself had."""
    return Pace(before.messages + after.messages, before.seconds + after.seconds, before.cpu_s + after.cpu_s)


def told(what: str, pace: Pace, ceilings: dict[str, Pace]) -> str:
    """One line of the report."""
    bare = ceilings["aiokafka + decode"]
    return (
        f"{what}: {pace.rate / 1e3:.1f} k/s, {pace.rate / bare.rate:.3f} of bare; {pace.per_cpu / 1e3:.1f} k per CPU "
        f"second, {pace.per_cpu / bare.per_cpu:.3f} of bare; "
        + ", ".join(f"{name} {one.rate / 1e3:.0f} k/s" for name, one in ceilings.items())
    )


def main() -> None:
    """Print each run and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--singles", action="store_true", help="one message a record, as foreign producers write them")
    parser.add_argument("--unchecked", action="store_true")
    given = parser.parse_args()
    load = made(given.events)
    what = "worker, one message a record" if given.singles else "worker, packed"
    shares = []
    for _ in range(given.runs):
        pace, ceilings = run(load, given.singles, not given.unchecked)
        shares.append(pace.rate / ceilings["aiokafka + decode"].rate)
        print(told(what, pace, ceilings), flush=True)
    print(f"{what}: median {statistics.median(shares):.3f} of bare aiokafka + decode; exact")


if __name__ == "__main__":
    main()
