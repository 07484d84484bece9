"""One stack for all rows of this folder that can share it: each uses a tenant of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.ledger import Ledger
from tests.rig.processes import STARTED, Rig, rig
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


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty one."""
    one = Ledger(tmp_path / "ledger.db")
    yield one
    one.close()
