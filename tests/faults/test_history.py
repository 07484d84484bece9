"""FAULTS C-01, C-03, C-09, C-10, C-11: the sink as in production, and a ClickHouse that is away, deaf or distrustful.

The server is the rig's: ClickHouse's own engine (chdb) behind its HTTP form, for no server can be installed here.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from config.settings import Settings
from sinks.store import ensure_topics
from tests.faults.sinking import Sink, lose_answers, there
from tests.integration.outside import wait
from tests.rig.clickhouse import Server
from tests.rig.proxy import Fault, Proxy
from tests.sinks.test_store import PARTITIONS, Broker, reading
from tidewatch import doctor

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
NEXT = iter(range(0, 1 << 30, 10_000))


@pytest.fixture
def begin() -> int:
    """The number of a test's first event: each has its own."""
    return next(NEXT)


def test_c01_a_clickhouse_that_is_away_is_waited_for_and_nothing_is_lost_doubled_or_heaped_up(
    broker: Broker, server: Server, tmp_path: Path, begin: int
) -> None:
    sink = Sink(broker, tmp_path, server.port)
    broker.send(*(reading(begin + n) for n in range(50)))
    wait("the first rows", lambda: there(server, begin) == (50, 50))
    server.kill()
    broker.send(*(reading(begin + n) for n in range(50, 3_050)))
    time.sleep(30)  # the fault itself: it outlasts many tries
    assert psutil.Process(sink.process.pid).memory_info().rss < 256 << 20
    server.start()
    wait("all rows", lambda: there(server, begin) == (3_050, 3_050))
    assert sink.end() == 0, sink.log.read_text()[-2_000:]


def test_c03_an_answer_lost_after_the_insert_is_asked_for_again_and_doubles_nothing(
    broker: Broker, server: Server, tmp_path: Path, begin: int
) -> None:
    last = lose_answers(broker, server, tmp_path, begin, 10)
    query = "SELECT messages FROM minutes WHERE tenant = 't'"
    client = server.client()
    assert [row[0] for row in client.query(query).result_rows] == [last], "each partition says its last total"
    client.close()


def test_c09_rows_that_trickle_are_gathered_at_most_one_block_a_second_and_table(
    broker: Broker, server: Server, tmp_path: Path, begin: int
) -> None:
    sink = Sink(broker, tmp_path, server.port)
    broker.send(reading(begin))
    wait("the first row", lambda: there(server, begin) == (1, 1))
    began = time.time()
    for n in range(1, 200):
        broker.send(reading(begin + n))
        time.sleep(0.02)
    wait("all rows", lambda: there(server, begin) == (200, 200))
    inserts = [(at, table) for at, table in server.inserts() if at >= began]
    seconds = max(at for at, _ in inserts) - began
    assert max(Counter(table for _, table in inserts).values()) <= seconds + 2, "one a second and table"
    assert sink.end() == 0


def test_c10_one_message_before_a_silence_is_seen_without_another(
    broker: Broker, server: Server, tmp_path: Path, begin: int
) -> None:
    sink = Sink(broker, tmp_path, server.port)
    broker.send(reading(begin))
    wait("the sink at work", lambda: there(server, begin) == (1, 1))
    broker.send(reading(begin + 1))
    began = time.monotonic()
    wait("the last message", lambda: there(server, begin) == (2, 2))
    print(f"seen after {time.monotonic() - began:.1f} s")
    assert sink.end() == 0


def test_c11_a_wrong_password_is_told_calmly_without_the_password_and_mended_by_the_right_one(
    broker: Broker, server: Server, tmp_path: Path, begin: int
) -> None:
    began = time.time()
    sink = Sink(broker, tmp_path, server.port, "wrong-canary-77")
    broker.send(reading(begin))
    wait("a refusal", lambda: [what for at, what in server.inserts() if at >= began and what == "refused"])
    first = time.time()
    time.sleep(10)
    tries = sum(what == "refused" and at >= first for at, what in server.inserts())
    assert tries <= time.time() - first + 1, "not more than one a second"
    said = sink.log.read_text()
    assert "AUTHENTICATION_FAILED" in said, "the person who reads the log must know why"
    assert "wrong-canary-77" not in said
    assert there(server, begin) == (0, 0)
    sink.end()
    again = Sink(broker, tmp_path, server.port)
    wait("the row", lambda: there(server, begin) == (1, 1))
    assert again.end() == 0


def test_a_topic_with_another_number_of_partitions_is_refused_with_what_to_do(broker: Broker, tmp_path: Path) -> None:
    wrong = Settings(kafka={"bootstrap": f"127.0.0.1:{broker.port}", "partitions": PARTITIONS + 1})
    with pytest.raises(RuntimeError, match=rf"chat\.readings has {PARTITIONS} partitions, and {PARTITIONS + 1} belong"):
        asyncio.run(ensure_topics(wrong))


def test_a_stopped_sink_ends_by_itself_when_it_is_woken_and_told(
    broker: Broker, server: Server, tmp_path: Path
) -> None:
    sink = Sink(broker, tmp_path, server.port)
    wait("it reads", lambda: "sink_started" in sink.log.read_text())
    sink.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    sink.process.send_signal(signal.SIGCONT)
    assert sink.end() == 0


def test_the_doctor_tells_a_wrong_password_from_a_missing_database_and_from_silence(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}"
    refused = doctor._history(url, "default", "wrong-canary-78", "tidewatch", "")
    assert (refused.good, refused.mend) == (False, "set clickhouse.user and clickhouse.password")
    assert "wrong-canary-78" not in str(refused)
    missing = doctor._history(url, "default", Server.PASSWORD, "elsewhere", "")
    assert (missing.good, missing.mend) == (False, "start the sink: it makes it")
    with Proxy("127.0.0.1", server.port) as proxy:
        proxy.fault = Fault(refuse=True)
        silent = doctor._history(f"http://127.0.0.1:{proxy.port}", "default", Server.PASSWORD, "tidewatch", "start it")
    assert (silent.good, silent.mend) == (False, "start it")
    assert "does not answer" in silent.what
