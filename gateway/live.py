"""One viewer on `ws /v1/live`: frames out at the viewer's own pace, wishes in.

Each viewer has at most one frame in flight and one integer, what it has seen. So a slow one costs no memory and gets
newer states in place of older ones. Who has more unsent than that frame and 256 KiB (pongs to somebody who pings and
never reads pile up unasked), or takes nothing for 10 s, is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from config.settings import Settings
from gateway.frames import PIECE, RIGHTS, Pieces, Scope, Shared, rights
from gateway.mirror import Mirror
from gateway.orders import Order, Refused, Watch, decide, parse, refused

__all__ = ["Mirror", "serve_live"]

log = structlog.get_logger()

MOST_UNSENT = 256 * 1024
"""Bytes a viewer may have unsent beyond the frame in flight."""

NO_PROGRESS_S = 10.0
_PING_S = 5.0
_KERNEL_BYTES = 64 * 1024
"""What the kernel may hold for one viewer: beyond it we want to know that nobody reads."""

_PACE_S = 0.25
"""At most four frames a second, from begin to begin. The present is written a little less often (`sinks.redis`), so a
viewer waits for a write and has it at once; were it the other way round, each write would wait for the viewer."""

_BEAT_S = 1.5
"""A frame at least this often; the contract promises 2 s."""

_ORDERS = 20
_ORDERS_S = 10.0
"""So many orders in so many seconds; a person needs fewer."""

Send = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | None]]
"""Has an order carried out; returns once it is stored, with what the reply says beside that; raises where it cannot."""


class Claims(Protocol):
    """Who looks, as their token says. `exp` in seconds since the epoch."""

    @property
    def sub(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def roles(self) -> Iterable[str]: ...
    @property
    def exp(self) -> float: ...


@dataclass(eq=False)
class _Viewer:
    connection: ServerConnection
    mirror: Mirror
    scope: Scope
    feed: Shared
    sub: str
    roles: frozenset[str]
    send: Send | None
    rewatched: bool = False
    """It watches other keys than in its last frame."""
    in_flight: int = 0
    unsent: int = 0
    moved_at: float = field(default_factory=time.monotonic)
    """When it was last seen to take anything."""
    pong: asyncio.Future[float] | None = None
    pinged_at: float = field(default_factory=time.monotonic)
    ordered: list[float] = field(default_factory=list)

    def check(self, now: float) -> None:
        """Cut whoever takes nothing any more."""
        unsent = self.connection.transport.get_write_buffer_size()
        answered = self.pong is None or self.pong.done()
        if (unsent == 0 and answered) or unsent < self.unsent:
            self.moved_at = now
        self.unsent = unsent
        if unsent > self.in_flight + MOST_UNSENT or now - self.moved_at > NO_PROGRESS_S:
            log.info("live_viewer_cut", unsent=unsent, still_s=round(now - self.moved_at, 1))
            self.mirror.viewers.discard(self)
            self.connection.transport.abort()


async def serve_live(
    connection: ServerConnection, claims: Claims, mirror: Mirror, _settings: Settings, commands: Send | None = None
) -> None:
    """Serve one viewer until either side ends it. Closes with 4403 without a right, with 4401 once the token ends."""
    roles = frozenset(role for role in claims.roles if role in RIGHTS)
    if not roles:
        await connection.close(4403, "this needs the role supervisor, analyst, admin or viewer")
        return
    scope = Scope(claims.tenant, reads="drill" in rights(roles))
    viewer = _Viewer(connection, mirror, scope, mirror.feed(scope), claims.sub, roles, commands)
    _narrow(connection)
    mirror.viewers.add(viewer)
    try:
        async with asyncio.timeout(max(0.0, claims.exp - time.time())):
            await _serve(viewer)
    except TimeoutError:
        await connection.close(4401, "the token has ended")
    finally:
        mirror.viewers.discard(viewer)


async def _serve(viewer: _Viewer) -> None:
    """Tell and hear side by side until one of them ends, and the other with it."""
    both = {asyncio.create_task(_tell(viewer)), asyncio.create_task(_hear(viewer))}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        ends = await asyncio.gather(*both, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
            raise end


async def _hear(viewer: _Viewer) -> None:
    async for message in viewer.connection:
        await viewer.connection.send(msgspec.json.encode(await _answer(viewer, message)), text=True)


async def _tell(viewer: _Viewer) -> None:
    """Send the newest state, again and again: what is not seen yet, when there is something, or on the beat."""
    mirror, held = viewer.mirror, viewer.mirror.held
    seen: int | None = None
    while True:
        begun = time.monotonic()
        frame, seen, stale = _frame(viewer, seen), held.version, mirror.stale
        viewer.in_flight = PIECE
        await viewer.connection.send(frame[0] if len(frame) == 1 else _one_by_one(viewer, frame), text=True)
        viewer.in_flight = 0
        await _ping(viewer)
        await asyncio.sleep(max(0.0, begun + _PACE_S - time.monotonic()))
        await mirror.until(partial(_news, viewer, seen, stale), _BEAT_S - _PACE_S)


async def _one_by_one(viewer: _Viewer, pieces: Pieces) -> AsyncIterator[bytes]:
    """A large frame piece by piece, each once the one before is on its way: it waits here, once for all viewers."""
    for piece in pieces:
        yield piece
        viewer.moved_at = time.monotonic()


def _news(viewer: _Viewer, seen: int, stale: str | None) -> bool:
    return viewer.mirror.held.version > seen or viewer.mirror.stale != stale or viewer.rewatched


def _frame(viewer: _Viewer, seen: int | None) -> Pieces:
    mirror = viewer.mirror
    feed, whole = viewer.feed, viewer.rewatched
    viewer.rewatched = False
    if seen is None or seen < mirror.held.floor:
        return feed.snapshot(mirror.held, mirror.now(), viewer.sub, viewer.roles)
    return feed.delta(mirror.held, mirror.now(), seen, whole)


async def _ping(viewer: _Viewer) -> None:
    """Ask now and then whether anybody reads: what the two kernels hold between us looks the same as what was read."""
    now = time.monotonic()
    if now - viewer.pinged_at >= _PING_S and (viewer.pong is None or viewer.pong.done()):
        viewer.pong, viewer.pinged_at = asyncio.ensure_future(await viewer.connection.ping()), now


async def _answer(viewer: _Viewer, message: str | bytes) -> dict[str, Any]:
    told: Mapping[str, Any] = {}
    try:
        frame = parse(message)
        wish = await _decided(viewer, frame)
        if isinstance(wish, Watch):
            viewer.scope, viewer.feed, viewer.rewatched = wish.scope, viewer.mirror.feed(wish.scope), True
            viewer.mirror.wake()
        else:
            told = await _order(viewer, wish.value) or {}
    except Refused as refusal:
        return {"kind": "reply", "ok": False, "error": str(refusal)}
    return {"kind": "reply", "ok": True, **told}


async def _decided(viewer: _Viewer, frame: dict[str, Any]) -> Watch | Order:
    """What a frame comes to. An order refused here is told to the audit before its viewer hears of it.

    Raises:
        Refused: the viewer may not have it.
    """
    try:
        return decide(frame, viewer.scope, viewer.sub, viewer.roles, viewer.mirror.held)
    except Refused as refusal:
        told = refused(frame, viewer.scope, viewer.sub, str(refusal))
        if told is not None and viewer.send is not None:
            with contextlib.suppress(Refused):  # the notifier says the same again, once it has written it down
                await _order(viewer, told.value)
        raise


async def _order(viewer: _Viewer, order: dict[str, Any]) -> Mapping[str, Any] | None:
    now = time.monotonic()
    viewer.ordered = [at for at in viewer.ordered if now - at < _ORDERS_S] + [now]
    if len(viewer.ordered) > _ORDERS:
        raise Refused("too many orders; wait a few seconds")
    if viewer.send is None:
        raise Refused("this gateway cannot carry out orders")
    try:
        return await viewer.send({**order, "from": _address(viewer.connection)})
    except Refused:
        raise
    except Exception as error:
        log.warning("live_order_failed", order=order["do"], error=type(error).__name__)
        raise Refused("the order could not be stored; try again") from error


def _address(connection: ServerConnection) -> str:
    """Where a viewer asks from, for the audit."""
    peer = connection.remote_address
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _narrow(connection: ServerConnection) -> None:
    raw = connection.transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
