from __future__ import annotations

import re
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from gateway import pages
from tests.board.stage import Claims

BOARD = Path(pages.__file__).parent / "wallboard"


def get(path: str, claims: Claims | None = None, **headers: str) -> Response | None:
    return pages.http(
        path, "", Headers({name.replace("_", "-"): value for name, value in headers.items()}), claims, None
    )


def test_the_page_and_all_it_names_are_there_with_every_safety_header() -> None:
    for path in ["/", *(f"/board/{file.name}" for file in BOARD.iterdir())]:
        answer = get(path)
        assert answer is not None, path
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Cache-Control" in answer.headers


@pytest.mark.parametrize(
    "path", ["/board", "/board/", "/board/../pages.py", "/board/%2e%2e/pages.py", "/x", "/v1/live"]
)
def test_other_paths_are_not_the_boards(path: str) -> None:
    assert get(path) is None


def test_what_did_not_change_is_not_sent_again() -> None:
    first = get("/board/board.js")
    assert first is not None
    again = get("/board/board.js", If_None_Match=first.headers["ETag"])
    assert again is not None
    assert (again.status_code, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("claims", "state"), [(None, "no"), (Claims(), "yes"), (Claims(roles=("ingest",)), "role")]
)  # fmt: skip
def test_the_page_knows_whether_its_reader_is_signed_in(claims: Claims | None, state: str) -> None:
    answer = get("/", claims)
    assert answer is not None
    assert f'data-signed="{state}"'.encode() in answer.body


def test_no_file_of_the_board_can_turn_text_into_code() -> None:
    for file in BOARD.glob("*.js"):
        text = file.read_text(encoding="utf-8")
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            ".style.",
        ):
            assert way not in text, (file.name, way)
    assert "style=" not in (BOARD / "index.html").read_text(encoding="utf-8")


def test_the_page_asks_for_every_part_at_once_and_not_one_after_the_other() -> None:
    page = (BOARD / "index.html").read_text(encoding="utf-8")
    assert [file.name for file in sorted(BOARD.glob("*.js")) if f"/board/{file.name}" not in page] == []
    named = set(re.findall(r"/board/([\w.]+)", page))
    assert {name for name in named if not (BOARD / name).exists()} == set()
