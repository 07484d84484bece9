"""Roles as processes: the embedded stack with deaths on demand, and SIGKILL, SIGSTOP, SIGCONT by role."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, ms, snapshot, wait
from tests.reference.metrics import calm
from tidewatch import flow
from tidewatch.embedded import Stack

STARTED: list[subprocess.Popen[bytes]] = []
"""Roles that a test started by itself; whoever is left at its end is killed."""


class Rig:
    """A running stack, its ledger's directory, and what can be done to its processes."""

    def __init__(self, stack: RunningStack, wish: Path) -> None:
        self.stack = stack
        self._wish = wish

    @property
    def access(self) -> Row:
        """How to get in."""
        return dict(self.stack.access)

    @property
    def logs(self) -> Path:
        """Where the roles' logs are."""
        return self.stack.directory / "logs"

    def die_at(self, place: str, times: int = 1, how: str = "KILL") -> None:
        """Whoever passes this place next (or the so-many-th time) dies there, or is stopped (`STOP`)."""
        draft = self._wish.with_suffix(".new")
        draft.write_text(f"{place}:{times}:{how}")
        draft.replace(self._wish)

    def died(self) -> bool:
        """Whether the death that was wished for has happened."""
        return not self._wish.exists()

    def kill(self, role: str) -> None:
        """SIGKILL, and wait for the next one."""
        old = self.stack.pid(role)
        self.stack.kill(role)
        wait(f"another {role}", partial(self.is_another, role, old))

    def is_another(self, role: str, old: int | None) -> bool:
        """Whether it runs, and is not that process."""
        return self.stack.pid(role) not in (None, old)

    @contextmanager
    def stopped(self, role: str) -> Iterator[None]:
        """SIGSTOP within the block."""
        pid = self.stack.pid(role)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if self.stack.pid(role) == pid:
                os.kill(pid, signal.SIGCONT)

    def pids(self) -> dict[str, int]:
        """Who runs."""
        names = ("worker", "sink", "notifier", "gateway", "broker", "redis")
        return {name: pid for name in names if (pid := self.stack.pid(name)) is not None}

    def ready(self, patience_s: float = 90) -> None:
        """Wait until numbers flow from end to end."""
        wait("the stack at work", lambda: self.stack.missing() == [], patience_s)

    def until_inserting(self, patience_s: float = 60) -> float:
        """Wait until the sink has stored more of every partition; how long that took, in seconds."""
        before, began = flow.inserted(self.stack.directory), time.monotonic()
        parts = int(self.stack.environment["TIDEWATCH_KAFKA__PARTITIONS"])
        moved = partial(flow.all_moved, before, partitions=parts)
        wait("rows inserted again", lambda: moved(flow.inserted(self.stack.directory)), patience_s)
        return time.monotonic() - began


@contextmanager
def rig(root: Path, *, config: str = "", environ: dict[str, str] | None = None) -> Iterator[Rig]:
    """A stack of one's own on free ports, whose roles die at the places one wishes for."""
    wish = root / "die-at"
    env = dict(os.environ) | {"TIDEWATCH_TEST": "1", "TIDEWATCH_CRASH_AT": f"@{wish}"} | (environ or {})
    file = root / "tidewatch.toml"
    file.write_text(config)
    running = RunningStack(Stack(root / "data", port=0, config=file, environ=env))
    running.start()
    try:
        yield Rig(running, wish)
    finally:
        running.stop()


def finish(access: Row, events: list[Row], tenant: str) -> int:
    """Tick once behind all, through the replay door; returns the tick."""
    tick = calm(events, {}, max(int(event["at"]) for event in events) + 60_000)
    Sender(access).send([{"tick": rfc3339(tick), "tenant": tenant}])
    return tick


def until_stored(access: Row, tenant: str, tick: int) -> History:
    """Wait until both surfaces are as of the tick."""
    wait("the live feed", lambda: ms(snapshot(access)["clocks"].get(tenant)) == tick)
    history = History(access)
    query = "SELECT as_of FROM clocks WHERE tenant = {t:String}"
    wait("ClickHouse", lambda: history.rows(query, t=tenant) == [{"as_of": tick}])
    return history
