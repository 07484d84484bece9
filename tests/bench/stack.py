"""The embedded stack as `tidewatch up` runs it, in processes of its own, and what these take."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.integration.outside import wait

ROLES = ("gateway", "worker", "sink", "notifier", "broker", "leash")
_SERVE = """
import sys, tidewatch.wear as wear
from tidewatch.cli import main
speed = float(sys.argv.pop(1))
wear.LIFE_S, wear.YOUNG_S, wear.LATELY_S = wear.LIFE_S / speed, wear.YOUNG_S / speed, max(20.0, wear.LATELY_S / speed)
main()
"""


@contextmanager
def supervised(directory: Path, speed: float = 1.0, more: Sequence[str] = ()) -> Iterator[psutil.Process]:
    """The stack's supervisor, just started. `speed`: how many times as fast the broker's least life runs out; `more`:
    further words of the command.
    """
    command = [sys.executable, "-c", _SERVE, str(speed), "up", "--data", str(directory), "--port", "0", *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def entry(directory: Path) -> dict[str, str]:
    """How to get in; empty before the stack is ready for the first time."""
    access = directory / "access.json"
    return dict(json.loads(access.read_text())) if access.exists() else {}


@contextmanager
def serving(directory: Path, speed: float = 1.0) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """The stack, ready, with how to get in."""
    with supervised(directory, speed) as supervisor:
        yield supervisor, wait("the stack", lambda: entry(directory))


def name_of(process: psutil.Process) -> str:
    """What a process of the stack is: a role, a server, or the supervisor."""
    words = process.cmdline()
    return next((role for role in ROLES for word in words if role == word or f"{role}.py" in word), process.name())


def members(supervisor: psutil.Process) -> Iterator[tuple[str, psutil.Process]]:
    """All processes of a stack that live now, by what they are."""
    for process in [supervisor, *supervisor.children(recursive=True)]:
        try:
            name = "supervisor" if process is supervisor else name_of(process)
        except psutil.Error:  # it has just ended
            continue
        yield name, process


def held(supervisor: psutil.Process) -> dict[str, int]:
    """Bytes of each process, what is shared by its share."""
    found: dict[str, int] = {}
    for name, process in members(supervisor):
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        pss = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        found[name] = found.get(name, 0) + 1024 * next(pss, 0)
    return found


def cpu_s(supervisor: psutil.Process) -> dict[str, float]:
    """Seconds of processor time each has used so far."""
    found: dict[str, float] = {}
    for name, process in members(supervisor):
        try:
            used = process.cpu_times()
        except psutil.Error:
            continue
        found[name] = found.get(name, 0.0) + used.user + used.system
    return found


def told(sample: dict[str, int]) -> str:
    """What the stack held, in words, MiB."""
    parts = ", ".join(f"{name} {size >> 20}" for name, size in sorted(sample.items(), key=lambda one: -one[1]))
    return f"{sum(sample.values()) >> 20} MiB ({parts})"
