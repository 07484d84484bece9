"""`tidewatch event …` as a person types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def event(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidewatch.cli", "event", *words], cwd=cwd, capture_output=True, text=True, check=False,
        timeout=60, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "TZ": "UTC"},
    )  # fmt: skip


def test_an_event_is_added_listed_and_removed(tmp_path: Path) -> None:
    words = ("--from", "2026-11-11", "--to", "2026-11-12", "--factor", "3", "--zone", "Asia/Shanghai")
    assert event("add", "Double 11", *words, "--queue", "sales*", "--data", ".", cwd=tmp_path).returncode == 0
    listed = event("list", "--data", ".", cwd=tmp_path)
    assert listed.stdout.splitlines()[1].split("\t") == [
        "Double 11", "2026-11-10T16:00+00:00", "2026-11-11T16:00+00:00", "3", "*", "sales*", "*",
    ]  # fmt: skip
    again = event("add", "Double 11", *words, "--data", ".", cwd=tmp_path)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "already" in again.stderr
    assert event("remove", "Double 11", "--data", ".", cwd=tmp_path).returncode == 0
    assert event("list", "--data", ".", cwd=tmp_path).stdout == ""


def test_settings_say_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "tidewatch.toml").write_text('events = "there/e.toml"\n')
    words = ("--from", "2026-11-11T00:00Z", "--to", "2026-11-12T00:00Z", "--factor", "3")
    assert event("add", "x", *words, "--config", "tidewatch.toml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "there" / "e.toml").exists()


def test_what_is_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text("[[event]]\n")
    wrong = event("list", "--file", "e.toml", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (1, "tidewatch: e.toml:1: name is missing\n")
    assert event("add", "x", cwd=tmp_path).returncode == 2
    nowhere = event("list", cwd=tmp_path)
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
