"""The doors in front of the journal: what a frame brings is decided and written; the answer waits for the disk.

Only the journal is the truth. Modes and fingerprints are kept in memory and written to `gateway.db` behind it; at a
start what `gateway.db` does not know yet is read from the journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from config import crash
from gateway.doors import Doors, Mode, Ruling, fingerprint, roll, rule, settle
from gateway.journal import Full, Journal
from gateway.memory import Memory, applied
from gateway.packing import load_events, load_tick
from gateway.parse import Frame
from streams.events import Tick, decode_record

log = structlog.get_logger()

SAVE_S = 1.0
"""How often what changed is written behind the journal."""
CUT_S = 10.0
"""How often the journal is cut."""
MAX_FRESH = 2_000_000
"""Fingerprints not saved yet; beyond them the replay door answers `retry`."""
_CHUNK = 4 << 20


class JournalStore:
    """The embedded stack's store. One per gateway process.

    Raises (on construction):
        Damaged: the journal cannot be read.
    """

    def __init__(self, data: Path, partitions: int) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._data = data
        self._partitions = partitions
        self._memory = Memory(data / "gateway.db")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="doors")
        modes, self._saved = self._memory.load()
        floor = max([self._saved, *self.applied().values(), *self._inserted().values()])
        self.journal = Journal(data / "journal", partitions, floor)
        self._doors = Doors(modes)
        self._fresh: set[int] = set()
        """Fingerprints not saved yet."""
        self._roll_forward()
        self._safe = dict(modes)
        """The modes that the journal holds for sure."""
        self._unsaved: dict[str, Mode] = dict(modes) if self._saved < self.journal.last else {}
        self.journal.on_failure = self._go_back

    # Deciding and storing

    def submit(self, frame: Frame, replay: bool) -> Awaitable[Ruling]:
        """Decide about a frame and write what it brings.

        Raises (at once or later):
            Full: nothing of it was taken.
        """
        self.journal.room()
        if replay and len(self._fresh) > MAX_FRESH:
            raise Full("events of the past come faster than they are noted", 1_000)
        ruling = rule(frame, self._doors, replay)
        crash.here("gateway.ruled")
        load = load_tick(ruling.tick, self._partitions) if ruling.tick else load_events(ruling.events, self._partitions)
        written = self.journal.append(load)
        changed, self._doors.changed = self._doors.changed, {}
        marks = {fingerprint(event) for event in ruling.events} if replay else set()
        if changed or marks:
            written.add_done_callback(lambda done: self._note(done, changed, marks))
        return self._ruled(ruling, written)

    async def _ruled(self, ruling: Ruling, written: asyncio.Future[int]) -> Ruling:
        await written
        if ruling.doubtful:
            settle(ruling, await self._known([fingerprint(event) for _, event in ruling.doubtful]))
        return ruling

    async def _known(self, marks: list[int]) -> list[bool]:
        fresh = [mark in self._fresh for mark in marks]
        saved = await asyncio.get_running_loop().run_in_executor(self._thread, self._memory.known, marks)
        return [one or other for one, other in zip(fresh, saved, strict=True)]

    def tick(self, at: int) -> asyncio.Future[int]:
        """Write a tick of the real clock to every partition."""
        return self.journal.append(load_tick(Tick(at), self._partitions))

    def _note(self, written: asyncio.Future[int], changed: dict[str, Mode], marks: set[int]) -> None:
        if written.cancelled() or written.exception() is not None:
            return
        self._safe |= changed
        self._unsaved |= changed
        self._fresh |= marks

    def _go_back(self) -> None:
        self._doors = Doors(dict(self._safe))

    # Remembering

    def _roll_forward(self) -> None:
        """Bring the doors up to what the journal holds beyond `gateway.db`."""
        position = max(self._saved + 1, self.journal.first)
        while records := self.journal.read(position, _CHUNK):
            for stored in records:
                record = decode_record(stored.payload)
                roll(self._doors.modes, record.events, record.tick)
                self._fresh |= {fingerprint(event) for event in record.events if event.replay}
            position = records[-1].position + 1
            if len(self._fresh) > MAX_FRESH // 4:
                self._memory.save(self._doors.modes, self._fresh, position - 1)
                self._fresh.clear()

    async def run(self) -> None:
        """Keep `gateway.db` behind the journal and cut the journal, until cancelled; then save once more."""
        journal = asyncio.create_task(self.journal.run())
        try:
            beats = 0
            while not journal.done():
                await asyncio.wait({journal}, timeout=SAVE_S)
                beats += 1
                cutting = beats % int(CUT_S / SAVE_S) == 0
                if cutting or self._unsaved or self._fresh:
                    await self._save()
                if cutting:
                    await self._cut()
            journal.result()
        finally:
            journal.cancel()
            await asyncio.gather(journal, return_exceptions=True)
            await self._save()
            await self.journal.close()
            self._thread.shutdown()
            self._memory.close()

    async def _save(self) -> None:
        position = self.journal.last
        await asyncio.sleep(0)  # the notes of everything up to it are made in this turn of the loop
        modes, self._unsaved = self._unsaved, {}
        marks = frozenset(self._fresh)  # looked up in memory until they are saved
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._memory.save, modes, marks, position)
        except sqlite3.Error as error:
            log.warning("doors_not_saved", error=type(error).__name__)
            self._unsaved = modes | self._unsaved
            return
        self._saved = position
        self._fresh -= marks

    async def _cut(self) -> None:
        done = min(self._done(self.applied()), self._done(self._inserted()), self._saved)
        if await self.journal.cut(done):
            log.info("journal_cut", done=done)

    def _done(self, positions: dict[int, int]) -> int:
        return min((positions.get(partition, 0) for partition in range(self._partitions)), default=0)

    def applied(self) -> dict[int, int]:
        """Up to where the worker has committed each partition."""
        return applied(self._data / "worker.db", "applied")

    def _inserted(self) -> dict[int, int]:
        return applied(self._data / "sink.db", "inserted")
