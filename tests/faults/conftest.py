"""One stack for all rows of this folder that can share it: each uses a tenant of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.rig.clickhouse import Server, running
from tests.rig.hygiene import Hygiene
from tests.rig.ledger import Ledger
from tests.rig.processes import STARTED, Rig, rig
from tests.sinks.test_store import Broker
from tidewatch import embedded

PASSED = pytest.StashKey[bool]()
RULES = 'rules:\n  - {name: waits, metric: backlog, scope: {queue: "*"}, fire: "> 2", for: 30s}\n'


@pytest.fixture(scope="package")
def rigged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A stack whose roles die where one wishes, and come back without the pause that grows."""
    pauses, embedded.PAUSES = embedded.PAUSES, (0.1,)
    root = tmp_path_factory.mktemp("faults")
    (root / "rules.yaml").write_text(RULES)
    with rig(root, config='rules = "rules.yaml"\n') as one:
        yield one
    embedded.PAUSES = pauses


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test itself passed: what follows a failure is no finding of its own."""
    report = yield
    item.stash[PASSED] = item.stash.get(PASSED, True) and report.passed
    return report


@pytest.fixture(autouse=True)
def everything_is_as_before(request: pytest.FixtureRequest) -> Iterator[Hygiene | None]:
    """O8 after every row on the shared stack."""
    if "rigged" not in request.fixturenames:
        yield None
        return
    rigged: Rig = request.getfixturevalue("rigged")
    rigged.ready(180)
    hygiene = Hygiene(rigged.pids, rigged.logs)
    yield hygiene
    if request.node.stash.get(PASSED, False):
        rigged.ready(180)
        assert hygiene.wrong() == [], "O8"


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
