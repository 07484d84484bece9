"""The record of what people did: an edit, a removal and a chain made anew show."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts.audit import SETTLED_MS, problems
from alerts.notices import Policy
from alerts.outbox import DEEDS, Deed, Store, deeds_in
from alerts.state import State
from alerts.watch import Watch
from tests.alerts.build import BACKLOG, T0, rules
from tests.tidewatch.test_cli import assert_one_line, tidewatch

NOW = T0 + 10 * SETTLED_MS
PEOPLE = ("li", "wang", "zhao", "chen")


def written(path: Path) -> list[dict[str, Any]]:
    """A file with four deeds; what the history is told of them."""
    with Store(path) as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: T0)
        for name in PEOPLE:
            watch.command({"do": "silence", "tenant": "shop", "by": name, "match": {"queue": "a"}, "reason": "drill"})
        rows = [json.loads(row.body) for row in store.due(DEEDS, 1 << 60)]
    return [
        {**row, "at": T0, "actor": row["actor"], "detail": json.dumps(row["detail"], ensure_ascii=False)}
        for row in rows
    ]


def edited(path: Path, *statements: str) -> None:
    """Somebody changes the file by hand."""
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)


def found(path: Path, history: list[dict[str, Any]] | None = None) -> list[str]:
    """What is wrong with a file, beside a history."""
    deeds, ever = deeds_in(path)
    return problems(deeds, ever, history, NOW)


def test_a_record_that_nobody_touched_is_whole_and_the_history_says_the_same(tmp_path: Path) -> None:
    history = written(tmp_path / "n.db")
    assert found(tmp_path / "n.db") == found(tmp_path / "n.db", history) == []
    assert [deed["who"] for deed in deeds_in(tmp_path / "n.db")[0]] == list(PEOPLE)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit SET who = 'nobody' WHERE n = 2", ["deed 2: it was edited"]),
        ("UPDATE audit SET at = at + 1 WHERE n = 2", ["deed 2: it was edited"]),
        ("UPDATE audit SET result = 'no' WHERE n = 4", ["deed 4: it was edited"]),
        ("DELETE FROM audit WHERE n = 1", ["deed 2: it was edited, or the one before it was removed"]),
        ("DELETE FROM audit WHERE n = 3", ["deed 4: it was edited, or the one before it was removed"]),
        ("DELETE FROM audit WHERE n = 4", ["deeds 4 to 4: removed from the end"]),
        ("DELETE FROM audit", ["deeds 1 to 4: removed from the end"]),
    ],
)
def test_an_edit_and_a_removal_show(tmp_path: Path, statement: str, says: list[str]) -> None:
    written(tmp_path / "n.db")
    edited(tmp_path / "n.db", statement)
    assert [line[: len(want)] for line, want in zip(found(tmp_path / "n.db"), says, strict=True)] == says


def test_a_removed_end_shows_after_further_deeds_too(tmp_path: Path) -> None:
    written(tmp_path / "n.db")
    edited(tmp_path / "n.db", "DELETE FROM audit WHERE n = 4")
    with Store(tmp_path / "n.db") as store:
        store.commit(State(), State(), deeds=[Deed(T0, "wu", "shop", "ack", {}, "ok")])
    assert found(tmp_path / "n.db") == ["deed 5: it was edited, or the one before it was removed"]


def test_a_chain_made_anew_shows_beside_the_history(tmp_path: Path) -> None:
    history = written(tmp_path / "n.db")
    with Store(tmp_path / "forged.db") as store:
        for who in ("li", "wang", "somebody", "chen"):
            detail = {"match": {"queue": "a"}, "reason": "drill"}
            store.commit(State(), State(), deeds=[Deed(T0, who, "shop", "silence", detail, "ok")])
    assert found(tmp_path / "forged.db") == []
    assert found(tmp_path / "forged.db", history) == [f"deed {n}: the history says something else" for n in (3, 4)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.pop(2), "deed 3: the history does not have it"),
        (lambda rows: rows[1].update(actor="nobody"), "deed 2: the history says something else"),
        (lambda rows: rows[1].update(detail=rows[1]["detail"].replace("drill", "dri11")), "deed 2: the history says"),
    ],
)
def test_a_history_that_was_changed_shows(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], object], says: str
) -> None:
    history = written(tmp_path / "n.db")
    change(history)
    (line,) = found(tmp_path / "n.db", history)
    assert line.startswith(says)


def test_the_command_says_so_in_one_line_and_exits_1(tmp_path: Path) -> None:
    written(tmp_path / "notifier.db")
    whole = tidewatch("audit", "verify", "--data", str(tmp_path))
    assert whole.returncode == 0, whole.stderr
    assert "4 deeds, the chain is whole" in whole.stdout
    edited(tmp_path / "notifier.db", "DELETE FROM audit WHERE n = 2")
    broken = tidewatch("audit", "verify", "--data", str(tmp_path))
    assert broken.returncode == 1
    assert "deed 3" in broken.stdout
    assert_one_line(broken, 1, "tidewatch: the audit is not whole: 1 found")


def test_what_a_gateway_refused_is_kept_and_done_by_nobody(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: T0)
        order = {"do": "silence", "by": "eve", "tenant": "shop", "asked": "{}", "from": "10.0.0.9"}
        answer = watch.command({**order, "refused": "silence: your role does not allow it"})
        assert answer == {"kind": "reply", "ok": False, "error": "silence: your role does not allow it"}
        assert watch.silences() == []
        (deed,) = store.audit()
        assert (deed["who"], deed["what"], deed["result"]) == ("eve", "silence", "silence: your role does not allow it")
        assert json.loads(deed["detail"]) == {"asked": "{}", "from": "10.0.0.9"}
