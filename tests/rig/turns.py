"""Told to end after every number of turns of the loop: whoever loses the call in one of them goes on for ever."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

WITHIN_S = 20
"""Far more than an end takes, far less than for ever."""


class _Rude(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@asynccontextmanager
async def who_hangs_up() -> AsyncIterator[int]:
    """The port of a server that ends every connection as soon as it is there, in this very loop."""
    async with await asyncio.get_running_loop().create_server(_Rude, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])


async def cancelled_at(turns: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A part of a role, cancelled after so many turns, ends."""
    task = asyncio.create_task(work())
    await _pass(turns)
    task.cancel()
    await asyncio.wait({task}, timeout=WITHIN_S)
    assert task.done(), f"cancelled after {turns} turns of the loop, it goes on: {task}"


async def told_at(turns: int, role: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A role that is sent SIGTERM so many turns after it has begun ends without an error; whatever it leaves behind
    can be cancelled, as the end of a loop does it.
    """
    before = asyncio.all_tasks()
    task = asyncio.create_task(role())
    await _pass(1 + turns)  # in its first step it begins to listen
    assert not task.done(), "it was to stand until told to end"
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait({task}, timeout=WITHIN_S)
    assert task.done(), f"told to end after {turns} turns of the loop, it goes on: {task}"
    task.result()
    await _pass(3)  # who hangs up has done so: no task of the test's is among what is left
    left = asyncio.all_tasks() - before - {task}
    for one in left:
        one.cancel()
    going_on = (await asyncio.wait(left, timeout=WITHIN_S))[1] if left else set()
    assert not going_on, f"told to end after {turns} turns of the loop, it leaves who goes on: {going_on}"


async def _pass(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
