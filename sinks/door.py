"""ClickHouse's HTTP form over the engine in this process, for readers: user `bi`, read only, on 127.0.0.1.

`clickhouse-connect`, `curl`, Grafana, Superset and JDBC work as they are. Every request gets a session of its own with
the engine, so nothing one reader does stays for the next: limits and the database are set, then `readonly = 1`, then
the statement is formatted by the engine (which refuses several in one), judged by `sinks.guard` on the engine's own
parse, and run as formatted.

Threads run the queries; the engine lets go of Python's lock meanwhile, so a long query does not hold up an insert.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import gzip
import hmac
import json
import re
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web

from config.settings import Settings
from sinks.clickhouse import engine_name
from sinks.guard import Refused, check

log = structlog.get_logger()

USER = "bi"
QUERIES = 4
"""Queries that run at once; others wait their turn, `QUEUED` of them at most."""
QUEUED = 64
QUERY_S = 30
"""A query that takes longer is ended."""
RESULT_BYTES = 256 * 2**20
RESULT_ROWS = 5_000_000
MEMORY_BYTES = 512 * 2**20
"""Of one query, its answer included."""
STATEMENT_BYTES = 2 * 2**20
THREADS = 2
"""Threads of one query."""

READONLY, UNKNOWN_DATABASE, TOO_MANY, TOO_BIG, BAD_ARGUMENTS, DENIED, NOT_IMPLEMENTED = 164, 81, 202, 396, 36, 516, 48
_STATUS = {
    36: 400, 41: 400, 42: 400, 43: 400, 44: 400, 46: 404, 47: 404, 48: 501, 53: 400, 60: 404, 62: 400, 73: 404, 81: 404,
    115: 404, 159: 408, 241: 413, 164: 403, 202: 503, 396: 413, 456: 400, 457: 400, 516: 403,
}  # fmt: skip
"""Codes whose HTTP status is not 500. Source: ClickHouse, exceptionCodeToHTTPStatus."""

_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONStrings": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
} | dict.fromkeys(("Vertical", "Markdown", "Pretty", "PrettyCompact", "Values"), "text/plain; charset=UTF-8")
_ALIASES = {
    "TSV": "TabSeparated", "TSVWithNames": "TabSeparatedWithNames", "NDJSON": "JSONEachRow", "JSONLines": "JSONEachRow",
}  # fmt: skip
_TYPE_OF = {name.lower(): type_ for name, type_ in _TYPES.items()} | {
    alias.lower(): _TYPES[name] for alias, name in _ALIASES.items()
}


def type_of(format_: str) -> str:
    """The content type of a format, however a statement wrote its name."""
    return _TYPE_OF.get(format_.lower(), "application/octet-stream")


class QueryError(Exception):
    """What a client is told, in ClickHouse's own words."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}. ({name})" if name else message)
        self.code = code


@dataclass
class Query:
    """One statement as a client sent it."""

    text: str
    format: str
    database: str
    parameters: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """What came of it."""

    body: bytes
    format: str
    rows_read: int
    bytes_read: int
    elapsed_ns: int


def _whole(most: int) -> Callable[[str], str]:
    """A setting that is a whole number: at most this, and 0 (no bound) means this."""

    def literal(value: str) -> str:
        number = int(float(value))
        return str(min(number, most) if number > 0 else most)

    return literal


def _word(*allowed: str) -> Callable[[str], str]:
    def literal(value: str) -> str:
        if value not in allowed:
            raise ValueError(value)
        return "'" + value + "'"

    return literal


_BOUNDS: dict[str, Callable[[str], str]] = {
    "max_execution_time": _whole(QUERY_S),
    "max_result_rows": _whole(RESULT_ROWS),
    "max_result_bytes": _whole(RESULT_BYTES),
    "max_memory_usage": _whole(MEMORY_BYTES),
    "max_threads": _whole(THREADS),
}
"""What bounds a query. A client may lower these, never raise them."""
_TASTES: dict[str, Callable[[str], str]] = {
    "max_block_size": _whole(65_536),
    "extremes": _word("0", "1"),
    "join_use_nulls": _word("0", "1"),
    "result_overflow_mode": _word("throw", "break"),
    "date_time_output_format": _word("simple", "iso", "unix_timestamp"),
    "output_format_json_quote_64bit_integers": _word("0", "1"),
    "output_format_json_quote_denormals": _word("0", "1"),
    "output_format_json_named_tuples_as_objects": _word("0", "1"),
    "output_format_native_encode_types_in_binary_format": _word("0"),
    "output_format_binary_write_json_as_string": _word("0", "1"),
}
"""What else a client may ask for. All other settings are taken silently and do nothing: most clients send some."""


def set_statement(wanted: Mapping[str, str]) -> str:
    """The SET that begins a session: the bounds, and what of the client's wishes is allowed.

    Raises:
        QueryError: a value that does not fit.
    """
    literals = {name: literal("0") for name, literal in _BOUNDS.items()}
    literals |= {"session_timezone": "'UTC'", "allow_ddl": "0", "allow_introspection_functions": "0"}
    for name, literal in (_BOUNDS | _TASTES).items():
        if name in wanted:
            try:
                literals[name] = literal(wanted[name])
            except (ValueError, OverflowError):
                raise QueryError(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"a wrong value for the setting {name}") from None
    return "SET " + ", ".join(" = ".join(pair) for pair in literals.items())


class Engine:
    """Runs statements of readers. Blocking: for threads."""

    def __init__(self, name: str, database: str) -> None:
        """`name`: what to connect to (`sinks.clickhouse.engine_name`)."""
        if not re.fullmatch(r"\w{1,64}", database):
            raise ValueError("a database's name is letters, digits and _")
        self._name = name
        self._database = database
        self._use = {name: "USE " + name for name in (database, "information_schema")}

    def run(self, query: Query) -> Answer:
        """The answer to one statement of a reader.

        Raises:
            QueryError: it cannot be answered, with ClickHouse's code.
        """
        import chdb

        with contextlib.closing(chdb.connect(self._name)) as session:
            try:
                return self._run(session, query)
            except Refused as error:
                raise QueryError(READONLY, "READONLY", f"{USER}: {error}") from None
            except RuntimeError as error:  # chdb's own errors are of this kind
                raise _engine_error(str(error)) from None

    def _run(self, session: Any, query: Query) -> Answer:
        current = self._database if query.database in ("", "default") else query.database
        if current not in self._use:
            raise QueryError(UNKNOWN_DATABASE, "UNKNOWN_DATABASE", "Database does not exist for readers")
        for setup in (set_statement(query.settings), self._use[current], "SET readonly = 1"):
            session.query(setup)
        begun = time.perf_counter_ns()
        given = {"text": escaped(query.text)}
        canonical = session.query("SELECT formatQuerySingleLine({text:String})", "RawBLOB", given).bytes().decode()
        hello = _greeting(canonical, query)
        if hello is not None:
            return hello
        tree = session.query("EXPLAIN AST " + canonical, "TSVRaw", query.parameters).bytes().decode(errors="replace")
        check(canonical, tree, self._database, current)
        wanted = format_of(canonical) or query.format
        result = session.query(canonical, wanted, query.parameters)
        if result.size() > RESULT_BYTES:  # the engine's own bound counts a column of one value once
            raise QueryError(TOO_BIG, "TOO_MANY_ROWS_OR_BYTES", "Limit for result exceeded")
        took = time.perf_counter_ns() - begun
        return Answer(result.bytes() or b"", wanted, result.rows_read(), result.bytes_read(), took)


def escaped(text: str) -> str:
    """The value of a query parameter: ClickHouse reads it as a field of TSV."""
    return text.translate({ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r", 0: "\\0"})


def format_of(canonical: str) -> str | None:
    """The format that a formatted statement asks for."""
    match = re.search(r" FORMAT (\w+)$", canonical)
    return match[1] if match else None


def _engine_error(text: str) -> QueryError:
    match = re.search(r"Code: (\d+)", text)
    return QueryError(int(match[1]) if match else 1001, "", text[match.start() :] if match else text)


def _greeting(canonical: str, query: Query) -> Answer | None:
    """Go's client asks this first and wants a block with block info. Revision 0: it reads plain blocks from then on."""
    asked = canonical.removesuffix(" FORMAT Native")
    if asked != "SELECT displayName(), version(), revision(), timezone()":
        return None
    if (format_of(canonical) or query.format) != "Native":
        return None
    from chdb import engine_version

    version = str(engine_version).encode()
    values = [("displayName()", b"tidewatch"), ("version()", version), ("revision()", None), ("timezone()", b"UTC")]
    body = bytearray(b"\x01\x00\x02\xff\xff\xff\xff\x00" + bytes([len(values), 1]))
    for name, value in values:
        body += _sized(name.encode()) + _sized(b"UInt32" if value is None else b"String") + b"\x00"
        body += bytes(4) if value is None else _sized(value)
    return Answer(bytes(body), "Native", 1, 1, 1)


def _sized(value: bytes) -> bytes:
    return bytes([len(value)]) + value


class Door:
    """The listening side. `Door.open`, then `close`."""

    def __init__(self, engine: Engine, password: str) -> None:
        self._engine = engine
        self._password = password.encode()
        self._threads = ThreadPoolExecutor(QUERIES, "door")
        self._under_way = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    @classmethod
    async def open(cls, settings: Settings) -> Door:
        """Listen on 127.0.0.1 and write the port to DIR/ports/clickhouse."""
        if settings.data is None:
            raise ValueError("only the embedded stack has a door")
        clickhouse = settings.clickhouse
        door = cls(Engine(engine_name(settings.data), clickhouse.database), clickhouse.password.get_secret_value())
        await door._listen(clickhouse.port)
        ports = settings.data / "ports"
        ports.mkdir(exist_ok=True)
        fresh = ports / "clickhouse.new"
        fresh.write_text(str(door.port))
        fresh.replace(ports / "clickhouse")
        log.info("clickhouse_door_open", port=door.port)
        return door

    async def _listen(self, port: int) -> None:
        app = web.Application(client_max_size=STATEMENT_BYTES)
        app.router.add_get("/ping", _ping)
        app.router.add_get("/", self._handle)
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; queries under way are not waited for."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": "tidewatch",
            "X-ClickHouse-Timezone": "UTC",
            "Server": "tidewatch",
        }
        if re.fullmatch(r"[\w.:-]{1,128}", query_id):
            headers["X-ClickHouse-Query-Id"] = query_id
        try:
            form = await read_form(request)
            self._admit(request, form)
            query = query_of(request, form)
            if not query.text.strip():
                return web.Response(text="Ok.\n", headers=headers)
            answer = await self._ask(query)
        except QueryError as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return web.Response(text=f"{error}\n", status=_STATUS.get(error.code, 500), headers=headers)
        return _response(answer, request, form, headers)

    def _admit(self, request: web.Request, form: Mapping[str, str]) -> None:
        user, password = credentials(request, form)
        known = hmac.compare_digest(user.encode(), USER.encode())
        if not (hmac.compare_digest(password.encode(), self._password) and known and self._password):
            raise QueryError(DENIED, "AUTHENTICATION_FAILED", "Authentication failed: wrong user or password")

    async def _ask(self, query: Query) -> Answer:
        if self._under_way >= QUERIES + QUEUED:
            raise QueryError(TOO_MANY, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries")
        self._under_way += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._engine.run, query)
        running.add_done_callback(self._done)
        return await running

    def _done(self, running: asyncio.Future[Answer]) -> None:
        self._under_way -= 1
        if not running.cancelled():
            running.exception()


async def _ping(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def credentials(request: web.Request, form: Mapping[str, str]) -> tuple[str, str]:
    """User and password, from wherever ClickHouse takes them."""
    if "X-ClickHouse-User" in request.headers:
        return request.headers["X-ClickHouse-User"], request.headers.get("X-ClickHouse-Key", "")
    scheme, _, words = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(words, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return form.get("user", ""), form.get("password", "")


async def read_form(request: web.Request) -> dict[str, str]:
    """Everything named: the URL's parameters, those of a form body; and `` (empty name): the rest of the statement.

    Raises:
        QueryError: a body that cannot be read.
    """
    form = dict(request.query)
    try:
        if request.content_type == "multipart/form-data":
            for name, value in (await request.post()).items():
                if not isinstance(value, str):
                    raise QueryError(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "external tables are not supported here")
                form[name] = value
        else:
            body = _decompressed(await request.read(), request.headers.get("Content-Encoding", ""))
            form[""] = _plain_frames(body).decode() if form.get("decompress") == "1" and body else body.decode()
    except (UnicodeDecodeError, ValueError, OSError, EOFError, RuntimeError, zlib.error):
        raise QueryError(BAD_ARGUMENTS, "BAD_ARGUMENTS", "the body cannot be read") from None
    return form


def _decompressed(body: bytes, encoding: str) -> bytes:
    """aiohttp takes gzip and deflate off itself; lz4 is left to us."""
    if encoding == "lz4":
        import lz4.frame

        return bytes(lz4.frame.decompress(body))
    return body


def query_of(request: web.Request, form: Mapping[str, str]) -> Query:
    """The statement, and what goes with it."""
    text = "\n".join(part for part in (form.get("query", ""), form.get("", "")) if part)
    wanted = form.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
    if not re.fullmatch(r"\w{1,64}", wanted):
        raise QueryError(73, "UNKNOWN_FORMAT", "Unknown format")
    database = form.get("database") or request.headers.get("X-ClickHouse-Database") or ""
    parameters = {name[6:]: value for name, value in form.items() if name.startswith("param_")}
    return Query(text, wanted, database, parameters, dict(form))


def _response(answer: Answer, request: web.Request, form: Mapping[str, str], headers: dict[str, str]) -> web.Response:
    summary = {
        "read_rows": answer.rows_read, "read_bytes": answer.bytes_read, "written_rows": 0, "written_bytes": 0,
        "total_rows_to_read": answer.rows_read, "result_rows": answer.rows_read, "result_bytes": len(answer.body),
        "elapsed_ns": answer.elapsed_ns,
    }  # fmt: skip
    headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in summary.items()})
    headers["X-ClickHouse-Format"] = answer.format
    headers["Content-Type"] = type_of(answer.format)
    body = _framed(answer.body) if form.get("compress") == "1" else answer.body
    encoding = _encoding(request, form)
    if encoding:
        headers["Content-Encoding"] = encoding
        body = _compressed(body, encoding)
    return web.Response(body=body, headers=headers)


def _encoding(request: web.Request, form: Mapping[str, str]) -> str:
    """As ClickHouse: only where the client also says `enable_http_compression=1`."""
    if form.get("enable_http_compression") != "1":
        return ""
    offered = {part.split(";")[0].strip() for part in request.headers.get("Accept-Encoding", "").split(",")}
    return next((one for one in ("lz4", "gzip") if one in offered), "")


def _compressed(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        import lz4.frame

        return bytes(lz4.frame.compress(body))
    return gzip.compress(body, compresslevel=1)


FRAME = 2**20


def _framed(body: bytes) -> bytes:
    """ClickHouse's own frames, which JDBC asks for: checksum, 0x82 (LZ4), sizes, block.

    Source: ClickHouse, CompressedWriteBuffer.
    """
    import lz4.block

    frames = bytearray()
    for start in range(0, len(body), FRAME):
        plain = body[start : start + FRAME]
        packed = lz4.block.compress(plain, store_size=False)
        rest = b"\x82" + (len(packed) + 9).to_bytes(4, "little") + len(plain).to_bytes(4, "little") + packed
        frames += _checksum(rest) + rest
    return bytes(frames)


def _plain_frames(body: bytes) -> bytes:
    """The reverse, for statements.

    Raises:
        ValueError: not such frames.
    """
    import lz4.block

    plain = bytearray()
    while body:
        size, length = int.from_bytes(body[17:21], "little"), int.from_bytes(body[21:25], "little")
        rest = body[16 : 16 + size]
        if len(rest) != size or size < 9 or length > STATEMENT_BYTES or body[:16] != _checksum(rest):
            raise ValueError("a broken frame")
        if rest[0] != 0x82:
            raise ValueError("a frame that is not LZ4")
        plain += lz4.block.decompress(rest[9:], uncompressed_size=length)
        body = body[16 + size :]
    return bytes(plain)


def _checksum(rest: bytes) -> bytes:
    """CityHash128 of ClickHouse, the high half first, each half little-endian."""
    from clickhouse_cityhash.cityhash import CityHash128

    value: int = CityHash128(rest)
    return (value >> 64).to_bytes(8, "little") + (value & (2**64 - 1)).to_bytes(8, "little")
