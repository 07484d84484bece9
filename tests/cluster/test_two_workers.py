"""Two workers: one joins, one is SIGKILLed, one is stopped for 90 s and comes back; and state made anew. All exact."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cluster.stage import Cluster, cluster
from tests.conftest import require
from tests.integration.outside import History, Sender, wait
from tests.integration.test_kills import assert_exact, parts_of
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.hygiene import Hygiene, tracebacks
from tests.rig.processes import finish, until_stored

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
SEED = 20_261_123
STOPPED_S = 90.0
REFUSED = "workers run on"


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One of each role."""
    require("java", "mvn")
    with cluster(tmp_path_factory.mktemp("two")) as started:
        for name in ("gateway-1", "worker-1", "sink-1", "notifier-1"):
            started.start(name)
        started.until_ready()
        yield started


def test_one_joins_one_is_killed_one_sleeps_for_90_s_and_comes_back(roles: Cluster) -> None:
    name, events, access = "two", stream(SEED, 3_000), roles.access()
    parts = parts_of(events, name)
    quarter = len(parts) // 4
    history, sender = History(access), Sender(access)

    def stored() -> int:
        return len(oracle.stored(history, name))

    hygiene = Hygiene(lambda: {one: pid for one, pid in roles.pids().items() if one != "redis"}, roles.directory)
    sender.send(parts[:quarter])
    roles.start("worker-2")
    wait("the second has its part", lambda: "partition_opened" in roles.said("worker-2"))
    sender.send(parts[quarter : 2 * quarter])
    roles.kill("worker-1")
    roles.start("worker-1")
    sending = threading.Thread(target=sender.send, args=(parts[2 * quarter :],))
    sending.start()
    roles.signal("worker-2", signal.SIGSTOP)
    began = time.monotonic()
    before = stored()
    wait("the other has taken over", lambda: stored() > before)
    time.sleep(max(0.0, STOPPED_S - (time.monotonic() - began)))  # the fault itself, however soon it was taken over
    roles.signal("worker-2", signal.SIGCONT)
    sending.join(240)
    assert not sending.is_alive()
    tick = finish(access, events, name)
    assert_exact(access, until_stored(access, name, tick), name, events, tick)
    assert sender.rejected == []
    if "worker-2" in roles.dead():  # shut out in the middle of a commit it ends; whoever supervises it starts it again
        assert roles.ended("worker-2") == 1
        roles.start("worker-2")
    again = [{**event, "id": f"again-{event['id']}"} for event in events]
    sender.send(parts_of(again, "again"))
    tick = finish(access, again, "again")
    assert_exact(access, until_stored(access, "again", tick), "again", again, tick)
    assert hygiene.wrong() == []


@pytest.mark.parametrize("source", ["clickhouse", "topic"])
def test_state_made_anew_comes_to_the_same_numbers(roles: Cluster, source: str) -> None:
    name, events, access = f"anew-{source}", stream(SEED + len(source), 2_000), roles.access()
    parts, sender = parts_of(events, name), Sender(access)
    third = len(parts) // 3
    sender.send(parts[:third])
    wait("some of it stored", lambda: len(oracle.stored(History(access), name)) > 0)
    refused = roles.command("rebuild", "--from", source)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert REFUSED in refused.stderr
    workers = [one for one in ("worker-1", "worker-2") if one in roles.pids()]
    for worker in workers:
        assert roles.end(worker) == 0, roles.said(worker)
    sender.send(parts[third : 2 * third])  # acked while nobody works: it waits in the topic
    made = wait("the workers gone from their group", lambda: _made_anew(roles, source))
    assert "made anew up to the offsets" in made
    for worker in workers:
        roles.start(worker)
    sender.send(parts[2 * third :])
    tick = finish(access, events, name)
    assert_exact(access, until_stored(access, name, tick), name, events, tick)
    audited = roles.command("verify", "--tenant", name).stdout.splitlines()
    told = [line for line in audited if line.startswith("  ") and not line.startswith(("   ", "  sequence"))]
    assert told, audited  # made-up sources number what they like, and so leave numbers out
    assert [line for line in told if not line.endswith(": equal")] == []
    assert tracebacks(roles.directory) == []


def _made_anew(roles: Cluster, source: str) -> str:
    done = roles.command("rebuild", "--from", source)
    assert done.returncode == 0 or REFUSED in done.stderr, done.stderr
    return done.stdout
