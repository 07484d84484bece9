"""What `docs/faults.md` names is there."""

from __future__ import annotations

import re

from tests.rig.clickhouse import ROOT

TEXT = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-Z]-\d\d(?:, [A-Z]-\d\d)*) \| (.*?) \| (.*) \|$", TEXT, re.MULTILINE)


def test_every_row_has_a_test_that_is_there_or_a_reason() -> None:
    for row, tests, state in ROWS:
        assert tests or state.startswith(("skipped: ", "does not apply: ")), row
        for path, named in re.findall(r"`(tests/[\w/]+\.py)`([^;]*)", tests):
            code = (ROOT / path).read_text(encoding="utf-8")
            assert all(f"def {name}(" in code for name in re.findall(r"`(test_\w+)`", named)), (row, path)


def test_no_row_of_these_kinds_is_left_out() -> None:
    said = {name for row, _, _ in ROWS for name in row.split(", ")}
    kinds = {"K": 10, "B": 13, "C": 12, "D": 6, "A": 12, "T": 9, "J": 10, "V": 5, "S": 3, "X": 4}
    assert said == {f"{kind}-{number:02}" for kind, many in kinds.items() for number in range(1, many + 1)}
