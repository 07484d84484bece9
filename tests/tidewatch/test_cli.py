"""The commands, as a person calls them: what they print, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from tidewatch.directory import Directory

SECRET = "a-secret-of-at-least-32-characters!!"
pytestmark = pytest.mark.slow
COMMANDS = ["up", "demo", "gateway", "worker", "sink", "notifier", "replay", "token", "doctor"]


def tidewatch(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("TIDEWATCH_")}
    code = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-P", "-m", "tidewatch.cli", *arguments],
        env=own | {"PYTHONPATH": code} | environ,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, begin: str) -> None:
    assert done.returncode == code
    assert done.stderr.startswith(begin), done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = tidewatch(command, "--help")
    assert done.returncode == 0
    assert f"Usage: tidewatch {command}" in done.stdout
    assert done.stderr == ""


def test_help_names_every_command() -> None:
    said = tidewatch("--help").stdout
    assert [command for command in COMMANDS if f"\n  {command} " not in said] == []
    assert tidewatch().stdout == said


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        (["nonsense"], "tidewatch: No such command 'nonsense'"),
        (["up", "--port", "70000"], "tidewatch: Invalid value for '--port'"),
        (["up", "--prot", "1"], "tidewatch: No such option: --prot"),
        (["token"], "tidewatch: Missing option '--role'"),
        (["token", "--role", "king"], "tidewatch: Invalid value: there is no role 'king' (allowed: ingest, "),
        (["token", "--role", "admin", "--ttl", "soon"], "tidewatch: Invalid value: --ttl: 'soon' is no length"),
        (["token", "--role", "admin", "--ttl", "9999d"], "tidewatch: Invalid value: --ttl: '9999d' is too long"),
        (["replay"], "tidewatch: Missing argument 'FILE...'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], begin: str) -> None:
    assert_one_line(tidewatch(*arguments, TIDEWATCH_SECRET=SECRET), 2, begin)


@pytest.mark.parametrize("command", ["up", "gateway", "worker", "sink", "notifier", "token --role admin"])
def test_wrong_settings_are_one_line_and_exit_code_1(command: str, tmp_path: Path) -> None:
    file = tmp_path / "tidewatch.toml"
    file.write_text("[gateway]\nport = -1\n")
    done = tidewatch(*command.split(), "--config", str(file), cwd=tmp_path)
    assert_one_line(done, 1, f"tidewatch: {file}:2: gateway.port: must be ≥ 0 (got -1)")
    done = tidewatch(*command.split(), cwd=tmp_path, TIDEWATCH_LOG_LEVEL="loud")
    assert_one_line(done, 1, "tidewatch: TIDEWATCH_LOG_LEVEL: must be one of")


def test_a_token_is_signed_with_the_secret_of_the_settings() -> None:
    done = tidewatch("token", "--role", "ingest", "--role", "replay", "--tenant", "acme", TIDEWATCH_SECRET=SECRET)
    claims = jwt.decode(done.stdout.strip(), SECRET, ["HS256"], audience="tidewatch")
    assert (claims["tenant"], sorted(claims["roles"])) == ("acme", ["ingest", "replay"])
    assert done.returncode == 0


def test_a_token_is_signed_with_the_secret_of_a_directory(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.open(4)
    directory.close()
    done = tidewatch("token", "--role", "admin", "--data", str(tmp_path))
    assert (
        jwt.decode(done.stdout.strip(), directory.secrets["secret"], ["HS256"], audience="tidewatch")["tenant"] == "*"
    )


def test_without_a_secret_there_is_no_token(tmp_path: Path) -> None:
    assert_one_line(
        tidewatch("token", "--role", "admin", cwd=tmp_path), 1, "tidewatch: tidewatch-data holds no secret: set"
    )


def test_a_start_that_is_refused_is_one_line(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.open(4)
    done = tidewatch("up", "--data", str(tmp_path), "--port", "0")
    directory.close()
    assert_one_line(done, 1, f"tidewatch: {tmp_path} is in use by a running stack (process {os.getpid()}): stop it")


def test_the_doctor_names_what_is_wrong_and_the_mend(tmp_path: Path) -> None:
    done = tidewatch("doctor", "--data", str(tmp_path))
    assert done.returncode == 1
    assert f"WRONG  no stack runs in {tmp_path}\n       tidewatch up --data {tmp_path}" in done.stdout
    environ = {
        "TIDEWATCH_KAFKA__BOOTSTRAP": "127.0.0.1:1",
        "TIDEWATCH_REDIS__URL": "redis://:hush-hush@127.0.0.1:1/0",
        "TIDEWATCH_CLICKHOUSE__URL": "http://127.0.0.1:1",
        "TIDEWATCH_GATEWAY__PORT": "1",
    }
    done = tidewatch("doctor", cwd=tmp_path, **environ)
    assert done.returncode == 1
    for line in ("no signing secret", "Kafka at 127.0.0.1:1", "Redis at 127.0.0.1:1", "ClickHouse at", "gateway at"):
        assert f"WRONG  {line}" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert_one_line(done, 1, "tidewatch: 5 of ")


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, tidewatch.cli; print([m for m in ('faust', 'chdb', 'aiokafka', 'river') if m in sys.modules])"
    code = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script], cwd=code, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
