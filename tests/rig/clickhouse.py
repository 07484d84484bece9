"""A ClickHouse server for tests where none can be installed: its engine (chdb) behind its HTTP form, with writes.

`python -m tests.rig.clickhouse DIR PORT` serves `CLICKHOUSE_USER` (`default`) with `CLICKHOUSE_PASSWORD`. It stands
for a server in everything the sink does with one: statements, parameters, inserts in Native, errors with their codes. A
process of its own, it can be killed, stopped, and stood behind the fault proxy.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).parents[2]
_INSERT = re.compile(rb"INSERT INTO (.*?) FORMAT Native\n(.*)", re.DOTALL)
"""As the client writes one: the statement, and the block behind it."""
_CODE = re.compile(r"Code: (\d+)")


class Store:
    """The engine on a directory: statements in, answers out, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._session: Any = None
        self._log = (directory.parent / "inserts.log").open("a")  # open as long as the process lives

    def answer(self, form: dict[str, str], body: bytes) -> tuple[bytes, str]:
        """What a request comes to, and its format."""
        with self._lock:
            session = self._opened()
            session.query(f"USE `{form.get('database') or 'default'}`")
            found = _INSERT.match(body)
            if found is not None:
                self._insert(session, found[1].decode(), found[2])
                return b"", "TabSeparated"
            text = form.get("query", "") or body.decode()
            named = re.search(r"FORMAT\s+(\w+)\s*$", text)
            wanted = named[1] if named else form.get("default_format") or "TabSeparated"
            parameters = {name[6:]: value for name, value in form.items() if name.startswith("param_")}
            return session.query(text, wanted, parameters).bytes() or b"", wanted

    def _opened(self) -> Any:
        """One session for the life of the process: to open it costs far more than to ask."""
        if self._session is None:
            import chdb

            self._session = chdb.connect(str(self._directory))
        return self._session

    def _insert(self, session: Any, into: str, block: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self._directory.parent, suffix=".native") as rows:
            rows.write(block)
            rows.flush()
            session.query(f"INSERT INTO {into} SELECT * FROM file('{rows.name}', Native)")
        self.note(into.split(maxsplit=1)[0].rsplit(".", maxsplit=1)[-1].strip("`"))

    def note(self, what: str) -> None:
        """Write down when it was."""
        self._log.write(f"{time.time():.3f} {what}\n")
        self._log.flush()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    store: Store
    allowed = ""

    def do_GET(self) -> None:
        self._say(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        if not self._admitted():
            self.store.note("refused")
            said = b"Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)"
            self._say(403, said, {"X-ClickHouse-Exception-Code": "516"})
            return
        try:
            if self.headers.get("Content-Encoding") == "lz4":
                import lz4.frame

                body = lz4.frame.decompress(body)
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            said, fmt = self.store.answer(asked, body)
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the answer
            code = _CODE.search(str(error))
            self._say(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1]} if code else {})
        else:
            self._say(200, said, {"X-ClickHouse-Format": fmt})

    def _admitted(self) -> bool:
        """ClickHouse takes the name and the password from either place."""
        named = f"{self.headers.get('X-ClickHouse-User')}:{self.headers.get('X-ClickHouse-Key')}"
        basic = "Basic " + base64.b64encode(named.encode()).decode()
        return self.allowed in (self.headers.get("Authorization"), basic)

    def _chunks(self) -> bytes:
        whole = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return whole

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def serve(directory: Path, port: int, user: str, password: str) -> None:
    """Serve until killed."""
    Handler.store = Store(directory)
    Handler.allowed = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Server:
    """The process."""

    PASSWORD = "a password of the test"

    def __init__(self, directory: Path, user: str = "default") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.user = user
        self._directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        words = [sys.executable, "-m", "tests.rig.clickhouse", str(self._directory / "store"), str(self.port)]
        env = dict(os.environ) | {"CLICKHOUSE_USER": self.user, "CLICKHOUSE_PASSWORD": self.PASSWORD}
        with (self._directory / "server.log").open("ab") as output:
            self.process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=output, stderr=output)
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=2):
                    return
            except OSError:
                assert time.monotonic() < until, "the ClickHouse of the test does not start"
                time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send it one."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def inserts(self) -> list[tuple[float, str]]:
        """When a block went into which table; `refused`: somebody without the password knocked."""
        lines = (self._directory / "inserts.log").read_text().splitlines()
        return [(float(at), what) for at, what in (line.split() for line in lines)]

    def client(self) -> Any:
        """A client of its own, for a test to look with."""
        import clickhouse_connect

        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, username=self.user, password=self.PASSWORD, database="tidewatch",
            autogenerate_session_id=False,
        )  # fmt: skip


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Server]:
    """A started server."""
    server = Server(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), os.environ["CLICKHOUSE_USER"], os.environ["CLICKHOUSE_PASSWORD"])
