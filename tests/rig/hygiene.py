"""O8: after a fault no traceback stands in a log, and files, threads and memory of every role are what they were.

A role is known by its name: one that died and was started again is held to what it had before. What has to settle
(sockets that time out, blocks still to be stored) gets its time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

SHARE, SLACK = 0.05, 4
"""Files and threads: so many more are none too many."""
GROWTH, ROOM = 0.15, 64 << 20
"""Memory: so much of what it was, and what the rows of a test leave behind in state and caches."""
SMALL = {"files": 64, "threads": 32, "bytes": 256 << 20}
"""A role that has no more has not grown: one that was started a moment ago has not read yet what the others know."""
ENGINE = {"files": 3 * 200 + 100, "threads": 200, "bytes": 256 << 20}
"""A sink with ClickHouse's engine in its process has pools that grow with what is asked of it, and open parts. Each
thread of the engine that ever ran a query keeps three files of its own open, below /proc."""
SETTLED_S = 60.0
MOST_TOLD = 3_000
_TRACEBACK = re.compile(rb"Traceback \(most recent")

Measures = dict[str, int]


def tracebacks(logs: Path) -> list[str]:
    """Logs that hold one, and the last of it."""
    found = [name for name, many in _tracebacks(logs).items() if many]
    return [f"traceback in: {name}: {_last((logs / name).read_bytes())}" for name in found]


def _last(said: bytes) -> str:
    begin = [found.start() for found in _TRACEBACK.finditer(said)][-1]
    return said[begin : begin + MOST_TOLD].decode(errors="replace")


def _tracebacks(logs: Path, told: bytes = b"") -> dict[str, int]:
    return {path.name: _count(path.read_bytes(), told) for path in sorted(logs.glob("*.log*"))}


def _count(said: bytes, told: bytes) -> int:
    lines = (line for line in said.splitlines() if not (told and told in line))
    return sum(len(_TRACEBACK.findall(line)) for line in lines)


class Hygiene:
    """What the roles had when this was made."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], logs: Path) -> None:
        self._pids, self._logs = pids, logs
        self._before = {name: _measured(pid) for name, pid in pids().items()}
        self._said = sum(_tracebacks(logs).values())
        self.told = b""
        """An error that the fault itself is: a line that tells of it is no finding."""

    def grown(self) -> list[str]:
        """What is more than it was, by role."""
        found = []
        for name, pid in self._pids().items():
            before = self._before.get(name)
            if before is not None:
                more = ENGINE if name == "sink" else {}
                found += [f"{name}: {words}" for words in _more(before, _measured(pid), more)]
        return found

    def wrong(self, patience_s: float = SETTLED_S) -> list[str]:
        """What is wrong and stays so."""
        until = time.monotonic() + patience_s
        while (grown := self.grown()) and time.monotonic() < until:
            time.sleep(0.5)
        more = sum(_tracebacks(self._logs, self.told).values()) - self._said
        return grown + ([f"{more} tracebacks more: {tracebacks(self._logs)}"] if more > 0 else [])


def _more(before: Measures, now: Measures, more: Mapping[str, int]) -> list[str]:
    room = {what: max(round(before[what] * SHARE), SLACK) for what in ("files", "threads")}
    room["bytes"] = round(before["bytes"] * GROWTH) + ROOM
    most = {what: max(before[what] + room[what], SMALL[what]) + more.get(what, 0) for what in before}
    return [f"{now[what]} {what} instead of {before[what]}" for what in before if now[what] > most[what]]


def _measured(pid: int) -> Measures:
    try:
        process = psutil.Process(pid)
        return {"files": process.num_fds(), "threads": process.num_threads(), "bytes": process.memory_info().rss}
    except psutil.NoSuchProcess:
        return {"files": 0, "threads": 0, "bytes": 0}
