"""The roles as production starts them, on a real Kafka: the worked cases, and kills of every role."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.cluster.stage import Cluster, cluster
from tests.conformance.cases import Row
from tests.conformance.compare import compare
from tests.conftest import require
from tests.integration.outside import Sender
from tests.integration.test_conformance import CASES, WAYS, read_all, send_all, settings_of, tenant
from tests.integration.test_kills import assert_exact, parts_of
from tests.reference.streams import stream
from tests.rig.processes import finish, until_stored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SEED = 20_261_122


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, two sinks, two gateways and a notifier."""
    require("java", "mvn")
    root = tmp_path_factory.mktemp("cluster")
    with cluster(root, settings_of(root).read_text(encoding="utf-8")) as started:
        for name in ("gateway-1", "worker-1", "worker-2", "sink-1", "sink-2", "notifier-1"):
            started.start(name)
        started.until_ready()
        yield started


@pytest.fixture(scope="module")
def answers(roles: Cluster) -> dict[str, Row]:
    """What the roles make of every worked case, in every way of arrival."""
    access = roles.access()
    return read_all(access, send_all(access))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_every_worked_case_holds_on_kafka(answers: dict[str, Row], number: int, way: str) -> None:
    assert compare(CASES[number], answers[tenant(number, way)]) == []


def test_numbers_stay_exact_through_kills_of_every_role(roles: Cluster) -> None:
    chance = Random(SEED)
    print(f"seed {SEED}")
    name, events = "kills", stream(SEED, 8_000)
    access = roles.access()
    sender = Sender(access)
    sending = threading.Thread(target=sender.send, args=(parts_of(events, name),))
    sending.start()
    for victim in ("worker-1", "sink-1", "worker-2", "notifier-1", "gateway-1", "sink-2"):
        time.sleep(chance.uniform(0.2, 2.0))  # the moment is to be a chance one
        roles.kill(victim)
        roles.start(victim)
    sending.join(240)
    assert not sending.is_alive()
    assert sender.rejected == []
    tick = finish(access, events, name)
    assert_exact(access, until_stored(access, name, tick), name, events, tick)
    assert roles.dead() == []
