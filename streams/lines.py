"""Cuts, one after another on each clock: a replay that has weeks to learn does not hold up those who are live.

Cuts of the real clock are applied at once; those of a replay wait in a line of their own. A tenant that goes live does
so when its line is empty, for from then on it is on the real clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from streams.align import Cut
from streams.events import REAL

MOST = 1_000
"""Cuts that may wait in a line; then reading waits, too."""


class Lines:
    """Applies cuts. Whatever fails in a line ends the task group that it was given."""

    def __init__(self, apply: Callable[[Cut], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        self._apply, self._tasks = apply, tasks
        self._lines: dict[str, asyncio.Queue[Cut | None]] = {}

    async def put(self, cut: Cut) -> None:
        """Apply a cut, or have it applied in its turn."""
        if cut.clock == REAL:
            await self._apply(cut)
            return
        line = self._lines.get(cut.clock)
        if line is None:
            line = self._lines[cut.clock] = asyncio.Queue(MOST)
            self._tasks.create_task(self._work(line), name=f"clock of {cut.clock}")
        await line.put(cut)
        if any(segment.live is not None for _, segment in cut.segments):
            await line.put(None)
            await line.join()
            del self._lines[cut.clock]

    async def end(self) -> None:
        """Return once every line is empty."""
        for line in self._lines.values():
            await line.put(None)
        for line in self._lines.values():
            await line.join()
        self._lines.clear()

    async def _work(self, line: asyncio.Queue[Cut | None]) -> None:
        while True:
            cut = await line.get()
            try:
                if cut is None:
                    return
                await self._apply(cut)
            finally:
                line.task_done()
