"""What is freed goes back to the machine, though something above it is still in use."""

from __future__ import annotations

import asyncio
import ctypes

import psutil
import pytest

from config import spare

BLOCK, BLOCKS = 4_096, 20_000


@pytest.mark.skipif(spare.trimmer() is None, reason="another C library than glibc")
def test_what_was_freed_is_given_back_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "EVERY_S", 0.01)
    c = ctypes.CDLL(None)
    c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [c.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        c.free(block)
    held = psutil.Process().memory_info().rss

    async def given_back() -> None:
        async with asyncio.timeout(60):
            while held - psutil.Process().memory_info().rss < BLOCK * BLOCKS // 2:
                await asyncio.sleep(0.02)

    asyncio.run(spare.sparing(given_back()))
    c.free(blocks[-1])
