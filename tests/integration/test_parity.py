"""A number that stands otherwise in ClickHouse than on the board is noticed, said in the feed, and alarmed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, ms, snapshot, wait
from tidewatch.embedded import Stack

BEND = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1], database="tidewatch")
client.command(
    "INSERT INTO minutes_base SELECT * REPLACE (offered + 3 AS offered, version + 1 AS version) "
    "FROM minutes_base FINAL WHERE offered > 0 LIMIT 1"
)
client.close()
"""


@pytest.mark.timeout(400)
def test_a_stored_number_that_was_changed_is_noticed_said_and_alarmed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = RunningStack(Stack(data, port=0))
    running.start()
    try:
        access: Row = dict(running.access)
        at = int(time.time() * 1_000) - 300_000
        said = {"id": "a", "kind": "message", "author": "customer", "conversation": "c", "at": rfc3339(at)}
        Sender(access, replay=False).send([{"events": [{**said, "tenant": "shop"}]}])
        history = History(access)
        wait("it is stored", lambda: history.rows("SELECT offered FROM minutes WHERE offered = 1"))
        wait("it was compared", lambda: (snapshot(access)["parity"] or {}).get("compared"))
        assert snapshot(access)["parity"]["faults"] == 0
    finally:
        running.stop()
    subprocess.run([sys.executable, "-c", BEND, str((data / "clickhouse").resolve())], check=True, timeout=60)
    running = RunningStack(Stack(data, port=0))
    running.start()
    try:
        access = dict(running.access)
        found: Row = wait("it is noticed", lambda: (snapshot(access)["parity"] or {}).get("first_fault"), 90)
        assert (found["tenant"], found["field"], found["live"], found["stored"]) == ("shop", "offered", 1, 4)
        assert ms(found["minute"]) == at - at % 60_000

        def alarmed() -> list[str]:
            return [one["alert"] for one in snapshot(access)["alerts"] if one["rule"] == "parity"]

        wait("it is alarmed", alarmed, 60)
        assert json.dumps(found)
    finally:
        running.stop()
