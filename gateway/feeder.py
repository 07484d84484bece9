"""Journal → `chat.events`, in order, from the worker's committed positions on.

Records of one partition go one after another, each only when the one before is known to be stored: so a failure can
never leave a hole that a later record hides. What is sent twice is known by its position. The broker keeps all it is
given in memory and may be ended at any time; offsets that begin anew show that, and then feeding begins anew, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from config import crash
from gateway.journal import Journal, Stored
from gateway.kafka import Broker, Unavailable
from gateway.packing import with_position
from streams.events import EVENTS

log = structlog.get_logger()

CHUNK = 2 << 20
"""Bytes read at a time: all that is held of the backlog."""
AHEAD = 64 << 20
"""Bytes the worker may be behind the feeder; the rest waits on the disk, not in the broker's memory."""
_PAUSES = (0.05, 0.2, 0.5, 1.0)


class Feeder:
    """One per gateway process of the embedded stack. `run` until cancelled."""

    def __init__(self, journal: Journal, broker: Broker, applied: Callable[[], Mapping[int, int]], partitions: int):
        self._journal = journal
        self._broker = broker
        self._applied = applied
        self._partitions = partitions
        self._offsets: dict[int, int] = {}
        self._ahead: deque[tuple[int, int]] = deque()
        """(position, bytes) of what was fed and, as far as is known, the worker has not committed."""
        self._ahead_bytes = 0

    async def run(self) -> None:
        """Feed for ever; an absent broker is waited out here."""
        failures = 0
        while True:
            before = self._journal.fed
            try:
                await self._feed()
            except Unavailable:
                failures = 0 if self._journal.fed > before else failures + 1
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])

    async def _feed(self) -> None:
        done = await asyncio.to_thread(self._applied)
        position = self._first(done)
        self._journal.fed = position - 1
        self._offsets.clear()
        self._ahead.clear()
        self._ahead_bytes = 0
        while True:
            await self._journal.grown(position - 1)
            last = self._journal.last
            records = await asyncio.to_thread(self._journal.read, position, CHUNK)
            begins = not self._offsets
            await self._send_all([record for record in records if record.position > done.get(record.partition, 0)])
            if begins:
                log.info("feeding", position=position, last=last)
                if position > self._committed(done) + 1:
                    log.error("journal_begins_later", position=position, committed=self._committed(done))
            position = records[-1].position + 1 if records else last + 1
            self._journal.fed = position - 1
            await self._wait_for_worker(position - 1, sum(len(record.payload) for record in records))

    def _first(self, done: Mapping[int, int]) -> int:
        return max(self._committed(done) + 1, self._journal.first)

    def _committed(self, done: Mapping[int, int]) -> int:
        return min(done.get(partition, 0) for partition in range(self._partitions))

    async def _send_all(self, records: Sequence[Stored]) -> None:
        lines: dict[int, list[Stored]] = {}
        for record in records:
            lines.setdefault(record.partition, []).append(record)
        results = await asyncio.gather(*(self._send(line) for line in lines.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _send(self, records: Sequence[Stored]) -> None:
        for record in records:
            value = with_position(record.payload, record.position)
            offset = await self._broker.send(EVENTS, value, record.partition)
            crash.here("gateway.fed")
            if offset <= self._offsets.get(record.partition, -1):
                log.warning("broker_forgot", partition=record.partition, offset=offset)
                raise Unavailable("the broker began anew")
            self._offsets[record.partition] = offset

    async def _wait_for_worker(self, position: int, size: int) -> None:
        self._ahead.append((position, size))
        self._ahead_bytes += size
        while self._ahead_bytes > AHEAD or len(self._ahead) > 1_000:
            done = self._first(await asyncio.to_thread(self._applied)) - 1
            while self._ahead and (self._ahead[0][0] <= done or len(self._ahead) > 1_000):
                self._ahead_bytes -= self._ahead.popleft()[1]
            if self._ahead_bytes > AHEAD:
                await asyncio.sleep(0.1)
