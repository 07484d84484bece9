"""How long the board stands still while the embedded broker is begun anew: `python -m tests.bench.anew [--per-s 200]`.

The stack runs as `tidewatch up` runs it, with chat through one socket that comes back whenever it can. After a while
the broker is killed, as the supervisor kills one that is worn (`tidewatch.wear`). Told are the seconds from then until
a client is taken in again, and until a frame of the live feed, from whoever serves it then, passes for the present
again and is of an instant after the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
from websockets.exceptions import WebSocketException

from tests.bench.chat import events
from tests.bench.latency import FRAME_S, TENANT, _door
from tests.bench.machine import machine
from tests.bench.stack import members, serving

AWAY = (OSError, WebSocketException, TimeoutError)
PATIENCE_S = 120.0


class Chat:
    """Chat at a steady rate, for ever; what nobody takes is not sent again."""

    def __init__(self, access: dict[str, str], per_s: int) -> None:
        self._access, self._per_s = access, per_s
        self.taken: list[float] = []
        """When frames were acknowledged, by the machine's clock."""

    async def run(self) -> None:
        begun = time.monotonic()
        while True:
            with contextlib.suppress(*AWAY):
                async with _door(self._access, "/v1/ingest", "ingest_token") as door:
                    number = int((time.monotonic() - begun) * self._per_s)
                    while True:
                        upto, at = int((time.monotonic() - begun) * self._per_s), time.time_ns() // 1_000_000
                        some = [event for one in range(number, upto) for event in events(one, self._per_s, at, TENANT)]
                        number = upto
                        if some:
                            await door.send(json.dumps(some[:500]))
                            await door.recv()
                            self.taken.append(time.time())
                        await asyncio.sleep(FRAME_S)
            await asyncio.sleep(0.05)


async def fresh(access: dict[str, str], since: float) -> float:
    """When a frame came first that passes for the present and is of an instant after `since` (s since the epoch)."""
    while True:
        with contextlib.suppress(*AWAY):
            async with _door(access, "/v1/live", "board_token") as live:
                async for raw in live:
                    frame = json.loads(raw)
                    as_of = frame.get("as_of")
                    if as_of and not frame["stale"] and datetime.fromisoformat(as_of).timestamp() > since:
                        return time.time()
        await asyncio.sleep(0.05)


async def stand_still(access: dict[str, str], supervisor: psutil.Process, per_s: int, seconds: float) -> list[float]:
    """Kill the broker once; seconds until a client is taken in, and until the board is of now again."""
    chat = Chat(access, per_s)
    chatting = asyncio.create_task(chat.run())
    try:
        await asyncio.sleep(seconds)
        await fresh(access, time.time())
        killed = time.time()
        next(process for name, process in members(supervisor) if name == "broker").kill()
        async with asyncio.timeout(PATIENCE_S):
            seen = await fresh(access, killed + 1.5)
            await asyncio.sleep(1.0)
        around = [at for at in chat.taken if at > killed - 1.0]
        _, again = max((after - before, after) for before, after in pairwise(around))
        return [again - killed, seen - killed]
    finally:
        chatting.cancel()


def run(per_s: int, seconds: float) -> list[float]:
    """Once, on a stack of its own."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-anew-") as made, serving(Path(made) / "data") as (stack, access):
        return asyncio.run(stand_still(access, stack, per_s, seconds))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="before the broker is killed")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print(f"{machine()}; {given.per_s}/s", flush=True)
    found = [run(given.per_s, given.seconds) for _ in range(given.runs)]
    for taken, seen in found:
        print(f"taken in again after {taken:.1f} s, of now again after {seen:.1f} s")
    print(f"medians {' and '.join(f'{statistics.median(one):.1f} s' for one in zip(*found, strict=True))}; ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
