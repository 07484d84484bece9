"""From a client's send to a frame of the live feed that holds it, with everything on this machine.

    python -m tests.bench.latency [--per-s 200 2000] [--seconds 60] [--runs 3] [--viewers 0]

The embedded stack runs as `tidewatch up` runs it. A process of its own sends chat at a steady rate through four
sockets; this one sends twenty more messages a second, each to one of eight queues in turn, and watches `/v1/live`: a
message is there with the first frame whose tile counts it. Every probe is measured by one clock; none is left out.
`--viewers`: so many more boards look on, each of the whole tenant `*`; what they cost shows in the gateway's share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.chat import events
from tests.bench.machine import machine
from tests.bench.stack import cpu_s, serving

TENANT = "live"
PROBES = 8
"""Queues that are probed: over all partitions."""
EVERY_S = 0.05
EACH = 30
"""Probes of a conversation; then the next."""
SOCKETS = 4
FRAME_S = 0.02
WARM_S = 15.0
LEFT_S = 30.0
"""How long the last probes are waited for."""


@dataclass(frozen=True)
class Latency:
    """What one run came to, in seconds."""

    per_s: int
    sent: int
    delays: Sequence[float]
    cpu: dict[str, float]
    """Cores each process took."""
    load: float
    """The machine's load average."""

    def at(self, share: float) -> float:
        """A quantile; a probe that was never seen counts as infinitely late."""
        ordered = sorted(self.delays) + [float("inf")] * (self.sent - len(self.delays))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _door(access: dict[str, str], path: str, token: str) -> connect:
    headers = {"Authorization": f"Bearer {access[token]}"}
    return connect(access["url"].replace("http", "ws") + path, additional_headers=headers, max_size=None)


async def _acks(door: ClientConnection) -> None:
    async for answer in door:
        said = json.loads(answer)
        assert "ack" in said, said
        assert not said["rejected"], said


async def flow(access: dict[str, str], per_s: int, seconds: float) -> None:
    """Chat at a steady rate, through several sockets, each conversation always through the same."""
    doors = [await _door(access, "/v1/ingest", "ingest_token") for _ in range(SOCKETS)]
    reading = [asyncio.create_task(_acks(door)) for door in doors]
    begun, number = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        frames: list[list[Any]] = [[] for _ in doors]
        at = time.time_ns() // 1_000_000
        while number < passed * per_s:
            for event in events(number, per_s, at, TENANT):
                frames[number % per_s % SOCKETS].append(event)
            number += 1
        for door, some in zip(doors, frames, strict=True):
            for start in range(0, len(some), 500):
                await door.send(json.dumps(some[start : start + 500]))
        await asyncio.sleep(FRAME_S)
        assert not any(task.done() for task in reading), [task.exception() for task in reading if task.done()]
    for task in reading:
        task.cancel()
    for door in doors:
        await door.close()


async def look(access: dict[str, str], viewers: int, seconds: float) -> None:
    """So many boards that read and draw nothing."""
    doors = [await _door(access, "/v1/live", "board_token") for _ in range(viewers)]

    async def read(door: ClientConnection) -> None:
        async for _ in door:
            pass

    await asyncio.wait([asyncio.create_task(read(door)) for door in doors], timeout=seconds)


@contextmanager
def apart(access: dict[str, str], seconds: float, *options: str) -> Iterator[None]:
    """Part of this program in a process of its own, for so long."""
    command = [sys.executable, "-m", "tests.bench.latency", "--apart", str(seconds), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(dict(access)).encode())
        process.stdin.close()
        try:
            yield
            assert process.poll() is None, "it ended early"
        finally:
            process.kill()


class Probes:
    """What was sent and not seen yet, by queue."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._sent: list[list[float]] = [[] for _ in range(PROBES)]
        self._seen = [0] * PROBES
        self.delays: list[float] = []
        self.delay_of: dict[tuple[int, int], float] = {}
        """(place, its how manieth) → the same."""
        self.acked: list[float] = []
        """From a send to its acknowledgement."""
        self.named: dict[tuple[str, str], float] = {}
        """(conversation, id) → when it was sent."""
        self.also: Probes | None = None
        """Somebody else who is to know what was sent."""
        self.n = 0

    async def send(self, door: ClientConnection, seconds: float) -> None:
        """Probe for so long."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            place, turn = self.n % PROBES, self.n // PROBES
            row = {
                "id": f"p{turn}", "kind": "message", "at": time.time_ns() // 1_000_000, "tenant": TENANT,
                "conversation": f"{self._tag}-{place}-{turn // EACH}", "queue": self.queue(place), "channel": "web",
                "author": "customer", "author_id": "u-probe", "text": "我的订单还没到",
            }  # fmt: skip
            self._note(place, row)
            await door.send(json.dumps(row))
            self.n += 1
            await asyncio.sleep(max(0.0, begun + self.n * EVERY_S - time.monotonic()))

    def _note(self, place: int, row: dict[str, Any]) -> None:
        now = time.monotonic()
        self.named[row["conversation"], row["id"]] = now
        for one in filter(None, (self, self.also)):
            one._sent[place].append(now)

    async def hear(self, door: ClientConnection) -> None:
        """Take the acknowledgements, which come in order."""
        async for answer in door:
            said = json.loads(answer)
            assert "ack" in said, said
            assert not said["rejected"], said
            self.acked.append(time.monotonic() - list(self.named.values())[len(self.acked)])

    def queue(self, place: int) -> str:
        """Where these probes go."""
        return f"{self._tag}-{place}"

    def see(self, frame: dict[str, Any]) -> None:
        """Take a frame."""
        now = time.monotonic()
        for tile in frame.get("keys", ()):
            queue = str(tile["queue"])
            if not queue.startswith(f"{self._tag}-") or tile["channel"] != "web" or "windows" not in tile:
                continue
            place = int(queue.rsplit("-", 1)[1])
            count = int(tile["windows"]["today"]["customer_messages"])
            for turn, at in enumerate(self._sent[place][self._seen[place] : count], self._seen[place]):
                self.delay_of[place, turn] = now - at
                self.delays.append(now - at)
            self._seen[place] = max(self._seen[place], count)


async def probe(access: dict[str, str], tag: str, seconds: float, also: Probes | None = None) -> Probes:
    """Send, watch, and wait for the last; `also` is told what was sent."""
    probes = Probes(tag)
    probes.also = also
    door, live = await _door(access, "/v1/ingest", "ingest_token"), await _door(access, "/v1/live", "board_token")
    acks = asyncio.create_task(probes.hear(door))
    sending = asyncio.create_task(probes.send(door, seconds))
    until = time.monotonic() + seconds + LEFT_S
    while time.monotonic() < until and not (sending.done() and len(probes.delays) == probes.n):
        probes.see(json.loads(await live.recv()))
    await sending
    acks.cancel()
    await door.close()
    await live.close()
    return probes


def run(per_s: int, seconds: float, viewers: int = 0) -> Latency:
    """One run on a stack of its own."""
    whole = WARM_S + seconds + LEFT_S + 30
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidewatch-latency-"))
        supervisor, access = stack.enter_context(serving(Path(made) / "data"))
        stack.enter_context(apart(access, whole, "--per-s", str(per_s)))
        if viewers:
            stack.enter_context(apart(access, whole, "--viewers", str(viewers)))
        time.sleep(WARM_S)
        before, begun = cpu_s(supervisor), time.monotonic()
        probes = asyncio.run(probe(access, "probe", seconds))
        after, passed = cpu_s(supervisor), time.monotonic() - begun
        cores = {name: (used - before.get(name, 0.0)) / passed for name, used in after.items()}
        return Latency(per_s, probes.n, probes.delays, cores, os.getloadavg()[0])


def told(one: Latency) -> str:
    """One run in words."""
    busy = ", ".join(
        f"{name} {used:.2f}" for name, used in sorted(one.cpu.items(), key=lambda it: -it[1]) if used > 0.01
    )
    return (
        f"{one.per_s}/s: p50 {one.at(0.5):.3f} s, p95 {one.at(0.95):.3f} s, p99 {one.at(0.99):.3f} s, "
        f"last {one.at(1):.3f} s of {one.sent} probes; cores: {busy}; load average {one.load:.1f}"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=int, nargs="+", default=[200, 2_000])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--viewers", type=int, default=0, help="boards that look on")
    parser.add_argument("--apart", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.apart is not None:
        access = json.load(sys.stdin)
        asyncio.run(
            look(access, given.viewers, given.apart) if given.viewers else flow(access, given.per_s[0], given.apart)
        )
        return
    print(f"{machine()}; {psutil.cpu_count()} cores for all of it", flush=True)
    for per_s in given.per_s:
        runs = []
        for _ in range(given.runs):
            runs.append(run(per_s, given.seconds, given.viewers))
            print(told(runs[-1]), flush=True)
        medians = [statistics.median(one.at(share) for one in runs) for share in (0.5, 0.95, 0.99)]
        print(
            f"{per_s}/s, median of {given.runs}: p50 {medians[0]:.3f} s, p95 {medians[1]:.3f} s, p99 {medians[2]:.3f} s"
        )


if __name__ == "__main__":
    main()
