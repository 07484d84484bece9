"""Other engines on the same Kafka and the same load, beside the worker and the ceilings.

    python -m tests.bench.peers.measure [--runs 3] [--events 500000] [--only worker faust quix bytewax streams …]

Their job is far smaller than the worker's: count messages by queue, channel and minute while catching up, durably. A
peer's time runs from its first message to its last, without what it still has to flush; the worker's until all of it is
committed. What a peer counted is compared afterwards: the figure says what share of the messages is missing from it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from config.settings import Kafka
from streams.events import EVENTS
from streams.tables import ensure_topics
from tests.bench.machine import machine
from tests.bench.peers import home, keyed
from tests.bench.worker import measure
from tests.bench.worker.kafka import PARTITIONS, Pace, ceiling, fill, make_topic, values
from tests.bench.worker.load import Load, bare, made, packed
from tests.kafka.broker import running

WITHIN_S = 300
END_S = 40
"""How long a peer may take to flush and end."""
DAY_S = 86_400

Row = tuple[str, int, int]
"""Key, minute (ms), count."""


@dataclass(frozen=True)
class Peer:
    """One engine."""

    name: str
    says: str
    """What its figure stands for."""
    command: Callable[[Path], list[str]]
    """State directory → how it is started."""
    read: Callable[[bytes, bytes], Row]
    """A record of what it put out → what it counted; the last one counts."""
    most: int = 1 << 30
    """Events it is given: a slow one gets fewer."""
    grace_s: int = DAY_S
    easy: bool = False
    """Its input is keyed, and partitioned, by what is counted by; else by conversation."""
    stretch: int = 1
    """The same events over so many times as long: as if less chat came in each minute."""
    adds: bool = True
    """Partitions count apart, and are added up; else the greatest that one of them says counts."""
    out: str = ""
    """The topic that has its counts, where it is not ours to name."""


@dataclass
class Result:
    """What one run came to."""

    pace: Pace
    missing: float = 0.0
    """Share of the messages that are not in the counts."""
    more: float = 0.0
    """Share that is there too often."""


@dataclass
class Results:
    """All runs, by engine."""

    of: dict[str, list[Result]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, result: Result) -> None:
        """One more run."""
        self.of.setdefault(name, []).append(result)
        print(f"  {name}: {result.pace.rate / 1e3:.1f} k/s, {result.pace.per_cpu / 1e3:.1f} k per CPU second, "
              f"missing {result.missing:.1%}, too many {result.more:.1%}", flush=True)  # fmt: skip

    def rate(self, name: str) -> float:
        """Its median, messages a second."""
        return statistics.median(one.pace.rate for one in self.of[name])


def _module(name: str) -> list[str]:
    return [str(home.python()), "-m", f"tests.bench.peers.{name}"]


def _faust(state: Path) -> list[str]:
    code = "from tests.bench.peers.of_faust import app; app.main()"
    return [sys.executable, "-c", code, "--quiet", "worker", "--without-web", "-l", "error"]


def _bytewax(state: Path) -> list[str]:
    python = str(home.python())
    subprocess.run([python, "-m", "bytewax.recovery", state, "1"], check=True, capture_output=True, timeout=60)
    return [python, "-m", "bytewax.run", "tests.bench.peers.of_bytewax:flow", "-r", str(state), "-s", "10", "-b", "0"]


def _streams(state: Path) -> list[str]:
    return ["java", "-Xmx1g", "-cp", home.classes(), "Counts"]


def _of_faust(key: bytes, value: bytes) -> Row:
    name, (since, _) = msgspec.json.decode(key)
    name = name if isinstance(name, str) else str(name)
    return name, round(since * 1_000), int(value)


def _of_quix(key: bytes, value: bytes) -> Row:
    said = msgspec.json.decode(value)
    return key.decode(), said["start"], said["value"]


def _of_bytewax(key: bytes, value: bytes) -> Row:
    at, count = value.split()
    return key.decode(), int(at), int(count)


def _of_streams(key: bytes, value: bytes) -> Row:
    name, at = key.decode().rsplit("@", 1)
    return name, int(at), int(value)


PEERS = (
    Peer("faust", "Faust 0.15.3, windowed table with changelog", _faust, _of_faust, 20_000,
         adds=False, out="bench-faust-counts-changelog"),
    Peer("quix", "Quix Streams 3.28, a day of grace", lambda _: _module("of_quix"), _of_quix, 100_000),
    Peer("bytewax", "Bytewax 0.21.1, recovery on, 60 s of grace", _bytewax, _of_bytewax, grace_s=60),
    Peer("streams", "Kafka Streams 4.1, RocksDB, a day of grace", _streams, _of_streams),
    Peer("bytewax-slow", "Bytewax, 60 s of grace, the events over ten times as long", _bytewax, _of_bytewax,
         grace_s=60, stretch=10),
    Peer("streams-slow", "Kafka Streams, 60 s of grace, the events over ten times as long", _streams, _of_streams,
         grace_s=60, stretch=10),
    Peer("streams-easy", "Kafka Streams, a day of grace, its input keyed by what is counted", _streams, _of_streams,
         easy=True),
)  # fmt: skip


@contextmanager
def _running(command: Sequence[str], more: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A peer's process and the pipe it speaks on."""
    hears, says = os.pipe()
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(measure.ROOT)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=env | more | {"BENCH_SAY": str(says)},
            stdout=output,
            stderr=output,
            pass_fds=[says],
            cwd=log.parent,
        )
    os.close(says)
    try:
        yield process, hears
    finally:
        process.kill()
        process.wait()
        os.close(hears)


def _heard(process: subprocess.Popen[bytes], hears: int, log: Path) -> tuple[float, float]:
    """Seconds, and seconds of processor time, between the first and the last record.

    Raises:
        RuntimeError: it ended early, or did not get there in time.
    """
    os.set_blocking(hears, False)
    text, until = "", time.monotonic() + WITHIN_S
    while "last" not in text or not text.endswith("\n"):
        try:
            text += os.read(hears, 4_096).decode()
        except BlockingIOError:
            pass
        if time.monotonic() > until or (process.poll() is not None and "last" not in text):
            raise RuntimeError(f"it is not getting there ({text!r}): {log.read_text()[-2_000:]}")
        time.sleep(0.05)
    said = {name: (float(at), float(cpu)) for name, at, cpu in map(str.split, text.splitlines())}
    return said["last"][0] - said["first"][0], said["last"][1] - said["first"][1]


async def run_peer(bootstrap: str, peer: Peer, rows: Sequence[tuple[str, Any]], directory: Path) -> Result:
    """One run of a peer on topics of its own."""
    name = f"bench.{peer.name}"
    out = peer.out or f"{name}.out"
    state = directory / f"{peer.name}-state"
    state.mkdir()
    await make_topic(bootstrap, name)
    if not peer.out:
        await make_topic(bootstrap, out)
    await keyed.fill(bootstrap, name, rows, peer.easy)
    want = keyed.truth(rows)
    total = want.total()
    own = {
        "BENCH_BOOTSTRAP": bootstrap, "BENCH_TOPIC": name, "BENCH_OUT": out, "BENCH_STATE": str(state),
        "BENCH_MESSAGES": str(total), "BENCH_GRACE_S": str(peer.grace_s), "BENCH_EASY": str(int(peer.easy)),
    }  # fmt: skip
    log = directory / f"{peer.name}.log"
    command = await asyncio.to_thread(peer.command, state)
    with _running(command, own, log) as (process, hears):
        seconds, cpu = await asyncio.to_thread(_heard, process, hears, log)
        if not peer.name.startswith("bytewax"):  # ends by itself, with what it still held
            await asyncio.sleep(3)  # a commit interval of its own choosing may pass
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, END_S)
        except subprocess.TimeoutExpired:
            pass
    got = await _counted(bootstrap, peer, out)
    missing = sum(max(0, n - got[key]) for key, n in want.items()) / total
    more = sum(max(0, n - want[key]) for key, n in got.items()) / total
    return Result(Pace(len(rows), seconds, cpu), missing, more)


async def _counted(bootstrap: str, peer: Peer, out: str) -> keyed.Counts:
    """What it put out in the end; a partition's own last word on a key counts."""
    last: dict[tuple[int, str, int], int] = {}
    async for records in values(bootstrap, out):
        for record in records:
            if record.value is not None:
                key, at, count = peer.read(record.key, record.value)
                last[record.partition, key, at] = count
    found: keyed.Counts = Counter()
    for (_, key, at), count in last.items():
        found[key, at] = found[key, at] + count if peer.adds else max(found[key, at], count)
    return found


async def _round(bootstrap: str, load: Load, only: Sequence[str], directory: Path, results: Results) -> None:
    """Everybody once, on one broker, between two looks at the ceiling."""
    await ensure_topics(Kafka(bootstrap=bootstrap, partitions=PARTITIONS))
    await make_topic(bootstrap, measure.SINGLES)
    await fill(bootstrap, measure.SINGLES, bare(load, PARTITIONS))
    await fill(bootstrap, EVENTS, packed(load, PARTITIONS))
    await ceiling(bootstrap, measure.SINGLES, packed=False)  # warms the caches
    results.add("bare", Result(await ceiling(bootstrap, measure.SINGLES, packed=False)))
    results.add("bare, packed", Result(await ceiling(bootstrap, EVENTS, packed=True)))
    if "worker" in only:
        pace = await measure.catch_up(bootstrap, load, directory)
        wrong = await measure.differences(bootstrap, load)
        assert not wrong, f"{len(wrong)} numbers are wrong: {wrong[:5]}"
        results.add("worker", Result(pace))
    for peer in PEERS:
        if peer.name in only and peer.name not in results.skipped:
            try:
                rows = keyed.keyed(load, peer.most, peer.stretch)
                result = await run_peer(bootstrap, peer, rows, directory)
            except (home.Missing, RuntimeError) as error:
                results.skipped[peer.name] = str(error)
                print(f"  {peer.name}: skipped, {error}", flush=True)
            else:
                results.add(peer.name, result)
    results.add("bare", Result(await ceiling(bootstrap, measure.SINGLES, packed=False)))


def run(load: Load, runs: int, only: Sequence[str]) -> Results:
    """So many rounds, each on a broker of its own."""
    results = Results()
    for number in range(runs):
        print(f"round {number + 1} of {runs}; load average {os.getloadavg()[0]:.1f}", flush=True)
        with tempfile.TemporaryDirectory(prefix="tidewatch-peers-") as here, running(Path(here)) as broker:
            asyncio.run(_round(broker.bootstrap, load, only, Path(here), results))
    return results


def table(results: Results) -> Iterator[str]:
    """Medians, in Markdown; beside each how many times as fast the worker is."""
    says = {peer.name: peer.says for peer in PEERS} | {
        "bare": "aiokafka and decoding, one message a record", "bare, packed": "the same, as the gateway packs them",
        "worker": "**Tidewatch's worker, the whole job**",
    }  # fmt: skip
    yield "| engine | runs | k msg/s | k per CPU second | of bare | worker ÷ it | missing | too many |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, runs in results.of.items():
        rate, cpu = results.rate(name), statistics.median(one.pace.per_cpu for one in runs)
        ours = f"{results.rate('worker') / rate:.1f}" if "worker" in results.of else ""
        missing, more = (statistics.median(getattr(one, what) for one in runs) for what in ("missing", "more"))
        yield (f"| {says[name]} | {len(runs)} | {rate / 1e3:.1f} | {cpu / 1e3:.1f} | {rate / results.rate('bare'):.3f} "
               f"| {ours} | {missing:.1%} | {more:.1%} |")  # fmt: skip
    for name, why in results.skipped.items():
        yield f"| {says[name]} | | skipped: {why.splitlines()[0][:120]} | | | | | |"


def main() -> None:
    """The command."""
    names = ["worker", *(peer.name for peer in PEERS)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    given = parser.parse_args()
    print(machine(), flush=True)
    results = run(made(given.events), given.runs, given.only)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
