"""Files that only grow at their end: what is acknowledged on the embedded stack stands here first.

    DIR/journal/00000000000000000001.log     the first position in it names a segment
    DIR/journal/00000000000000051423.log     the last one grows; the others are whole
    | length | crc32 | position | partition | payload …  a record; the crc is of all that follows it

Positions rise by one per record, through all partitions, and never fall: a journal that is cut empty keeps a segment
named by its next position. What was not written whole when the machine stopped is cut off at the next start; it was
never acknowledged. Appends are grouped: while one fsync runs, the next group gathers.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import structlog

from config import crash
from gateway.packing import Load, Record, pack

log = structlog.get_logger()

SEGMENT_BYTES = 16 << 20
"""Small enough that what was read is soon gone, large enough that there are few files."""
MAX_PENDING = 16 << 20
"""Bytes that wait for the disk; beyond them frames are answered `retry`."""
MAX_LAG_SEGMENTS = 64
"""Segments (1 GiB) that the broker does not have yet; beyond them frames are answered `retry`."""
MIN_FREE = 8 << 20
"""Bytes of the disk that stay free, so that the worker's and the sink's stores can still be written."""
GATHER_S = 0.02
"""How long the first of a group waits for others: what comes together is one record, one sync of the disk, one fold."""
_HEAD = struct.Struct("<IIQI")
_MAX_RECORD = 16 << 20


class Full(Exception):
    """Nothing was taken. Try again after `after_ms`."""

    def __init__(self, reason: str, after_ms: int) -> None:
        super().__init__(reason)
        self.after_ms = after_ms


class Damaged(Exception):
    """A segment that was whole cannot be read any more. One line a person can act on."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it is read back."""

    position: int
    partition: int
    payload: bytes


class Place(NamedTuple):
    """Where the last reading ended: who reads on from there need not look for it from the segment's beginning."""

    segment: int
    position: int
    """What comes next."""
    byte: int


class Journal:
    """One writer (this), any number of readers. Use it in one event loop.

    Raises (on construction):
        Damaged: the directory holds something that this did not write.
    """

    def __init__(self, directory: Path, partitions: int, floor: int = 0) -> None:
        """`floor`: the greatest position anybody has seen; the next one lies above it."""
        self.directory = directory
        self.pending = 0
        """Bytes that wait for the disk."""
        self.fed = 0
        """Up to where the broker has it; the feeder says so."""
        self.failing: str | None = None
        """Why the last group could not be written."""
        self.on_failure: Callable[[], None] = lambda: None
        """Called at once when everything that waited was given up."""
        self._partitions = partitions
        self._waiting: list[tuple[Load, asyncio.Future[int]]] = []
        self._wake = asyncio.Event()
        self._grown = asyncio.Event()
        self._place = Place(0, 0, 0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._segments = sorted(int(path.stem) for path in directory.glob("*.log"))
        self.last = self._repair()
        """The last position that is safe on disk."""
        if self.last < floor:
            self.last = floor
            self._segments.append(floor + 1)
        self._file, self._size = self._open()

    # Writing

    def room(self) -> None:
        """Say whether a load would be taken now.

        Raises:
            Full: not now.
        """
        if self.pending > MAX_PENDING:
            raise Full("the disk is slower than what comes in", 250)
        if self.failing is not None and self._disk_is_full():
            raise Full("the disk is full", 2_000)
        if len(self._segments) - bisect_right(self._segments, self.fed) > MAX_LAG_SEGMENTS:
            raise Full("what was taken has not been worked off", 2_000)

    def append(self, load: Load) -> asyncio.Future[int]:
        """Resolves with the last position once the load is safe on disk; raises `Full` if it could not be written."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((load, future))
        self.pending += load.size
        self._wake.set()
        return future

    async def run(self) -> None:
        """Write what is appended until cancelled; then write the rest."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(GATHER_S)
                await self._flush()
        finally:
            if self._waiting:
                await self._flush()

    async def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        self._wake.clear()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._write, [load for load, _ in group])
        try:
            records = await asyncio.shield(work)
        except asyncio.CancelledError:
            self._settle(group, await work)
            raise
        except OSError as error:
            self._fail(group, error)
        else:
            self._settle(group, records)

    def _settle(self, group: list[tuple[Load, asyncio.Future[int]]], records: int) -> None:
        self.failing = None
        if records:
            crash.here("gateway.written")
        self.last += records
        for load, future in group:
            self.pending -= load.size
            if not future.done():
                future.set_result(self.last)
        self._grown.set()

    def _fail(self, group: list[tuple[Load, asyncio.Future[int]]], error: OSError) -> None:
        """Nothing of the group, nor of what came behind it, was taken."""
        if self.failing is None:
            log.error("journal_cannot_write", reason=os.strerror(error.errno or 0))
        self.failing = os.strerror(error.errno or 0)
        group, self._waiting = group + self._waiting, []
        self.pending = 0
        self.on_failure()
        for _, future in group:
            if not future.done():
                future.set_exception(Full(self.failing, 2_000))

    def _write(self, loads: Sequence[Load]) -> int:
        """Append the records of these loads and make them safe; how many. All or none (runs in the writer's thread)."""
        if self._disk_is_full():
            raise OSError(28, os.strerror(28))
        if self._size >= SEGMENT_BYTES:
            self._roll()
        records = pack(loads, self._partitions)
        data = b"".join(_framed(self.last + 1 + index, record) for index, record in enumerate(records))
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(data)
        return len(records)

    def _disk_is_full(self) -> bool:
        return shutil.disk_usage(self.directory).free < MIN_FREE

    def _roll(self) -> None:
        """Begin a new segment, unless the growing one is empty."""
        if self._size:
            self._file.close()
            self._segments.append(self.last + 1)
            self._file, self._size = self._open()

    def _open(self) -> tuple[FileIO, int]:
        file = self._path(self._segments[-1]).open("ab", buffering=0)
        _sync(self.directory)
        return file, file.tell()

    async def close(self) -> None:
        """Let go of the file. `run` must have ended."""
        self._thread.shutdown()
        self._file.close()

    # Reading

    async def grown(self, beyond: int) -> None:
        """Return once there is a position greater than `beyond`."""
        while self.last <= beyond:
            self._grown.clear()
            await self._grown.wait()

    def read(self, position: int, most_bytes: int) -> list[Stored]:
        """Records from `position` on that are safe on disk, in order: at least one if there is one.

        Raises:
            Damaged: they cannot be read.
        """
        found: list[Stored] = []
        size, last, segments = 0, self.last, list(self._segments)
        for name in segments[max(0, bisect_right(segments, position) - 1) :]:
            if name > last:
                break
            begin = self._place.byte if (self._place.segment, self._place.position) == (name, position) else 0
            for record, end in _records(self._path(name), position, last, whole=True, begin=begin):
                found.append(record)
                self._place = Place(name, record.position + 1, end)
                size += len(record.payload)
                if size >= most_bytes:
                    return found
        return found

    @property
    def first(self) -> int:
        """The first position that is still kept, or would be."""
        return self._segments[0]

    # Cutting

    async def cut(self, done: int) -> int:
        """Remove the segments wholly at or below `done`; how many."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._cut, done)

    def _cut(self, done: int) -> int:
        if done >= self.last and self._size >= SEGMENT_BYTES // 4:
            self._roll()
        kept = max(0, bisect_right(self._segments, min(done, self.last) + 1) - 1)
        gone = self._segments[:kept]
        for name in gone:
            self._path(name).unlink(missing_ok=True)
        del self._segments[:kept]
        return len(gone)

    # Beginning

    def _path(self, first: int) -> Path:
        return self.directory / f"{first:020d}.log"

    def _repair(self) -> int:
        """Cut a torn tail off; the last position that is left."""
        if not self._segments:
            self._segments = [1]
            return 0
        path = self._path(self._segments[-1])
        end, last = 0, self._segments[-1] - 1
        for record, beyond in _records(path, 0, None, whole=False):
            if record.position != last + 1:
                raise Damaged(f"{path}: position {record.position} follows {last}; restore it from a backup")
            end, last = beyond, record.position
        torn = path.stat().st_size - end
        if torn:
            log.warning("journal_tail_cut", bytes=torn, last=last)
            os.truncate(path, end)
        return last


def _framed(position: int, record: Record) -> bytes:
    partition, payload = record
    crc = zlib.crc32(payload, zlib.crc32(_HEAD.pack(0, 0, position, partition)[8:]))
    return _HEAD.pack(len(payload), crc, position, partition) + payload


def _records(
    path: Path, position: int, last: int | None, *, whole: bool, begin: int = 0
) -> Iterator[tuple[Stored, int]]:
    """The records of a segment from `position` to `last`, sought from byte `begin` on, each with the byte behind it.

    Where they are not `whole`, up to the first that is not.

    Raises:
        Damaged: they should be whole, and are not.
    """
    at, end = -1, begin
    with path.open("rb") as file:
        file.seek(begin)
        while at != last and (head := file.read(_HEAD.size)):
            length, crc, at, partition = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, -1, -1, 0)
            if at != -1 and last is not None and at > last:
                return
            end += _HEAD.size + length
            if -1 < at < position and length <= _MAX_RECORD:
                file.seek(length, os.SEEK_CUR)
                continue
            payload = file.read(min(length, _MAX_RECORD))
            if len(payload) < length or zlib.crc32(payload, zlib.crc32(head[8:])) != crc:
                if whole:
                    raise Damaged(f"{path}: cannot be read beyond byte {file.tell()}; restore it from a backup")
                return
            yield Stored(at, partition, payload), end


def _sync(directory: Path) -> None:
    """Make the directory's own entries safe."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
