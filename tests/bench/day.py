"""A day of chat through the whole embedded stack, compressed: how much memory its processes take together.

    python -m tests.bench.day [--per-s 50] [--hours 24] [--speed 48]

The stack runs as `tidewatch up` runs it; the day goes through the replay door by `tidewatch replay --speed`, so panes,
closings and all that is forgotten by age are a day's. The broker's least life is divided by the speed too, for it is
the only bound that goes by the wall clock. Memory is proportional set size (what is shared counts once), added over
all processes of the stack. At the end every message must stand in ClickHouse, once; what the stack holds while that is
counted is told apart, for no board asks for so much.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from tests.bench.chat import events
from tests.bench.machine import machine
from tests.bench.stack import held, serving, told
from tests.bench.worker.load import START
from tests.integration.outside import History, ms, snapshot, wait

TENANT = "day"
BOUND = 1 << 30
SAMPLE_S = 10.0
COUNTING_S = 0.5
PARTS = 16
"""They are counted in so many parts: all ids of a day are more than one query may hold."""


def emit(messages: int, per_s: int) -> None:
    """All events as JSON Lines on standard output."""
    encode, write = msgspec.json.encode, sys.stdout.buffer.write
    for number in range(messages):
        for event in events(number, per_s, START + number * 1_000 // per_s, TENANT):
            write(encode(event) + b"\n")


@contextmanager
def replaying(access: dict[str, str], messages: int, per_s: int, speed: float) -> Iterator[subprocess.Popen[bytes]]:
    """The day on its way through the replay door."""
    own = [sys.executable, "-m", "tests.bench.day", "--emit", str(messages), "--per-s", str(per_s)]
    door = [sys.executable, "-m", "tidewatch.cli", "replay", "-", "--speed", str(speed), "--url", access["url"]]
    env = os.environ | {"TIDEWATCH_KEY": access["ingest_token"]}
    with subprocess.Popen(own, stdout=subprocess.PIPE) as source:
        replay = subprocess.Popen(door, stdin=source.stdout, env=env)
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
            clock = ms(wait("the board", lambda: snapshot(access))["clocks"].get(TENANT))  # away as roles begin anew
            hours = 0 if clock is None else (clock - START) / 3_600_000
            minutes = (time.monotonic() - begun) / 60
            most = max(sum(sample.values()) for sample in samples) >> 20
            print(f"{minutes:.0f} min: {hours:.1f} h of the day; {told(samples[-1])}; at most {most}", flush=True)
    assert replay.returncode == 0, f"the replay ended with {replay.returncode}"
    return samples


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
            print(f"counting: at most {told(counting(stack, History(access), messages))}")
            print(f"end: {told(held(stack))}; {_disk(Path(made)) >> 20} MiB on disk; all {messages} messages once")
        return _most(samples)


def counting(stack: psutil.Process, history: History, messages: int) -> dict[str, int]:
    """What the stack held at most while all messages were counted.

    Raises:
        AssertionError: one is missing or there twice.
    """
    samples = [held(stack)]
    with ThreadPoolExecutor(1) as beside:
        counted = beside.submit(exact, history, messages)
        while not counted.done():
            time.sleep(COUNTING_S)
            samples.append(held(stack))
        counted.result()
    return _most(samples)


def exact(history: History, messages: int) -> None:
    """Wait until ClickHouse has every message; each stands there once."""
    query = "SELECT sum(messages) AS n FROM minutes WHERE tenant = {t:String}"
    wait("ClickHouse", lambda: history.rows(query, t=TENANT)[0]["n"] == messages, 600)
    query = (
        "SELECT count() AS n, uniqExact(conversation, id) AS ids FROM events "
        "WHERE tenant = {t:String} AND kind = 'message' AND cityHash64(conversation) % {of:UInt8} = {part:UInt8}"
    )
    parts = [history.rows(query, t=TENANT, of=PARTS, part=part)[0] for part in range(PARTS)]
    assert [sum(part[name] for part in parts) for name in ("n", "ids")] == [messages, messages]


def _most(samples: list[dict[str, int]]) -> dict[str, int]:
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
