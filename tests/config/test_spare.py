"""What is freed goes back to the machine, though something above it is still in use."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import re
import sys
from pathlib import Path

import psutil
import pytest

from config import spare

BLOCK, BLOCKS = 4_096, 20_000


@pytest.mark.skipif(spare.trimmer() is None, reason="another C library than glibc")
def test_what_was_freed_is_given_back_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "FIRST_S", 0.01)
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


def held(address: int) -> int:
    """KiB of the mapping at an address that are in memory."""
    text = Path("/proc/self/smaps").read_text()
    found = re.search(rf"^{address:08x}-.*\n(?:\w+:.*\n)*?Rss: +(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(sys.platform != "linux", reason="another system")
def test_a_file_that_is_only_read_is_let_go_and_read_again_and_what_was_written_stays(tmp_path: Path) -> None:
    said = bytes(range(256)) * 16
    file = tmp_path / "library"
    file.write_bytes(said * (spare.LARGE // len(said)))
    c = ctypes.CDLL(None, use_errno=True)
    with file.open("rb") as opened:
        code, own = (
            mmap.mmap(opened.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) for _ in range(2)
        )
    own[5_000:5_003] = b"own"
    places = [ctypes.addressof(ctypes.c_char.from_buffer(one)) for one in (code, own)]
    for place, one in zip(places, (code, own), strict=True):
        assert c.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(len(one)), mmap.PROT_READ) == 0
        assert one[:].count(b"\0") >= spare.LARGE // 256 - 1
        assert held(place) == spare.LARGE >> 10
    spare.unmap()
    assert [held(place) for place in places] == [0, spare.LARGE >> 10]
    assert code[-4_096:] == said
    assert own[5_000:5_003] == b"own"
