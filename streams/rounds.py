"""When a worker commits, and when it stops taking: the same for the one on a directory and the one on Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from streams.events import Record
from streams.pace import Pace

SWEEP_EVERY_S = 10.0


class Rounds:
    """Commits what was taken, again and again (`streams.pace`). `commit` calls `begun` and `done`."""

    def __init__(
        self, commit: Callable[[], Awaitable[None]], most: int, waiting: Callable[[], int | None] = lambda: None
    ) -> None:
        """`most`: records that may wait for a commit; then reading waits. `waiting`: `Pace`'s."""
        self._commit = commit
        self._most = most
        self._pace = Pace(waiting)
        self._uncommitted = 0
        self._work, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._ending = False
        self._swept_at = time.monotonic()

    def sweeps(self) -> bool:
        """Whether it is time to look at some more of what is closed and kept (`Shard.sweep`)."""
        now = time.monotonic()
        if now - self._swept_at < SWEEP_EVERY_S:
            return False
        self._swept_at = now
        return True

    async def room(self) -> None:
        """Return once so little waits for a commit that more may be taken."""
        await self._room.wait()

    def took(self, record: Record | None, stored_at: float | None) -> None:
        """A record waits for the next commit. None: nobody could read it."""
        if record is not None:
            self._pace.take(record, stored_at)
        self._uncommitted += 1
        self._work.set()
        if self._uncommitted >= self._most:
            self._room.clear()

    def begun(self) -> None:
        """A commit has all that was taken; what comes now waits for the next."""
        self._work.clear()
        self._uncommitted = 0

    def done(self) -> None:
        """The commit is over, or what waited for one is dropped: there is room."""
        self._room.set()

    async def for_ever(self) -> None:
        """Commit what has come, until told to end. What is too much to be committed then is left as a kill leaves it.

        Never cancel it: what a commit has taken from the shards must be kept and published before anything after it is.
        """
        while not self._ending:
            await self._work.wait()
            if await self._pace.gather():
                await self._commit()

    def end(self) -> None:
        """Let `for_ever` commit once more, and return."""
        self._ending = self._pace.hurried = True
        self._work.set()
