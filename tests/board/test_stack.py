"""The board on the running stack: what stands on the page is what the feed says and what ClickHouse has."""

from __future__ import annotations

from typing import Any

import pytest
from selenium import webdriver

from tests.board.conftest import Page, Theatre
from tests.board.looks import legible
from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, ms, snapshot, wait

pytestmark = pytest.mark.slow

TENANT = "walled"
START = 1_795_226_400_000
NOW = START + 900_000
ENTER, ESCAPE, TAB = "\ue007", "\ue00c", "\ue004"


def event(conversation: str, ident: str, at_s: float, kind: str, **more: Any) -> Row:
    at = rfc3339(START + round(at_s * 1_000))
    return {"id": ident, "kind": kind, "conversation": conversation, "at": at, "tenant": TENANT, **more}


def said(conversation: str, ident: str, at_s: float, author: str, **more: Any) -> Row:
    return event(conversation, ident, at_s, "message", author=author, **{"text": f"text of {ident}", **more})


STORY = [
    said("quick", "q1", 0, "customer", queue="billing", author_id="u1"),
    said("quick", "q2", 30, "agent", author_id="ann"),
    event("quick", "q3", 200, "closed", by="agent", agent="ann"),
    said("slow", "s1", 0, "customer", queue="billing", text="<img src=x onerror=alert(1)> where is it?"),
    said("slow", "s2", 5, "bot"),
    event("slow", "s3", 60, "handoff"),
    said("slow", "s4", 360, "agent", author_id="bob"),
    event("slow", "s5", 400, "rated", score=2),
    said("still", "w1", 600, "customer", queue="returns"),
    said("fresh", "f1", 870, "customer", queue="billing"),
]
STORED = """
SELECT sum(answered_in_target) / (sum(offered) - sum(short_abandoned) - sum(undecided)) AS level
FROM minutes WHERE tenant = {tenant:String}"""


@pytest.fixture(name="board")
def _board(stack: RunningStack, _driver: webdriver.Chrome, theatre: Theatre) -> Page:
    """The story, stored and shown as of one tick; a browser before it that is signed in."""
    access: Row = dict(stack.access)
    Sender(access).send([{"events": STORY}, {"tick": rfc3339(NOW), "tenant": TENANT}])
    wait("the feed", lambda: ms(snapshot(access)["clocks"].get(TENANT)) == NOW)
    clock = "SELECT as_of FROM clocks WHERE tenant = {tenant:String}"
    wait("ClickHouse", lambda: [row["as_of"] for row in History(access).rows(clock, tenant=TENANT)] == [NOW])
    page = Page(_driver, theatre)
    size = {"width": 1440, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.complaints()
    page.driver.get(f"{access['board_url']}&lang=en&tenant={TENANT}")
    page.wait("return !document.querySelector('[aria-busy]') && document.querySelectorAll('[data-row]').length === 2")
    return page


def test_the_numbers_on_the_page_are_those_of_the_feed_and_of_clickhouse(board: Page, stack: RunningStack) -> None:
    access: Row = dict(stack.access)
    key = next(
        key for key in snapshot(access)["keys"] if (key["tenant"], key["queue"], key["channel"]) == (TENANT, "*", "*")
    )
    (stored,) = History(access).rows(STORED, tenant=TENANT)
    (standing,) = History(access).rows(
        "SELECT sum(backlog) AS waiting, max(oldest_ms) AS oldest FROM backlog_now WHERE tenant = {tenant:String}",
        tenant=TENANT,
    )
    window = key["windows"]["30m"]
    assert board.text('[data-of="backlog"]') == str(key["backlog"]) == str(standing["waiting"]) == "2"
    assert window["service_level"] == stored["level"] == pytest.approx(1 / 3)
    assert board.text('[data-of="sl"]').replace("\n", "") == "33.3%"
    assert key["oldest_ms"] == standing["oldest"] == 300_000
    assert board.text('[data-of="oldest"]').replace("\n", "").replace(" ", "").startswith("5m0")


def test_a_number_is_followed_to_a_receipt_that_agrees(board: Page) -> None:
    board.do("document.querySelector('[data-of=sl] a').focus()")
    board.press(ENTER)
    board.wait("return document.querySelectorAll('[data-item]').length === 3")
    assert "33.3%" in board.text("main")
    board.wait("return document.querySelector('.receipt .rcheck')?.innerText.includes('difference 0')")
    board.do("document.querySelector('[data-item=slow]').click()")
    board.wait("return document.querySelectorAll('.talk ol li').length === 5")
    board.wait("return document.querySelector('.rcheck')?.innerText.includes('300,000 ms')")
    assert "both agree" in board.text(".receipt")
    assert "<img src=x onerror=alert(1)> where is it?" in board.text(".talk")
    assert board.do("return document.querySelectorAll('#app img').length") == 0
    legible(board, "conversation")
    for _ in range(2):
        board.press(ESCAPE)
    board.wait("return document.querySelectorAll('.tile').length === 6 && !location.search.includes('behind')")
    assert board.complaints() == []


WORDS = {
    "en": ("Behind this number", "both agree", "difference 0", "300,000 ms"),
    "zh": ("这个数字背后的会话", "两处一致", "差 0", "300,000 毫秒"),
}


@pytest.mark.parametrize("lang", WORDS)
def test_the_keyboard_alone_goes_from_a_number_to_its_receipt_and_each_step_is_a_link(board: Page, lang: str) -> None:
    behind, agree, none, took = WORDS[lang]
    if lang == "zh":
        board.press("e")
        board.wait("return document.documentElement.lang === 'zh-CN'")
    home = board.do("return location.href")
    board.do("document.activeElement.blur()")
    for _ in range(60):
        board.press(TAB)
        if board.do("return !!document.activeElement.closest('[data-of=sl]')"):
            break
    board.press(ENTER)
    board.wait("return document.querySelectorAll('[data-item]').length === 3")
    board.wait("return document.querySelector('.receipt .rcheck')?.innerText.includes(arguments[0])", none)
    steps = [board.do("return location.href")]
    assert behind in board.text(".clist")
    for _ in range(3):
        board.press("j")
        if board.do("return document.activeElement.dataset.item") == "slow":
            break
    board.press(ENTER)
    board.wait("return document.querySelectorAll('.talk ol li').length === 5")
    board.wait("return document.querySelector('.rcheck')?.innerText.includes(arguments[0])", took)
    steps.append(board.do("return location.href"))
    assert agree in board.text(".receipt")
    for link, there in zip(steps, (".clist [data-item]", ".talk ol li"), strict=True):
        board.driver.get(link)  # as somebody opens it to whom it was sent
        board.wait("return !!document.querySelector(arguments[0])", there)
        board.wait("return document.querySelector('.receipt .rcheck')?.innerText.includes(arguments[0])", none)
    for _ in range(2):
        board.press(ESCAPE)
    board.wait("return document.querySelectorAll('.tile').length === 6")
    assert "conversation=" not in board.do("return location.href")
    assert home.split("?")[0] == board.do("return location.href").split("?")[0]


@pytest.mark.parametrize("page", ["history", "alerts", "boards"])
def test_the_other_pages_have_answers_too(board: Page, page: str) -> None:
    board.do("[...document.querySelectorAll('.nav a')].find((a) => a.href.includes(arguments[0])).click()", page)
    board.wait("return location.search.includes(arguments[0])", f"page={page}")
    board.wait("return !document.querySelector('main [role=status]')")
    board.settle()
    assert board.do("return document.querySelectorAll('.failure').length") == 0, board.text(".failure")
    assert board.complaints() == []


def test_a_board_file_with_an_unknown_metric_is_told_on_the_page_and_the_numbers_stand(
    board: Page, stack: RunningStack
) -> None:
    folder = stack.directory / "boards"
    folder.mkdir(exist_ok=True)
    wrong = folder / "walled-wrong.toml"
    wrong.write_text('[[thresholds]]\nmetric = "happiness"\nwarning = 3\n', encoding="utf-8")
    try:
        board.do("[...document.querySelectorAll('.nav a')].find((a) => a.href.includes('page=boards')).click()")
        board.wait("return document.querySelector('.problem')?.innerText.includes('walled-wrong.toml')")
        told = board.text(".problem")
        assert "happiness" in told
        assert "service_level" in told  # what it may be
        link = board.do("return location.href").replace("page=boards", "board=walled-wrong")
        board.driver.get(link)
        board.wait("return document.querySelector('.notice')?.innerText.includes('walled-wrong')")
        board.wait("return document.querySelector('[data-of=backlog]')?.innerText === '2'")
    finally:
        wrong.unlink()
