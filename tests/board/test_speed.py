"""How fast the board draws, in its own processor time; and, as laws, how little of five hundred queues it touches."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from tests.board.conftest import Page
from tests.board.scenes import Present, huge, surge
from tests.board.spent import Trace

pytestmark = pytest.mark.slow

FRAME_MS, DRAWN = 16, 16
PAINT_MS = 1_000
"""All that the page's thread does from the first byte until numbers stand there; the first paint is long before."""
_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_NODES = "return document.getElementsByTagName('*').length"
_DRAWN = """
  const [many, done] = arguments, end = setTimeout(done, 100e3);
  let left = many;
  const seen = new MutationObserver(() => {
    left -= 1;
    if (left === 0) (seen.disconnect(), clearTimeout(end), done());
  });
  seen.observe(document.body, { subtree: true, attributes: true, childList: true, characterData: true });
"""
"""Ends once so much was drawn. In a span by the clock there may be nothing on a busy machine: for a frame of the
largest scene this very process makes, writes, reads and sends ten megabytes: half a second of a processor."""
_WRITTEN = """
  const done = arguments[arguments.length - 1], writes = [0];
  const seen = new MutationObserver((list) => { writes[writes.length - 1] += list.length; });
  seen.observe(document, { subtree: true, attributes: true, childList: true, characterData: true });
  const next = () => {
    if (writes.push(0) <= arguments[0]) return setTimeout(next, 300);
    seen.disconnect();
    done(writes.slice(0, -1));
  };
  setTimeout(next, 300);
"""


def busy(now: int, many: int = 500) -> Present:
    """Two thousand keys, and something is another in every one of them all the time."""
    present = huge(now, many=many)
    for at, key in enumerate(present["keys"]):
        key["oldest_ms"] = (key["oldest_ms"] or 5_000) + now % 60_000
        key["backlog"] += (now // 500 + at) % 3
        key["volume"]["rate_per_min"] = (key["volume"]["rate_per_min"] or 0) + (now // 1_000 + at) % 5
    return present


def sixty(now: int) -> Present:
    """As many as are curves one by one: sixty queues of 180 minutes, and something new in each all the time."""
    present = busy(now, 60)
    present["keys"] = [key for key in present["keys"] if key["channel"] == "*"]
    return present


def test_of_two_thousand_keys_only_what_is_in_sight_becomes_nodes(page: Page) -> None:
    page.theatre.play(huge)
    page.open("lang=en", 1440, 1180)
    assert page.do("return document.querySelectorAll('[data-row]').length") < 25
    assert page.do("return document.querySelectorAll('.spark path').length") < 25 * 5
    assert page.do("return document.querySelectorAll('.byname li').length") == 0
    assert page.do(_NODES) < 3_500


def test_of_sixty_queues_too_only_the_rows_in_sight_are_drawn_and_the_rest_as_one_scrolls(page: Page) -> None:
    page.theatre.play(sixty)
    page.open("lang=en", 1440, 1080)
    page.wait("return document.querySelectorAll('[data-row] .spark path').length > 0")
    drawn = "return [...document.querySelectorAll('[data-row]')].map((row) => row.dataset.row)"
    first = page.do(drawn)
    assert len(first) < 25
    assert "60 queues, all shown" in page.text(".tablepanel .phead")
    page.do("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait("return !document.querySelector(`[data-row='${arguments[0]}']`)", first[0])
    page.wait("return document.querySelector('[data-rows]').getBoundingClientRect().bottom <= innerHeight + 400")
    assert len(page.do(drawn)) < 40


def test_a_frame_writes_what_changed_and_nothing_else(page: Page) -> None:
    page.theatre.play(huge)
    page.open("lang=en", 1440, 1080)
    page.wait("return document.querySelectorAll('[data-row] .spark path').length > 0")
    writes = page.do(_WRITTEN, 12, later=True)
    assert statistics.median(writes) < 150, (
        writes
    )  # of more than two thousand nodes: the clocks, the tide's newest minute


def test_a_list_that_is_shut_is_not_made_and_one_that_is_opened_is(page: Page) -> None:
    page.open("lang=en")
    assert page.do("return document.querySelectorAll('.byname li').length") == 0
    page.do("document.querySelector('.byname summary').click()")
    page.wait("return document.querySelectorAll('.byname li').length === 42")
    page.do("document.querySelector('.byname summary').click()")
    page.wait("return document.querySelectorAll('.byname li').length === 0")


@pytest.mark.bench
@pytest.mark.parametrize("scene", [surge, sixty, huge, busy])
@pytest.mark.parametrize(("query", "width"), [("", 1440), ("view=tv", 1920)])
def test_a_frame_takes_sixteen_milliseconds_at_most(
    page: Page, scene: Callable[[int], Present], query: str, width: int
) -> None:
    """Of its thread's own time: script, style, layout and paint together, the median of all frames."""
    page.theatre.play(scene)
    page.driver.set_script_timeout(120)
    opening = Trace(page.driver)
    with opening.open():
        page.open(f"lang=en&{query}", width, 1080)
    work = sum(one.ms for one in opening.tasks())
    paint = page.wait(_PAINT)
    for top in (0, 3_000) if not query and scene is not surge else (0,):
        page.do("scrollTo(0, arguments[0])", top)
        page.settle()
        trace = Trace(page.driver)
        with trace.open():
            page.do(_DRAWN, DRAWN, later=True)
        frames = trace.frames()
        assert len(frames) >= DRAWN / 2, "it was not drawn"
        took = sorted(one.ms for one in frames)
        parts = ", ".join(
            f"{kind} {statistics.median(one.parts[kind] for one in frames):.1f}"
            for kind in ("script", "style", "layout", "paint")
        )
        print(
            f"\n{scene.__name__} {width}, scrolled {top}: first paint {paint:.0f} ms by the clock, "
            f"until it stands {work:.0f} ms of its thread; {len(frames)} frames, median "
            f"{statistics.median(took):.1f} ms ({parts}), slowest {took[-1]:.1f} ms; nodes {page.do(_NODES)}"
        )
        assert statistics.median(took) <= (FRAME_MS if scene is not busy else 2 * FRAME_MS)  # more than a board sees
    assert work <= PAINT_MS
