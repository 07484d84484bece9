"""Other sides to deliver to: real HTTP servers on a free port, well behaved or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from alerts.outbox import Row

T = TypeVar("T")


def run(story: Coroutine[Any, Any, T], within_s: float = 240) -> T:
    """Run a story in a loop of its own, bounded: what hangs fails, what a busy machine slows does not."""

    async def bounded() -> T:
        return await asyncio.wait_for(story, within_s)

    return asyncio.run(bounded())


async def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


@dataclass
class Post:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Keeps what is posted, and answers with the next of `answers`, then with `answer`."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    answer: Callable[[Post], web.Response] = lambda _: web.Response(text="ok")
    answers: list[web.Response] = field(default_factory=list)
    before: Callable[[web.Request], Awaitable[None]] | None = None
    """Done between the request and the answer."""

    async def handle(self, request: web.Request) -> web.Response:
        """Note it, then answer."""
        post = Post(request.path_qs, dict(request.headers), await request.read())
        self.posts.append(post)
        if self.before is not None:
            await self.before(request)
        return self.answers.pop(0) if self.answers else self.answer(post)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A server that takes everything."""
    here = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", here.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    here.url = f"http://{host}:{port}"
    try:
        yield here
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does as it is told with each connection; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request, and never answer."""
    await reader.read(1 << 20)
    await asyncio.sleep(3600)


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take some, and hang up."""
    await reader.read(10)
    writer.transport.abort()


def row(alert: str = "a1", state: str = "firing", channel: str = "ops", created_at: int = 0, **body: Any) -> Row:
    """A row of the outbox about an alert."""
    whole = {
        "v": 1, "alert": alert, "rule": "backlog-high", "metric": "backlog", "state": state, "severity": "warning",
        "tenant": "shop", "queue": "returns", "channel": "*", "since": "2026-03-02T10:00:00.000Z",
        "at": "2026-03-02T10:02:00.000Z", "value": 30.0, "peak": 30.0, "expected": None, "low": None, "high": 20.0,
        "unit": "count", "summary": {"zh": "退货：待处理 30（阈值 20）", "en": "Returns: Backlog 30 (limit 20)"},
        "drivers": [], "keywords": [], "samples": [],
        "impact": {
            "backlog": 30, "oldest_ms": 61_000, "frt_p90_ms": None, "agents_needed": None, "drain_s": None,
            "drain_plus": {"1": None, "2": None},
        },
        "acknowledged_by": None, "acknowledged_at": None, "silenced_by": None, "grade": None, "resolved_at": None,
        "reason": None, "group": "shop/backlog-high", "runbook": None, "board": "https://board.example/?queue=returns",
        **body,
    }  # fmt: skip
    return Row(channel, alert, state, json.dumps(whole, ensure_ascii=False).encode(), created_at)
