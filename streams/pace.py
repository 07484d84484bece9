"""How often a worker commits: at once while little comes, in large pieces while there is much to catch up on."""

from __future__ import annotations

import asyncio
import gc

COMMIT_EVERY_S = 0.1
"""How long changes wait for company before they are committed: it bounds what the board lags behind."""
BUSY = 400
"""Events within that time from which on the worker is catching up."""
CATCHING_UP_S = 2.0
"""How long it gathers then. What is touched often is kept and said once for all of it."""
MOST_EVENTS = 150_000
"""It gathers no more than so many."""


class Pace:
    """Counts what was taken since the last commit."""

    def __init__(self) -> None:
        self.taken = 0
        """Events."""

    async def gather(self) -> None:
        """Return when it is time to commit."""
        waited = 0.0
        while waited < CATCHING_UP_S:
            before = self.taken
            await asyncio.sleep(COMMIT_EVERY_S)
            waited += COMMIT_EVERY_S
            if self.taken - before < BUSY or self.taken >= MOST_EVENTS:
                break
        self.taken = 0


def calm_collector() -> None:
    """Let Python look for garbage in cycles among young objects only.

    State is millions of objects without cycles; to walk through them again and again took a third of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
