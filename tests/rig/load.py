"""A load generator over the real ingest socket: many clients, each resending what was not acked when its socket went.

Everything it does by chance comes from one seed. A client reconnects after a pause of full jitter, growing to `CAP_S`;
what it sent and got no ack for goes out again, in order, as the contract allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.conformance.cases import Row
from tests.rig.ledger import Ledger

FIRST_S, CAP_S = 5.0, 8.0
"""Pauses before a reconnect: chance within these, doubling. Who loses a socket loses it with all others."""
_CUT = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage)


@dataclass
class Seen:
    """What the clients went through."""

    connected: list[float] = field(default_factory=list)
    """When a socket opened, by `time.monotonic`."""
    pauses: list[float] = field(default_factory=list)
    """How long who lost a socket waited before the next, in seconds."""
    closes: list[int] = field(default_factory=list)
    """With which codes they ended (1006: cut)."""
    retries: int = 0
    rejected: list[Row] = field(default_factory=list)


class Client:
    """One source: a queue of frames, and the socket they go through."""

    def __init__(self, access: Row, ledger: Ledger, chance: Random, seen: Seen, path: str, open_s: float = 20) -> None:
        self._url = access["url"].replace("http", "ws") + path
        self._token = access["ingest_token"]
        self._ledger = ledger
        self._chance = chance
        self._seen = seen
        self._open_s = open_s
        self._todo: asyncio.Queue[list[Row]] = asyncio.Queue()
        self._unacked: dict[int, list[Row]] = {}
        self._number = 0
        self._left = 0
        """Frames that are queued or under way: one may be in neither of the two for a moment."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.open = asyncio.Event()
        """Its socket is open now."""

    def send(self, events: list[Row]) -> None:
        """Queue one frame."""
        self._left += 1
        self._idle.clear()
        self._todo.put_nowait(events)

    async def acked(self) -> None:
        """Return once everything queued was acked."""
        await self._idle.wait()

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
        pause = FIRST_S
        while True:
            try:
                async with self._socket() as socket:
                    self._seen.connected.append(time.monotonic())
                    pause = FIRST_S
                    await self._serve(socket)
            except _CUT:
                self._seen.closes.append(_code(locals().get("socket")))
            self._seen.pauses.append(self._chance.uniform(0, pause))
            await asyncio.sleep(self._seen.pauses[-1])
            pause = min(CAP_S, pause * 2)

    @contextlib.asynccontextmanager
    async def _socket(self) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with connect(
            self._url, additional_headers=headers, max_size=None, open_timeout=self._open_s, close_timeout=1
        ) as socket:
            self.open.set()
            try:
                yield socket
            finally:
                self.open.clear()

    async def _serve(self, socket: ClientConnection) -> None:
        again, self._unacked = self._unacked, {}
        reading = asyncio.create_task(self._read(socket))
        try:
            for events in again.values():
                await self._out(socket, events)
            while not reading.done():
                getting = asyncio.create_task(self._todo.get())
                try:
                    await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
                    if not getting.done():
                        break
                    await self._out(socket, getting.result())
                finally:
                    getting.cancel()
            reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _out(self, socket: ClientConnection, events: list[Row]) -> None:
        self._number += 1
        self._unacked[self._number] = events
        self._ledger.sent(events)
        await socket.send(json.dumps({"seq": self._number, "events": events}))

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            answer = json.loads(await socket.recv())
            if "retry" in answer:
                self._seen.retries += 1
                await asyncio.sleep(answer["after_ms"] / 1000)
                self._todo.put_nowait(self._unacked.pop(answer["retry"]))
                continue
            events = self._unacked.pop(answer["ack"])
            bad = {one["index"] for one in answer["rejected"]}
            self._seen.rejected += answer["rejected"]
            self._ledger.acked([one for index, one in enumerate(events) if index not in bad])
            self._left -= 1
            if not self._left:
                self._idle.set()


def _code(socket: Any) -> int:
    return int(socket.close_code or 1006) if isinstance(socket, ClientConnection) else 0


class Load:
    """`with Load(access, ledger, seed) as load`: clients in a thread of their own."""

    def __init__(
        self, access: Row, ledger: Ledger, seed: int, *, clients: int = 4, replay: bool = False, url: str | None = None
    ) -> None:
        """`url`: another address of the gateway, such as a proxy's."""
        print(f"load: seed {seed}")
        self.seen = Seen()
        self._access = access | ({"url": url} if url else {})
        self._ledger = ledger
        self._chance = Random(seed)
        self._many = clients
        self._path = "/v1/ingest?replay=1" if replay else "/v1/ingest"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)
        self._clients: list[Client] = []
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    async def _open(self) -> None:
        for _ in range(self._many):
            chance = Random(self._chance.random())
            client = Client(self._access, self._ledger, chance, self.seen, self._path, 20)
            self._clients.append(client)
            self._tasks.append(asyncio.create_task(client.run()))

    def __exit__(self, *_: object) -> None:
        async def close() -> None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work: Any, patience_s: float = 300) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience_s)

    @property
    def open(self) -> int:
        """How many sockets are open."""
        return sum(client.open.is_set() for client in self._clients)

    def put(self, frames: Sequence[list[Row]]) -> None:
        """Queue frames, those of a conversation always with the same client."""

        def go() -> None:
            for events in frames:
                parts: dict[int, list[Row]] = {}
                for event in events:
                    parts.setdefault(hash(_who(event)) % len(self._clients), []).append(event)
                for number, some in parts.items():
                    self._clients[number].send(some)

        self._loop.call_soon_threadsafe(go)

    def flow(self, next_event: Callable[[int], Row], per_s: float, seconds: float) -> None:
        """Send `next_event(n)` at a steady rate; returns when the last is queued. Live load: `at` is to be now."""
        began, number = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * per_s)
            if due > number:
                self.put([[next_event(n) for n in range(number, due)]])
                number = due
            time.sleep(0.02)

    def drained(self, patience_s: float = 120) -> None:
        """Return once everything queued was acked."""

        async def all_acked() -> None:
            await asyncio.gather(*(client.acked() for client in self._clients))

        self._call(asyncio.wait_for(all_acked(), patience_s), patience_s + 5)


def _who(event: Row) -> str:
    return str(event.get("conversation") or event.get("agent"))


def chat(seed: int, tenant: str, conversations: int = 200, prefix: str = "e") -> Callable[[int], Row]:
    """Live chat: `chat(...)(n)` is the n-th event, now; customers ask, people answer, some close."""

    def event(number: int) -> Row:
        chance = Random(f"{seed}/{number}")
        turn, place = divmod(number, conversations)
        kind, author = ("message", "customer") if turn % 3 != 1 else ("message", "agent")
        row: Row = {
            "id": f"{prefix}{number}", "kind": kind, "at": int(time.time() * 1000), "seq": number, "tenant": tenant,
            "conversation": f"c{place}", "queue": chance.choice(("returns", "billing", "vip")), "author": author,
            "author_id": f"{author}-{place % 17}", "text": "我的订单还没到",
        }  # fmt: skip
        if turn % 5 == 4:
            row = {name: row[name] for name in ("id", "at", "seq", "tenant", "conversation")} | {
                "kind": "closed", "agent": f"agent-{place % 17}", "by": "agent", "resolved": chance.random() < 0.7,
            }  # fmt: skip
        return row

    return event
