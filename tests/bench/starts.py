"""How long a restart takes with many conversations open, on the embedded stack and on Kafka.

    python -m tests.bench.starts [--open 100000 1000000] [--where embedded kafka] [--runs 3]

Each conversation has six messages and waits for a reply. Embedded: `tidewatch up` on a directory that holds them, until
its worker is ready, and until the whole stack is; then its board must show every one of them. On Kafka: the worker's
process, until it has read its changelog back and opened all partitions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.settings import Kafka
from streams.shard import Changed
from streams.states import Batch, Files
from streams.tables import STATE, _packed, ensure_topics
from tests.bench.machine import machine
from tests.bench.stack import entry, members, serving, supervised
from tests.bench.worker import seed
from tests.bench.worker.kafka import PARTITIONS, fill_keyed
from tests.bench.worker.measure import worker
from tests.integration.outside import snapshot, wait
from tests.kafka.broker import running

GOAL_S = 20.0
WITHIN_S = 400.0


@dataclass(frozen=True)
class Start:
    """What one start took."""

    open: int
    ready_s: float
    """Until the worker was ready."""
    cpu_s: float
    """Processor time of the worker until then."""
    each: float
    """Bytes of the worker's memory for each open conversation, what it needs anyway included."""
    whole_s: float | None = None
    """Until the whole stack was ready."""
    load: float = 0.0

    def __str__(self) -> str:
        whole = "" if self.whole_s is None else f", the whole stack after {self.whole_s:.1f} s"
        return (
            f"{self.open} open: worker ready after {self.ready_s:.1f} s ({self.cpu_s:.1f} s of CPU){whole}; "
            f"{self.each:.0f} bytes each; load average {self.load:.1f}"
        )


def made(n: int, directory: Path) -> Iterator[tuple[int, Changed]]:
    """The state's rows."""
    return seed.rows(n, PARTITIONS, int(time.time() * 1_000) - seed.SINCE_MS, directory / "scratch.db")


def embedded(n: int) -> Start:
    """A start of the whole stack.

    Raises:
        AssertionError: its board does not show as many open conversations.
    """
    with tempfile.TemporaryDirectory(prefix="tidewatch-starts-") as here:
        data, log = Path(here) / "data", Path(here) / "data" / "logs" / "worker.log"
        with serving(data):
            pass
        files = Files(data / "worker.db", durable=False)
        seed.keep(files, made(n, Path(here)))
        files.close()
        (data / "access.json").unlink(missing_ok=True)
        known, begun = log.read_text().count("worker_ready"), time.monotonic()
        with supervised(data) as stack:
            wait("the worker", lambda: log.read_text().count("worker_ready") > known, WITHIN_S)
            ready = time.monotonic() - begun
            process = next(one for name, one in members(stack) if name == "worker")
            cpu, each = _used(process, n)
            access = wait("the stack", lambda: entry(data), WITHIN_S)
            whole = time.monotonic() - begun
            shown = wait("all on the board", lambda: _open(access) >= n and [_open(access)], WITHIN_S)
            assert shown == [n], f"{shown} open instead of {n}"
        return Start(n, ready, cpu, each, whole, os.getloadavg()[0])


def _used(process: psutil.Process, n: int) -> tuple[float, float]:
    used = process.cpu_times()
    return used.user + used.system, process.memory_info().rss / n


def _open(access: dict[str, str]) -> int:
    tiles = snapshot(access)["keys"]
    return sum(tile["open"] for tile in tiles if tile["queue"] != "*" and tile["channel"] != "*")


def kafka(n: int) -> Start:
    """A start of the worker's process."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-starts-") as here, running(Path(here)) as broker:
        asyncio.run(fill_state(broker.bootstrap, n, Path(here)))
        begun = time.monotonic()
        with worker(broker.bootstrap, Path(here)) as (process, log):
            wait("the partitions", lambda: log.read_text().count("partition_opened") >= PARTITIONS, WITHIN_S)
            ready = time.monotonic() - begun
            cpu, each = _used(psutil.Process(process.pid), n)
        return Start(n, ready, cpu, each, load=os.getloadavg()[0])


async def fill_state(bootstrap: str, n: int, scratch: Path) -> None:
    """A changelog with so many open conversations."""
    await ensure_topics(Kafka(bootstrap=bootstrap, partitions=PARTITIONS))
    rows = made(n, scratch)
    packed = ((partition, *next(iter(_packed(Batch(0, -1, [row], ()))))) for partition, row in rows)
    await fill_keyed(bootstrap, STATE, packed)


PLACES = {"embedded": embedded, "kafka": kafka}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--where", nargs="+", choices=PLACES, default=[*PLACES])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print(machine(), flush=True)
    for where in given.where:
        for n in given.open:
            starts = []
            for _ in range(given.runs):
                starts.append(PLACES[where](n))
                print(f"{where}: {starts[-1]}", flush=True)
            middle = statistics.median(one.ready_s for one in starts)
            print(f"{where}: {n} open, median of {given.runs}: ready after {middle:.1f} s, goal {GOAL_S:.0f} s")


if __name__ == "__main__":
    main()
