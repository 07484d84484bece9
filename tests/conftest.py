"""What tests share: a running stack, and how a test asks for a program that may be missing."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tidewatch import flow
from tidewatch.access import Access
from tidewatch.embedded import Stack

SLOW = (
    "tests/integration", "tests/board", "tests/kafka", "tests/cluster", "tests/reference", "tests/models",
    "tests/faults", "tests/rig", "tests/alerts/test_calm.py", "tests/alerts/test_cli.py",
    "tests/alerts/test_heartbeat.py", "tests/alerts/test_state.py", "tests/gateway/test_behind.py",
    "tests/gateway/test_ticker.py", "tests/sinks/test_clickhouse.py", "tests/streams/test_agents.py",
    "tests/streams/test_calendars.py", "tests/streams/test_insight.py", "tests/streams/test_parcels.py",
    "tests/streams/test_reference.py", "tests/streams/test_surges.py", "tests/tidewatch/test_replay.py",
)  # fmt: skip
"""Whole folders and files that `make check` leaves out: they run servers, processes, or thousands of made-up cases."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs the whole system, or runs for long, is slow, wherever it is asked from."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) or item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def require(*programs: str) -> None:
    """Skip the test, with the reason, where a program is missing; fail it where `TIDEWATCH_REQUIRE` names it."""
    for program in programs:
        if shutil.which(program) is None:
            reason = f"{program} is not installed"
            if program in os.environ.get("TIDEWATCH_REQUIRE", "").replace(",", " ").split():
                pytest.fail(f"{reason}, and TIDEWATCH_REQUIRE asks for it")
            pytest.skip(reason)


class RunningStack:
    """An embedded stack in a thread of its own, for tests that are not coroutines."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stack")

    @property
    def access(self) -> Access:
        """How to get in."""
        assert self._stack.access is not None
        return self._stack.access

    @property
    def directory(self) -> Path:
        """Where everything lies."""
        return self._stack.directory.path

    @property
    def environment(self) -> Mapping[str, str]:
        """What the roles are given."""
        return self._stack.roles_environment

    def pid(self, name: str) -> int | None:
        """The process of a role, of `broker` or of `redis`."""
        return self._stack.pid(name)

    def kill(self, name: str) -> None:
        """SIGKILL it, from the stack's own thread."""
        self._loop.call_soon_threadsafe(self._stack.kill, name)

    def missing(self) -> list[str]:
        """Who is not ready."""
        return asyncio.run_coroutine_threadsafe(self._stack.missing(), self._loop).result(30)

    def clock(self) -> datetime:
        """As of when the numbers in Redis are complete, on the real clock; long ago where there are none."""
        url = self._stack.roles_environment["TIDEWATCH_REDIS__URL"]
        shown = asyncio.run_coroutine_threadsafe(flow.present(url), self._loop).result(30)
        return datetime.fromisoformat((shown or {}).get("real") or "1970-01-01T00:00:00Z")

    def start(self) -> None:
        """Returns when it is ready."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._stack.__aenter__(), self._loop).result(120)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends everything."""
        asyncio.run_coroutine_threadsafe(self._stack.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole embedded stack on free ports, one for all tests of the session: use a tenant of your own."""
    running = RunningStack(Stack(tmp_path_factory.mktemp("stack") / "data", port=0))
    running.start()
    yield running
    running.stop()
