"""Gives back to the machine what the C library keeps of freed memory: after a start or a catch-up, tens of megabytes a
process, for it gives back by itself only what lies above everything that is still in use.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

EVERY_S = 60.0


def trimmer() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`, which takes some milliseconds; None: another C library."""
    with suppress(AttributeError, OSError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return None


async def sparing(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; give back once a minute meanwhile."""
    trimming = asyncio.create_task(_for_ever(trimmer()))
    try:
        await work
    finally:
        trimming.cancel()


async def _for_ever(trim: Callable[[int], int] | None) -> None:
    while trim is not None:
        await asyncio.sleep(EVERY_S)
        await asyncio.to_thread(trim, 0)
