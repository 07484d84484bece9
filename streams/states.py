"""Durable state on the embedded stack: one SQLite file. Which rows there are is `streams.shard`'s matter.

State, the readings it came to and the position it stands for are committed in one transaction, so that after any kill
either all or none of them is there. Readings stay in the outbox until the sink has stored every row of them: the
embedded broker forgets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from streams.shard import Changed

SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    part INTEGER, kind TEXT, tenant TEXT, key TEXT, at INTEGER, live INTEGER, value BLOB,
    PRIMARY KEY (part, kind, tenant, key, at)
);
CREATE INDEX IF NOT EXISTS live_rows ON rows (part, kind) WHERE live AND kind != 'pane';
CREATE INDEX IF NOT EXISTS panes ON rows (part, tenant, at) WHERE kind = 'pane';
CREATE TABLE IF NOT EXISTS applied (partition INTEGER PRIMARY KEY, pos INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, pos INTEGER NOT NULL, value BLOB
);
CREATE TABLE IF NOT EXISTS quarantine (partition INTEGER, pos INTEGER, reason TEXT, PRIMARY KEY (partition, pos));
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (partition, pos);
CREATE TABLE IF NOT EXISTS examples (n INTEGER PRIMARY KEY AUTOINCREMENT, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS models (tenant TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS learned (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL);
"""


_NEW_EXAMPLE = """
INSERT INTO examples (n, value)
SELECT 1 + max(ifnull((SELECT max(n) FROM examples), 0), ifnull((SELECT n FROM learned), 0)), ?
"""
"""Above all that are there and all that were learned, also in a file to which only these tables were carried over."""

ROWS_AT_ONCE = 250
"""Rows of one statement. Each statement lets go of the interpreter's lock and has to win it back from the fold."""
_COLUMNS = 7
_KEEP = "INSERT OR REPLACE INTO rows VALUES "
_KEEP_ONE = _KEEP + f"({', '.join('?' * _COLUMNS)})"
_KEEP_MANY = _KEEP + ", ".join([f"({', '.join('?' * _COLUMNS)})"] * ROWS_AT_ONCE)

TALK = "conversation"
"""The kind of the rows of conversations."""
AT_ONCE = 32
"""Keys of one question."""
_MANY = ", ".join("?" * AT_ONCE)


@cache
def _asking(kind: str) -> tuple[str, str]:
    """What asks for one row of a kind, and for many. SQLite prepares a question anew for each kind that is bound."""
    if not kind.isidentifier():
        raise ValueError(kind)
    rows = f"FROM rows WHERE part = ? AND kind = '{kind}' AND tenant = ?"
    return f"SELECT value {rows} AND key = ? AND at = ?", f"SELECT key, value {rows} AND at = 0 AND key IN ({_MANY})"


_NEXT = """
SELECT tenant, key, value FROM rows
WHERE part = ? AND kind = 'conversation' AND (tenant, key) > (?, ?) ORDER BY tenant, key LIMIT ?
"""


class Batch(NamedTuple):
    """What one partition commits."""

    partition: int
    position: int
    changes: Sequence[Changed]
    readings: Sequence[bytes]
    examples: Sequence[bytes] = ()
    """What people said conversations were about (`streams.labels.Example`)."""


class Names:
    """Which conversations may be in a file that was empty when it was opened. That one is not is certain.

    Nine of ten that are asked for are new, and the file need not be asked. A bit for each, by its hash: at 200,000
    names one of ten that are not there seems to be, and is asked for as before.
    """

    BITS = 1 << 21

    def __init__(self) -> None:
        self._bits = bytearray(self.BITS >> 3)

    def add(self, part: int, tenant: str, key: str) -> None:
        """One is there from now on."""
        place = (hash((part, tenant)) ^ hash(key)) % self.BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def among(self, part: int, tenant: str, keys: Sequence[str]) -> list[str]:
        """Those that may be there."""
        bits, size, whose = self._bits, self.BITS, hash((part, tenant))
        places = [(whose ^ hash(key)) % size for key in keys]
        return [key for key, place in zip(keys, places, strict=True) if bits[place >> 3] >> (place & 7) & 1]


class Files:
    """The file. One writer: `commit` may run in another thread, one at a time; what is staged is found meanwhile."""

    def __init__(self, path: Path, durable: bool = True) -> None:
        """`durable=False`: the file may be lost with the machine."""
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        level = "FULL" if durable else "OFF"
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous={level};" + SCHEMA)
        self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        empty = self._db.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is None
        self._names = Names() if empty else None
        self._quarantine: dict[tuple[int, int], str] | None = None
        self._staged: dict[int, dict[tuple[str, str, str, int], bytes]] = {}

    def stage(self, batches: Sequence[Batch]) -> None:
        """Let shelves find rows that are about to be committed."""
        for batch in batches:
            staged = self._staged.setdefault(batch.partition, {})
            staged.update({(row.kind, row.tenant, row.key, row.at): row.value for row in batch.changes})

    def unstage(self) -> None:
        """They are committed."""
        for staged in self._staged.values():
            staged.clear()

    def commit(self, batches: Sequence[Batch]) -> None:
        """Keep all of it or nothing.

        Raises:
            sqlite3.OperationalError: the disk is full or cannot be written; nothing was kept.
        """
        with self._at_once():
            for batch in batches:
                self._keep(batch)

    @contextmanager
    def _at_once(self) -> Iterator[sqlite3.Connection]:
        """All that the block writes is kept, or nothing of it; the disk is waited for once."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has rolled it back already
                db.execute("ROLLBACK")
            raise

    def _keep(self, batch: Batch) -> None:
        part = batch.partition
        rows = [(part, row.kind, row.tenant, row.key, row.at, row.live, row.value) for row in batch.changes]
        if self._names is not None:
            for row in batch.changes:
                if row.kind == TALK:
                    self._names.add(part, row.tenant, row.key)
        many = len(rows) - len(rows) % ROWS_AT_ONCE
        for start in range(0, many, ROWS_AT_ONCE):
            self._db.execute(_KEEP_MANY, list(chain.from_iterable(rows[start : start + ROWS_AT_ONCE])))
        self._db.executemany(_KEEP_ONE, rows[many:])
        self._db.executemany(
            "INSERT INTO outbox (partition, pos, value) VALUES (?, ?, ?)",
            [(part, batch.position, value) for value in batch.readings],
        )
        self._db.executemany(_NEW_EXAMPLE, [(value,) for value in batch.examples])
        self._db.execute("INSERT OR REPLACE INTO applied VALUES (?, ?)", (part, batch.position))

    def position(self, partition: int) -> int:
        """The last position committed, −1 before the first."""
        row = self._db.execute("SELECT pos FROM applied WHERE partition = ?", (partition,)).fetchone()
        return -1 if row is None else int(row[0])

    def outbox(self, partition: int, after: int) -> Iterator[bytes]:
        """The readings beyond a position, in order."""
        query = "SELECT value FROM outbox WHERE partition = ? AND pos > ? ORDER BY n"
        for (value,) in self._db.execute(query, (partition, after)):
            yield value

    def examples(self, after: int) -> list[tuple[int, bytes]]:
        """The examples beyond a number, in order, each with its own."""
        return list(self._reader.execute("SELECT n, value FROM examples WHERE n > ? ORDER BY n", (after,)))

    def models(self) -> list[tuple[str, bytes]]:
        """Tenant → what its model of topics has learned."""
        return list(self._reader.execute("SELECT tenant, value FROM models ORDER BY tenant"))

    def learned(self) -> int:
        """The last example that the models have learned, 0 before the first."""
        row = self._reader.execute("SELECT n FROM learned").fetchone()
        return 0 if row is None else int(row[0])

    def keep_models(self, models: Mapping[str, bytes], learned: int) -> None:
        """Keep models that have learned up to an example; those up to it are dropped. Not while `commit` runs.

        Raises:
            sqlite3.OperationalError: the disk is full; nothing was kept.
        """
        with self._at_once() as db:
            db.executemany("INSERT OR REPLACE INTO models VALUES (?, ?)", list(models.items()))
            db.execute("INSERT OR REPLACE INTO learned VALUES (1, ?)", (learned,))
            db.execute("DELETE FROM examples WHERE n <= ?", (learned,))

    def quarantine(self, partition: int, position: int, reason: str) -> None:
        """Note a record that is never to be applied."""
        self._db.execute("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?)", (partition, position, reason))

    def quarantined(self, partition: int, position: int | None) -> str | None:
        """Why a record is not to be applied; None where it is."""
        if self._quarantine is None:
            rows = self._reader.execute("SELECT partition, pos, reason FROM quarantine")
            self._quarantine = {(part, pos): reason for part, pos, reason in rows}
        return self._quarantine.get((partition, position or -1))

    def trim(self, until: Mapping[int, int]) -> None:
        """Drop the readings of partitions up to a position of each. Not while `commit` runs.

        Raises:
            sqlite3.OperationalError: the disk is full; nothing was dropped.
        """
        if until:
            with self._at_once() as db:
                db.executemany("DELETE FROM outbox WHERE partition = ? AND pos <= ?", list(until.items()))

    def shelf(self, partition: int) -> Shelf:
        """One partition's rows."""
        return Shelf(self._reader, partition, self._staged.setdefault(partition, {}), self._names)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._db.close()


class Shelf:
    """The rows of one partition, as a shard finds them again (`streams.shard.Kept`)."""

    def __init__(
        self,
        db: sqlite3.Connection,
        partition: int,
        staged: Mapping[tuple[str, str, str, int], bytes],
        names: Names | None,
    ) -> None:
        """`names`: which conversations may be there; None: that is not known."""
        self._db = db
        self._part = partition
        self._staged = staged
        self._names = names

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        staged = self._staged.get((kind, tenant, key, at))
        if staged is not None:
            return staged
        row = self._db.execute(_asking(kind)[0], (self._part, tenant, key, at)).fetchone()
        return None if row is None else row[0]

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are (at 0). One question for many costs a twentieth of one each."""
        found: dict[str, bytes] = {}
        names = self._names if kind == TALK else None
        asked = keys if names is None else names.among(self._part, tenant, keys)
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            padded = [*some, *[some[0]] * (AT_ONCE - len(some))]  # always the same question: it is prepared once
            found.update(self._db.execute(_asking(kind)[1], (self._part, tenant, *padded)))
        if self._staged:
            for key in keys:
                staged = self._staged.get((kind, tenant, key, 0))
                if staged is not None:
                    found[key] = staged
        return found

    def conversations(self, after: tuple[str, str], n: int) -> list[tuple[str, str, bytes]]:
        """The next conversations behind this tenant and key, in order: tenant, key, row; none that is staged."""
        rows = self._db.execute(_NEXT, (self._part, *after, n)).fetchall()
        return [row for row in rows if ("conversation", row[0], row[1], 0) not in self._staged]

    def live(self, kind: str) -> Iterator[bytes]:
        """The rows of a kind that a start needs."""
        query = "SELECT value FROM rows WHERE part = ? AND kind = ? AND live AND kind != 'pane'"
        for (value,) in self._db.execute(query, (self._part, kind)):
            yield value

    def panes(self, tenant: str, since: int) -> Iterator[bytes]:
        """The panes of a tenant from a minute on."""
        query = "SELECT value FROM rows WHERE part = ? AND kind = 'pane' AND tenant = ? AND at >= ?"
        for (value,) in self._db.execute(query, (self._part, tenant, since)):
            yield value


def inserted(path: Path) -> dict[int, int]:
    """Partition → the position up to which the sink has stored every row; empty while it has stored nothing."""
    if not path.exists():
        return {}
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return dict(db.execute("SELECT partition, pos FROM inserted"))
    except sqlite3.OperationalError:  # the sink has not made its table yet
        return {}
    finally:
        db.close()
