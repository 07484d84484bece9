"""What the tests of alerts on a whole stack share: a webhook that keeps what it is posted, a stack that posts to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tidewatch.embedded import Stack

SECRET = "a secret of the test, long enough"
START = 1_772_445_600_000
MINUTE = 60_000
TENANT = "alarm"


class Receiver:
    """A webhook receiver that keeps what it is posted."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, bytes]] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append((self.headers["Tidewatch-Signature"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, until the end."""
    one = Receiver()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()


@contextmanager
def stack_with(root: Path, rules: str, receiver: Receiver, more: str = "") -> Iterator[RunningStack]:
    """A stack with these rules, which posts to the receiver; `more`: further settings."""
    (root / "rules.yaml").write_text(rules)
    config = root / "tidewatch.toml"
    config.write_text(
        f'rules = "rules.yaml"\n[[channels]]\nname = "hook"\ntype = "webhook"\nurl = "{receiver.url}"\n'
        f'secret = "{SECRET}"\nallow_private = true\n{more}'
    )
    running = RunningStack(Stack(root / "data", port=0, config=config))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def message(number: int, at: int, author: str) -> Row:
    """One message of conversation `number`."""
    return {
        "id": f"{author}-{number}",
        "kind": "message",
        "at": START + at,
        "tenant": TENANT,
        "conversation": f"c{number}",
        "queue": "billing",
        "author": author,
        "author_id": f"{author}-{number}",
        "text": "我的订单还没到",
    }


def tick(at: int) -> Row:
    """A tick of the replay."""
    return {"tick": rfc3339(START + at), "tenant": TENANT}
