"""A Kafka for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.kafka.broker import Broker, fetched, running


def need_kafka() -> None:
    """Skip where no Kafka can be started."""
    require("java", "mvn")
    if not fetched() and "mvn" not in os.environ.get("TIDEWATCH_REQUIRE", ""):
        pytest.skip("Apache Kafka's jars are not here yet: make kafka fetches them and runs these tests")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real one, for the tests of one file."""
    need_kafka()
    with running(tmp_path_factory.mktemp("kafka")) as started:
        yield started


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real one, for one test: nobody has said anything on it."""
    need_kafka()
    with running(tmp_path_factory.mktemp("kafka")) as started:
        yield started
