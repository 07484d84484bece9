"""Where the time from a send to a tile goes: `python -m tests.bench.stages [--per-s 2000] [--seconds 60]`.

The same probes as `tests.bench.latency`, watched at each place they pass on the embedded stack: acknowledged (in the
journal, synced), told (on `chat.readings`: folded, committed, published), written (in a change on Redis: taken and
shown by the notifier), seen (in a frame of the live feed). The second table says of quick and of slow probes how long
they took from one place to the next, on average.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import redis.asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.events import READINGS
from tests.bench.latency import PROBES, WARM_S, Probes, apart, probe
from tests.bench.machine import machine
from tests.bench.stack import serving

PLACES = ("acknowledged", "told", "written", "seen")
BANDS = ((0.0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 1.0))
"""Of all probes, in the order of when they were seen."""
Passed = list[tuple[float, ...]]
"""Of each probe that was seen everywhere: seconds from the send to each place."""


class _Event(msgspec.Struct):
    id: str
    conversation: str | None = None


class _Row(msgspec.Struct):
    event: _Event


class _Segment(msgspec.Struct):
    events: list[_Row] = []


class _Reading(msgspec.Struct):
    segments: list[_Segment] = []


class Told:
    """When each probe was on `chat.readings`, by conversation and id."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], float] = {}

    async def run(self, bootstrap: str, partitions: int, tag: str) -> None:
        """Listen for ever, from now on."""
        decode = msgspec.json.Decoder(_Reading).decode
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=10, auto_offset_reset="latest")
        await consumer.start()
        lines = [TopicPartition(READINGS, number) for number in range(partitions)]
        consumer.assign(lines)
        await consumer.seek_to_end(*lines)
        try:
            async for record in consumer:
                now = time.monotonic()
                for segment in decode(record.value).segments:
                    for event in [row.event for row in segment.events]:
                        if (event.conversation or "").startswith(tag):
                            self.at.setdefault((event.conversation or "", event.id), now)
        finally:
            await consumer.stop()


async def written(url: str, probes: Probes) -> None:
    """Let `probes` see what is published to the gateways, for ever."""
    async with redis.asyncio.Redis.from_url(url).pubsub() as changes:
        await changes.subscribe("tw:changes")
        async for message in changes.listen():
            if message["type"] == "message":
                probes.see(json.loads(message["data"]))


async def watch(data: Path, access: dict[str, str], seconds: float) -> tuple[dict[str, list[float]], Passed]:
    """Place → seconds from the send, of every probe that was seen there; and by probe."""
    run = json.loads((data / "run.json").read_text())
    password = json.loads((data / "secrets.json").read_text())["redis"]
    told, shadow = Told(), Probes("probe")
    tasks = [
        asyncio.create_task(told.run(run["kafka"], 4, "probe")),
        asyncio.create_task(written(f"redis://:{password}@{run['redis']}/0", shadow)),
    ]
    await asyncio.sleep(2)
    probes = await probe(access, "probe", seconds, shadow)
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    heard = [told.at[name] - at for name, at in probes.named.items() if name in told.at]
    found = dict(zip(PLACES, (probes.acked, heard, shadow.delays, probes.delays), strict=True))
    return found, passed(told, shadow, probes)


def passed(told: Told, shadow: Probes, probes: Probes) -> Passed:
    """Probe by probe."""
    found = []
    for number, (name, at) in enumerate(probes.named.items()):
        turn, place = divmod(number, PROBES)
        where = place, turn
        if (
            name in told.at
            and number < len(probes.acked)
            and {where} <= shadow.delay_of.keys() & probes.delay_of.keys()
        ):
            found.append((probes.acked[number], told.at[name] - at, shadow.delay_of[where], probes.delay_of[where]))
    return sorted(found, key=lambda one: one[-1])


def slow(found: Passed) -> Iterator[str]:
    """In Markdown: what quick and slow probes did; ms."""
    yield "| probes | " + " | ".join((*PLACES, "all")) + " |"
    yield "|---" + "|--:" * (len(PLACES) + 1) + "|"
    for first, last in BANDS:
        some = found[int(first * len(found)) : int(last * len(found))]
        if some:
            steps = [statistics.fmean(one[at] - (one[at - 1] if at else 0.0) for one in some) for at in range(4)]
            words = " | ".join(f"{span * 1e3:.0f}" for span in (*steps, sum(steps)))
            yield f"| p{first * 100:.0f} to p{last * 100:.0f} | {words} |"


def table(found: dict[str, list[float]]) -> Iterator[str]:
    """In Markdown; ms."""
    yield "| from the send until | p50, ms | p95, ms | p99, ms |"
    yield "|---|--:|--:|--:|"
    for place, delays in found.items():
        ordered = sorted(delays) or [float("nan")]
        words = " | ".join(
            f"{ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1e3:.0f}" for q in (0.5, 0.95, 0.99)
        )
        yield f"| {place} | {words} |"


def run(per_s: int, seconds: float) -> tuple[dict[str, list[float]], Passed]:
    """On a stack of its own."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidewatch-stages-"))) / "data"
        _, access = stack.enter_context(serving(data))
        stack.enter_context(apart(access, WARM_S + seconds + 60, "--per-s", str(per_s)))
        time.sleep(WARM_S)
        return asyncio.run(watch(data, access, seconds))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    print(f"{machine()}; {given.per_s}/s", flush=True)
    found, by_probe = run(given.per_s, given.seconds)
    print("\n".join([*table(found), "", *slow(by_probe)]))
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
