from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import journal as module
from gateway.journal import Damaged, Full, Journal
from gateway.packing import Load, load_events, load_tick
from streams.events import Event, Tick, decode_record
from tests.gateway.rig import run, until


@contextlib.asynccontextmanager
async def opened(directory: Path, partitions: int = 2, floor: int = 0) -> AsyncIterator[Journal]:
    """A journal that writes until the block ends."""
    journal = Journal(directory, partitions, floor)
    writing = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await journal.close()


def load(*idents: str, text: str = "") -> Load:
    return load_events([Event(id=one, kind="message", at=0, conversation="c", text=text) for one in idents], 2)


def everything(journal: Journal, position: int = 1) -> list[tuple[int, list[str]]]:
    """All records from a position on: their positions and what is in them."""
    found, size = [], 1
    while records := journal.read(position, size):
        for one in records:
            record = decode_record(one.payload)
            found.append((one.position, [event.id for event in record.events] or ["tick"]))
        position = records[-1].position + 1
    return found


def test_what_was_acknowledged_is_read_back_in_order_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            assert await journal.append(load("a")) == 1
            assert await journal.append(load_tick(Tick(1), 2)) == 3
        async with opened(tmp_path) as journal:
            assert await journal.append(load("b", "c")) == 4
            assert everything(journal) == [(1, ["a"]), (2, ["tick"]), (3, ["tick"]), (4, ["b", "c"])]
            assert everything(journal, 4) == [(4, ["b", "c"])]
            assert everything(journal, 5) == []

    run(story())


def test_what_comes_together_is_written_together(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            assert await asyncio.gather(*(journal.append(load(str(n))) for n in range(100))) == [1] * 100

    run(story())


@pytest.mark.parametrize("torn", [1, 10, 20, 30, -1, -15])
def test_a_torn_tail_is_cut_off_and_writing_goes_on(tmp_path: Path, torn: int) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            await journal.append(load("a"))
            await journal.append(load("b"))
        [segment] = tmp_path.glob("*.log")
        whole = segment.read_bytes()
        half = len(whole) // 2
        segment.write_bytes(whole + whole[half : half + torn] if torn > 0 else whole[:torn])
        async with opened(tmp_path) as journal:
            assert journal.last == (2 if torn > 0 else 1)
            assert await journal.append(load("c")) == journal.last
            assert [ids for _, ids in everything(journal)] == ([["a"], ["b"], ["c"]] if torn > 0 else [["a"], ["c"]])

    run(story())


def test_positions_never_fall_when_the_journal_is_cut_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1_000)

    async def story() -> None:
        async with opened(tmp_path) as journal:
            for number in range(20):
                await journal.append(load(str(number), text="x" * 400))
            assert len(list(tmp_path.glob("*.log"))) > 5
            await journal.cut(10)
            assert journal.first <= 11
            assert everything(journal, 11)[0] == (11, ["10"])
            await journal.cut(10**9)
            assert everything(journal, 1) == []
        async with opened(tmp_path) as journal:
            assert journal.last == 20
            assert await journal.append(load("next")) == 21

    run(story())


def test_positions_begin_above_whatever_anybody_has_seen(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            await journal.append(load("a"))
        async with opened(tmp_path, floor=40) as journal:
            assert await journal.append(load("b")) == 41
            assert everything(journal) == [(1, ["a"]), (41, ["b"])]
        async with opened(tmp_path) as journal:
            assert journal.last == 41

    run(story())


def test_a_damaged_segment_that_was_whole_is_refused_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100)

    async def story() -> None:
        async with opened(tmp_path) as journal:
            for number in range(4):
                await journal.append(load(str(number), text="x" * 200))
            first = min(tmp_path.glob("*.log"))
            data = bytearray(first.read_bytes())
            data[-5] ^= 1
            first.write_bytes(data)
            with pytest.raises(Damaged, match="restore it from a backup"):
                everything(journal)

    run(story())


def test_nothing_of_what_cannot_be_written_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            await journal.append(load("a"))
            failed: list[bool] = []
            journal.on_failure = lambda: failed.append(True)
            monkeypatch.setattr(module, "MIN_FREE", 1 << 60)  # a disk that is full for us
            with pytest.raises(Full):
                await journal.append(load("lost"))
            assert failed == [True]
            with pytest.raises(Full):
                journal.room()
            monkeypatch.setattr(module, "MIN_FREE", 0)
            journal.room()
            assert await journal.append(load("b")) == 2
            assert everything(journal) == [(1, ["a"]), (2, ["b"])]

    run(story())


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="a small disk is mounted, which only root may")
def test_a_disk_that_runs_full_costs_no_acknowledged_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_FREE", 0)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")

    async def story() -> None:
        async with opened(tmp_path) as journal:
            acknowledged = 0
            with contextlib.suppress(Full):
                while True:
                    await journal.append(load(str(acknowledged), text="x" * 5_000))
                    acknowledged += 1
            assert [ids for _, ids in everything(journal)] == [[str(number)] for number in range(acknowledged)]
            assert acknowledged > 100

    try:
        run(story())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_too_much_waiting_for_the_disk_is_answered_with_retry(tmp_path: Path) -> None:
    async def story() -> None:
        journal = Journal(tmp_path, 2)  # nobody writes
        future = journal.append(load("a", text="x" * 8_000))
        journal.pending = module.MAX_PENDING + 1
        with pytest.raises(Full):
            journal.room()
        assert not future.done()
        await journal.close()

    run(story())


def test_what_waits_at_a_stop_is_still_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            await asyncio.sleep(0)  # the writer waits
            last = journal.append(load("a"))
        assert await last == 1
        async with opened(tmp_path) as journal:
            assert journal.last == 1

    run(story())


def test_a_reader_is_woken_by_what_is_safe(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as journal:
            reader = asyncio.create_task(journal.grown(0))
            await asyncio.sleep(0)
            assert not reader.done()
            await journal.append(load("a"))
            await until(reader.done)

    run(story())


_WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.journal import Journal
from gateway.packing import load_events
from streams.events import Event

async def main():
    journal = Journal(Path(sys.argv[1]), 2)
    asyncio.create_task(journal.run())
    async def line(name):
        for number in range(10**9):
            ident = f"{name}-{journal.last}-{number}"
            await journal.append(load_events([Event(id=ident, kind="message", at=0, conversation=name)], 2))
            print(ident, flush=True)
    await asyncio.gather(*(line(f"{sys.argv[2]}{n}") for n in range(5)))

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for life in range(5):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), f"life{life}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randint(5, 400)):
                acknowledged.add(writer.stdout.readline().strip())
            writer.send_signal(signal.SIGKILL)
            acknowledged |= {
                line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line[-1:] == "\n"
            }

    async def story() -> None:
        async with opened(tmp_path) as journal:
            found = everything(journal)
            assert [position for position, _ in found] == list(range(1, journal.last + 1))
            assert acknowledged <= {ident for _, idents in found for ident in idents}

    run(story())
    assert len(acknowledged) > 50


def test_reading_on_looks_at_what_is_new_and_not_at_the_segment_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting:
        """The head of a record, and how often one was looked at."""

        def __init__(self) -> None:
            self.seen, self.size, self.pack = 0, HEAD.size, HEAD.pack

        def unpack(self, head: bytes) -> tuple[int, ...]:
            self.seen += 1
            return HEAD.unpack(head)

    HEAD = module._HEAD  # noqa: N806 - as it is called there

    async def story() -> None:
        async with opened(tmp_path) as journal:
            heads = Counting()
            monkeypatch.setattr(module, "_HEAD", heads)
            for n in range(200):
                await journal.append(load(str(n)))
                assert [one.position for one in journal.read(n + 1, 1 << 20)] == [n + 1]
            assert heads.seen <= 2 * 200
            assert [position for position, _ in everything(journal)] == list(range(1, 201))

    run(story())
