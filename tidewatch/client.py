"""A client of the ingest door: hands in events, and answers for every one of them.

Theory of operation. What is handed in is cut into numbered frames. At most 64 are unanswered at any time; they stay
here until they are acked, so a lost connection costs nothing: after the next connect they are sent again, in order,
and the gateway knows repeats by their ids. One task keeps the connection and reads, one writes. An outage is waited
out with growing, jittered pauses; a refusal (token, role, form) ends it, with the gateway's own reason.

    send() ─► frames (unanswered, ≤ 64) ─► due ─► socket        ack  ─► counted, forgotten
                                            ▲                   retry ─► due again after after_ms
                                            └── reconnect: all of them
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

FRAME_EVENTS = 1_000
FRAME_BYTES = 1 << 20
IN_FLIGHT = 64
_ROOM = 64
"""Bytes that the frame's own `{"seq": …, "events": [ ]}` takes at most."""
EXAMPLES = 5
FIRST_S = 10.0
FATAL = {
    4400: "the gateway could not read a frame",
    4401: "the token is not (or no longer) valid",
    4403: "the token lacks the role",
    1009: "a frame was too big",
}
CLOSES_TOO_FAST = 4429
CLOSES_OVERLOADED = 1013


class Refused(Exception):
    """The gateway will not take this client's events; trying again is useless. The message says why."""


class Unreachable(Exception):
    """No connection for longer than the client's patience. The message says what was tried."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event as it goes over the wire, and where it came from (`file:line`), for people."""

    body: bytes
    origin: str = ""


@dataclass(slots=True)
class Tally:
    """What became of everything handed in. Repeats count as accepted: the gateway stands for them."""

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Reason → the first few ids, with their origin."""

    def reject(self, reason: str, example: str) -> None:
        """Count one event that was not taken."""
        self.rejected[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example)


@dataclass(slots=True)
class _Frame:
    body: str
    sent: tuple[Outgoing, ...]
    answered: asyncio.Future[str | None]
    """The reason for which the first event (or the tick) was rejected, or None."""


def ingest_url(base: str, *, replay: bool) -> str:
    """The ingest door below a gateway's base (`ws://`, `http://`, `wss://` or `https://`)."""
    parts = urlsplit(base if "://" in base else f"ws://{base}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/")
    path = path if path.endswith("/v1/ingest") else f"{path}/v1/ingest"
    return urlunsplit((scheme, parts.netloc, path, "replay=1" if replay else "", ""))


def tenant_of(token: str) -> str | None:
    """The tenant a token speaks for, read without checking the token; None where it is no JWT."""
    with suppress(ValueError, IndexError, AttributeError):
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["tenant"]) if isinstance(claims, dict) and "tenant" in claims else None
    return None


def pause_s(attempt: int, jitter: float) -> float:
    """The wait before connect `attempt` (from 1): 0.1 s doubling to 5 s, of which `jitter` (0–1) takes up to half."""
    return float(min(5.0, 0.1 * 2 ** min(attempt - 1, 10)) * (1 - jitter / 2))


def frames(events: Iterable[Outgoing]) -> Iterable[tuple[Outgoing, ...]]:
    """The events in order, at most 1,000 and less than 1 MiB at a time; one that is too big for any stands alone."""
    portion: list[Outgoing] = []
    size = _ROOM
    for event in events:
        if portion and (len(portion) == FRAME_EVENTS or size + len(event.body) + 1 >= FRAME_BYTES):
            yield tuple(portion)
            portion, size = [], _ROOM
        portion.append(event)
        size += len(event.body) + 1
    if portion:
        yield tuple(portion)


class Client:
    """`async with Client(url, token) as client: await client.send(events); await client.drain()`.

    `patience_s`: how long it tries to connect again after a loss before it gives up; the first time at most 10 s, as
    the address may be wrong. Leaving the block does not wait for answers; `drain()` does.
    """

    def __init__(self, url: str, token: str, *, replay: bool = False, patience_s: float = 60.0) -> None:
        self.tally = Tally()
        self.reconnects = 0
        self._url = ingest_url(url, replay=replay)
        self._token = token
        self._patience_s = patience_s
        self._tenant = tenant_of(token)
        self._seq = 0
        self._open: OrderedDict[int, _Frame] = OrderedDict()
        self._due: deque[int] = deque()
        self._changed = asyncio.Condition()
        self._failure: Exception | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._trouble_since: float | None = None
        self._connected_once = False
        self._pace_s = 0.0
        self._gap_s = 0.0

    async def __aenter__(self) -> Self:
        """Return connected.

        Raises:
            Refused, Unreachable
        """
        connected = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(connected))
        waiting = asyncio.create_task(connected.wait())
        await asyncio.wait({waiting, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def send(self, events: Iterable[Outgoing | Mapping[str, Any]]) -> None:
        """Hand in events, in order. Returns when all are on their way or wait for their turn (at most 64 frames).

        Raises:
            Refused, Unreachable
        """
        for portion in frames(_outgoing(event) for event in events):
            if len(portion) == 1 and len(portion[0].body) + _ROOM >= FRAME_BYTES:
                self.tally.reject("larger than a frame may be (1 MiB)", _name(portion[0]))
                continue
            body = b",".join(event.body for event in portion).decode()
            await self._post(f'"events":[{body}]', portion)

    async def tick(self, at: int | None, tenant: str = "default") -> str | None:
        """Move a tenant's replay clock to `at` (ms; None: it goes live), behind everything handed in before.

        Returns why the gateway refused it, or None.

        Raises:
            Refused, Unreachable
        """
        answered = await self.tick_on(at, tenant)
        await self.drain()
        return answered.result()

    async def tick_on(self, at: int | None, tenant: str = "default") -> asyncio.Future[str | None]:
        """As `tick`, but returns when the tick is on its way; the future says why it was refused, or None.

        Everything before it has been acked then; what is handed in next follows it on the same connection. The tenant
        is named only where the token does not say it.

        Raises:
            Refused, Unreachable
        """
        await self.drain()
        named = f',"tenant":{json.dumps(tenant)}' if self._tenant in ("*", None) else ""
        return (await self._post(f'"tick":{json.dumps(at)}{named}', ())).answered

    async def drain(self) -> None:
        """Return when everything handed in has been answered for.

        Raises:
            Refused, Unreachable
        """
        async with self._changed:
            await self._changed.wait_for(lambda: not self._open or self._failure)
        self._check()

    async def _post(self, content: str, events: tuple[Outgoing, ...]) -> _Frame:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._open) < IN_FLIGHT or self._failure)
            self._check()
            self._seq += 1
            frame = _Frame(f'{{"seq":{self._seq},{content}}}', events, asyncio.get_running_loop().create_future())
            self._open[self._seq] = frame
            self._due.append(self._seq)
            self._changed.notify_all()
        return frame

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- the connection ----------------------------------------------------------------------------------------------

    async def _keep(self, connected: asyncio.Event) -> None:
        try:
            while True:
                async with await self._connect() as socket:
                    connected.set()
                    self._connected_once = True
                    await self._begin()
                    await self._talk(socket)
                self.reconnects += 1
        except (Refused, Unreachable) as failure:
            self._failure = failure
        except asyncio.CancelledError:
            self._failure = Unreachable("the client was closed")
            raise
        except Exception as bug:  # noqa: BLE001 - raised in whoever waits for an answer
            self._failure = bug
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def _connect(self) -> ClientConnection:
        """One connection, however many attempts it takes within our patience since trouble began."""
        loop = asyncio.get_running_loop()
        if self._trouble_since is None:
            self._trouble_since = loop.time()
        patience = self._patience_s if self._connected_once else min(FIRST_S, self._patience_s)
        until, attempt = self._trouble_since + patience, 0
        await asyncio.sleep(self._pace_s)
        while True:
            try:
                return await self._attempt()
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                attempt += 1
                wait = pause_s(attempt, random.random())
                if loop.time() + wait > until:
                    raise Unreachable(f"no connection to {self._url}: {_said(error)}") from None
                await asyncio.sleep(wait)

    async def _attempt(self) -> ClientConnection:
        try:
            return await connect(
                self._url,
                additional_headers={"Authorization": f"Bearer {self._token}"},
                compression=None,
                max_size=16 << 20,
                open_timeout=min(10.0, self._patience_s),
                close_timeout=1,
                proxy=None if urlsplit(self._url).hostname in ("127.0.0.1", "localhost", "::1") else True,
            )
        except InvalidURI as error:
            raise Refused(f"{self._url} is no address of a gateway") from error
        except InvalidStatus as error:
            if error.response.status_code in (400, 401, 403, 404):
                raise Refused(f"the gateway refused the connection: {_said(error)}") from error
            raise

    async def _begin(self) -> None:
        """A new connection: everything unanswered is due again, in order."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        async with self._changed:
            self._due = deque(self._open)
            self._changed.notify_all()

    async def _talk(self, socket: ClientConnection) -> None:
        """Write and read until the connection ends; raise where it ended for good."""
        writer = asyncio.create_task(self._write(socket))
        try:
            async for message in socket:
                await self._answer(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await writer
        code, reason = socket.close_code or 1006, socket.close_reason or ""
        if code in FATAL:
            raise Refused(f"{FATAL[code]} ({code}{': ' + reason if reason else ''})")
        self._slow_down(code)

    def _slow_down(self, code: int) -> None:
        """Choose the pause before the next connect, and between frames, by why this connection ended."""
        if code in (CLOSES_TOO_FAST, CLOSES_OVERLOADED):
            self._pace_s = min(10.0, max(1.0, self._pace_s * 2)) * (1 - random.random() / 4)
        else:
            self._pace_s = pause_s(1, random.random())
        if code == CLOSES_TOO_FAST:
            self._gap_s = min(1.0, max(0.04, self._gap_s * 2))

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._due)
                frame = self._open.get(self._due.popleft())
            if frame is not None:
                await socket.send(frame.body)
                await asyncio.sleep(self._gap_s)

    async def _answer(self, answer: Mapping[str, Any]) -> None:
        self._trouble_since = None
        if "retry" in answer:
            self._later(int(answer["retry"]), float(answer.get("after_ms", 100)))
            return
        async with self._changed:
            frame = self._open.pop(int(answer["ack"]), None)
            if frame is not None:
                self._count(frame, answer)
            self._changed.notify_all()

    def _later(self, seq: int, after_ms: float) -> None:
        """The gateway took nothing of this frame: send it again after a while, unless the connection is lost first."""

        async def due() -> None:
            async with self._changed:
                if seq in self._open and seq not in self._due:
                    self._due.append(seq)
                    self._changed.notify_all()

        def wake() -> None:
            self._timers.discard(timer)
            self._waking = asyncio.ensure_future(due())

        timer = asyncio.get_running_loop().call_later(after_ms / 1_000, wake)
        self._timers.add(timer)

    def _count(self, frame: _Frame, answer: Mapping[str, Any]) -> None:
        rejected = answer.get("rejected") or []
        frame.answered.set_result(str(rejected[0]["error"]) if rejected else None)
        if not frame.sent:
            return
        self.tally.accepted += int(answer.get("accepted", 0))
        for one in rejected:
            index = one.get("index", -1)
            event = frame.sent[index] if 0 <= index < len(frame.sent) else Outgoing(b"{}")
            self.tally.reject(str(one.get("error", "no reason given")), _name(event, one.get("id")))


def _outgoing(event: Outgoing | Mapping[str, Any]) -> Outgoing:
    return event if isinstance(event, Outgoing) else Outgoing(msgspec.json.encode(event))


def _name(event: Outgoing, id_: object = None) -> str:
    """What to call an event in a report: its id and where it came from."""
    if id_ is None:
        with suppress(ValueError, RecursionError):
            id_ = json.loads(event.body).get("id")
    shown = str(id_) if id_ is not None else "no id"
    return f"{shown} ({event.origin})" if event.origin else shown


def _said(error: BaseException) -> str:
    """What went wrong, in one line, with the gateway's own words where it said some."""
    if isinstance(error, InvalidStatus):
        body = (error.response.body or b"")[:300].decode(errors="replace").strip().replace("\n", " ")
        return f"HTTP {error.response.status_code}{': ' + body if body else ''}"
    return " ".join(str(error).split()) or type(error).__name__
