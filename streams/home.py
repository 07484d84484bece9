"""One partition as a worker on Kafka has it, from its opening to the end of a generation of the group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from streams.shard import Shard
from streams.tables import Table

ASIDE = "quarantine"
"""The kind of the rows that name records never to be applied: (offset, reason)."""
GAP_S = 10.0
"""So long records that come before their turn are let pass: what was fetched before a rebalance comes once more."""
ANSWER_S = 30.0
"""So long the broker may take to say which record is the next."""


class Gap(RuntimeError):
    """Records that must come next do not come; only a new beginning brings them. The message is one line."""


class Home:
    """One partition, as this worker has it in one generation."""

    def __init__(self, table: Table, shard: Shard, beginning: int) -> None:
        self.table = table
        self.shard = shard
        self.said = shard.position
        self.next = max(shard.position + 1, beginning)
        """The offset that must come next, for nothing to be left out."""
        self._due: int | None = None
        """The first offset from there on that holds a record, where it was asked for."""
        self._gap_at: float | None = None
        """Since when only records come whose turn it is not; monotonic seconds."""
        self.unacked: list[Any] = []
        self.aside = dict(msgspec.msgpack.decode(row, type=tuple[int, str]) for row in table.shelf().live(ASIDE))

    async def out_of_turn(self, offset: int, next_record: Callable[[int, int], Awaitable[int]]) -> bool:
        """Whether records before this one are still to come; then it, too, comes once more. `next_record`: `Tables`'.

        Raises:
            Gap: they do not come.
        """
        partition = self.shard.partition
        if offset > self.next:
            if self._due is None or self._due < self.next:
                async with asyncio.timeout(ANSWER_S):
                    self._due = await next_record(partition, self.next)
            if self._due < offset:
                now = time.monotonic()
                self._gap_at = now if self._gap_at is None else self._gap_at
                if now - self._gap_at < GAP_S:
                    return True
                raise Gap(f"partition {partition}: {self._due} should come next, {offset} came; beginning anew")
        self._gap_at = None
        self.next = max(self.next, offset + 1)
        return False
