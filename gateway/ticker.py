"""The real clock: one tick a second, at whole seconds, to every partition. It never goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.journal import Full

STEP_MS = 1_000


def due(now_ms: int, last_ms: int) -> int:
    """The tick that is due: the last whole second. After a pause it is one tick, whatever the pause was."""
    return max(last_ms, now_ms - now_ms % STEP_MS)


async def run(write: Callable[[int], Awaitable[object]]) -> None:
    """Write a tick each second until cancelled. One that cannot be stored is left out; the next one says more."""
    last = 0
    while True:
        now = time.time_ns() // 1_000_000
        last = due(now, last)
        try:
            await write(last)
        except Full:
            pass
        now = time.time_ns() // 1_000_000
        await asyncio.sleep((STEP_MS - now % STEP_MS + 1) / 1_000)
