"""FAULTS C-08: ClickHouse's disk is full. Nothing is committed, and once there is room all goes on by itself."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.sinking import Sink, there
from tests.integration.outside import wait
from tests.rig.clickhouse import running
from tests.sinks.test_store import Broker, reading

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
SIZE_MB = 96
TOLD = ("NOT_ENOUGH_SPACE", "CANNOT_WRITE", "No space left")


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of its own in memory; the test is skipped where there are no rights to make one."""
    place.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tidewatch-test", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small file system can be made here: {error}")
    if done.returncode:
        pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more goes in."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as whole:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while whole.write(b"\xff" * size):
                    pass


def test_c08_a_full_disk_of_clickhouse_is_waited_out_and_nothing_is_lost_or_double(
    broker: Broker, tmp_path: Path
) -> None:
    store = tmp_path / "server" / "store"
    with small_disk(store), running(tmp_path / "server") as server:
        sink = Sink(broker, tmp_path / "sink", server.port)
        broker.send(*(reading(n) for n in range(50)))
        wait("the first rows", lambda: there(server, 0) == (50, 50))
        fill(store / "filler")
        broker.send(*(reading(n) for n in range(50, 1_000)))
        wait("it is told", lambda: any(word in sink.log.read_text() for word in TOLD))
        assert there(server, 0) == (50, 50)
        (store / "filler").unlink()
        wait("all rows, by itself", lambda: there(server, 0) == (1_000, 1_000))
        fill(store / "filler")
        said = len(sink.log.read_text())
        broker.send(*(reading(n) for n in range(1_000, 2_000)))
        wait("it is told again", lambda: any(word in sink.log.read_text()[said:] for word in TOLD))
        sink.process.kill()
        again = Sink(broker, tmp_path / "sink", server.port)
        (store / "filler").unlink()
        wait("what was not stored was not committed", lambda: there(server, 0) == (2_000, 2_000))
        assert again.end() == 0
