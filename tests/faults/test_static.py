"""FAULTS X-01, X-03, B-12 (its static half): what can be seen without running anything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.rig.clickhouse import ROOT

PRODUCT = ("streams", "models", "alerts", "sinks", "gateway", "config", "tidewatch")
CONSTANT = {
    "gateway/alarms.py": "statements put together at import, of constants alone; what is asked is bound by the server",
    "gateway/past.py": "the same",
}
OUR_OWN = {
    "PRAGMA user_version = {VERSION}": "a number of ours",
    "CREATE TEMP TRIGGER {table}_{event}": "tables and events of ours",
    '"EXPLAIN AST " + canonical': "written anew by the guard, from what it has read and allowed",
}
"""Statements put together of parts, and why they may be."""
WAIVER = re.compile(r"# noqa: S\d+.*?\s+\S+ \S+")
"""The linter's own, which is bandit's too: with its reason behind it."""


@pytest.mark.slow
def test_x01_nothing_of_medium_severity_or_more_stands_without_a_reason() -> None:
    if find_spec("bandit") is None:
        pytest.skip("bandit is not installed: make setup")
    words = [sys.executable, "-m", "bandit", "-q", "-r", *PRODUCT, "-ll", "-f", "json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    found = []
    for one in json.loads(done.stdout)["results"]:
        lines = (ROOT / one["filename"]).read_text().splitlines()
        said = "\n".join(lines[min(one["line_range"]) - 1 : max(one["line_range"]) + 1])
        if not WAIVER.search(said) and not (one["filename"] in CONSTANT and one["test_id"] == "B608"):
            found.append(f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}")
    assert found == []


def semgrep() -> str:
    """The program; the test is skipped where it is missing."""
    beside = Path(sys.executable).with_name("semgrep")
    found = str(beside) if beside.exists() else shutil.which("semgrep")
    if not found:
        pytest.skip("semgrep is not installed (PyPI has it); the rules are in tests/faults/rules.yaml")
    return found


@pytest.mark.slow
def test_x01_no_rule_of_our_own_is_broken_without_a_reason() -> None:
    words = [semgrep(), "scan", "--metrics=off", "--disable-version-check", "--quiet", "--json"]
    words += ["--config", "tests/faults/rules.yaml", *PRODUCT]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert len(told["paths"]["scanned"]) > 200
    assert told["errors"] == []
    found = []
    for one in told["results"]:
        lines = (ROOT / one["path"]).read_text().splitlines()
        said = "\n".join(lines[one["start"]["line"] - 1 : one["end"]["line"] + 1])
        if not WAIVER.search(said) and not any(words in said for words in OUR_OWN):
            found.append(f"{one['path']}:{one['start']['line']}: {one['extra']['message']}")
    assert found == []


def test_x03_what_is_installed_is_locked_by_version_and_hash() -> None:
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    assert "--require-hashes --no-deps -r requirements-build.lock" in setup
    assert "-r requirements-dev.lock" in setup
    assert "--require-hashes -r requirements.lock" in (ROOT / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for file, wanted in (
        ("requirements.lock", project["dependencies"]),
        ("requirements-dev.lock", project["dependencies"] + project["optional-dependencies"]["dev"]),
    ):
        lines = (ROOT / file).read_text().splitlines()
        pinned = [number for number, line in enumerate(lines) if re.match(r"[\w.\[\]-]+==", line)]
        assert all("--hash=sha256:" in lines[number + 1] for number in pinned), file
        locked = {re.split(r"[\[=]", lines[number])[0].lower().replace("_", "-") for number in pinned}
        names = {re.split(r"[<>=!\[;~ ]", one)[0].lower().replace("_", "-") for one in wanted}
        assert names <= locked, names - locked


def test_b12_no_agent_runs_two_records_at_once_and_each_acks_by_hand() -> None:
    """Faust's `concurrency` above 1 commits past what is under way, and `exactly_once` loses (STACK §2)."""
    code = {path: path.read_text() for folder in PRODUCT for path in (ROOT / folder).glob("*.py")}
    assert not [path for path, text in code.items() if re.search(r"concurrency=(?!1\b)", text)]
    assert not [path for path, text in code.items() if re.search(r'processing_guarantee="exactly_once"', text)]
    assert not [path for path, text in code.items() if ".take(" in text and "within=" in text]
    reading = [path for path, text in code.items() if "stream.noack()" in text]
    assert {path.name for path in reading} == {"feed.py", "store.py"}, "whoever reads a topic acks by hand"
