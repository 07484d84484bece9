"""What open conversations cost: bytes of memory each, and how long a start with all of them takes.

`python -m tests.bench.worker.memory --open N [--cloned]`. Each has six events of a customer and an agent and waits for
a reply. They are folded, or (`--cloned`) made from a few and then taken up from the worker's own file, as on the
embedded stack, by a process of its own. What a process needs without any conversation is left out, and what the C
library holds of freed memory, which a role gives back once a minute (`config.spare`); it is told beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from config.settings import TenantSettings
from config.spare import trimmer
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


def given_back(before: int) -> tuple[int, int]:
    """Bytes more than before: once all that is free is given back, as a role does, and as they are."""
    gc.collect()
    held, trim = resident() - before, trimmer()
    if trim is not None:
        trim(0)
    return resident() - before, held


def commit(shard: Shard, files: Files) -> None:
    """As the worker commits, without telling anybody."""
    shard.told()
    files.commit([Batch(shard.partition, shard.position, shard.changes(), ())])


def grow(path: Path, n: int) -> tuple[int, int, float]:
    """Memory (in the end, and as it is) and seconds that so many take, from nothing."""
    calm_collector()
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
    seconds = time.perf_counter() - begun
    return *given_back(before), seconds


def cloned(path: Path, n: int) -> None:
    """So many from a few, under names of their own: quicker than folding them."""
    files = Files(path, durable=False)
    keep(files, rows(n, 1, START, path.with_suffix(".scratch")))
    files.close()


def take_up(path: Path) -> tuple[int, int, float, int]:
    """Memory (in the end, and as it is), seconds until all that stands is ready to be said, and how many are open."""
    calm_collector()
    before, begun = resident(), time.perf_counter()
    files = Files(path)
    shard = Shard(0, lambda _: Policy(TenantSettings()), files.shelf(0), files.position(0))
    shard.load()
    shard.base()
    seconds = time.perf_counter() - begun
    line = shard._lines["shop"]
    return *given_back(before), seconds, sum(gauge.open for gauge in line.gauges.values())


@dataclass(frozen=True)
class Memory:
    """What so many take."""

    open: int
    each: float
    """Bytes."""
    held: float
    """The same with what is free and not given back yet."""
    seconds: float
    cpu_s: float
    disk: float
    """Bytes of the file, for each."""

    def __str__(self) -> str:
        return (
            f"{self.open} open, {EACH} events each: {self.each:.0f} bytes each in memory, "
            f"{self.held:.0f} before what is free is given back, {self.disk:.0f} on disk; "
            f"{self.seconds:.1f} s ({self.cpu_s:.1f} s of CPU)"
        )


def grown(n: int) -> Memory:
    """So many folded, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as made:
        return _apart("grow", Path(made) / "worker.db", n)


def taken_up(n: int) -> Memory:
    """So many taken up again, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as made:
        cloned(Path(made) / "worker.db", n)
        return _apart("again", Path(made) / "worker.db", n)


def _apart(what: str, path: Path, n: int) -> Memory:
    command = [sys.executable, "-m", "tests.bench.worker.memory", "--open", str(n), "--apart", what, str(path)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Memory(**json.loads(said))


def _measured(what: str, path: Path, n: int) -> Memory:
    if what == "grow":
        memory, held, seconds = grow(path, n)
        found = n
    else:
        memory, held, seconds, found = take_up(path)
    assert found == n, f"{found} open instead of {n}"
    return Memory(n, memory / n, held / n, seconds, time.process_time(), path.stat().st_size / n)


def main() -> None:
    """Print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=100_000)
    parser.add_argument("--cloned", action="store_true", help="do not fold them all: only measure the start")
    parser.add_argument("--apart", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apart:
        print(json.dumps(asdict(_measured(given.apart[0], Path(given.apart[1]), given.open))))
        return
    print(f"taken up again: {taken_up(given.open)}" if given.cloned else f"grown: {grown(given.open)}")


if __name__ == "__main__":
    main()
