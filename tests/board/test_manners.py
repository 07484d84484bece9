"""How the board behaves beside showing numbers: it moves little, sounds seldom, comes back at no fixed moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.board.answers import BOARD
from tests.board.conftest import Page
from tests.board.scenes import Present, calm, crowded, surge

pytestmark = pytest.mark.slow

MOVED = """
  window.moved = [];
  for (const kind of ['animationstart', 'transitionrun'])
    document.addEventListener(kind, (e) => window.moved.push(`${kind} ${e.target.className}`), true);
"""
MOVING = """
  const long = (told) => told.split(',').some((one) => parseFloat(one) > 0), found = [];
  for (const node of document.querySelectorAll('*'))
    for (const part of [null, '::before', '::after']) {
      const style = getComputedStyle(node, part);
      if (style.animationName !== 'none' || long(style.transitionDuration) || style.scrollBehavior === 'smooth')
        found.push(`${node.tagName}.${node.className}${part ?? ''}`);
    }
  return found;
"""


@contextmanager
def motion(page: Page, wish: str) -> Iterator[None]:
    """A reader who wants motion (`no-preference`) or none (`reduce`)."""
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": wish}]}
    )
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def _comes(page: Page, where: str) -> None:
    """A new critical alert and the ribbon's turns, before eyes that note every motion."""
    page.theatre.play(calm)
    page.theatre.stage.answers["/v1/boards/fast"] = lambda now, ask: (
        BOARD | {"rotate": {"every_s": 1, "ribbons": ["queues", "agents"]}}
    )
    page.open(where, 1920, 1080)
    page.do(MOVED)
    if "tv" in where:
        for ribbon in ("Agents", "Backlog"):
            page.wait("return document.querySelector('.pager').innerText.startsWith(arguments[0])", ribbon)
    page.theatre.play(surge)
    page.wait("return !!document.querySelector('.alert.sev-critical, .tvalert')")
    page.settle()


@pytest.mark.parametrize("where", ["lang=en", "lang=en&view=tv&board=fast"])
def test_who_wants_no_motion_sees_none(page: Page, where: str) -> None:
    with motion(page, "reduce"):
        _comes(page, where)
        assert page.do(MOVING) == []
        assert page.do("return window.moved") == []


def test_else_a_new_alert_fades_in_once(page: Page) -> None:
    with motion(page, "no-preference"):
        _comes(page, "lang=en")
        assert len([one for one in page.do("return window.moved") if "sev-critical" in one]) == 1
        assert page.do(MOVING) != []


LOST = """
  const done = arguments[1], code = arguments[0];
  import('/board/feed.js').then(({ Feed }) => {
    const [socket, timer, delays] = [window.WebSocket, window.setTimeout, []];
    window.WebSocket = class { close() {} };
    const feeds = [0, 1].map(() => new Feed({ frame: () => true, state() {} }));
    for (const feed of feeds) {
      const own = [];
      window.setTimeout = (_, delay) => own.push(delay);
      for (let i = 0; i < 12; i++) {
        feed.open();
        feed.socket.onopen();
        feed.socket.onclose({ code });
      }
      delays.push(own);
    }
    [window.WebSocket, window.setTimeout] = [socket, timer];
    for (const feed of feeds) feed.leave();
    done(delays);
  });
"""
"""Two viewers whose connection is lost twelve times: how long each waits before every next try, ms."""


@pytest.mark.parametrize(
    ("code", "middle"),
    [(1006, lambda lost: min(8_000.0, 400.0 * 2**lost)), (4401, lambda lost: 30_000.0)],
)
def test_no_two_viewers_come_back_at_the_same_moments(page: Page, code: int, middle: Callable[[int], float]) -> None:
    page.open("lang=en")
    one, other = page.do(LOST, code, later=True)
    assert len(one) == len(other) == 12
    for delays in (one, other):
        shares = [delay / middle(lost) for lost, delay in enumerate(delays)]
        assert all(0.5 <= share <= 1.5 for share in shares)
        assert max(shares) - min(shares) > 0.1
    assert all(a != b for a, b in zip(one, other, strict=True))


EARS = """
  const done = arguments[0];
  const knob = { setValueAtTime() {}, linearRampToValueAtTime() {} }, to = { connect: (x) => x };
  window.tones = [];
  window.AudioContext = class {
    state = 'suspended';
    currentTime = 0;
    async resume() { this.state = 'running'; }
    createGain() { return { gain: knob, ...to }; }
    createOscillator() { return { frequency: {}, ...to, start() { tones.push(this.frequency.value); }, stop() {} }; }
  };
  import('/board/here.js').then(({ sound }) => {
    const still = performance.now(), remind = sound.remind.bind(sound);
    window.ahead = window.looked = 0;
    performance.now = () => still + window.ahead;
    sound.remind = (waiting) => (remind(waiting), (window.looked += 1));
    done();
  });
"""
"""Tones are noted, and the page's clock stands still but for `ahead`, ms."""


def _heard(page: Page) -> int:
    """How many tones there have been, once the page has looked twice more whether it should sound."""
    seen = page.do("return window.looked")
    page.wait("return window.looked >= arguments[0]", seen + 2)
    return len(page.do("return window.tones"))


def _acknowledged(now: int) -> Present:
    present = surge(now)
    for alert in present["lists"]["demo"]["alerts"]:
        alert |= {"state": "acknowledged", "acknowledged_by": "李敏", "acknowledged_at": alert["since"]}
    return present


def _critical(page: Page, there: bool) -> None:
    page.theatre.play(surge if there else calm)
    page.wait("return !!document.querySelector('.alert.sev-critical') === arguments[0]", there)


def test_a_critical_alert_sounds_once_and_again_after_two_minutes_until_somebody_has_it(page: Page) -> None:
    page.theatre.play(crowded)  # another tenant's alert of the same name stays open
    page.theatre.play(calm)
    page.open("lang=en")
    page.do("localStorage.clear()")
    page.open("lang=en")
    page.do(EARS, later=True)
    assert "Sound off" in page.text(".tools")
    _critical(page, True)
    assert _heard(page) == 0, "it is off until somebody switches it on"
    _critical(page, False)
    page.press("m")
    page.wait("return document.querySelector('.tools')?.innerText.includes('Sound on')")
    try:
        _critical(page, True)
        assert _heard(page) == 2, "two tones, once"
        page.do("window.ahead = 119e3")
        assert _heard(page) == 2, "not before two minutes"
        page.do("window.ahead = 121e3")
        assert _heard(page) == 4
        page.do("window.ahead = 240e3")
        assert _heard(page) == 4, "once in two minutes"
        page.theatre.play(_acknowledged)
        page.wait("return document.querySelector('[data-alert=\"9f3c51\"]').innerText.includes('Acknowledged')")
        page.do("window.ahead = 600e3")
        assert _heard(page) == 4, "somebody has it"
    finally:
        page.press("m")
        page.do("localStorage.clear()")


def test_a_board_whose_file_cannot_be_used_says_why_and_where_to_look(page: Page) -> None:
    why = "late.toml: tiles: 'x' is not known (allowed: backlog)"
    for lang, words in (("en", "file of the board late cannot be used"), ("zh", "看板 late 的文件无法使用")):
        page.theatre.stage.answers["/v1/boards/late"] = lambda now, ask: {"error": why, "mend": "", "status": 409}
        page.open(f"lang={lang}&board=late")
        page.wait("return document.querySelector('.notice')?.innerText.includes(arguments[0])", words)
        assert why in page.text(".notice")
        assert {"en": "directory of boards", "zh": "看板目录"}[lang] in page.text(".notice")
        assert page.text('[data-of="backlog"]') == "91"
    page.open("lang=en&board=none")
    page.wait("return document.querySelector('.notice')?.innerText.includes('There is no board none')")
    page.complaints()
