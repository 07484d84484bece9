"""A Kafka for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.kafka.broker import Broker, running


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real one, for the tests of one file."""
    require("java", "mvn")
    with running(tmp_path_factory.mktemp("kafka")) as started:
        yield started
