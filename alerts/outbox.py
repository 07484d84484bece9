"""What the notifier remembers, in one SQLite file: alerts, silences, the last tick judged, what is still to be sent.

The promise: what a tick decided and the notices that tell of it are one transaction, committed before anything is sent;
the result of a sending is written after it. So a kill at any point may repeat a post, with the same alert and state,
and never loses one. Rows are sent in the order they were written, channel by channel.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from alerts.state import RULES_REFUSED, Alert, Group, Silence, Slot, State

VERSION = 1
KEEP_MS = 7 * 86_400_000
"""How long sent rows stay, to answer "was I told?" for a week."""
TOPIC = "@topic"
"""The channel that stands for the topic of alert changes."""
DEEDS = "@deeds"
"""The channel that stands for the topic of what people did."""
TOPICS = (TOPIC, DEEDS)
"""What goes to the broker, for the history: never given up, and no people to tell."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (kind TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, alert TEXT NOT NULL, state TEXT NOT NULL,
    kind TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, next_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, settled_at INTEGER, result TEXT);
CREATE INDEX IF NOT EXISTS unsettled ON outbox (channel, id) WHERE settled_at IS NULL;
CREATE INDEX IF NOT EXISTS settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS notes (channel TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (channel, key));
CREATE TABLE IF NOT EXISTS shelf (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
    n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, tenant TEXT NOT NULL,
    what TEXT NOT NULL, detail TEXT NOT NULL, result TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL);
"""


_TABLES: Mapping[str, tuple[str, ...]] = {
    "memory": ("kind", "key"), "outbox": ("id",), "notes": ("channel", "key"), "audit": ("n",), "shelf": ("name",),
}  # fmt: skip
"""Every table → what names a row of it."""

Copy = tuple[bytes, bytes | None]
"""A row as it travels: (its table and name, its columns; None: it is gone)."""


class StoreError(Exception):
    """The file cannot be used; the message says why."""


def _alone(path: Path) -> IO[bytes]:
    """Hold the file's lock, which ends with the process however that ends. Readers need none."""
    try:
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path}: another notifier uses it") from None
    return lock


def _opened(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise StoreError(f"{path}: written by a newer version ({version}; this one knows {VERSION})")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {VERSION}")
    except (StoreError, sqlite3.Error):
        db.close()
        raise
    return db


class Unwritable(Exception):
    """The disk takes nothing now: wait, and try again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to send on one channel. `body`: JSON bytes, the same on every try."""

    channel: str
    alert: str
    state: str
    body: bytes
    created_at: int
    kind: str = "change"
    id: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person did, for the audit. `result`: `ok`, or why not."""

    at: int
    who: str
    tenant: str
    what: str
    detail: Mapping[str, Any]
    result: str


class Store:
    """The file. One writer at a time: a second notifier on the same file is refused."""

    def __init__(self, path: Path | str) -> None:
        """Open, or make, the file.

        Raises:
            StoreError: it is newer than this program, in use, or not a store.
        """
        self._lock = None if str(path) == ":memory:" else _alone(Path(path))
        try:
            self._db = _opened(path)
        except (StoreError, sqlite3.Error) as error:
            if self._lock is not None:
                self._lock.close()
            raise error if isinstance(error, StoreError) else StoreError(f"{path}: {error}") from None
        self.safe: Callable[[], Awaitable[None]] = _at_once
        """Returns once all that was committed is as durable as it gets, and it is still ours to speak of."""
        self._told: Callable[[list[Copy]], None] | None = None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self) -> State:
        """What was remembered."""
        return _decoded(_grouped(self._db))

    def commit(
        self, before: State, after: State, rows: Iterable[Row] = (), deeds: Sequence[Deed] = (), now: int = 0
    ) -> None:
        """Write what differs between two states, what is to be sent, and who did it: all or nothing, on disk.

        Raises:
            Unwritable: nothing of it was.
        """
        with self._transaction():
            for kind in _KINDS:
                self._write(kind, getattr(before, kind), getattr(after, kind))
            self._db.executemany(
                "INSERT INTO outbox (channel, alert, state, kind, body, created_at, next_at) VALUES (?,?,?,?,?,?,?)",
                [(r.channel, r.alert, r.state, r.kind, r.body, r.created_at, r.created_at) for r in rows],
            )
            for deed in deeds:
                self._audit(deed)
            if now:
                self._db.execute("DELETE FROM outbox WHERE settled_at < ?", (now - KEEP_MS,))

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._touched, self._told)

    def copy_to(self, told: Callable[[list[Copy]], None]) -> None:
        """From now on, say after each commit which rows it changed, as they are now."""
        self._db.execute("CREATE TEMP TABLE touched (t TEXT, k TEXT, PRIMARY KEY (t, k)) WITHOUT ROWID")
        for table, names in _TABLES.items():
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                name = ", ".join(f"{row}.{column}" for column in names)
                made = f"INSERT OR IGNORE INTO touched VALUES ('{table}', json_array({name}))"  # noqa: S608  # our own names
                self._db.execute(f"CREATE TEMP TRIGGER {table}_{event} AFTER {event} ON main.{table} BEGIN {made}; END")
        self._told = told

    def _touched(self) -> list[Copy]:
        """The rows of the transaction under way, as they are."""
        if self._told is None:
            return []
        found = []
        for table, key in self._db.execute("SELECT t, k FROM temp.touched").fetchall():
            names = json.loads(key)
            where = " AND ".join(f"{column} = ?" for column in _TABLES[table])
            row = self._db.execute(f"SELECT * FROM {table} WHERE {where}", names).fetchone()  # noqa: S608  # our own names
            value = None if row is None else msgspec.msgpack.encode(row)
            found.append((msgspec.msgpack.encode((table, *names)), value))
        self._db.execute("DELETE FROM temp.touched")
        return found

    def take(self, copies: Iterable[Copy]) -> None:
        """Have these rows of another store. What is of no table known here is left out: a newer version wrote it."""
        with self._transaction():
            for key, value in copies:
                table, *names = msgspec.msgpack.decode(key)
                if table not in _TABLES:
                    continue
                if value is None:
                    where = " AND ".join(f"{column} = ?" for column in _TABLES[table])
                    self._db.execute(f"DELETE FROM {table} WHERE {where}", names)  # noqa: S608  # our own names
                else:
                    row = msgspec.msgpack.decode(value)
                    places = ",".join("?" * len(row))
                    self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", row)  # noqa: S608  # the same

    def judged(self) -> dict[str, int]:
        """Clock → the last tick judged, as it was committed."""
        return _judged(self._db)

    @staticmethod
    def peek(path: Path) -> dict[str, int]:
        """The same of a file that another uses; nothing where it cannot be read now."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as db:
                return _judged(db)
        except sqlite3.Error:
            return {}

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Write blobs under names (None: forget it), all or none. For what would stand beside the file, had it a place.

        Raises:
            Unwritable: none was.
        """
        with self._transaction():
            gone = [(name,) for name, body in rows.items() if body is None]
            self._db.executemany("DELETE FROM shelf WHERE name = ?", gone)
            new = [(name, body) for name, body in rows.items() if body is not None]
            self._db.executemany("INSERT OR REPLACE INTO shelf VALUES (?,?)", new)

    def kept(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """The blobs whose names begin so, in the order of their names."""
        end = prefix + "\U0010ffff"
        query = "SELECT name, body FROM shelf WHERE name >= ? AND name < ? ORDER BY name"
        for name, body in self._db.execute(query, (prefix, end)).fetchall():
            yield str(name), bytes(body)

    def _write(self, kind: str, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> None:
        if before is after:
            return
        gone = [(kind, _key(key)) for key in before if key not in after]
        new = [(kind, _key(k), msgspec.json.encode(v)) for k, v in after.items() if before.get(k) is not v]
        if gone:
            self._db.executemany("DELETE FROM memory WHERE kind = ? AND key = ?", gone)
        if new:
            self._db.executemany("INSERT OR REPLACE INTO memory VALUES (?,?,?)", new)

    def due(self, channel: str, now: int, limit: int = 100) -> list[Row]:
        """The oldest rows of a channel that are not settled, if the first of them may be tried now."""
        found = self._db.execute(
            "SELECT channel, alert, state, body, created_at, kind, id, attempts, next_at FROM outbox"
            " WHERE channel = ? AND settled_at IS NULL ORDER BY id LIMIT ?",
            (channel, limit),
        ).fetchall()
        return [Row(*row[:8]) for row in found] if found and found[0][8] <= now else []

    def next_at(self, channel: str) -> int | None:
        """When the channel's first unsettled row may be tried; None: there is none."""
        found = self._db.execute(
            "SELECT next_at FROM outbox WHERE channel = ? AND settled_at IS NULL ORDER BY id LIMIT 1", (channel,)
        ).fetchone()
        return None if found is None else int(found[0])

    def sooner(self, by_ms: int) -> None:
        """The clock was set back by so much: what waits for a time is to wait no longer than it was meant to.

        Raises:
            Unwritable: it does.
        """
        with self._transaction():
            self._db.execute("UPDATE outbox SET next_at = next_at - ? WHERE settled_at IS NULL", (by_ms,))

    def settle(self, results: Mapping[int, str], now: int) -> None:
        """These rows (id → result) are done with: sent, or given up for the reason given.

        Raises:
            Unwritable: they are not.
        """
        with self._transaction():
            self._db.executemany(
                "UPDATE outbox SET settled_at = ?, result = ? WHERE id = ?",
                [(now, result, id_) for id_, result in results.items()],
            )

    def postpone(self, ids: Iterable[int], next_at: int, reason: str) -> None:
        """These rows are tried again later.

        Raises:
            Unwritable: they may be tried at once.
        """
        with self._transaction():
            self._db.executemany(
                "UPDATE outbox SET attempts = attempts + 1, next_at = ?, result = ? WHERE id = ?",
                [(next_at, reason, id_) for id_ in ids],
            )

    def again(self, channels: Sequence[str], since: int) -> None:
        """Send once more what these channels sent after an instant: the other side may have forgotten it.

        Raises:
            Unwritable: it is not.
        """
        with self._transaction():
            self._db.executemany(
                "UPDATE outbox SET settled_at = NULL, result = NULL, next_at = 0 WHERE channel = ? AND settled_at > ?",
                [(channel, since) for channel in channels],
            )

    def unsettled(self) -> dict[str, int]:
        """Channel → how many rows wait."""
        rows = self._db.execute("SELECT channel, count(*) FROM outbox WHERE settled_at IS NULL GROUP BY channel")
        return {str(channel): int(n) for channel, n in rows}

    def told(self, alert: str) -> list[tuple[str, str, str | None]]:
        """(channel, state, result) of everything that was to be sent of an alert, oldest first."""
        return self._db.execute(
            "SELECT channel, state, result FROM outbox WHERE alert = ? ORDER BY id", (alert,)
        ).fetchall()

    def note(self, channel: str, key: str) -> str | None:
        """What a channel noted under a key, such as the message that it edits."""
        found = self._db.execute("SELECT value FROM notes WHERE channel = ? AND key = ?", (channel, key)).fetchone()
        return None if found is None else str(found[0])

    def take_note(self, channel: str, key: str, value: str | None) -> None:
        """Note something; None: forget it.

        Raises:
            Unwritable: nothing was noted.
        """
        with self._transaction():
            if value is None:
                self._db.execute("DELETE FROM notes WHERE channel = ? AND key = ?", (channel, key))
            else:
                self._db.execute("INSERT OR REPLACE INTO notes VALUES (?,?,?)", (channel, key, value))

    def links(self, deeds: Iterable[Deed]) -> list[tuple[int, str]]:
        """The number and the digest that each of these deeds will have in the chain, if they are committed next."""
        number, previous = self._last_deed()
        found = []
        for deed in deeds:
            number, previous = number + 1, _digest(previous, _told(deed))
            found.append((number, previous))
        return found

    def _last_deed(self) -> tuple[int, str]:
        last = self._db.execute("SELECT digest FROM audit ORDER BY n DESC LIMIT 1").fetchone()
        ever = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
        return int(ever[0]) if ever else 0, str(last[0]) if last else ""

    def _audit(self, deed: Deed) -> None:
        number, previous = self._last_deed()
        row = _told(deed)
        self._db.execute(
            "INSERT INTO audit (n, at, who, tenant, what, detail, result, previous, digest) VALUES (?,?,?,?,?,?,?,?,?)",
            (number + 1, *row, previous, _digest(previous, row)),
        )

    def audit(self) -> list[dict[str, Any]]:
        """Every deed, oldest first."""
        return _deeds(self._db)


async def _at_once() -> None:
    """A commit to a file is safe when it returns."""


def _judged(db: sqlite3.Connection) -> dict[str, int]:
    rows = db.execute("SELECT key, body FROM memory WHERE kind = 'judged'")
    return {str(clock): int(msgspec.json.decode(body)) for clock, body in rows}


def chain_broken_at(deeds: Iterable[Mapping[str, Any]]) -> int | None:
    """The number of the first deed that was edited, or that follows one which was removed; None: the chain is whole."""
    previous = ""
    for number, deed in enumerate(deeds, 1):
        row = tuple(deed[name] for name in ("at", "who", "tenant", "what", "detail", "result"))
        if deed["n"] != number or deed["previous"] != previous or deed["digest"] != _digest(previous, row):
            return int(deed["n"])
        previous = str(deed["digest"])
    return None


def refused_rules(path: Path) -> str | None:
    """Why the notifier that uses a file has refused its rules; None: it has not, or nothing can be read now."""
    query = "SELECT body FROM memory WHERE kind = 'alerts' AND key LIKE ?"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as db:
            found = db.execute(query, (f'["{RULES_REFUSED}",%',)).fetchone()
    except sqlite3.Error:
        return None
    return None if found is None else str(msgspec.json.decode(found[0], type=Alert).reason)


def deeds_in(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Every deed of a file that another may use, oldest first; and the greatest number it ever gave.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
            ever = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
            return _deeds(db), int(ever[0]) if ever else 0
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from None


def _deeds(db: sqlite3.Connection) -> list[dict[str, Any]]:
    names = ("n", "at", "who", "tenant", "what", "detail", "result", "previous", "digest")
    rows = db.execute(f"SELECT {', '.join(names)} FROM audit ORDER BY n")  # noqa: S608  # names of our own
    return [dict(zip(names, row, strict=True)) for row in rows]


def _told(deed: Deed) -> tuple[Any, ...]:
    detail = json.dumps(dict(deed.detail), ensure_ascii=False, sort_keys=True)
    return deed.at, deed.who, deed.tenant, deed.what, detail, deed.result


def _digest(previous: str, row: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([previous, *row], ensure_ascii=True).encode()).hexdigest()


def _grouped(db: sqlite3.Connection) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {kind: {} for kind in _KINDS}
    for kind, key, body in db.execute("SELECT kind, key, body FROM memory"):
        found.setdefault(kind, {})[key] = body
    return found


class _Transaction:
    """BEGIN … COMMIT, or nothing of it.

    Raises:
        Unwritable: the disk takes nothing.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        touched: Callable[[], list[Copy]],
        told: Callable[[list[Copy]], None] | None,
    ) -> None:
        self._db, self._touched, self._told = db, touched, told

    def __enter__(self) -> None:
        self._do("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is None:
            copies = self._touched()
            self._do("COMMIT")
            if copies and self._told is not None:
                self._told(copies)
            return
        self._undo()
        if isinstance(error, sqlite3.OperationalError):
            raise Unwritable(str(error)) from None

    def _do(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except sqlite3.OperationalError as error:
            self._undo()
            raise Unwritable(str(error)) from None

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


_KINDS = ("judged", "alerts", "recent", "counters", "silences", "groups", "fired")
"""The fields of `State`, each a table of its own in `memory`."""


def _key(key: str | tuple[str, ...]) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _decoded(found: Mapping[str, Mapping[str, bytes]]) -> State:
    decode = msgspec.json.decode
    return State(
        judged={key: decode(body, type=int) for key, body in found["judged"].items()},
        alerts={Slot(*json.loads(key)): decode(body, type=Alert) for key, body in found["alerts"].items()},
        recent={key: decode(body, type=Alert) for key, body in found["recent"].items()},
        counters={
            _pair(key): decode(body, type=tuple[tuple[int, int], ...]) for key, body in found["counters"].items()
        },
        silences={key: decode(body, type=Silence) for key, body in found["silences"].items()},
        groups={key: decode(body, type=Group) for key, body in found["groups"].items()},
        fired={Slot(*json.loads(key)): decode(body, type=tuple[int, ...]) for key, body in found["fired"].items()},
    )


def _pair(key: str) -> tuple[str, str]:
    first, second = json.loads(key)
    return first, second
