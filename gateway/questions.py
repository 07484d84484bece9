"""Questions to ClickHouse, over its HTTP form: a server's, or the embedded engine's door.

Every value goes as a bound parameter (`{name:Type}`), never into the text. A question has a time, an answer a number of
rows, and a gateway asks only so many at once: what does not fit is refused, with when to ask again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog

from config.bodies import at_most
from config.settings import ClickHouse, Settings

log = structlog.get_logger()

AT_ONCE = 4
"""Questions under way at once; the embedded door runs as many."""
MOST_WAITING = 32
QUESTION_S = 4.0
"""A question that takes longer is ended."""
CONNECT_S = 1.0
MOST_ROWS = 50_000
MOST_BYTES = 32 << 20
_TOO_SLOW = {159, 160, 241, 396, 158, 307}
"""ClickHouse's codes for: took too long, or would read or return too much. Source: ClickHouse, ErrorCodes.cpp."""

Row = dict[str, Any]
Value = str | int | float | Sequence[str]


class Away(Exception):
    """ClickHouse cannot answer now. The message says why, for the reader; `retry_s` when to ask again."""

    def __init__(self, reason: str, retry_s: int = 30) -> None:
        super().__init__(reason)
        self.retry_s = retry_s


class TooMuch(Exception):
    """The question asks for more than one answer may hold, or takes too long."""


class Questions:
    """The edge to ClickHouse, for readers."""

    def __init__(self, settings: Settings) -> None:
        self._clickhouse = settings.clickhouse
        embedded = settings.data is not None and settings.clickhouse.url == ClickHouse().url  # none was named
        self._port = settings.data / "ports" / "clickhouse" if settings.data and embedded else None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._session: aiohttp.ClientSession | None = None

    async def rows(self, sql: str, **values: Value) -> list[Row]:
        """The rows of a statement of ours, whose `{name:Type}` stand for these values.

        Raises:
            Away: nobody answers, or too many ask.
            TooMuch: it took too long, or there are more rows than `MOST_ROWS`.
        """
        if self._waiting >= MOST_WAITING:
            raise Away("too many questions at once", 2)
        self._waiting += 1
        try:
            async with self._turns:
                return await self._ask(sql, values)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, sql: str, values: Mapping[str, Value]) -> list[Row]:
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=QUESTION_S + 1, connect=CONNECT_S)
            self._session = aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar())
        try:
            asked = self._session.post(
                self._url(),
                params=self._settings() | {"param_" + name: written(value) for name, value in values.items()},
                data=sql.encode(),
                headers=self._who(),
                allow_redirects=False,
            )
            async with asked as answer:
                body = await at_most(answer.content, MOST_BYTES + 1)
                if answer.status != 200:
                    raise self._failed(answer, body)
        except TimeoutError:
            raise Away("ClickHouse does not answer in time", 10) from None
        except (aiohttp.ClientError, OSError) as error:
            log.warning("clickhouse_away", error=type(error).__name__)
            raise Away("ClickHouse does not answer") from None
        if len(body) > MOST_BYTES:
            raise TooMuch
        return _rows(body)

    def _failed(self, answer: aiohttp.ClientResponse, body: bytes) -> Exception:
        found = re.match(rb"Code: (\d+)", body)
        code = int(answer.headers.get("X-ClickHouse-Exception-Code") or (found[1] if found else 0))
        if code in _TOO_SLOW:
            return TooMuch()
        log.warning("clickhouse_refused", status=answer.status, code=code)
        if code == 202:
            return Away("ClickHouse has too much to do", 5)
        return Away(f"ClickHouse refuses the question (code {code or answer.status})")

    def _url(self) -> str:
        if self._port is None:
            return self._clickhouse.url
        return f"http://127.0.0.1:{_port(self._port)}/"

    def _who(self) -> dict[str, str]:
        password = self._clickhouse.password.get_secret_value()
        return {"X-ClickHouse-User": self._clickhouse.user, "X-ClickHouse-Key": password}

    def _settings(self) -> dict[str, str]:
        return {
            "database": self._clickhouse.database,
            "default_format": "JSONCompact",
            "readonly": "2",
            "max_execution_time": str(int(QUESTION_S)),
            "max_result_rows": str(MOST_ROWS),
            "result_overflow_mode": "throw",
            "max_result_bytes": str(MOST_BYTES),
            "output_format_json_quote_64bit_integers": "0",
            "session_timezone": "UTC",
        }


def _port(file: Path) -> int:
    """Where the embedded door listens.

    Raises:
        OSError: nobody has said so yet.
    """
    try:
        return int(file.read_text())
    except ValueError:
        raise OSError("no port yet") from None


def _rows(body: bytes) -> list[Row]:
    try:
        said = msgspec.json.decode(body)
        names = [column["name"] for column in said["meta"]]
        return [dict(zip(names, row, strict=True)) for row in said["data"]]
    except (msgspec.DecodeError, LookupError, TypeError, ValueError):
        log.error("clickhouse_unreadable", size=len(body))
        raise Away("ClickHouse answers what cannot be read") from None


_TSV = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r", 0: "\\0"}
_QUOTED = _TSV | {ord("'"): "\\'"}


def written(value: Value) -> str:
    """The value of a query parameter, as ClickHouse reads it: a field of TSV, arrays in brackets."""
    if isinstance(value, str):
        return value.translate(_TSV)
    if isinstance(value, int | float):
        return str(value)
    return printed(value)


def printed(value: Value) -> str:
    """The value as a literal of SQL, for a statement that a person copies. Nothing of ours runs it."""
    if isinstance(value, str):
        return "'" + value.translate(_QUOTED) + "'"
    if isinstance(value, int | float):
        return str(value)
    return "[" + ", ".join(printed(one) for one in value) + "]"


_HOLE = re.compile(r"\{(\w+):\w+(?:\(\w+\))?\}")


def copied(sql: str, values: Mapping[str, Value]) -> str:
    """The statement with its parameters written in, to copy into any client."""
    return _HOLE.sub(lambda hole: printed(values[hole[1]]), sql).strip()
