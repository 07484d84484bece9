"""Every role restarted, one after another: no board shows a wrong number meanwhile, and every change still comes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from tests.cluster.stage import Cluster, cluster
from tests.conformance.cases import Row
from tests.conftest import require
from tests.integration.outside import Sender, snapshot, socket, wait
from tests.integration.test_kills import assert_exact, parts_of
from tests.reference.streams import stream
from tests.rig.processes import finish, until_stored

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
SEED = 20_261_122
NOT_COUNTED = {"version", "expected", "low", "high", "surge"}
"""What the models say of weeks that one tick brought comes minute by minute, behind the numbers."""
ROLES = ("worker-1", "worker-2", "sink-1", "notifier-1", "notifier-2", "gateway-1")


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two gateways, two workers, two notifiers and a sink."""
    require("java", "mvn")
    with cluster(tmp_path_factory.mktemp("rolling")) as started:
        for name in (*ROLES, "gateway-2"):
            started.start(name)
        started.until_ready()
        started.until_ready("gateway-2")
        yield started


class Viewer:
    """A board that stays on: whatever it was ever shown of each key of a tenant."""

    def __init__(self, access: Row, tenant: str) -> None:
        self._access, self._tenant = access, tenant
        self.shown: dict[tuple[str, str], list[Row]] = {}
        self.frames = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                with socket(self._access["url"], "/v1/live", self._access["board_token"]) as line:
                    while not self._ended.is_set():
                        self._take(json.loads(line.recv(timeout=10)))
            except (OSError, EOFError, WebSocketException):
                self._ended.wait(0.2)

    def _take(self, frame: Row) -> None:
        self.frames += 1
        for key in frame.get("keys", ()):
            if key["tenant"] == self._tenant:
                self.shown.setdefault((key["queue"], key["channel"]), []).append(_numbers(key))

    def unsteady(self) -> dict[tuple[str, str], dict[str, list[Any]]]:
        """The numbers of each key that were not the same in all its frames."""
        found = {key: _differing(rows) for key, rows in self.shown.items()}
        return {key: numbers for key, numbers in found.items() if numbers}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at it while the body runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join(20)


def _numbers(key: Row) -> Row:
    if key.get("gone"):
        return {"gone": True}
    states = (
        "open",
        "with_bot",
        "awaiting_first",
        "awaiting_reply",
        "waiting_on_customer",
        "backlog",
        "oldest_ms",
        "ages",
    )
    out = {name: key[name] for name in states}
    for name, window in key["windows"].items():
        out |= {f"{name} {field}": value for field, value in window.items() if field not in NOT_COUNTED}
    return out


def _differing(rows: list[Row]) -> dict[str, list[Any]]:
    """Name → what it was shown as, for those that were shown as several things."""
    names = {name for row in rows for name in row}
    kinds = {name: list(dict.fromkeys(json.dumps(row.get(name)) for row in rows)) for name in sorted(names)}
    return {name: values for name, values in kinds.items() if len(values) > 1}


def test_a_rolling_restart_shows_no_wrong_number_and_loses_none(roles: Cluster) -> None:
    access, other = roles.access(), roles.access("gateway-2")
    tenant, events = "rolling", stream(SEED, 4_000)
    half = len(events) // 2
    sender = Sender(access)
    sender.send(parts_of(events[:half], tenant))
    tick = finish(access, events[:half], tenant)
    assert_exact(access, until_stored(access, tenant, tick), tenant, events[:half], tick)
    viewer = Viewer(other, tenant)
    with viewer.watching():
        wait("the first frame", lambda: viewer.shown)
        for name in ROLES:
            assert roles.end(name) == 0, roles.said(name)
            roles.start(name)
            if name.startswith("gateway"):
                roles.until_ready(name)
            _all_current(other)
    assert viewer.unsteady() == {}
    sender.send(parts_of(events[half:], tenant))
    assert sender.rejected == []
    tick = finish(access, events, tenant)
    assert_exact(other, until_stored(other, tenant, tick), tenant, events, tick)


def _all_current(access: Row) -> None:
    """Wait until all partitions have said a fresh tick again."""

    def current() -> Any:
        frame = snapshot(access)
        return not frame["stale"] and frame["partitions"]["behind"] == 0 and (frame["ingest_lag_ms"] or 0) < 5_000

    wait("a board that is up to date", current)
