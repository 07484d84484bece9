"""One engine for the whole run of tests: it allows one directory a process. Every test has a database of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sinks.stage import Base, Engine

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The embedded engine on a fresh directory."""
    directory: Path = tmp_path_factory.mktemp("history")
    with Engine(directory) as engine:
        yield engine


@pytest.fixture
def base(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Base]:
    """A database with the schema and nothing in it."""
    word = re.sub(r"\W", "_", request.node.name)[:30]
    yield from engine.base(f"t{next(_NUMBERS)}_{word}")


@pytest.fixture(scope="module")
def shared(engine: Engine) -> Iterator[Base]:
    """A database for a module's examples, each of which is a tenant of its own."""
    yield from engine.base(f"t{next(_NUMBERS)}_shared")
