"""A day of chat through the whole embedded stack, compressed: how much memory its processes take together.

    python -m tests.bench.day [--per-s 50] [--hours 24] [--speed 48]

The stack runs as `tidewatch up` runs it; the day goes through the replay door by `tidewatch replay --speed`, so panes,
closings and all that is forgotten by age are a day's. The broker's least life is divided by the speed too, for it is
the only bound that goes by the wall clock. Memory is proportional set size (what is shared counts once), added over
all processes of the stack. At the end every message must stand in ClickHouse, once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psutil

from tests.bench.machine import machine
from tests.bench.worker.load import AGENTS, CHANNELS, QUEUES, START, WORDS
from tests.integration.outside import History, ms, snapshot, wait

TENANT = "day"
UNDER_WAY = 1_000
"""Conversations at any time."""
TURNS = 12
"""Messages of a conversation."""
BOUND = 1 << 30
SAMPLE_S = 10.0
SERVE = """
import sys, tidewatch.embedded as embedded
from tidewatch.cli import main
embedded.BROKER_LIFE /= float(sys.argv.pop(1))
main()
"""


def events(number: int, per_s: int, chance: Random) -> Iterator[dict[str, Any]]:
    """The events of one message: with the first its conversation is opened, with the last closed."""
    turn, place = divmod(number, UNDER_WAY)
    which, step = divmod(turn + place, TURNS)
    at = START + number * 1_000 // per_s
    own = Random(f"{place}/{which}")
    agent, customer = f"a-{own.randrange(AGENTS):04}", f"u-{own.randrange(200_000):06}"
    base = {"tenant": TENANT, "conversation": f"c-{place}-{which}", "at": at}
    if step == 0:
        yield base | {"id": "o", "kind": "opened", "queue": own.choice(QUEUES), "channel": own.choice(CHANNELS)}
    if step == 1:
        yield base | {"id": "a", "kind": "assigned", "agent": agent}
    who = {"author": "agent", "author_id": agent} if step % 2 else {"author": "customer", "author_id": customer}
    text = " ".join(chance.choices(WORDS, k=chance.randrange(2, 9)))
    yield base | who | {"id": f"m{step}", "kind": "message", "text": text}
    if step == TURNS - 1:
        yield base | {"id": "c", "kind": "closed", "by": "agent", "resolved": own.random() < 0.8}


def emit(messages: int, per_s: int) -> None:
    """All events as JSON Lines on standard output."""
    chance, encode, write = Random(5), msgspec.json.encode, sys.stdout.buffer.write
    for number in range(messages):
        for event in events(number, per_s, chance):
            write(encode(event) + b"\n")


def held(supervisor: psutil.Process) -> dict[str, int]:
    """Bytes of each process of a stack, what is shared by its share."""
    found: dict[str, int] = {}
    for process in [supervisor, *supervisor.children(recursive=True)]:
        try:
            name = _name(process)
            found[name] = found.get(name, 0) + _pss(process.pid)
        except (psutil.Error, OSError, StopIteration):  # it has just ended
            continue
    return found


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    roles = ("gateway", "worker", "sink", "notifier", "broker", "leash")
    return next((role for role in roles for word in words if role in word.split("/")[-1]), process.name())


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def serving(directory: Path, speed: float) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """The stack, ready, with how to get in."""
    command = [sys.executable, "-c", SERVE, str(speed), "up", "--data", str(directory), "--port", "0"]
    process = subprocess.Popen(command)
    try:
        access = directory / "access.json"
        wait("the stack", lambda: access.exists() or process.poll() is not None)
        yield psutil.Process(process.pid), json.loads(access.read_text())
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def replaying(access: dict[str, str], messages: int, per_s: int, speed: float) -> Iterator[subprocess.Popen[bytes]]:
    """The day on its way through the replay door."""
    own = [sys.executable, "-m", "tests.bench.day", "--emit", str(messages), "--per-s", str(per_s)]
    door = [sys.executable, "-m", "tidewatch.cli", "replay", "-", "--speed", str(speed), "--url", access["url"]]
    with subprocess.Popen(own, stdout=subprocess.PIPE) as source:
        replay = subprocess.Popen([*door, "--key", access["ingest_token"]], stdin=source.stdout)
        try:
            yield replay
        finally:
            for process in (replay, source):
                process.kill()
                process.wait()


def watched(stack: psutil.Process, access: dict[str, str], replay: subprocess.Popen[bytes]) -> list[dict[str, int]]:
    """What the stack held while the day went by, told as it goes."""
    samples: list[dict[str, int]] = []
    begun = time.monotonic()
    while replay.poll() is None:
        time.sleep(SAMPLE_S)
        samples.append(held(stack))
        if len(samples) % 6 == 0:
            clock = ms(snapshot(access)["clocks"].get(TENANT))
            hours = 0 if clock is None else (clock - START) / 3_600_000
            print(
                f"{(time.monotonic() - begun) / 60:.0f} min: {hours:.1f} h of the day; {told(samples[-1])}", flush=True
            )
    assert replay.returncode == 0, f"the replay ended with {replay.returncode}"
    return samples


def told(sample: dict[str, int]) -> str:
    """One sample in words, MiB."""
    parts = ", ".join(f"{name} {size >> 20}" for name, size in sorted(sample.items(), key=lambda one: -one[1]))
    return f"{sum(sample.values()) >> 20} MiB ({parts})"


def run(per_s: int, hours: float, speed: float) -> dict[str, int]:
    """One day; the sample at which the stack held most.

    Raises:
        AssertionError: a message is missing or there twice.
    """
    messages = int(hours * 3_600 * per_s)
    with tempfile.TemporaryDirectory(prefix="tidewatch-day-") as made:
        with serving(Path(made) / "data", speed) as (stack, access):
            print(f"empty: {told(held(stack))}", flush=True)
            with replaying(access, messages, per_s, speed) as replay:
                samples = watched(stack, access, replay)
            last = START + (messages - 1) * 1_000 // per_s
            wait("the clock", lambda: (ms(snapshot(access)["clocks"].get(TENANT)) or 0) >= last, 3_600)
            samples.append(held(stack))
            history = History(access)
            query = "SELECT sum(messages) AS n, count() AS panes FROM minutes WHERE tenant = {t:String}"
            wait("ClickHouse", lambda: history.rows(query, t=TENANT)[0]["n"] == messages, 600)
            said = history.rows(
                "SELECT count() AS n, uniqExact(conversation, id) AS ids FROM events "
                "WHERE tenant = {t:String} AND kind = 'message'", t=TENANT
            )[0]  # fmt: skip
            assert said == {"n": messages, "ids": messages}, said
            print(f"end: {told(held(stack))}; {_disk(Path(made)) >> 20} MiB on disk; all {messages} messages once")
        return max(samples, key=lambda sample: sum(sample.values()))


def _disk(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=int, default=50, help="messages a second of event time")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--speed", type=float, default=48, help="times real time")
    parser.add_argument("--emit", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.emit is not None:
        emit(given.emit, given.per_s)
        return
    print(machine(), flush=True)
    most = run(given.per_s, given.hours, given.speed)
    print(f"{given.hours:g} h at {given.per_s}/s, {given.speed:g} times as fast: at most {told(most)}; bar 1024 MiB")
    sys.exit(0 if sum(most.values()) < BOUND else 1)


if __name__ == "__main__":
    main()
