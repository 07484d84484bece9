"""How often a worker commits: at once while little comes, in large pieces while there is much to catch up on."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Callable

from streams.events import Record

COMMIT_EVERY_S = 0.1
"""From one commit to the next at least, from begin to begin: it bounds what the board lags behind."""
COMPANY_S = 0.02
"""How long a change waits for company at least: what a gateway wrote at once comes in several records."""
BUSY = 400
"""Events in `COMMIT_EVERY_S` from which on there is so much to do that it is worth gathering."""
BUSY_S = 1.0
"""How long it gathers then, while it keeps up: the board waits for it."""
CATCHING_UP_S = 4.0
"""How long it gathers while it is behind anyway. What is touched often is kept and said once for all of it."""
BEHIND_S = 5.0
"""What came so long ago says that the worker is behind."""
MOST_EVENTS = 200_000
"""It gathers no more than so many: they are in memory until they are committed."""
LEFT_EVENTS = 20_000
"""A worker that ends commits no more than so many, for it is given seconds; the next reads what is beyond again."""
FEW_EVENTS = 10_000
"""Nor fewer, while it is behind: smaller commits say the same rows again and again."""
YOUNG = 1_000_000
"""Objects that come before Python looks for cycles among them. There are none to speak of, and a look takes 0.1 s."""
SERVING_YOUNG = 20_000
"""The same for a role that serves people, and holds connections, which are cycles: a look takes some milliseconds."""


class Pace:
    """Counts what was taken since the last commit."""

    def __init__(self, waiting: Callable[[], int | None] = lambda: None) -> None:
        """`waiting`: how many records are there to be taken; None: that is not known."""
        self._waiting = waiting
        self.taken = 0
        """Events."""
        self._records = 0
        """With those events in them, and others."""
        self.came_at = 0.0
        """When the last of them was received, seconds since the epoch."""
        self._begun_at = -math.inf
        """When the last commit began, on the monotonic clock."""
        self.hurried = False
        """The worker is about to end: what is there is committed, and nothing waited for."""

    def take(self, record: Record, stored_at: float | None) -> None:
        """A record was applied. `stored_at`: when the broker stored it; what our gateways write knows it better."""
        self._records += 1
        if record.events:
            self.taken += len(record.events)
            self.came_at = record.events[-1].received_at / 1_000 or stored_at or 0.0

    async def gather(self) -> bool:
        """Return when it is time to commit. False: it is time to end, and too much to be committed still."""
        waited = 0.0
        if self._behind() or await self._much_comes():
            while (
                not self.hurried and waited < (CATCHING_UP_S if self._behind() else BUSY_S) and not self._at_the_end()
            ):
                before = self.taken
                await asyncio.sleep(COMMIT_EVERY_S)
                waited += COMMIT_EVERY_S
                if self.taken - before < BUSY or self.enough():
                    break
        few = not self.hurried or self.taken <= LEFT_EVENTS
        self.taken = self._records = 0
        self._begun_at = time.monotonic()
        return few

    def _at_the_end(self) -> bool:
        """Whether this is the last piece of a backlog: much of it, and nothing more to be taken."""
        return self.taken >= FEW_EVENTS and self._behind() and self._waiting() == 0

    async def _much_comes(self) -> bool:
        """Wait for what is left of a turn; whether so much came in it that it is worth gathering more."""
        if not self.hurried:
            await asyncio.sleep(max(COMPANY_S, self._begun_at + COMMIT_EVERY_S - time.monotonic()))
        return self.taken >= BUSY * (time.monotonic() - self._begun_at) / COMMIT_EVERY_S

    def enough(self) -> bool:
        """Whether a commit waits no longer for more: towards the end of a backlog once it is half of what was left.

        So the last commit, which nothing is folded beside, is a small one, and the board is current sooner.
        """
        if self.taken < FEW_EVENTS or self.taken >= MOST_EVENTS:
            return self.taken >= MOST_EVENTS
        waiting = self._waiting() if self._behind() else None
        return waiting is not None and waiting <= self._records

    def _behind(self) -> bool:
        return time.time() - self.came_at > BEHIND_S


def calm_collector() -> None:
    """Let Python look for garbage in cycles among young objects only.

    State is millions of objects without cycles; to walk through them again and again took a third of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 1_000)


def spare_collector() -> None:
    """Let Python look for garbage in cycles less often, and never through what a role begins with.

    That is hundreds of thousands of objects of libraries: to walk through them took the sink a tenth of its time, and
    each role stood still for a tenth of a second meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(SERVING_YOUNG, 10, 10)
