"""The real stack, all of it: who is there, under which name, and that it comes back."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import RunningStack
from tidewatch.embedded import ROLES

pytestmark = pytest.mark.slow


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.05)


def answer(url: str, **headers: str) -> str:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read().decode())


def counted(stack: RunningStack) -> str:
    access = stack.access
    return answer(
        f"{access['clickhouse_url']}/?query=SELECT+count()+FROM+tidewatch.events",
        **{"X-ClickHouse-User": access["clickhouse_user"], "X-ClickHouse-Key": access["clickhouse_password"]},
    )


def test_everyone_is_there_under_the_name_of_its_role(stack: RunningStack) -> None:
    assert stack.missing() == []
    for role in ROLES:
        assert Path(f"/proc/{stack.pid(role)}/cmdline").read_text().rstrip("\0").endswith(f"tidewatch.cli\0{role}")


def test_access_json_opens_every_door(stack: RunningStack) -> None:
    assert json.loads((stack.directory / "access.json").read_text()) == stack.access
    assert counted(stack).strip().isdigit()
    assert "<html" in answer(stack.access["board_url"])


def test_the_doctor_finds_nothing_wrong(stack: RunningStack) -> None:
    command = [sys.executable, "-P", "-m", "tidewatch.cli", "doctor", "--data", str(stack.directory)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert "WRONG" not in done.stdout
    assert done.returncode == 0


def test_no_secret_stands_in_an_argument_or_a_log(stack: RunningStack) -> None:
    secrets = [*json.loads((stack.directory / "secrets.json").read_text()).values(), stack.access["ingest_token"]]
    arguments = "".join(Path(f"/proc/{stack.pid(name)}/cmdline").read_text() for name in ("broker", "redis", *ROLES))
    logs = "".join(file.read_text(errors="replace") for file in (stack.directory / "logs").iterdir())
    assert [secret for secret in secrets if secret in arguments + logs] == []


def test_what_is_kept_is_for_its_owner_only(stack: RunningStack) -> None:
    open_to_others = [
        path
        for path in stack.directory.rglob("*")
        if path.is_file() and path.name != "lock" and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_only_the_two_doors_and_the_two_servers_listen_and_on_loopback_only(stack: RunningStack) -> None:
    names = ("broker", "redis", *ROLES)
    sockets = {
        str(link.readlink())
        for name in names
        for link in Path(f"/proc/{stack.pid(name)}/fd").iterdir()
        if link.is_symlink()
    }
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{stack.pid('redis')}/net/{table}").read_text().splitlines()[1:]:
            row = line.split()
            if row[3] == "0A" and f"socket:[{row[9]}]" in sockets:
                listening.add(row[1])
    assert len(listening) == 4
    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


@pytest.mark.parametrize("name", [*ROLES, "redis", "broker"])
def test_who_is_killed_is_back_and_numbers_flow_again(name: str, stack: RunningStack) -> None:
    before, killed = stack.pid(name), datetime.now(UTC)
    stack.kill(name)
    wait_for(lambda: stack.pid(name) not in (None, before), 10)
    wait_for(lambda: stack.missing() == [] and stack.clock() > killed, 40)
    assert counted(stack).strip().isdigit()


def test_up_prints_the_link_and_ends_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "tidewatch.cli", "up", "--data", str(tmp_path / "data"), "--port", "0"]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    up = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for((tmp_path / "data" / "access.json").exists, 90)
        access = json.loads((tmp_path / "data" / "access.json").read_text())
        roles = [*_children(up.pid)]
        up.send_signal(signal.SIGTERM)
        said, _ = up.communicate(timeout=15)
    finally:
        up.kill()
    assert up.returncode == 0
    assert access["board_url"] in said
    assert access["ingest_token"] in said
    assert len(roles) == 7  # with the leash
    assert not [pid for pid in roles if Path(f"/proc/{pid}").exists()]


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
