"""A TCP proxy that breaks what goes through it: in front of the broker, Redis, ClickHouse, the gateway, a webhook.

`with Proxy(host, port) as proxy`: connect to `proxy.port`; set `proxy.fault` at any time, also for connections that are
open. What a fault does is told below; `Fault()` is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any, Self

CHUNK = 65_536


@dataclass(frozen=True)
class Fault:
    """What happens to the bytes. The default: nothing."""

    latency_s: float = 0.0
    """Each chunk waits so long."""
    bytes_per_s: int = 0
    """Bandwidth of each direction; 0: no bound."""
    slice_bytes: int = 0
    """Chunks are cut into pieces of so many bytes; 0: as they come."""
    black_hole: bool = False
    """Connections open; what is sent is swallowed, and nothing comes back."""
    half_open: bool = False
    """Requests go through; answers are swallowed."""
    refuse: bool = False
    """New connections are reset at once, open ones too."""
    cut_after_request: bytes = b""
    """The connection is reset as soon as the answer to a request that held these bytes begins: the other side has done
    what it was asked, and nobody hears of it."""
    every: int = 1
    """Only every so-many-th of those is cut."""


class Proxy:
    """One listening port on loopback, in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.fault = Fault()
        self.cuts = 0
        """How many answers were cut off."""
        self._seen = 0
        self.port = 0
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open (each has two ends)."""
        return len(self._open) // 2

    def reset(self) -> None:
        """Reset every open connection."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault.refuse:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, far_writer}
        asked = [False]
        try:
            ways = (self._pass(reader, far_writer, False, asked), self._pass(far_reader, writer, True, asked))
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open -= {writer, far_writer}
            for one in (writer, far_writer):
                one.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: bool, asked: list[bool]
    ) -> None:
        tail = b""
        while data := await reader.read(CHUNK):
            fault = self.fault
            if fault.refuse:
                raise ConnectionResetError
            if not back and fault.cut_after_request:
                asked[0] |= fault.cut_after_request in tail + data
                tail = data[-len(fault.cut_after_request) :]
            if back and asked[0]:
                asked[0] = False
                if self._is_due(fault):
                    _reset(writer)
                    raise ConnectionResetError
            if fault.black_hole or (back and fault.half_open):
                continue
            await self._send(writer, data, fault)
        if not self.fault.black_hole:
            with contextlib.suppress(OSError):
                writer.write_eof()

    def _is_due(self, fault: Fault) -> bool:
        self._seen += 1
        due = bool(fault.cut_after_request) and self._seen % fault.every == 0
        self.cuts += due
        return due

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, fault: Fault) -> None:
        if fault.latency_s:
            await asyncio.sleep(fault.latency_s)
        size = fault.slice_bytes or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            writer.write(piece)
            await writer.drain()
            if fault.bytes_per_s:
                await asyncio.sleep(len(piece) / fault.bytes_per_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST rather than FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
