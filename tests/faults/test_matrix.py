"""What `docs/faults.md` names is there."""

from __future__ import annotations

import re

from tests.rig.clickhouse import ROOT

TEXT = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-Z]-\d\d(?:, [A-Z]-\d\d)*) \| (.*?) \| (.*) \|$", TEXT, re.MULTILINE)


def test_every_row_has_a_test_that_is_there_or_a_reason() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for row, tests, state in ROWS:
        names = re.findall(r"`(test_\w+)`", tests)
        assert all(f"def {name}(" in code for name in names), row
        assert tests or state.startswith(("skipped: ", "does not apply: ")), row


def test_no_row_of_these_kinds_is_left_out() -> None:
    said = {name for row, _, _ in ROWS for name in row.split(", ")}
    kinds = {"K": 10, "B": 13, "C": 12, "D": 6, "T": 9, "V": 5, "S": 3, "X": 4}
    assert said == {f"{kind}-{number:02}" for kind, many in kinds.items() for number in range(1, many + 1)}
