"""How long the work takes, and how long people wait before they give up: per queue, from episodes as they close. Pure.

Both are means over about the last thousand episodes. Patience is the waiting of all, whoever was answered in the end,
divided by how many gave up: what is censored is counted as what it is.
Source: Brown et al., "Statistical analysis of a telephone call center", 2005 (the exponential estimate).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from streams.events import EpisodeRow
from streams.present import ALL

FADE = 0.999
LEAST = 5.0
"""Handled episodes, below which nothing is said."""
QUEUES = 2_000
COUNTED = 5_000
"""Episodes of which it is known that they were counted: their rows are said again."""
PRIOR_S = 600.0
"""Patience before anybody was seen to give up: one who waited so long is counted in."""


class _Queue(msgspec.Struct, array_like=True):
    handled: float = 0.0
    handle_ms: float = 0.0
    waited_ms: float = 0.0
    gave_up: float = 0.0


class Work:
    """One tenant's."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._counted: OrderedDict[tuple[str, int], None] = OrderedDict()

    def take(self, row: EpisodeRow) -> None:
        """Count an episode once, as it closes."""
        name = (row.conversation, row.episode)
        if row.closed_at is None or row.deleted or row.demand_at is None or name in self._counted:
            return
        self._counted[name] = None
        if len(self._counted) > COUNTED:
            self._counted.popitem(last=False)
        for queue in (row.credit_queue, ALL):
            if queue in self._queues or len(self._queues) < QUEUES:
                _count(self._queues.setdefault(queue, _Queue()), row)

    def of(self, queue: str) -> dict[str, float] | None:
        """Mean handling time and patience, s; None while too little is known, or where it takes less than 1 ms."""
        seen = self._queues.get(queue)
        if seen is None or seen.handled < LEAST or seen.handle_ms < seen.handled:
            return None
        return {
            "handle_s": seen.handle_ms / seen.handled / 1_000,
            "patience_s": (seen.waited_ms / 1_000 + PRIOR_S) / (seen.gave_up + 1.0),
        }

    def saved(self) -> Any:
        """What was counted, in plain values."""
        return msgspec.to_builtins(self._queues)

    def load(self, saved: Any) -> None:
        """Take up what was counted."""
        self._queues = msgspec.convert(saved, dict[str, _Queue])


def _count(seen: _Queue, row: EpisodeRow) -> None:
    waits = (row.frt_ms, row.abandon_wait_ms, row.censored_wait_ms)
    for name in seen.__struct_fields__:
        setattr(seen, name, getattr(seen, name) * FADE)
    seen.waited_ms += next((wait for wait in waits if wait is not None), 0)
    seen.gave_up += row.abandon_wait_ms is not None
    if row.handle_ms is not None:
        seen.handled += 1
        seen.handle_ms += row.handle_ms
