"""Connections that cannot be held open with half a message, nor made to hold it in a million pieces."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode, Frame, Opcode

MAX_FRAGMENTS = 1_024
"""Of one message. Each costs fifty times its byte in memory; nobody who writes chat needs more."""
MAX_UNFINISHED_S = 25.0
"""A message that has begun must end within it."""


class Connection(ServerConnection):
    """A server connection that counts fragments. `unfinished_since` is when the message under way began, or None.

    Whoever connects asks within `asks_within_s` seconds, or is cut.
    """

    def __init__(self, *args: Any, asks_within_s: float = 5, **more: Any) -> None:
        super().__init__(*args, **more)
        self.unfinished_since: float | None = None
        self._fragments = 0
        self._asks_within_s = asks_within_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A stranger has connected."""
        super().connection_made(transport)
        self.loop.call_later(self._asks_within_s, self._cut_the_silent)

    def _cut_the_silent(self) -> None:
        if self.request is None:
            self.transport.abort()

    def process_event(self, event: Any) -> None:
        """Take a frame, or fail the connection."""
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._fragments += 1
            if event.fin:
                self._fragments, self.unfinished_since = 0, None
            elif self.unfinished_since is None:
                self.unfinished_since = time.monotonic()
            if self._fragments > MAX_FRAGMENTS:
                self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
                self.send_data()
                return
        super().process_event(event)

    def is_stuck(self, now: float) -> bool:
        """Whether a message has been under way for too long."""
        return self.unfinished_since is not None and now - self.unfinished_since > MAX_UNFINISHED_S
