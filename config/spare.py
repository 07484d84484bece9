"""Gives back to the machine what a process holds and does not use: after a start or a catch-up, tens of megabytes.

The C library gives back of freed memory by itself only what lies above everything that is still in use. And of a
library's code what ran once at its start stays mapped for good: of the embedded engine's half gigabyte a hundred.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

FIRST_S = 10.0
"""By then a role has started, and read what it begins with."""
EVERY_S = 60.0
LARGE = 16 << 20
"""A smaller file's pages are not worth asking for again."""
_READ_ONLY = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9].*\n(?:\w+:.*\n)*?Anonymous: +0 kB\n", re.MULTILINE
)


def trimmer() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`, which takes some milliseconds; None: another C library."""
    with suppress(AttributeError, OSError):
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    return None


def unmap() -> None:
    """Let go of the pages of large files that are mapped to be read only. One that is read again comes from the
    machine's cache of files, some sixteen at a time in about a microsecond. Nothing where the system is not Linux.
    """
    with suppress(AttributeError, OSError):
        advise = ctypes.CDLL(None).madvise
        for start, end in mapped():
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def mapped() -> Iterator[tuple[int, int]]:
    """Where large files are mapped for reading alone, and no page is this process's own: those would be lost."""
    for found in _READ_ONLY.finditer(Path("/proc/self/smaps").read_bytes()):
        start, end = int(found[1], 16), int(found[2], 16)
        if end - start >= LARGE:
            yield start, end


async def sparing(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; give back soon after its start and once a minute meanwhile."""
    giving = asyncio.create_task(_for_ever(trimmer()))
    try:
        await work
    finally:
        giving.cancel()


async def _for_ever(trim: Callable[[int], int] | None) -> None:
    pause = FIRST_S
    while True:
        await asyncio.sleep(pause)
        pause = EVERY_S
        if trim is not None:
            await asyncio.to_thread(trim, 0)
        await asyncio.to_thread(unmap)
