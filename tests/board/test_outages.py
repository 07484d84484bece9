"""The page before a real stack whose processes hang and die: what is old is grey, says why, and comes back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver

from tests.board.conftest import Page, Theatre
from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import Sender, snapshot, wait
from tidewatch.embedded import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STALLED = "return document.documentElement.classList.contains('stalled')"
LIVE = "return !document.documentElement.classList.contains('stalled') && !!document.querySelector('.strip .m-live')"
WATCH = """
  const strip = () => document.querySelector('.strip b')?.innerText, grey = document.documentElement.classList;
  let was = strip(), moved = performance.now();
  window.greyAfter = null;
  clearInterval(window.watching);
  window.watching = setInterval(() => {
    if (strip() !== was) [was, moved] = [strip(), performance.now()];
    if (grey.contains('stalled')) window.greyAfter ??= performance.now() - moved;
  }, 20);
"""
"""How long the page stood still before it was grey, ms: from its last new second on."""
REASONS = {
    "gateway": "The connection to the gateway is lost",
    "worker": "The workers send no new numbers",
    "notifier": "The workers send no new numbers",
    "redis": "cannot reach Redis",
    "broker": "The broker does not answer",
}


@pytest.fixture(name="own", scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack whose processes may be harmed."""
    running = RunningStack(Stack(tmp_path_factory.mktemp("outages") / "data", port=0))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(name="board")
def _board(own: RunningStack, _driver: webdriver.Chrome, theatre: Theatre) -> Page:
    access: Row = dict(own.access)
    now = int(time.time() * 1_000)
    said = {"id": "a", "kind": "message", "author": "customer", "conversation": "c", "at": rfc3339(now)}
    Sender(access, replay=False).send([{"events": [{**said, "tenant": "shop"}]}])
    wait("the feed", lambda: [key for key in snapshot(access)["keys"] if key["backlog"] == 1])
    page = Page(_driver, theatre)
    page.driver.get(f"{access['board_url']}&lang=en")
    page.wait(LIVE)
    page.wait("return document.querySelector('[data-of=backlog]')?.innerText === '1'")
    return page


@contextmanager
def hung(stack: RunningStack, role: str) -> Iterator[None]:
    """It is there and does nothing: SIGSTOP."""
    pid = stack.pid(role)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if stack.pid(role) == pid:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("role", REASONS)
def test_whatever_hangs_the_page_is_grey_says_why_and_comes_back(board: Page, own: RunningStack, role: str) -> None:
    board.do(WATCH)
    with hung(own, role):
        board.wait(STALLED)
        after = board.wait("return window.greyAfter")
        board.wait("return document.querySelector('.banner')?.innerText.includes(arguments[0])", REASONS[role])
        assert board.text(".banner").startswith("Numbers stopped at ")
        assert board.text('[data-of="backlog"]') == "1"  # what was known last, and no zero
    board.wait(LIVE, within_s=120)
    board.wait("return document.querySelector('[data-of=backlog]')?.innerText === '1'")
    print(f"\n{role} hangs: grey {after / 1000:.1f} s after the last new second")


@pytest.mark.parametrize("role", REASONS)
def test_whatever_dies_the_page_is_live_again_with_the_same_numbers(board: Page, own: RunningStack, role: str) -> None:
    first, old = board.text(".strip b"), own.pid(role)
    own.kill(role)
    wait(f"another {role}", lambda: own.pid(role) not in (None, old), 60)
    wait("all of it", lambda: own.missing() == [], 120)
    board.wait(f"{LIVE} && document.querySelector('.strip b').innerText !== arguments[0]", first, within_s=120)
    board.wait("return document.querySelector('[data-of=backlog]')?.innerText === '1'", within_s=120)
    assert board.do("return document.querySelectorAll('.tile').length") == 6
