"""FAULTS V-02: the schema takes its steps under load. Killed in the middle of any of them, a sink takes it again."""

from __future__ import annotations

import re
import signal
import time
from itertools import pairwise
from pathlib import Path

import clickhouse_connect
import pytest

from sinks.clickhouse import statements
from tests.faults.sinking import Sink, Stream, there
from tests.integration.outside import wait
from tests.rig.clickhouse import Server, running
from tests.rig.proxy import Fault, Proxy
from tests.sinks.test_store import PARTITIONS, Broker, reading
from tests.sinks.test_store import Sink as Embedded

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
SECOND = 20_000
"""The numbers of the other test begin here."""
JOIN_S = 12
"""Far longer than it takes to join a group."""
OLD = (
    "INSERT INTO events_base (tenant, subject, id, kind, at, event_time, conversation, version, position) "
    "VALUES ('t', 'c:old', 'old', 'message', 1000, 1000, 'old', -1, 99999)"
)
"""A row of before: it is still there afterwards, and named."""


def before(server: Server) -> None:
    """The tables as they were before any column was added, with a row, and no view."""
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=server.port, username=server.user, password=server.PASSWORD,
        autogenerate_session_id=False,
    )  # fmt: skip
    client.command("CREATE DATABASE tidewatch")
    client.database = "tidewatch"
    for statement in statements():
        if statement.startswith("CREATE TABLE"):
            client.command(statement)
    client.command(OLD)
    client.close()


def steps() -> list[bytes]:
    """How the statements begin that a release may add: every column, and some of the views."""
    found = [re.sub(r"\s+", " ", one) for one in statements()]
    columns = [one[: one.index("EXISTS") + 18] for one in found if one.startswith("ALTER")]
    views = [one.split("(")[0].strip() for one in found if "VIEW" in one[:24]]
    return [step.encode() for step in (*columns, *views[::5])]


def test_v02_while_a_sink_takes_the_steps_the_one_before_goes_on_with_all_partitions(
    broker: Broker, tmp_path: Path
) -> None:
    first, last = SECOND, SECOND
    with running(tmp_path / "server") as server, Proxy("127.0.0.1", server.port) as proxy:

        def goes_on() -> None:
            nonlocal last
            broker.send(reading(last), reading(last + 1))  # one on each partition
            last += 2
            wait("both rows", lambda: there(server, first) == (last - first, last - first))

        old = Sink(broker, tmp_path / "old", server.port)
        goes_on()
        proxy.fault = Fault(black_hole=True)
        new = Sink(broker, tmp_path / "new", proxy.port)
        wait("it has asked", lambda: proxy.connections > 0)
        until = time.monotonic() + JOIN_S
        while time.monotonic() < until:
            goes_on()
        proxy.fault = Fault()
        wait("the steps are taken", lambda: "sink_started" in new.log.read_text())
        goes_on()
        assert old.end() == 0
        goes_on()
        assert new.end() == 0


def test_v02_every_step_of_the_schema_is_taken_again_after_a_kill_and_nothing_is_lost_or_double(
    broker: Broker, tmp_path: Path
) -> None:
    with running(tmp_path / "server") as server, Proxy("127.0.0.1", server.port) as proxy, Stream(broker) as stream:
        before(server)
        assert len(steps()) > 6
        for number, step in enumerate(steps(), 1):
            proxy.fault = Fault(cut_after_request=step)
            sink = Sink(broker, tmp_path / "sink", proxy.port)
            wait(f"{step.decode()}: done, and nobody told", lambda many=number: proxy.cuts >= many)  # type: ignore[misc]  # bound at once
            proxy.fault = Fault(refuse=True)
            sink.process.kill()
            sink.process.wait(30)
        proxy.fault, began = Fault(), time.time()
        sink = Sink(broker, tmp_path / "sink", proxy.port)
        wait("rows while more come", lambda: there(server, 0)[0] > 500)
        stream.end()
        wait("all rows, once", lambda: there(server, 0) == (stream.sent, stream.sent))
        inserts = [began, *(at for at, table in server.inserts() if table == "events_base")]
        print(f"longest pause between inserts: {max(b - a for a, b in pairwise(inserts)):.1f} s, the start included")
        client = server.client()
        assert client.query("SELECT conversation, topic_gains FROM events WHERE id = 'old'").result_rows == [
            ("old", {})
        ]
        client.close()
        assert sink.end() == 0


def test_v02_an_embedded_sink_that_is_stopped_and_started_loses_and_doubles_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    sink = Embedded(broker, tmp_path)

    def reaches(pos: int) -> float:
        """When both partitions are stored up to there."""
        wait("rows", lambda: len(sink.inserted()) == PARTITIONS and min(sink.inserted().values()) >= pos, 120)
        return time.time()

    sink.start()
    with Stream(broker) as stream:
        reaches(0)
        for _ in range(3):
            before = reaches(stream.sent)
            assert sink.end(signal.SIGTERM) == 0
            sink.start()
            after = reaches(max(sink.inserted().values()) + 1)
            print(f"longest pause between inserts: at most {after - before:.1f} s")
        stream.end()
        reaches(stream.sent - PARTITIONS)
    assert sink.ask("SELECT count(), uniqExact(id) FROM events") == f"{stream.sent}\t{stream.sent}"
    assert sink.end(signal.SIGTERM) == 0
