"""What the models said of closed minutes, on its way to the history. Written down before it is sent.

An embedded broker forgets: what went out within the last hour goes out again at a start, as alerts do. Rows that come
again replace themselves.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError

from streams.ending import go_on
from streams.shelf import Shelf
from streams.topics import USUAL
from streams.usual_row import UsualRow, read, records

log = structlog.get_logger()

SAY = "say/"
KEEP_MS = 4 * 3_600_000
"""So long what was said is kept: longer than a `series`, which is taken up from it at a start."""
AGAIN_MS = 3_600_000
WAITING = 200
"""Records that may wait for the broker; then closing minutes waits, too."""


class Producer(Protocol):
    """What it needs of the broker."""

    async def send_and_wait(self, topic: str, value: bytes) -> object:
        """Return once the broker has it."""


class _Kept(msgspec.Struct, array_like=True):
    at: int
    record: bytes


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


class Saying:
    """Says rows, in order, and remembers them for a while."""

    def __init__(self, shelf: Shelf, producer: Producer, now: Callable[[], int] = now_ms) -> None:
        self._shelf, self._producer, self._now = shelf, producer, now
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._kept: deque[tuple[int, str]] = deque()
        self._number = 0
        self._unsent = 1
        """Records that wait; and one for what a start says again, until that is done."""

    def recall(self) -> Iterator[UsualRow]:
        """What was said within the last hours, oldest first."""
        for name, value in self._shelf.kept(SAY):
            try:
                was = msgspec.msgpack.decode(value, type=_Kept)
                rows = read(zlib.decompress(was.record)).rows
            except (msgspec.DecodeError, zlib.error):
                self._shelf.keep({name: None})
                continue
            self._kept.append((was.at, name))
            self._number = int(name.removeprefix(SAY)) + 1
            yield from rows

    async def say(self, rows: Sequence[UsualRow]) -> None:
        """Return once these are written down and wait to be sent."""
        now = self._now()
        for record in records(rows, now):
            name = f"{SAY}{self._number:012}"
            self._number += 1
            kept: dict[str, bytes | None] = {name: msgspec.msgpack.encode(_Kept(now, zlib.compress(record, 1)))}
            while self._kept and self._kept[0][0] < now - KEEP_MS:
                kept[self._kept.popleft()[1]] = None
            self._kept.append((now, name))
            self._shelf.keep(kept)
            self._unsent += 1
            await self._queue.put(record)

    @property
    def idle(self) -> bool:
        """Whether all that was said is sent."""
        return self._unsent == 0

    async def run(self) -> None:
        """Send for ever; first again what a broker may have forgotten."""
        await self.again()
        await self.work()

    async def again(self) -> None:
        """Send again what was said within the last hour, before this start."""
        since, until = self._now() - AGAIN_MS, self._number
        for name, value in self._shelf.kept(SAY):
            if int(name.removeprefix(SAY)) >= until:
                break
            was = msgspec.msgpack.decode(value, type=_Kept)
            if was.at > since:
                await self._send(zlib.decompress(was.record))
        self._unsent -= 1

    async def work(self) -> None:
        """Send what is said, for ever."""
        while True:
            await self._send(await self._queue.get())
            self._unsent -= 1

    async def _send(self, record: bytes) -> None:
        while True:
            try:
                await self._producer.send_and_wait(USUAL, record)
            except KafkaError as error:
                go_on()
                log.warning("usual_not_said", reason=type(error).__name__)
                await asyncio.sleep(1)
            else:
                return
