"""`tidewatch verify` and `rebuild`, as their user calls them: a sound history, and one with something wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.cases import Row
from tests.faults.test_deaths import parts
from tests.integration.outside import Sender, wait
from tests.integration.test_kills import Up
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.clickhouse import ROOT
from tests.rig.processes import finish, until_stored

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
TENANT = "audited"
AT_ONCE = "SETTINGS mutations_sync = 2"
SPOIL = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1], database="tidewatch")
for statement in sys.argv[2:]:
    client.command(statement)
client.close()
"""


def tidewatch(*words: str) -> subprocess.CompletedProcess[str]:
    """A command, from outside."""
    done = subprocess.run(
        [sys.executable, "-m", "tidewatch.cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    print(done.stdout, done.stderr)
    return done


def spoil(directory: Path, *statements: str) -> None:
    """Change what is stored, with the stack stopped: the door lets nobody write."""
    store = str((directory / "clickhouse").resolve())
    subprocess.run([sys.executable, "-c", SPOIL, store, *statements], check=True, timeout=120)


def ended(up: Up) -> None:
    """SIGTERM, as a user's Ctrl-C."""
    up.process.terminate()
    assert up.process.wait(20) == 0


def assert_exact(access: Row, events: list[Row], tick: int) -> None:
    """O1 to O5."""
    history = until_stored(access, TENANT, tick)
    rows = oracle.stored(history, TENANT)
    assert {oracle.name_of(row) for row in rows} == {oracle.name_of(event) for event in events}
    assert oracle.double(history, TENANT) == []
    assert oracle.wrong(oracle.answer(access, history, TENANT), events, tick) == []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a stack."""
    return tmp_path / "data"


def test_a_sound_history_is_told_so_and_state_made_anew_from_it_goes_on_exactly(data: Path) -> None:
    events = stream(77, 3_000)
    bodies = parts(events, TENANT)
    half = len(bodies) // 2
    up = Up(data)
    access = up.ready()
    try:
        Sender(access).send(bodies[:half])
        wait("all of it in the history", lambda: len(oracle_rows(access)) > 1_000, 60)
        sound = tidewatch("verify", "--data", str(data))
        assert (sound.returncode, sound.stderr) == (0, "")
        assert "no difference" in sound.stdout
        assert tidewatch("rebuild", "--data", str(data)).stderr.endswith("in use by a running stack: stop it first\n")
        ended(up)
        (data / "worker.db").write_bytes(b"nothing of it can be read any more")
        made = tidewatch("rebuild", "--data", str(data))
        assert made.returncode == 0, made.stderr
        assert "made anew from" in made.stdout
        up = Up(data)
        access = up.ready()
        Sender(access).send(bodies[half:])
        assert_exact(access, events, finish(access, events, TENANT))
        ended(up)
        assert tidewatch("rebuild", "--from", "journal", "--data", str(data)).returncode == 0
        up = Up(data)
        access = up.ready()
        more = [{**event, "id": f"again-{event['id']}"} for event in events[-50:]]
        Sender(access).send(parts(more, "other"))
        assert_exact(access, events, finish(access, events, TENANT))
        ended(up)
    finally:
        if up.process.poll() is None:
            up.kill()


def oracle_rows(access: Row) -> list[Row]:
    """What is stored so far."""
    from tests.integration.outside import History

    return oracle.stored(History(access), TENANT)


def test_a_history_with_something_wrong_is_told_exactly_what(data: Path) -> None:
    events = [
        {"id": f"{name}-{number}", "kind": "message", "at": 1_772_445_600_000 + number * 1_000, "seq": number}
        | {"conversation": name, "author": "customer" if number % 2 else "agent", "author_id": "x", "text": "?"}
        for name in ("c1", "c2")
        for number in range(1, 9)
        if (name, number) != ("c2", 5)
    ]
    up = Up(data)
    access = up.ready()
    try:
        Sender(access).send(parts(events, TENANT))
        until_stored(access, TENANT, finish(access, events, TENANT))
        first = tidewatch("verify", "--data", str(data), "--tenant", TENANT)
        assert first.returncode == 1
        assert "conversation c2: 1 missing between 1 and 8" in first.stdout, "the source left one out"
        assert "c1" not in first.stdout
        ended(up)
        spoil(
            data,
            f"ALTER TABLE episodes_base UPDATE customer_messages = 99 WHERE conversation = 'c2' {AT_ONCE}",
            f"ALTER TABLE episodes_base DELETE WHERE conversation = 'c1' {AT_ONCE}",
        )
        up = Up(data)
        access = up.ready()
        second = tidewatch("verify", "--data", str(data), "--tenant", TENANT)
        assert second.returncode == 1
        assert "episode c1/1: missing" in second.stdout
        assert "episode c2/1: customer_messages is 99, the events come to 3" in second.stdout
        assert tidewatch("verify", "--data", str(data), "--tenant", "nobody").stderr.startswith(
            "tidewatch: there is no such"
        )
        ended(up)
    finally:
        if up.process.poll() is None:
            up.kill()


def test_what_cannot_be_audited_or_made_anew_is_told_in_one_line(data: Path) -> None:
    said = tidewatch("verify", "--data", str(data))
    assert (said.returncode, said.stderr.count("\n")) == (1, 1)
    assert "no stack runs there" in said.stderr
    data.mkdir()
    assert "is no directory of a stack" in tidewatch("rebuild", "--data", str(data)).stderr
    assert "there is no such source" in tidewatch("rebuild", "--from", "memory", "--data", str(data)).stderr
    (data / "partitions").write_text("4")
    (data / "journal").mkdir()
    (data / "journal" / "00000000000000000042.log").touch()
    refused = tidewatch("rebuild", "--from", "journal", "--data", str(data)).stderr
    assert "the journal begins at position 42: what came before was stored and cut; rebuild from clickhouse" in refused
    sqlite3.connect(data / "worker.db").close()
