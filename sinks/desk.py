"""Records in, blocks out: gathers what arrives, stores a block at a time, and only then lets the records go.

Order of storing: rows of all tables; then the clocks, which say how far all of it is; then the position on disk, by
which others throw away what they kept for us; then the acks. A kill between any two of these repeats rows, which is
harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from config import crash
from sinks.clickhouse import Rejected
from sinks.rows import (
    CLOCKS,
    DEAD_LETTERS,
    TABLES,
    TENANTS,
    Blocks,
    Row,
    Table,
    newest,
    tenants_of,
    unstorable,
)

log = structlog.get_logger()

ROWS = 5_000
"""A block is full with so many rows and is stored at once."""
BYTES = 16 * 2**20
"""Or with so many bytes of records, so that an outage holds a bounded part of the stream in memory."""
PAUSE_S = 1.0
"""Blocks that are not full begin at least so long after the one before: at most one insert a second and table."""


class Writer(Protocol):
    """What the desk needs of the database."""

    async def write(self, table: Table, rows: list[Row]) -> None:
        """Return once the rows are stored, or raise `Rejected`."""


@dataclass
class Found:
    """What one record holds: its rows, and the position up to which its partition is stored with it."""

    rows: Blocks
    partition: int = 0
    pos: int | None = None
    """None: moves no position."""


@dataclass
class _Block:
    rows: Blocks = field(default_factory=dict)
    count: int = 0
    size: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    acks: list[Callable[[], object]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return self.count >= ROWS or self.size >= BYTES

    def add(self, found: Found, size: int, ack: Callable[[], object]) -> None:
        for table, rows in found.rows.items():
            self.rows.setdefault(table, []).extend(rows)
            self.count += len(rows)
        if found.pos is not None:
            self.positions[found.partition] = max(found.pos, self.positions.get(found.partition, found.pos))
        self.size += size
        self.acks.append(ack)


class Desk:
    """Takes records as they come; `work` stores them. Holds two blocks at most: one being stored, one gathered."""

    def __init__(
        self, writer: Writer, positions: Positions | None, zone: Callable[[str], str], now: Callable[[], int]
    ) -> None:
        """`zone`: a tenant's; `now`: ms since the epoch; `positions`: None where nobody asks for them (production)."""
        self._writer = writer
        self._positions = positions
        self._zone = zone
        self._now = now
        self._zones: dict[str, str] = {}
        self._block = _Block()
        self._some, self._full, self._room, self._idle = (asyncio.Event() for _ in range(4))
        self._idle.set()
        self._room.set()
        self._closing = False

    async def know(self, stored: Mapping[str, str]) -> None:
        """Learn the stored zones of tenants, and put right those that the settings changed meanwhile."""
        self._zones = dict(stored)
        await self._write_zones({"", *stored})

    async def take(self, found: Found, size: int, ack: Callable[[], object]) -> None:
        """Put one record on the desk; return when there is room. Its ack is called once everything in it is stored."""
        while self._busy():
            self._room.clear()
            await self._room.wait()
        self._block.add(found, size, ack)
        self._some.set()
        if self._block.full:
            self._full.set()

    def _busy(self) -> bool:
        return self._block.full or self._closing

    async def work(self) -> None:
        """Store block after block, for ever."""
        while True:
            await self._some.wait()
            block, self._block = self._block, _Block()
            self._some.clear()
            self._full.clear()
            self._idle.clear()
            self._room.set()
            await self._store(block)
            self._idle.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._full.wait()

    async def finish(self) -> None:
        """Take nothing more, and return once all that was taken is stored."""
        self._closing = True
        while self._some.is_set() or not self._idle.is_set():
            self._full.set()
            await self._idle.wait()
            await asyncio.sleep(0.01)

    async def _store(self, block: _Block) -> None:
        crash.here("sink.taken")
        await self._write_zones(tenants_of(block.rows))
        crash.here("sink.begun")
        lost: list[Row] = []
        kinds = [table for table in TABLES if table not in (CLOCKS, DEAD_LETTERS) and table in block.rows]
        for letters in await asyncio.gather(*(self._write(table, newest(table, block.rows[table])) for table in kinds)):
            lost += letters
        await self._write(DEAD_LETTERS, newest(DEAD_LETTERS, block.rows.get(DEAD_LETTERS, []) + lost))
        crash.here("sink.inserted")
        await self._write(CLOCKS, newest(CLOCKS, block.rows.get(CLOCKS, [])))
        crash.here("sink.clocked")
        if self._positions is not None and block.positions:
            await asyncio.to_thread(self._positions.advance, block.positions)
        crash.here("sink.positioned")
        for ack in block.acks:
            ack()
        crash.here("sink.acked")

    async def _write(self, table: Table, rows: list[Row]) -> list[Row]:
        """Store the rows; return dead letters for those that can never be: halves a refused block to find them."""
        if not rows:
            return []
        try:
            await self._writer.write(table, rows)
            crash.here("sink.inserting")
        except Rejected as error:
            if len(rows) == 1:
                log.error("row_refused", table=table.name, reason=str(error))
                return [unstorable(table, rows[0], str(error), self._now())]
            half = len(rows) // 2
            return await self._write(table, rows[:half]) + await self._write(table, rows[half:])
        return []

    async def _write_zones(self, tenants: set[str]) -> None:
        wrong = sorted(tenant for tenant in tenants if self._zones.get(tenant) != self._zone(tenant))
        await self._write(TENANTS, [(tenant, self._now(), self._zone(tenant)) for tenant in wrong])
        self._zones.update((tenant, self._zone(tenant)) for tenant in wrong)


class Positions:
    """`DIR/sink.db`: per partition the position up to which every row of every table is stored. Others read it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS inserted (partition INTEGER PRIMARY KEY, pos INTEGER NOT NULL)")

    def advance(self, positions: Mapping[int, int]) -> None:
        """Remember these on disk; a position never goes back."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO inserted VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET pos = max(pos, excluded.pos)",
                list(positions.items()),
            )

    def read(self) -> dict[int, int]:
        """Partition → position."""
        return dict(self._db.execute("SELECT partition, pos FROM inserted"))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
