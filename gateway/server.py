"""The gateway: chat in, numbers out, the board. Everything is constructed here.

SIGTERM ─► no new connections ─► ingest: read no more, answer what is in flight, close 1012 ─► live: close 1012
        ─► flush the journal, save the doors ─► end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from config.settings import Settings, SettingsError
from gateway import live, pages, ticker
from gateway.api import Api
from gateway.auth import MIN_SECRET, Claims, Verdict, is_replay
from gateway.boards import Boards
from gateway.deflate import Factory
from gateway.direct import DirectStore
from gateway.doings import Doings
from gateway.entrance import Entrance, Opening, Plain, Rules, answer, choose_subprotocol
from gateway.feeder import Feeder
from gateway.handover import Handover
from gateway.ingest import RESTARTING, Ingest, Store
from gateway.kafka import Broker
from gateway.links import Impossible, Links
from gateway.metrics import Metrics
from gateway.mirror import Mirror
from gateway.session import Session
from gateway.shared import Shared
from gateway.sockets import Connection
from gateway.squeeze import LARGE, squeezed
from gateway.store import JournalStore
from models import words
from streams.pace import spare_collector

log = structlog.get_logger()

INGEST_BYTES = 1 << 20
LIVE_BYTES = 64 << 10
"""Of one frame that a browser sends."""
MAX_UNSENT = 256 << 10
"""Bytes a connection may leave unread; it is cut within `SWEEP_S`. Source: STACK §5 (870 MiB in 70 s without it)."""
SWEEP_S = 0.25
HELD_UP_S, REMEMBERED_S = 2.0, 5.0
"""A loop that was this late, this recently, is not ready for more."""
HANDSHAKE_S = 5
PING_S, PONG_S = 20, 20
"""A peer that is gone is noticed within 40 s."""
ANSWER_S = 20
"""A request and its answer, a question to ClickHouse included, take no longer."""
TAKING_S = 10
"""Whoever asked has this long to take the answer."""
DRAIN_S = 3.0
"""What is in flight at a stop has this long; the supervisor's patience is a second more."""


@dataclass(slots=True)
class Backing:
    """Where events go, and what has to run for it."""

    store: Store
    chores: list[Coroutine[Any, Any, None]]
    needs: dict[str, Callable[[], str | None]]
    """What the store needs → why it cannot have it, or None; without it the gateway is not ready."""
    measure: Callable[[Metrics], None] = lambda _: None


@dataclass(slots=True)
class _Latch:
    """Something that must have been there once; that it left again is said, and stops nobody else's job."""

    why_not: Callable[[], str | None]
    seen: bool = field(default=False)

    def missing(self) -> str | None:
        why = self.why_not()
        self.seen = self.seen or why is None
        return why


@dataclass(slots=True)
class _HeldUp:
    """How late this process's own loop gets to what is due: who is always late serves nobody well."""

    worst_s: float = 0.0
    at: float = 0.0

    def woke(self, due: float, now: float) -> float:
        """Note when something due came to pass (monotonic, seconds); how late it was."""
        late = max(now - due, 0.0)
        if late >= self.worst_s or now - self.at > REMEMBERED_S:
            self.worst_s, self.at = late, now
        return late

    def why_not(self, now: float) -> str | None:
        """Why the gateway is not ready, or None."""
        recent = self.worst_s > HELD_UP_S and now - self.at <= REMEMBERED_S
        return f"held up for {self.worst_s:.1f} s" if recent else None


class Gateway:
    """One gateway process."""

    def __init__(self, settings: Settings, backing: Backing, broker: Broker) -> None:
        self.metrics = Metrics()
        self.mirror = Mirror(settings)
        self._settings = settings
        self._backing = backing
        self._broker = broker
        self.handover = Handover(settings.redis.url.get_secret_value())
        self.links = Links(settings.redis.url.get_secret_value())
        boards = Boards(boards_of(settings))
        self.api = Api(settings, self.mirror, boards, self.links, self.metrics.differs.inc)
        self.doings = Doings(self.handover, boards, self.links, settings.secret.get_secret_value())
        self._addresses: Counter[str] = Counter()
        self._open: dict[ServerConnection, Claims] = {}
        self._ingests: set[Ingest] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self.held_up = _HeldUp()
        self._latches = {"broker": _Latch(lambda: broker.trouble), "live": _Latch(self._live_trouble)}
        origins = frozenset(settings.gateway.origins)
        rules = Rules(settings.secret.get_secret_value(), origins, lambda: _run(settings), self.links.lives)
        self._entrance = Entrance(rules, self._page, self._checked, self.metrics)
        self._entrance.room = self._has_room

    def _live_trouble(self) -> str | None:
        return self.mirror.stale if self.mirror.ready else "nothing has been read from Redis yet"

    def _checked(self) -> tuple[bool, dict[str, str]]:
        needs = {name: why() for name, why in self._backing.needs.items()}
        latches = {name: latch.missing() for name, latch in self._latches.items()}
        late = self.held_up.why_not(time.monotonic())
        seen = all(one.seen for one in self._latches.values())
        ready = not self._stopping and not any(needs.values()) and seen and late is None
        more = {"stop": "the gateway is stopping"} if self._stopping else {}
        more |= {"loop": late} if late else {}
        return ready, {name: why or "ok" for name, why in (latches | needs | more).items()}

    def _page(self, path: str, query: str, headers: Mapping[str, str], claims: Claims | None) -> Response | None:
        return pages.http(path, query, headers, claims, self.mirror)

    # Requests and connections

    def _has_room(self, address: str, path: str) -> bool:
        limits = self._settings.gateway
        stuck = path == "/v1/ingest" and any(why() for why in self._backing.needs.values())
        return (
            not self._stopping
            and not stuck
            and len(self._open) < limits.max_connections
            and self._addresses[address] < limits.max_per_address
        )

    async def request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request, or let it become a socket."""
        self._backing.measure(self.metrics)
        try:
            verdict = self._entrance.judge(request, _address(connection))
        except Exception as error:
            log.exception("request_failed", error=type(error).__name__)
            verdict = answer(500, "Internal Server Error\n")
        if isinstance(verdict, Opening):
            verdict = self._entrance.opened(verdict, await self._opened(verdict.ticket))
        if isinstance(verdict, Plain):
            verdict = await self.api.answer(verdict.route, verdict.part, verdict.query, verdict.claims)
        if isinstance(verdict, Response):
            verdict = await _short(verdict, request.headers)
            if request.method == "HEAD":
                verdict.body = b""  # its length stays said
            verdict.headers["Connection"] = "close"  # one request a connection
            connection.close_timeout = TAKING_S
            return verdict
        connection.verdict = verdict  # type: ignore[attr-defined]  # handed to `serve_one`
        if not _is_ingest(connection):
            connection.protocol.max_message_size = LIVE_BYTES
            connection.protocol.available_extensions = [Factory()]
        return None

    async def _opened(self, ticket: Claims) -> Claims | None:
        try:
            claims = await self.links.open(ticket)
        except Impossible as error:
            log.warning("link_not_opened", reason=str(error))
            return None
        log.info("link_opened" if claims else "link_refused", link=ticket.link)
        return claims

    async def serve_one(self, connection: ServerConnection) -> None:
        """Serve a socket that was let in, or close it if it only may know why it was not."""
        verdict: Verdict = connection.verdict  # type: ignore[attr-defined]  # set by `request`
        if verdict.claims is None:
            await connection.close(verdict.close_code or 4401, "this token does not open this door")
            return
        path, query = _asked(connection)
        door = path.rpartition("/")[2]
        with self._counted(connection, verdict.claims, door):
            try:
                await self._serve(connection, verdict.claims, door, query)
            except ConnectionClosed:
                pass
            except Exception as error:
                log.exception("connection_failed", door=door, error=type(error).__name__)
                await connection.close(1011, "internal error")

    async def _serve(self, connection: ServerConnection, claims: Claims, door: str, query: str) -> None:
        if door == "live":
            await live.serve_live(connection, claims, self.mirror, self._settings, self.doings.carry_out)
            return
        session = Session(claims, is_replay(query), self._settings.gateway.events_per_s)
        ingest = Ingest(connection, session, self._backing.store, self.metrics)
        self._ingests.add(ingest)
        try:
            await ingest.serve()
        finally:
            self._ingests.discard(ingest)

    @contextlib.contextmanager
    def _counted(self, connection: ServerConnection, claims: Claims, door: str) -> Any:
        address, gauge = _address(connection), self.metrics.connections.labels(door=door)
        self._open[connection] = claims
        self._idle.clear()
        self._addresses[address] += 1
        gauge.inc()
        try:
            yield
        finally:
            del self._open[connection]
            if not self._open:
                self._idle.set()
            self._addresses -= Counter({address: 1})
            gauge.dec()

    # Order

    def chores(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs as long as it serves."""
        return self.mirror.run(), self.links.run(), self.sweep()

    async def sweep(self) -> None:
        """Cut who does not read, and close who is no longer allowed, until cancelled."""
        closing: set[asyncio.Task[None]] = set()
        while True:
            due = time.monotonic() + SWEEP_S
            await asyncio.sleep(SWEEP_S)
            self.metrics.loop_lag.set(self.held_up.woke(due, time.monotonic()))
            now = time.time()
            for connection, claims in list(self._open.items()):
                if _is_abusive(connection):
                    self.metrics.cut.inc()
                    connection.transport.abort()
                elif claims.exp <= now or (claims.link and not self.links.lives(claims.link, now)):
                    task = asyncio.create_task(connection.close(4401, "the token has ended"))
                    closing.add(task)
                    task.add_done_callback(closing.discard)
            self.mirror.broker_gone = self._broker.trouble is not None

    async def stop(self, server: Server) -> None:
        """Stop taking, answer what is in flight, close everything."""
        self._stopping = True
        server.close(close_connections=False)
        for ingest in list(self._ingests):
            ingest.stop()
        others = [one for one in self._open if not _is_ingest(one)]
        closing = [asyncio.create_task(one.close(RESTARTING, "restarting")) for one in others]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._idle.wait()
        for connection in list(self._open):
            connection.transport.abort()
        await asyncio.gather(*closing, return_exceptions=True)


async def _short(answer: Response, asked: Headers) -> Response:
    """The answer as short as who asked can read it; a large one is shortened beside the others."""
    if len(answer.body) > LARGE:
        return await asyncio.to_thread(squeezed, answer, asked)
    return squeezed(answer, asked)


def _asked(connection: ServerConnection) -> tuple[str, str]:
    path, _, query = connection.request.path.partition("?") if connection.request else ("", "", "")
    return path, query


def _is_ingest(connection: ServerConnection) -> bool:
    return _asked(connection)[0] == "/v1/ingest"


def _is_abusive(connection: ServerConnection) -> bool:
    """Whether it leaves too much unread (viewers are watched where they are served), or a message unfinished."""
    unread = _is_ingest(connection) and connection.transport.get_write_buffer_size() > MAX_UNSENT
    return unread or (isinstance(connection, Connection) and connection.is_stuck(time.monotonic()))


def _address(connection: ServerConnection) -> str:
    peer = connection.remote_address
    return str(peer[0]) if peer else ""


async def run(settings: Settings) -> None:
    """The gateway's role: serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the settings do not suffice.
        Damaged: the journal cannot be read.
        OSError: the port is taken, or the directory cannot be written.
    """
    if len(settings.secret.get_secret_value()) < MIN_SECRET:
        raise SettingsError(f"secret: it has to be set, and at least {MIN_SECRET} characters long (TIDEWATCH_SECRET)")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await serve_until(settings, stop, warm=_warm)


def _warm() -> None:
    words.warm()
    spare_collector()  # behind it: words and their trees are most of what a gateway holds


async def serve_until(
    settings: Settings,
    stop: asyncio.Event,
    ready: asyncio.Future[int] | None = None,
    warm: Callable[[], None] = words.warm,
) -> None:
    """Serve until `stop`; `ready` is told the port, and `warm` called beside it."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # an outage is said once, by `Broker`
    warming = asyncio.create_task(asyncio.to_thread(warm))
    broker = Broker(settings.kafka.bootstrap, embedded=settings.data is not None)
    backing = _embedded(settings.data, settings, broker) if settings.data else _production(settings, broker)
    gateway = Gateway(settings, backing, broker)
    chores = [
        asyncio.create_task(chore)
        for chore in (*backing.chores, gateway.mirror.run(), gateway.links.run(), gateway.sweep())
    ]
    try:
        async with _listening(gateway, settings) as server:
            port = int(next(iter(server.sockets)).getsockname()[1])
            _tell_port(settings.data, port)
            log.info("gateway_listens", host=settings.gateway.host, port=port)
            if ready is not None:
                ready.set_result(port)
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, *chores}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            await gateway.stop(server)
        for chore in chores:
            if chore.done():
                chore.result()
    finally:
        for chore in reversed(chores):
            chore.cancel()
        await asyncio.gather(*chores, warming, return_exceptions=True)
        await gateway.handover.close()
        await gateway.api.close()
        await gateway.links.close()
        await broker.close()


def _embedded(data: Path, settings: Settings, broker: Broker) -> Backing:
    store = JournalStore(data, settings.kafka.partitions)
    feeder = Feeder(store.journal, broker, store.applied, settings.kafka.partitions)

    def measure(metrics: Metrics) -> None:
        metrics.pending.set(store.journal.pending)
        metrics.position.set(store.journal.last)
        metrics.fed.set(store.journal.fed)

    needs = {"journal": lambda: store.journal.failing}
    return Backing(store, [store.run(), feeder.run(), ticker.run(store.tick)], needs, measure)


def _production(settings: Settings, broker: Broker) -> Backing:
    store = DirectStore(broker, Shared(settings.redis.url.get_secret_value()), settings.kafka.partitions)

    def measure(metrics: Metrics) -> None:
        metrics.pending.set(store.pending)

    return Backing(store, [store.run(), ticker.run(store.tick)], {"topic": store.why_not}, measure)


@contextlib.asynccontextmanager
async def _listening(gateway: Gateway, settings: Settings) -> AsyncIterator[Server]:
    quiet = logging.getLogger("tidewatch.gateway.sockets")
    quiet.setLevel(logging.CRITICAL)  # what strangers send is counted, not logged line by line
    server = await serve(
        gateway.serve_one,
        settings.gateway.host,
        settings.gateway.port,
        process_request=gateway.request,
        select_subprotocol=choose_subprotocol,
        create_connection=partial(Connection, asks_within_s=HANDSHAKE_S),  # type: ignore[arg-type]  # it is only called
        compression=None,
        server_header=None,
        open_timeout=ANSWER_S,
        ping_interval=PING_S,
        ping_timeout=PONG_S,
        close_timeout=2,
        max_size=INGEST_BYTES,
        max_queue=4,
        write_limit=32 << 10,
        logger=quiet,
        backlog=1_024,
    )
    try:
        yield server
    finally:
        server.close(code=RESTARTING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await server.wait_closed()


def _tell_port(data: Path | None, port: int) -> None:
    """Write the port where the supervisor looks for it; whole or not at all."""
    if data is None:
        return
    ports = data / "ports"
    ports.mkdir(parents=True, exist_ok=True)
    draft = ports / f".gateway.{os.getpid()}"
    draft.write_text(f"{port}\n")
    draft.replace(ports / "gateway")


def boards_of(settings: Settings) -> Path | None:
    """Where the boards lie; None: nowhere."""
    return settings.boards or (settings.data / "boards" if settings.data else None)


def _run(settings: Settings) -> str:
    """The run of the embedded stack that goes on, as its supervisor wrote it down; empty: none."""
    try:
        said = json.loads((settings.data / "run.json").read_text()) if settings.data else {}
    except (OSError, ValueError):
        return ""
    return str(said.get("run") or said.get("pid") or "") if isinstance(said, dict) else ""
