"""A real engine, real tables, and the desk on them; what a test writes is read back through the views."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from config.settings import Settings
from sinks.clickhouse import History, engine_path, open_history
from sinks.desk import Desk, Found
from sinks.rows import CLOCKS, TENANTS, Blocks, rows_of
from streams.events import Reading
from tests.conformance.cases import Row
from tests.streams.line import Line


class Engine:
    """The embedded engine; open as long as anything uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def settings(self, database: str, **more: Any) -> Settings:
        """Settings of the embedded stack on this engine."""
        return Settings(data=self.directory, clickhouse={"database": database, "port": 0, "password": "pw", **more})

    def base(self, name: str) -> Iterator[Base]:
        """A new database, dropped in the end."""
        history = open_history(self.settings(name))
        self._loop.run_until_complete(history.prepare())
        client = clickhouse_connect.get_client(interface="chdb", path=str(engine_path(self.directory)), database=name)
        try:
            yield Base(self, name, history, client, self._loop)
        finally:
            client.command("DROP DATABASE {name:Identifier}", parameters={"name": name})
            client.close()
            history.close()


class Base:
    """One database."""

    def __init__(
        self, engine: Engine, name: str, history: History, client: Client, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engine, self.name, self.history, self.client = engine, name, history, client
        self._loop = loop

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        return self._loop.run_until_complete(work)

    def write(self, blocks: Blocks) -> None:
        """Store rows as they are, table by table."""
        for table, rows in blocks.items():
            self.wait(self.history.write(table, rows))

    def store(self, *readings: Reading, zone: Callable[[str], str] = lambda _: "UTC", partitions: int = 4) -> None:
        """Store readings as the sink does: one block."""

        async def go() -> None:
            desk = Desk(self.history, None, zone, lambda: 1)
            working = asyncio.create_task(desk.work())
            for reading in readings:
                await desk.take(Found(rows_of(reading, partitions)), 1, lambda: None)
            finishing = asyncio.create_task(desk.finish())
            await asyncio.wait({working, finishing}, return_when=asyncio.FIRST_COMPLETED)
            assert not working.done() or working.result()
            working.cancel()

        self.wait(go())

    def now_is(self, tenant: str, now: int, zone: str = "UTC") -> None:
        """Give a tenant a clock of its own."""
        self.write({TENANTS: [(tenant, 1, zone)], CLOCKS: [(tenant, 0, now, now, False, 1)]})

    def rows(self, view: str, tenant: str | None = None, **equal: str) -> list[Row]:
        """The rows of a view as dicts, instants in ms."""
        wanted = equal if tenant is None else {"tenant": tenant, **equal}
        where = " AND ".join("{%s_:Identifier} = {%s:String}" % (name, name) for name in wanted)  # noqa: UP031
        names = {f"{name}_": name for name in wanted}
        answer = self.client.query(
            "SELECT * FROM {view:Identifier}" + (" WHERE " + where if where else ""),
            parameters={"view": view, **names, **wanted},
        )
        return [
            {name: plain(value) for name, value in zip(answer.column_names, row, strict=True)}
            for row in answer.result_rows
        ]


def plain(value: Any) -> Any:
    """Instants as ms, all else as it is."""
    if isinstance(value, datetime):
        return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


class Recorded(Line):
    """A line that keeps what it said."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.readings: list[Reading] = []

    def _read(self, reading: Reading) -> None:
        self.readings.append(reading)
        super()._read(reading)


def as_told(base: Base, tenant: str, views: Sequence[str]) -> Row:
    """The views of one tenant, under their names."""
    return {view: base.rows(view, tenant) for view in views}
