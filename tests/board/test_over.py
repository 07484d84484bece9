"""A surge that is over: its card says what it was, a reader says what it was worth, and the rules have their rates."""

from __future__ import annotations

from typing import Any

import pytest

from tests.board.conftest import Page
from tests.board.scenes import surge

pytestmark = pytest.mark.slow
OVER = "[data-alert='9f3c51']"


def over(now: int, tenant: str = "demo") -> dict[str, Any]:
    """The surge has ended; its last numbers are usual ones, and a young queue surges in its place."""
    present = surge(now, tenant)
    ended = next(one for one in present["lists"][tenant]["alerts"] if one["alert"] == "9f3c51")
    ended["at_peak"] = {"expected": 31, "drivers": ended["drivers"], "keywords": ended["keywords"]}
    part = {"dimension": "topic", "value": "small_talk", "excess": 2, "share": 1.0}
    resolved = next(one["resolved_at"] for one in present["lists"][tenant]["alerts"] if one["resolved_at"])
    ended |= {"state": "resolved", "resolved_at": resolved, "value": 33, "drivers": [part], "keywords": ["你好"]}
    for key in present["keys"]:
        key["volume"] |= {"learning": True, "learned_days": 1.3}
    return present


def test_what_is_over_says_what_it_was_can_be_graded_and_the_rules_have_their_rates(page: Page) -> None:
    page.theatre.play(over, roles=("supervisor",))
    page.open("lang=en&theme=light&page=alerts")
    page.wait(f'return !!document.querySelector("{OVER} .grade")')
    assert "small_talk" not in page.text(OVER)
    page.do(f'document.querySelector("{OVER} button.fold").click()')
    page.wait(f'return !!document.querySelector("{OVER} .drivers")')
    told = page.text(OVER).replace("\n", " ")
    assert "3.2×" in told, "98 at its peak, of 31"
    assert "+44" in told
    assert "+65" in told
    assert "small_talk" not in told
    page.do(f'document.querySelector("{OVER} .grade button").click()')
    order = page.theatre.ordered()
    assert (order["do"], order["alert"], order["as"]) == ("grade", "9f3c51", "useful")
    page.wait("return document.querySelectorAll('.plaintable tbody tr').length === 4")
    rows = page.do("return [...document.querySelectorAll('.plaintable tbody tr')].map(r => r.innerText)")
    assert [cell.strip() for cell in rows[0].split("\t")][:5] == ["surge", "7", "5", "1", "83% n 6"]
    assert page.complaints() == []


def test_on_a_phone_a_queue_that_surges_while_it_learns_says_that_it_surges(page: Page) -> None:
    page.theatre.play(over)
    page.open("lang=zh&theme=light", width=390)
    page.wait("return document.querySelectorAll('.qlist li').length > 3")
    rows = "return [...document.querySelectorAll('.qlist li')].map(r => "
    names, told = page.do(rows + "r.querySelector('.qlabel').innerText)"), page.do(rows + "r.innerText)")
    marks = dict(zip(names, told, strict=True))
    assert "突增" in marks["退货退款"]
    assert "学习中" not in marks["退货退款"]
    assert "学习中" in marks["技术支持"]
