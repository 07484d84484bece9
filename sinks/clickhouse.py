"""History, in blocks: the edge to ClickHouse. One promise, kept by waiting: what `write` returns from is stored.

Production speaks HTTP to a server; the embedded stack drives ClickHouse's engine inside this very process, through
the same client. Both block, so each call runs in a thread of its own with a client of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import clickhouse_connect
import stamina
from clickhouse_connect import common
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error

from config.settings import Settings
from sinks.rows import TABLES, TENANTS, Row, Table

_T = TypeVar("_T")

CLIENTS = 4
"""How many calls may run at once: tables of a block are inserted side by side."""
CONNECT_S = 3
CALL_S = 8
"""A call to a server that hangs is given up and said again after so many seconds."""
STANDS_BACK = 5
"""How nice the threads that store are, and with them those of an embedded engine, which shares the machine with the
board: where there is not enough for all, the history waits. Linux has that for each thread; elsewhere all of the role
would be nicer, with each thread more.
"""

_DATA_CODES = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 131, 190, 321, 349, 407, 469})
"""Errors that are about the data itself, so that no waiting helps. Source: ClickHouse, src/Common/ErrorCodes.cpp."""
_CONVERSION = (DataError, TypeError, ValueError, OverflowError, AttributeError, struct.error)
"""What the client raises where a value does not fit its column."""


ENGINE_BYTES = 768 * 2**20
"""What the embedded engine may hold for all its queries, inserts and merges together. Beyond it the greediest query is
ended; an insert that finds no room is said again.
"""
_CACHE_BYTES = 32 * 2**20
_ENGINE = {
    "max_server_memory_usage": ENGINE_BYTES,
    "mark_cache_size": _CACHE_BYTES,
    "index_mark_cache_size": _CACHE_BYTES,
    "primary_index_cache_size": _CACHE_BYTES,
    "query_condition_cache_size": _CACHE_BYTES,
    "compiled_expression_cache_size": _CACHE_BYTES,
    "max_thread_pool_free_size": 16,  # threads that wait for work; each keeps memory of its own
}
"""Its bounds. They are a server's else: caches of 5 GiB, nine tenths of the machine."""
_ALLOCATOR = "dirty_decay_ms:0,muzzy_decay_ms:0"
"""For its jemalloc: give back at once what a query, an insert or a merge had. It gives back by time only where a thread
goes on working, so what merges had would stay as long as their threads rest: half as much again as the engine holds.
"""
_FRAMES = ("pandas", "pyarrow", "numpy")
"""What the engine and the client take up where it is installed, for callers who want frames: 65 MiB."""


class Unavailable(Exception):
    """The database cannot be reached or takes nothing now: wait. The message names the kind of the error only."""


class Rejected(Exception):
    """These rows can never be stored. The message says why, without what they say."""


class History:
    """ClickHouse, as the sink sees it: a schema that is there, and rows that replace themselves."""

    def __init__(self, connect: Callable[[], Client], database: str) -> None:
        self._connect = connect
        self._database = database
        self._idle: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(CLIENTS, "clickhouse", os.nice, (STANDS_BACK,))
        self._types: dict[Table, list[str]] = {}

    async def prepare(self) -> None:
        """Return once the tables and views are there, however long the database is away."""
        await self._patiently(self._make_schema)

    async def write(self, table: Table, rows: Sequence[Row]) -> None:
        """Return once the rows are stored. Writing a row twice is harmless: its key replaces it.

        Raises:
            Rejected: at least one of these rows can never be stored; none of them is.
        """
        if rows:
            await self._patiently(lambda client: self._insert(client, table, rows))

    async def zones(self) -> dict[str, str]:
        """The stored zone of every tenant."""
        rows = await self._patiently(
            lambda client: (
                client.query(
                    "SELECT tenant, zone FROM {table:Identifier} FINAL", parameters={"table": TENANTS.name}
                ).result_rows
            )
        )
        return {str(tenant): str(zone) for tenant, zone in rows}

    def close(self) -> None:
        """Let go of the threads and clients; a call under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    async def _patiently(self, call: Callable[[Client], _T]) -> _T:
        loop = asyncio.get_running_loop()
        async for attempt in stamina.retry_context(
            on=Unavailable, attempts=None, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.5
        ):
            with attempt:
                return await loop.run_in_executor(self._threads, self._once, call)
        raise AssertionError("stamina gave up, though it was told never to")

    def _once(self, call: Callable[[Client], _T]) -> _T:
        with _sorted_errors():
            client = self._take()
            try:
                result = call(client)
            except Exception:
                client.close()
                raise
            self._idle.put(client)
            return result

    def _take(self) -> Client:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            client = self._connect()
            client.database = self._database
            return client

    def _make_schema(self, client: Client) -> None:
        client.database = None
        client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": self._database})
        client.database = self._database
        for statement in statements():
            client.command(statement)
        self._types = {table: _types(client, table) for table in TABLES}

    def _insert(self, client: Client, table: Table, rows: Sequence[Row]) -> None:
        types = self._types[table]
        try:
            client.insert(
                table.name, rows, column_names=table.columns, column_type_names=types, database=self._database
            )
        except _CONVERSION as error:
            raise Rejected(_kind(error)) from None


def statements() -> list[str]:
    """The statements of schema.sql, in order."""
    lines = files("sinks").joinpath("schema.sql").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement for part in (text + "\n").split(";\n") if (statement := part.strip())]


def _types(client: Client, table: Table) -> list[str]:
    rows = client.query("DESCRIBE TABLE {table:Identifier}", parameters={"table": table.name}).result_rows
    types = {str(row[0]): str(row[1]) for row in rows}
    return [types[column] for column in table.columns]


@contextlib.contextmanager
def _sorted_errors() -> Iterator[None]:
    """Turn what the client raises into what a caller can do about it."""
    try:
        yield
    except Error as error:
        if error.code in _DATA_CODES:
            raise Rejected(_kind(error)) from None
        raise Unavailable(_kind(error)) from None
    except (ClickHouseError, OSError, RuntimeError) as error:
        raise Unavailable(_kind(error)) from None


def _kind(error: Exception) -> str:
    words = (type(error).__name__, *((error.code, error.name) if isinstance(error, Error) else ()))
    return " ".join(str(word) for word in words if word)


def open_history(settings: Settings) -> History:
    """The database that the settings name: a server, or the engine in this process on `DIR/clickhouse`."""
    common.set_setting("autogenerate_session_id", False)
    for talkative in ("clickhouse_connect", "urllib3"):  # they may quote a value; what matters is raised anyway
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    if settings.data is None:
        return History(lambda: _server(settings), settings.clickhouse.database)
    engine_directory(settings.data)
    engine = engine_name(settings.data)
    return History(lambda: clickhouse_connect.get_client(interface="chdb", path=engine), settings.clickhouse.database)


def _server(settings: Settings) -> Client:
    return clickhouse_connect.get_client(
        dsn=settings.clickhouse.url,
        username=settings.clickhouse.user,
        password=settings.clickhouse.password.get_secret_value(),
        connect_timeout=CONNECT_S,
        send_receive_timeout=CALL_S,
        query_retries=0,
        compress="lz4",
    )


def engine_directory(data: Path) -> None:
    """Make the place of the embedded engine's files. Rows on their way into it lie beside them until the next start."""
    passing = data / "clickhouse-passing"
    shutil.rmtree(passing, ignore_errors=True)
    passing.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody in this process may be at it just now
    tempfile.tempdir = str(passing)
    engine_path(data).mkdir(mode=0o700, exist_ok=True)


def engine_name(data: Path) -> str:
    """What to connect to for the embedded engine within its bounds. The first to connect in a process sets them."""
    os.environ.setdefault("JE_MALLOC_CONF", _ALLOCATOR)  # read as the engine's library is loaded
    return f"{engine_path(data)}?" + "&".join(f"{name}={value}" for name, value in _ENGINE.items())


def without_frames() -> None:
    """Keep out of this process what only callers who want frames need. For a process that does nothing but store and
    answer; before the engine is first used. What is imported already stays.
    """
    for name in _FRAMES:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # how Python is told that there is none


def engine_path(data: Path) -> Path:
    """Where the embedded engine keeps its files. It compares spellings, so there is one."""
    return (data / "clickhouse").resolve()
