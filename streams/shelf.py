"""Where the notifier's models are kept: named blobs, several written at once or not at all.

`Shelf` is what the models need; `Usual` on a directory is a file of its own, `DIR/usual.db`. A notifier without a
directory brings another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self

import structlog

log = structlog.get_logger()

FILE = "usual.db"
VERSION = 1


class Shelf(Protocol):
    """Blobs under names."""

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Write these (None: forget it), all of them or none."""

    def kept(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """What stands under names that begin so, in the order of their names."""


class Memory:
    """A shelf that ends with the process."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Take these."""
        for name, value in rows.items():
            if value is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = value

    def kept(self, prefix: str) -> list[tuple[str, bytes]]:
        """What stands under names that begin so."""
        return sorted((name, value) for name, value in self.rows.items() if name.startswith(prefix))


class File:
    """A shelf on disk. A damaged file is set aside, and all is learned anew: models are no reason not to start."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError as error:
            log.error("usual_set_aside", reason=str(error), mend="what is usual is learned anew")
            path.rename(path.with_name(path.name + ".damaged"))
            for part in ("-wal", "-shm"):
                path.with_name(path.name + part).unlink(missing_ok=True)
            self._db = _opened(path)

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Write these in one transaction. Where the disk takes nothing, nothing is kept, and a line says so."""
        gone = [(name,) for name, value in rows.items() if value is None]
        new = [(name, value) for name, value in rows.items() if value is not None]
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM kept WHERE name = ?", gone)
                self._db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", new)
        except sqlite3.DatabaseError as error:
            log.error("usual_not_kept", reason=str(error), mend="free space on the disk of the data directory")

    def kept(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """What stands under names that begin so."""
        end = prefix + "\U0010ffff"
        names = self._db.execute("SELECT name FROM kept WHERE name >= ? AND name < ? ORDER BY name", (prefix, end))
        for (name,) in names.fetchall():
            found = self._db.execute("SELECT body FROM kept WHERE name = ?", (name,)).fetchone()
            if found is not None:
                yield str(name), bytes(found[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last minute, never the file
        db.execute("CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID")
        db.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.Error:
        db.close()
        raise
    return db
