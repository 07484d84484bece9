"""How fast the board draws, as figures; and, as a law, how little of five hundred queues it draws at all."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from tests.board.conftest import Page
from tests.board.scenes import Present, huge, surge

pytestmark = pytest.mark.slow

_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_NODES = "return document.getElementsByTagName('*').length"
_DRAWS = """
  const done = arguments[arguments.length - 1], many = arguments[0], took = [];
  (async () => {
    for (let i = 0; i < many; i++) {
      await new Promise((next) => setTimeout(next, 300));
      const began = performance.now();
      dispatchEvent(new Event('resize'));
      document.body.getBoundingClientRect();
      took.push(performance.now() - began);
    }
    done(took);
  })();
"""


def test_of_two_thousand_keys_only_what_is_in_sight_becomes_nodes(page: Page) -> None:
    page.theatre.play(huge)
    page.open("lang=en", 1440, 1180)
    assert page.do("return document.querySelectorAll('[data-row]').length") < 45
    assert page.do("return document.querySelectorAll('.spark path').length") < 45 * 5
    assert page.do(_NODES) < 4_500


@pytest.mark.bench
@pytest.mark.parametrize("scene", [surge, huge])
def test_how_long_a_frame_takes(page: Page, scene: Callable[[int], Present]) -> None:
    page.theatre.play(scene)
    for query, width in (("lang=en", 1440), ("lang=en&view=tv", 1920)):
        page.open(query, width, 1080)
        paint = page.wait(_PAINT)
        took = sorted(page.do(_DRAWS, 25, later=True))
        print(
            f"\n{scene.__name__} {width}: first paint {paint:.0f} ms, a frame (script, style, layout) median "
            f"{statistics.median(took):.1f} ms, slowest {took[-1]:.1f} ms, "
            f"nodes {page.do(_NODES)}"
        )
