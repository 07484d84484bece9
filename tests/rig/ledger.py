"""What was sent, and what of it the gateway said it has: one SQLite row an event, written before it goes out.

Accepted means that the client got the ack. What was sent and never acked may be stored or not; nobody was promised it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.conformance.cases import Row
from tests.reference.given import scope_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    n INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT, scope TEXT, id TEXT, seq INTEGER, at INTEGER,
    sent REAL, acked REAL, event TEXT, UNIQUE (tenant, scope, id)
);
"""

Name = tuple[str, str]
"""Conversation (or agent) and id: who an event is, within a tenant."""


class Ledger:
    """One file; several threads may write."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        self._lock = threading.Lock()

    def sent(self, events: Iterable[Row]) -> None:
        """They are about to go out. One that was sent before keeps its row."""
        now = time.time()
        rows = [
            (one["tenant"], _scope(one), one["id"], one.get("seq", 0), one["at"], now, json.dumps(one))
            for one in events
        ]
        with self._lock, self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO events (tenant, scope, id, seq, at, sent, event) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def acked(self, events: Iterable[Row]) -> None:
        """The gateway says that it has them."""
        now = time.time()
        rows = [(now, one["tenant"], _scope(one), one["id"]) for one in events]
        with self._lock, self._db:
            self._db.executemany(
                "UPDATE events SET acked = coalesce(acked, ?) WHERE tenant = ? AND scope = ? AND id = ?", rows
            )

    def names(self, tenant: str, *, accepted: bool = False) -> set[Name]:
        """Everything sent, or of that what was accepted."""
        query = "SELECT scope, id FROM events WHERE tenant = ?" + (" AND acked IS NOT NULL" if accepted else "")
        with self._lock:
            return {(scope, name) for scope, name in self._db.execute(query, (tenant,))}

    def events(self, tenant: str, *, accepted: bool = True) -> list[Row]:
        """The events themselves, in the order of their first sending."""
        query = (
            "SELECT event FROM events WHERE tenant = ?" + (" AND acked IS NOT NULL" if accepted else "") + " ORDER BY n"
        )
        with self._lock:
            return [json.loads(text) for (text,) in self._db.execute(query, (tenant,))]

    def acks(self) -> Sequence[tuple[float, float]]:
        """(sent, acked) of everything accepted, in seconds."""
        with self._lock:
            return list(self._db.execute("SELECT sent, acked FROM events WHERE acked IS NOT NULL ORDER BY n"))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _scope(event: Row) -> str:
    return str(scope_of(event)[1])
