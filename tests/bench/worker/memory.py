"""What open conversations cost: bytes of memory each, and how long a start with all of them takes.

`python -m tests.bench.worker.memory --open N`. Each has six events of a customer and an agent and waits for a reply.
State is kept in the worker's own file, as on the embedded stack; then a process of its own takes it up again.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from config.settings import TenantSettings
from streams.events import Record, Tick
from streams.pace import calm_collector
from streams.policy import Policy
from streams.shard import Shard
from streams.states import Batch, Files
from tests.bench.worker.load import START
from tests.bench.worker.seed import EACH, events, keep, rows

RECORD = 500


def resident() -> int:
    """Bytes of this process."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


def commit(shard: Shard, files: Files) -> None:
    """As the worker commits, without telling anybody."""
    shard.told()
    files.commit([Batch(shard.partition, shard.position, shard.changes(), ())])


def grow(path: Path, n: int) -> tuple[int, float]:
    """Memory and seconds that so many take, from nothing."""
    files = Files(path, durable=False)
    shard = Shard(0, lambda _: Policy(TenantSettings()), files.shelf(0))
    before, begun, position, some = resident(), time.perf_counter(), 0, []
    for number in range(n):
        some += events(number)
        if len(some) >= RECORD:
            shard.step(position, Record(events=some))
            shard.step(position + 1, Record(tick=Tick(START + number // 4)))
            position, some = position + 2, []
            if position % 50 == 0:
                commit(shard, files)
    shard.step(position, Record(events=some))
    for _ in range(6):  # ticks, so that what is at rest may rest
        position += 1
        shard.step(position, Record(tick=Tick(START + n // 4 + position)))
        commit(shard, files)
    gc.collect()
    return resident() - before, time.perf_counter() - begun


def cloned(path: Path, n: int) -> None:
    """So many from a few, under names of their own: quicker than folding them."""
    files = Files(path, durable=False)
    keep(files, rows(n, 1, START, path.with_suffix(".scratch")))
    files.close()


def take_up(path: Path) -> tuple[int, float, int]:
    """Memory, seconds until all that stands is ready to be said, and how many are open."""
    calm_collector()
    before, begun = resident(), time.perf_counter()
    files = Files(path)
    shard = Shard(0, lambda _: Policy(TenantSettings()), files.shelf(0), files.position(0))
    shard.load()
    shard.base()
    seconds = time.perf_counter() - begun
    line = shard._lines["shop"]
    return resident() - before, seconds, sum(gauge.open for gauge in line.gauges.values())


def main() -> None:
    """Print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=100_000)
    parser.add_argument("--cloned", action="store_true", help="do not fold them all: only measure the start")
    parser.add_argument("--again", type=Path, help="only take up what is kept there")
    given = parser.parse_args()
    if given.again:
        memory, seconds, n = take_up(given.again)
        used = time.process_time()
        print(f"taken up again: {n} open in {seconds:.1f} s ({used:.1f} s of CPU), {memory / n:.0f} bytes each")
        return
    with tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as made:
        path = Path(made) / "worker.db"
        if given.cloned:
            cloned(path, given.open)
        else:
            memory, seconds = grow(path, given.open)
            print(f"{given.open} open, {EACH} events each: {memory / given.open:.0f} bytes each in memory, "
                  f"{path.stat().st_size / given.open:.0f} on disk, {seconds:.0f} s to fold", flush=True)  # fmt: skip
        subprocess.run([sys.executable, "-m", "tests.bench.worker.memory", "--again", path], check=True)


if __name__ == "__main__":
    main()
