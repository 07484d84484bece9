"""What the pages name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_constant_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rooms = "alerts|config|docs|gateway|models|scripts|sinks|streams|tests|tidewatch"
    named = set(re.findall(rf"`((?:{rooms})/[\w./-]*)`", text))
    linked = {path.split("#")[0] for path in re.findall(r"\]\((?!https?:)([^)#]+)", text)}
    missing = {path for path in named if not (ROOT / path).exists()}
    missing |= {path for path in linked if not ((ROOT / page).parent / path).exists()}
    assert missing == set()
    for line in text.splitlines():
        files = [ROOT / path for path in re.findall(rf"`((?:{rooms})/[\w/-]+\.py)`", line)]
        for constant in re.findall(r"`([A-Z][A-Z_]{2,})`", line) if files else ():
            assert any(re.search(rf"^{constant}\b", file.read_text(), re.MULTILINE) for file in files), constant


def test_the_readme_lists_every_view_of_the_history() -> None:
    schema = (ROOT / "sinks" / "schema.sql").read_text(encoding="utf-8")
    views = set(re.findall(r"CREATE OR REPLACE VIEW (\w+)", schema))
    table = README.split("| view |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == views


def test_the_readme_shows_two_commands_that_the_makefile_has() -> None:
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert f"    make {command} " in README
        assert re.search(rf"^{command}:", made, re.MULTILINE)
