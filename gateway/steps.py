"""Long work in small steps, so that one hostile frame does not hold everybody else up.

A piece of work is a generator. It yields None wherever it may pause, or a call that had better be made on a thread of
its own (one long call into a library), and gets back what that call returned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")

Steps = Generator[Callable[[], Any] | None, Any, _T]

AT_A_STRETCH_S = 0.004
"""So long a piece of work holds the loop at the most, but for its longest step."""


def at_once(steps: Steps[_T]) -> _T:
    """All of it, here and now."""
    value: Any = None
    try:
        while True:
            call = steps.send(value)
            value = None if call is None else call()
    except StopIteration as end:
        result: _T = end.value
        return result


async def in_turns(steps: Steps[_T]) -> _T:
    """All of it, letting others have their turn. Who awaits this may be cancelled; the work then ends where it is."""
    value: Any = None
    began = time.perf_counter()
    try:
        while True:
            call = steps.send(value)
            value = None if call is None else await asyncio.to_thread(call)
            if time.perf_counter() - began > AT_A_STRETCH_S:
                await asyncio.sleep(0)
                began = time.perf_counter()
    except StopIteration as end:
        result: _T = end.value
        return result
