"""A ClickHouse server for tests: ClickHouse's engine behind its HTTP form, in a process of its own, with inserts.

A server cannot be had where the tests run, so this stands in for one: the engine is the real one, the HTTP form is the
product's own door without its guard. `python -m tests.cluster.clickhouse DIR PORT USER PASSWORD`
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lz4.frame
from aiohttp import web

from sinks.door import Answer, Query, QueryError, _engine_error, _response, credentials, query_of, read_form

MOST_BYTES = 512 * 2**20


class Server:
    """Statements of any kind, each in a session of its own."""

    def __init__(self, directory: Path, user: str, password: str) -> None:
        self._path = str(directory / "engine")
        self._passing = directory / "passing"
        self._passing.mkdir(parents=True)
        self._login = (user, password)
        self._threads = ThreadPoolExecutor(4)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One statement."""
        loop = asyncio.get_running_loop()
        headers = {"X-ClickHouse-Timezone": "UTC"}
        try:
            body = await request.read()
            if request.headers.get("Content-Encoding") == "lz4":
                body = lz4.frame.decompress(body)
            insert = body.lstrip()[:6].upper() == b"INSERT"
            form = dict(request.query) if insert else await read_form(request)
            if credentials(request, form) != self._login:
                raise QueryError(516, "AUTHENTICATION_FAILED", "Authentication failed")
            query = query_of(request, form)
            answer = await loop.run_in_executor(self._threads, self._run, query, body if insert else b"")
        except QueryError as error:
            return web.Response(text=f"{error}\n", status=500, headers={"X-ClickHouse-Exception-Code": str(error.code)})
        return _response(answer, request, form, headers)

    def _run(self, query: Query, insert: bytes) -> Answer:
        import chdb

        with (
            contextlib.closing(chdb.connect(self._path)) as session,
            tempfile.NamedTemporaryFile(dir=self._passing) as kept,
        ):
            try:
                session.query("SET session_timezone = 'UTC'")
                if query.database:
                    session.query("USE " + query.database)
                if not insert:
                    result = session.query(query.text, query.format, query.parameters)
                    return Answer(result.bytes() or b"", query.format, result.rows_read(), result.bytes_read(), 1)
                head, _, rows = insert.partition(b"\n")
                kept.write(rows)
                kept.flush()
                into, _, form = head.decode().strip().rpartition(" FORMAT ")
                session.query(f"{into} FROM INFILE '{kept.name}' FORMAT {form}")
                return Answer(b"", "Native", 0, 0, 1)
            except RuntimeError as error:  # the engine's own errors are of this kind
                raise _engine_error(str(error)) from None


async def _ping(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def main(directory: str, port: str, user: str, password: str) -> None:
    """Serve until ended."""
    server = Server(Path(directory), user, password)
    app = web.Application(client_max_size=MOST_BYTES)
    app.router.add_get("/ping", _ping)
    app.router.add_get("/", server.handle)
    app.router.add_post("/", server.handle)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main(*sys.argv[1:5])
