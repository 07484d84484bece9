"""One stack for all rows of this folder that can share it: each uses a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.clickhouse import Server, running
from tests.rig.ledger import Ledger
from tests.rig.processes import STARTED, Rig, rig
from tests.sinks.test_store import Broker
from tidewatch import embedded


@pytest.fixture(scope="session")
def rigged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack whose roles die where one wishes, and come back without the pause that grows."""
    pauses, embedded.PAUSES = embedded.PAUSES, (0.1,)
    with rig(tmp_path_factory.mktemp("faults")) as one:
        yield one
    embedded.PAUSES = pauses


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    for process in STARTED:
        process.kill()
        process.wait()
    STARTED.clear()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """The embedded one, for the tests of one file."""
    started = Broker()
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ClickHouse."""
    with running(tmp_path_factory.mktemp("clickhouse") / "server") as started:
        yield started


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty one."""
    one = Ledger(tmp_path / "ledger.db")
    yield one
    one.close()
