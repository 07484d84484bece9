"""An ingest door to test clients against: a real server that keeps the contract, and trouble on order."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """An async test as pytest runs it: in a loop of its own, for at most 60 s."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


def token(tenant: str = "*", roles: tuple[str, ...] = ("ingest", "replay")) -> str:
    """A token whose claims can be read; nobody checks the signature here."""
    claims = base64.urlsafe_b64encode(json.dumps({"tenant": tenant, "roles": roles}).encode()).decode().rstrip("=")
    return f"e30.{claims}.sig"


@dataclass
class Door:
    """What came in, and what is to go wrong. Events by (tenant, conversation or agent, id), in order of arrival."""

    events: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    ticks: list[tuple[str, int | None]] = field(default_factory=list)
    log: list[tuple[str, Any]] = field(default_factory=list)
    """("event", id) and ("tick", at) in the order taken."""
    frames: list[int] = field(default_factory=list)
    """The number of events of every frame that came."""
    sizes: list[int] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    replay: bool = False
    most_unanswered: int = 0
    judge: Callable[[dict[str, Any]], str | None] = lambda event: None
    """Why an event is rejected; None: it is taken."""
    trouble: Callable[[int], int | str | None] = lambda n: None
    """By the number of the frame, from 1: None, "retry", "lose" (it is taken, the ack is lost), or a close code."""
    slow_s: float = 0.0
    refuse: tuple[HTTPStatus, str] | None = None

    async def serve_one(self, socket: ServerConnection) -> None:
        self.connections += 1
        self.replay = socket.request is not None and "replay=1" in socket.request.path
        queue: asyncio.Queue[str | bytes] = asyncio.Queue()
        working = asyncio.create_task(self._work(socket, queue))
        try:
            async for raw in socket:
                queue.put_nowait(raw)
        except ConnectionClosed:
            pass
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _work(self, socket: ServerConnection, queue: asyncio.Queue[str | bytes]) -> None:
        while True:
            raw = await queue.get()
            if self.slow_s:
                await asyncio.sleep(self.slow_s)
                self.most_unanswered = max(self.most_unanswered, queue.qsize() + 1)
            self.sizes.append(len(raw.encode() if isinstance(raw, str) else raw))
            frame = json.loads(raw)
            self.frames.append(len(frame.get("events", ())))
            match self.trouble(len(self.frames)):
                case None:
                    await socket.send(json.dumps(self.answer(frame)))
                case "retry":
                    await socket.send(json.dumps({"retry": frame["seq"], "after_ms": 20}))
                case "lose":
                    self.answer(frame)
                    socket.transport.abort()
                    return
                case int(code):
                    await socket.close(code, "as ordered")
                    return

    def answer(self, frame: dict[str, Any]) -> dict[str, Any]:
        if "tick" in frame:
            return self._tick(frame)
        rejected = []
        for index, event in enumerate(frame["events"]):
            why = self.judge(event)
            if why:
                rejected.append({"index": index, "id": event.get("id"), "error": why})
                continue
            about = event.get("conversation") or event.get("agent") or ""
            self.events.setdefault((event.get("tenant", "default"), about, event["id"]), event)
            self.log.append(("event", event["id"]))
        return {"ack": frame["seq"], "accepted": len(frame["events"]) - len(rejected), "rejected": rejected}

    def _tick(self, frame: dict[str, Any]) -> dict[str, Any]:
        tenant, at = frame.get("tenant", "?"), frame["tick"]
        before = [then for whose, then in self.ticks if whose == tenant]
        why = None
        if before and at is not None and (before[-1] is None or at < before[-1]):
            why = "the clock cannot go back" if before[-1] is not None else "this tenant is on the real clock"
        if why is None:
            self.ticks.append((tenant, at))
            self.log.append(("tick", at))
        return {"ack": frame["seq"], "accepted": 0, "rejected": [{"index": 0, "error": why}] if why else []}

    def _door_keeper(self, connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(self.refuse[0], self.refuse[1] + "\n") if self.refuse else None


@asynccontextmanager
async def opened(door: Door, port: int = 0) -> AsyncIterator[Door]:
    """The door, serving on a loopback port; `door.url` is its base."""
    async with serve(
        door.serve_one, "127.0.0.1", port, process_request=door._door_keeper, max_size=1 << 20, close_timeout=0.2
    ) as server:
        door.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield door
