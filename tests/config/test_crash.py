"""Deaths on demand: exactly where they were asked for, once, and never outside of a test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from config.crash import POINTS

ROOT = Path(__file__).parents[2]
PASS = """
from config import crash
crash.arm()
for number in range(5):
    print(number, flush=True)
    crash.here("sink.inserted")
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process with these variables and no others of ours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")} | variables
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_process_dies_where_it_was_told_to_at_the_time_it_was_told() -> None:
    done = run(PASS, TIDEWATCH_TEST="1", TIDEWATCH_CRASH_AT="sink.inserted:3")
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])
    assert run(PASS, TIDEWATCH_TEST="1", TIDEWATCH_CRASH_AT="sink.taken").returncode == 0


def test_a_wish_in_a_file_is_fulfilled_once(tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    wish.write_text("sink.inserted:2")
    variables = {"TIDEWATCH_TEST": "1", "TIDEWATCH_CRASH_AT": f"@{wish}"}
    done = run(PASS, **variables)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1"])
    assert not wish.exists()
    assert run(PASS, **variables).returncode == 0


def test_without_the_variable_nothing_happens_and_outside_of_a_test_it_is_refused() -> None:
    assert run(PASS).returncode == 0
    role = "import sys; sys.argv[1:] = ['sink']; from tidewatch.cli import main; main()"
    done = run(role, TIDEWATCH_CRASH_AT="sink.inserted")
    assert done.returncode == 1
    assert "TIDEWATCH_CRASH_AT kills this process on purpose, for tests: unset it" in done.stderr
    done = run(role, TIDEWATCH_TEST="1", TIDEWATCH_CRASH_AT="sink.nowhere")
    assert done.returncode == 1
    assert "is no place (allowed: gateway.ruled" in done.stderr


def test_every_place_is_passed_somewhere_and_every_passed_one_has_a_name() -> None:
    folders = ("gateway", "streams", "sinks", "alerts")
    code = "".join(path.read_text() for folder in folders for path in (ROOT / folder).glob("*.py"))
    assert set(re.findall(r'crash\.here\("([a-z.]+)"\)', code)) == set(POINTS)
