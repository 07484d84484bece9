"""`ws /v1/ingest`: frames in, answers out, in order.

A frame is decided and handed to the store in the order in which it came; its answer waits for the store. Up to 64
answers wait; beyond that nothing more is read from the connection, and TCP tells the client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Protocol

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from gateway.doors import Ruling
from gateway.journal import Full
from gateway.metrics import Metrics
from gateway.parse import Frame, NotAFrame
from gateway.session import Session, ack, retry
from gateway.steps import in_turns

log = structlog.get_logger()

IN_FLIGHT = 64
RESTARTING, OVERLOADED, NO_TOKEN = 1012, 1013, 4401


class Store(Protocol):
    """Where frames go."""

    def submit(self, frame: Frame, replay: bool) -> Awaitable[Ruling]:
        """Decide about a frame and store what it brings; resolves once that is safe.

        Raises (at once or later):
            Full: nothing of it was taken.
        """
        ...


class Ingest:
    """One connection. `serve` returns when it has ended; `stop` ends it after what is in flight was answered."""

    def __init__(self, connection: ServerConnection, session: Session, store: Store, metrics: Metrics) -> None:
        self._connection = connection
        self._session = session
        self._store = store
        self._metrics = metrics
        self._answers: asyncio.Queue[tuple[int, Awaitable[Ruling] | int] | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._reader: asyncio.Task[tuple[int, str]] | None = None

    async def serve(self) -> None:
        """Serve until either side ends it."""
        writer = asyncio.create_task(self._write())
        self._reader = asyncio.create_task(self._read())
        try:
            code, reason = await self._reader
        except asyncio.CancelledError:
            code, reason = RESTARTING, "restarting"
        except ConnectionClosed:
            code, reason = 1000, ""
        self._answers.put_nowait(None)
        await writer
        self._metrics.closed.labels(door="ingest", code=str(code)).inc()
        await self._connection.close(code, reason)

    def stop(self) -> None:
        """Read nothing more."""
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> tuple[int, str]:
        """Take frames until the connection must end; the close code, and why."""
        while True:
            await self._slots.acquire()  # before anything is taken: a stop cuts in before the store has the frame
            message = await self._connection.recv()
            now = time.time()
            if now >= self._session.claims.exp:
                return NO_TOKEN, "the token has ended"
            if not isinstance(message, str):
                return 4400, "not a text frame"
            try:
                self._answers.put_nowait(await self._answer(message, int(now * 1_000)))
            except NotAFrame as end:
                return end.code, str(end)

    async def _answer(self, message: str, now_ms: int) -> tuple[int, Awaitable[Ruling] | int]:
        """The frame's number, and what its answer waits for (or after how many ms it may come again)."""
        number, frame = await in_turns(self._session.receiving(message, now_ms))
        self._metrics.frames.inc()
        wait_ms = self._session.too_fast(frame, now_ms)
        if wait_ms:
            return number, wait_ms
        try:
            return number, self._store.submit(frame, self._session.replay)
        except Full as full:
            return number, full.after_ms

    async def _write(self) -> None:
        gone = False
        while (waiting := await self._answers.get()) is not None:
            number, outcome = waiting
            answer = retry(number, outcome) if isinstance(outcome, int) else await self._outcome(number, outcome)
            if isinstance(outcome, int):
                self._metrics.retries.inc()
            if not gone:
                try:
                    await self._connection.send(answer)
                except ConnectionClosed:
                    gone = True
            self._slots.release()

    async def _outcome(self, number: int, outcome: Awaitable[Ruling]) -> str:
        try:
            ruling = await outcome
        except Full as full:
            self._metrics.retries.inc()
            return retry(number, full.after_ms)
        self._metrics.accepted.inc(ruling.accepted)
        for refusal in ruling.refused:
            self._metrics.refused(refusal.error)
        return ack(number, ruling)
