"""What the doors must remember over a restart: `DIR/gateway.db`.

Modes and clocks of tenants, and the fingerprints of events accepted through the replay door, each up to a position of
the journal; what came behind it is read from the journal itself at the next start. So this may be saved at leisure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gateway.doors import Mode

_SCHEMA = """
CREATE TABLE IF NOT EXISTS modes (tenant TEXT PRIMARY KEY, replay INTEGER NOT NULL, clock INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replayed (fingerprint INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS saved (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
"""


class Memory:
    """One writer. Calls block for the disk: use it from one worker thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -32000")  # KiB: fingerprints fall anywhere
        self._db.executescript(_SCHEMA)

    def load(self) -> tuple[dict[str, Mode], int]:
        """The modes, and the position they stand for."""
        rows = self._db.execute("SELECT tenant, replay, clock FROM modes")
        saved = self._db.execute("SELECT position FROM saved").fetchone()
        return {tenant: Mode(bool(replay), clock) for tenant, replay, clock in rows}, saved[0] if saved else 0

    def save(self, modes: Mapping[str, Mode], fingerprints: Iterable[int], position: int) -> None:
        """Add these, and the position that all of it stands for; safe on disk on return."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT OR REPLACE INTO modes VALUES (?, ?, ?)",
                [(tenant, mode.replay, mode.clock) for tenant, mode in modes.items()],
            )
            self._db.executemany("INSERT OR IGNORE INTO replayed VALUES (?)", [(one,) for one in fingerprints])
            self._db.execute("INSERT OR REPLACE INTO saved VALUES (1, ?)", (position,))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def known(self, fingerprints: Sequence[int]) -> list[bool]:
        """Which of these were accepted through the replay door."""
        find = "SELECT 1 FROM replayed WHERE fingerprint = ?"
        return [self._db.execute(find, (one,)).fetchone() is not None for one in fingerprints]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def applied(path: Path, table: str) -> dict[int, int]:
    """The positions that another role has committed, by partition; empty where it has not begun. Never writes.

    `table` is a name of ours: `applied` (the worker's `worker.db`) or `inserted` (the sink's `sink.db`).
    """
    if table not in {"applied", "inserted"} or not path.exists():
        return {}
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.5)
    except sqlite3.Error:
        return {}
    try:
        return {int(partition): int(pos) for partition, pos in db.execute(f"SELECT partition, pos FROM {table}")}  # noqa: S608 - one of two names
    except sqlite3.Error:
        return {}
    finally:
        db.close()
