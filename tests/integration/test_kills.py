"""Real kills: whatever dies and whenever, what was acked is counted exactly once, as the independent reference says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, wait
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.oracle import stored
from tests.rig.processes import finish, until_stored

SEED = 20_261_122


def parts_of(events: list[Row], tenant: str, size: int = 100) -> list[Row]:
    """The bodies of the frames that carry the events."""
    named = [{**event, "tenant": tenant} for event in events]
    return [{"events": named[start : start + size]} for start in range(0, len(named), size)]


def assert_exact(access: Row, history: History, tenant: str, events: list[Row], tick: int) -> None:
    """`events`, `episodes` and `minutes` are what the reference says of what was sent: none lost, none doubled."""
    rows = stored(history, tenant)
    assert oracle.wrong(oracle.answer(access, history, tenant), events, tick) == []
    assert {oracle.name_of(row) for row in rows} == {oracle.name_of(event) for event in events}, "lost or invented"
    assert oracle.counted_twice(rows) == []
    assert oracle.double(history, tenant) == []


def _is_another(stack: RunningStack, name: str, old: int | None) -> bool:
    return stack.pid(name) not in (None, old)


@pytest.mark.timeout(900)  # several lives of several processes, on whatever machine
def test_numbers_stay_exact_through_kills_of_worker_sink_and_gateway(stack: RunningStack) -> None:
    chance = Random(SEED)
    print(f"seed {SEED}")
    tenant, events = "kills", stream(SEED, 20_000)
    access: Row = dict(stack.access)
    sender = Sender(access)
    sending = threading.Thread(target=sender.send, args=(parts_of(events, tenant),))
    sending.start()
    for victim in ("worker",) * 3 + ("sink",) * 3 + ("gateway",):
        time.sleep(chance.uniform(0.2, 2.5))  # the moment is to be a chance one
        pid = stack.pid(victim)
        stack.kill(victim)
        wait(f"another {victim}", partial(_is_another, stack, victim, pid), 60)
    sending.join(240)
    assert not sending.is_alive()
    assert sender.rejected == []
    tick = finish(access, events, tenant)
    assert_exact(access, until_stored(access, tenant, tick), tenant, events, tick)


class Up:
    """`tidewatch up` as its user starts it."""

    def __init__(self, directory: Path, config: Path | None = None) -> None:
        self._directory = directory
        access = directory / "access.json"
        access.unlink(missing_ok=True)
        words = [sys.executable, "-m", "tidewatch.cli", "up", "--data", str(directory), "--port", "0"]
        words += ["--config", str(config)] if config else []
        with (directory.parent / "up.log").open("ab") as output:
            self.process = subprocess.Popen(words, stdout=output, stderr=output)

    def ready(self) -> Row:
        """How to get in, once it is there."""
        import json

        path = self._directory / "access.json"

        def there() -> Row | None:
            assert self.process.poll() is None, (self._directory.parent / "up.log").read_text()[-2000:]
            return json.loads(path.read_text()) if path.exists() else None

        found: Row = wait("access.json", there, 120)
        return found

    def kill(self) -> None:
        """SIGKILL the parent; everything goes with it."""
        children = _family(self.process.pid)
        self.process.kill()
        self.process.wait(10)
        wait("no process left", lambda: not any(_alive(pid) for pid in children), 30)


def _family(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    children = {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}
    return [pid, *(one for child in children for one in _family(child))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the stack keeps its data."""
    return tmp_path / "data"


@pytest.mark.timeout(900)  # several lives of several processes, on whatever machine
def test_what_was_acked_survives_the_death_of_the_whole_stack_twice(directory: Path) -> None:
    tenant, events = "cold", stream(SEED + 1, 6_000)
    parts = parts_of(events, tenant)
    third = len(parts) // 3
    up = Up(directory)
    Sender(up.ready()).send(parts[:third])
    up.kill()
    up = Up(directory)
    time.sleep(3)  # in the middle of its recovery, wherever that is
    up.kill()
    up = Up(directory)
    Sender(up.ready()).send(parts[third - 5 : 2 * third])
    up.kill()
    up = Up(directory)
    access = up.ready()
    try:
        Sender(access).send(parts[2 * third - 5 :])
        sent = events
        tick = finish(access, sent, tenant)
        assert_exact(access, until_stored(access, tenant, tick), tenant, sent, tick)
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(20) == 0
    finally:
        if up.process.poll() is None:
            up.kill()
