"""The boards of the teams: what may stand in a file, and that it is read, written and told apart by tenant."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.boards import METRICS, TILES, Boards, Unusable, checked, written

FULL: dict[str, Any] = {
    "title": {"zh": "账务", "en": 'Billing "A" \\ B'}, "tiles": ["backlog", "sl"], "queues": ["billing*"],
    "channels": ["web"], "table": ["backlog", "service_level"], "rotate": {"every_s": 0, "ribbons": ["topics"]},
    "thresholds": [{"metric": "oldest_ms", "queue": "billing", "warning": 600_000, "critical": 1_200_000.5}],
}  # fmt: skip


def test_a_board_that_says_nothing_has_defaults() -> None:
    board = checked("calm", {})
    assert (board["queues"], board["rotate"]["every_s"], board["thresholds"]) == (["*"], 12, [])
    assert set(board["tiles"]) <= set(TILES)


def test_what_is_written_reads_back_the_same() -> None:
    body = checked("full", FULL)
    assert checked("full", tomllib.loads(written(body))) == body


names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=40).filter(str.isprintable)


@given(names, names, st.lists(names, min_size=1, max_size=5))
def test_any_name_survives_the_file(zh: str, en: str, queues: list[str]) -> None:
    body = checked("any", {"title": {"zh": zh, "en": en}, "queues": queues})
    assert checked("any", tomllib.loads(written(body))) == body


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tiles": ["pie"]}, ("pie", "backlog")),
        ({"tiles": ["sl", "sl"]}, ("once",)),
        ({"tiles": "sl"}, ("list",)),
        ({"colour": 1}, ("colour", "tiles")),
        ({"title": {"zh": "x"}}, ("en",)),
        ({"title": {"zh": "x\n", "en": "y"}}, ("characters",)),
        ({"queues": []}, ("pattern",)),
        ({"queues": [5]}, ("pattern",)),
        ({"rotate": {"every_s": -1}}, ("3600",)),
        ({"rotate": {"ribbons": ["dogs"]}}, ("dogs", "queues")),
        ({"thresholds": [{"metric": "nonsense", "warning": 1}]}, ("nonsense", "service_level")),
        ({"thresholds": [{"metric": "backlog"}]}, ("one of them",)),
        ({"thresholds": [{"metric": "backlog", "warning": 1, "critical": True}]}, ("number",)),
        ({"thresholds": [{"metric": "backlog", "near": 1, "warning": 0, "critical": 5}]}, ("rise or fall",)),
        ({"thresholds": [{"metric": "backlog", "warning": float("nan")}]}, ("number",)),
        ({"thresholds": [{"metric": "backlog", "warning": 1, "why": 2}]}, ("min_n",)),
    ],
)
def test_what_cannot_be_is_refused_naming_it_and_what_is_allowed(given: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(Unusable) as refused:
        checked("wrong", given)
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a" * 65, "-a", "a.toml", "\0"])
def test_a_name_never_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unusable):
        Boards(tmp_path).save(name, None, {}, None)
    with pytest.raises(Unusable):
        Boards(tmp_path).remove(name, None, None)


@pytest.mark.parametrize("tenant", ["..", "a/../b", ".", "%2e%2e", "日本", "a b"])
def test_a_tenant_of_any_name_has_a_folder_of_its_own(tmp_path: Path, tenant: str) -> None:
    boards = Boards(tmp_path / "boards")
    boards.save("ours", tenant, {}, None)
    (file,) = tmp_path.rglob("*.toml")
    assert file.parent.parent == tmp_path / "boards"
    assert [board.tenant for board in boards.all_of(tenant)[0]] == [tenant]
    assert boards.all_of("other") == ([], [])


def test_the_tenants_own_comes_before_everybodys(tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    boards.save("shared", None, {"tiles": ["sl"]}, None)
    boards.save("shared", "acme", {"tiles": ["csat"]}, None)
    assert [one.body["tiles"] for one in (boards.one("shared", "acme"), boards.one("shared", "rival")) if one] == [
        ["csat"], ["sl"],
    ]  # fmt: skip
    assert boards.one("nothing", "acme") is None


def test_a_file_that_cannot_be_used_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    boards.save("good", None, FULL, None)
    (tmp_path / "broken.toml").write_text("tiles = [")
    (tmp_path / "odd.toml").write_text('[[thresholds]]\nmetric = "nonsense"\nwarning = 1\n')
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe")
    found, problems = boards.all_of("*")
    assert [board.name for board in found] == ["good"]
    assert [problem.partition(":")[0] for problem in sorted(problems)] == ["broken.toml", "odd.toml", "raw.toml"]
    assert "nonsense" in "".join(problems)
    (tmp_path / "broken.toml").write_text("tiles = ['sl']")
    assert [board.name for board in boards.all_of("*")[0]] == ["broken", "good"]


def test_what_is_wrong_with_the_file_of_a_name_is_said_to_who_may_know(tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    boards.save("good", None, FULL, None)
    (tmp_path / "broken.toml").write_text("tiles = [")
    (tmp_path / "t-acme").mkdir()
    (tmp_path / "t-acme" / "own.toml").write_text("tiles = ['nonsense']")
    assert (boards.fault("broken", "rival") or "").startswith("broken.toml: ")
    assert "nonsense" in (boards.fault("own", "acme") or "")
    assert "nonsense" in (boards.fault("own", "*") or "")
    assert boards.fault("own", "rival") is None
    assert boards.fault("good", "acme") is None
    assert boards.fault("nothing", "acme") is None


def test_who_saves_over_another_is_told(tmp_path: Path) -> None:
    boards = Boards(tmp_path)
    first = boards.save("one", None, {}, None)
    second = boards.save("one", None, FULL, first.version)
    for version in (first.version, None):
        with pytest.raises(Unusable, match="somebody else"):
            boards.save("one", None, {}, version)
    with pytest.raises(Unusable, match="no such board"):
        boards.save("two", None, {}, first.version)
    boards.remove("one", None, second.version)
    assert boards.all_of("*") == ([], [])


def test_without_a_directory_there_are_none_and_the_mend_is_said() -> None:
    assert Boards(None).all_of("*") == ([], [])
    with pytest.raises(Unusable, match=r"tidewatch\.toml"):
        Boards(None).save("one", None, {}, None)


def test_every_metric_of_a_key_may_have_a_threshold() -> None:
    assert {"backlog", "oldest_ms", "service_level", "frt_p90_km_ms", "abandon_rate", "sentiment"} <= set(METRICS)
