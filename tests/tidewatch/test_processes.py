"""Children and their logs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tidewatch import processes
from tidewatch.processes import Child, Log, Nursery


def with_child(tmp_path: Path, script: str, story: Callable[[Child, Log], Awaitable[None]]) -> None:
    async def main() -> None:
        nursery, log = Nursery(), Log(tmp_path / "child.log")
        await nursery.open()
        child = await nursery.spawn("child", [sys.executable, "-c", script], {}, log)
        try:
            await story(child, log)
        finally:
            child.kill()
            await nursery.close()

    asyncio.run(main())


def test_everything_a_child_said_is_written_when_it_has_ended(tmp_path: Path) -> None:
    async def story(child: Child, log: Log) -> None:
        assert await child.wait() == 3
        assert log.path.stat().st_size == 300_000 + len("last words\n")
        assert log.last == "last words"

    with_child(tmp_path, "import sys; print('x' * 299_999); print('last words'); sys.exit(3)", story)


def test_an_end_is_not_held_up_by_a_grandchild_which_ends_too(tmp_path: Path) -> None:
    async def story(child: Child, log: Log) -> None:
        await asyncio.wait_for(child.wait(), 60)  # it would sleep much longer
        grandchild = Path(f"/proc/{log.last}")
        async with asyncio.timeout(60):
            while grandchild.exists() and "Z" not in (grandchild / "stat").read_text().rpartition(")")[2]:
                await asyncio.sleep(0.02)

    script = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0).pid)"
    with_child(tmp_path, script.replace("'input()'", "'import time; time.sleep(600)'"), story)


def test_who_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    async def story(child: Child, log: Log) -> None:
        async with asyncio.timeout(10):
            while log.last != "here":
                await asyncio.sleep(0.02)
        await child.stop(0.2)
        assert await child.wait() == -9

    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"
    with_child(tmp_path, script, story)


def test_a_log_keeps_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 1_000)
    log = Log(tmp_path / "x.log")
    for n in range(100):
        log.write(f"line {n:04} {'.' * 90}\n".encode())
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["x.log", "x.log.1"]
    assert all(path.stat().st_size <= 1_200 for path in tmp_path.iterdir())
    assert log.last.startswith("line 0099")


def test_a_full_disk_costs_lines_and_is_counted(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    log = Log(tmp_path / "x.log")
    log.path.symlink_to("/dev/full")
    log.write(b"lost\n")
    log.close()
    assert (log.lost, log.last) == (5, "lost")
