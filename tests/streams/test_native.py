"""What is compiled and the source it was made of come to the same, and neither is taken for the other."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams import episode, native

ROOT = Path(__file__).parents[2]
FOLD = ["tests/streams/test_quick.py", "tests/streams/test_conformance.py", "tests/streams/test_sweeping.py"]
"""The short way held to the definition, and the worked cases."""
WITHIN_S = 280


def run(*words: str, pure: bool) -> subprocess.CompletedProcess[str]:
    """Python, in a process of its own, that may use what is compiled or not."""
    env = {name: value for name, value in os.environ.items() if name != native.PURE}
    env |= {native.PURE: "1"} if pure else {}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def digest(pure: bool) -> tuple[str, str]:
    """The form of a process, and what all it says and keeps of some made-up streams comes to."""
    done = run("-m", "tests.streams.forms", pure=pure)
    assert done.returncode == 0, done.stderr
    form, said = done.stdout.strip().split("|")
    return form, said


@pytest.mark.slow
def test_what_is_compiled_says_and_keeps_the_same_bytes_as_its_source() -> None:
    compiled, source = digest(pure=False), digest(pure=True)
    assert source[0] == native.SOURCE
    if compiled[0] == native.SOURCE:
        pytest.skip("nothing is compiled here: make setup, with a C compiler")
    assert compiled[1] == source[1]


@pytest.mark.slow
@pytest.mark.skipif(native.form() == native.SOURCE, reason="this very run is of the source")
def test_the_source_holds_what_the_compiled_form_is_tested_for() -> None:
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *FOLD, pure=True)
    assert done.returncode == 0, done.stdout[-3_000:]


def test_a_changed_source_is_never_run_as_it_was_compiled_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "streams"
    shutil.copytree(native.HERE, here, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(native, "HERE", here)
    places = {native.place()}
    sources = [f"{name}.py" for name in (*native.MODULES, *native.ASKED)]
    for n, name in enumerate([*sources, *(f"{name}.c" for name in native.BESIDE)], start=2):
        with (here / name).open("a") as source:
            source.write("\n")
        places.add(native.place())
        assert len(places) == n, name


def test_where_nothing_is_compiled_for_these_sources_they_run_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(native.PURE, raising=False)
    monkeypatch.setattr(native, "BUILT", tmp_path)
    (tmp_path / "of-other-sources").mkdir()
    path = ["streams"]
    native.take_up(path)
    assert path == ["streams"]


def test_all_that_the_compiled_modules_import_is_part_of_their_digest() -> None:
    asked = set()
    for name in native.MODULES:
        for node in ast.walk(ast.parse((native.HERE / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streams."):
                asked.add((node.module or "").removeprefix("streams."))
    assert asked - set(native.MODULES) == set(native.ASKED)


def test_no_struct_is_compiled() -> None:
    """What a class of `msgspec` is told beside its bases would be lost."""
    for name in native.MODULES:
        for node in ast.walk(ast.parse((native.HERE / f"{name}.py").read_text())):
            assert not (isinstance(node, ast.ClassDef) and node.keywords), f"{name}.{node.name}"


def test_marks_are_numbered_as_their_names_stand() -> None:
    numbers = {
        "messages": episode.MESSAGES, "customer_messages": episode.CUSTOMERS, "agent_messages": episode.AGENTS,
        "bot_messages": episode.BOTS, "opened": episode.OPENED, "moved_in": episode.MOVED_IN,
        "moved_out": episode.MOVED_OUT, "dropped": episode.DROPPED, "sentiment_n": episode.SENTIMENT_N,
        "sentiment_sum": episode.SENTIMENT_SUM, "negative": episode.NEGATIVES,
    }  # fmt: skip
    assert numbers == {name: number for number, name in enumerate(episode.MARKS)}
