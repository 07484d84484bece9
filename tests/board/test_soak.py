"""Days in front of a wall, with time compressed: timers and clocks are the test's, everything else is the page's own.

    a script before the page ── clocks, timers, sockets ──► the page as it is served
            ▲ the test says how much time passes, and what the gateway and the broker do meanwhile

Ten days would say no more than three: every path here repeats once an hour or once a day.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.board.conftest import Page
from tests.board.scenes import instant, surge

pytestmark = pytest.mark.slow

FAKE = (Path(__file__).parent / "compressed.js").read_text(encoding="utf-8")
TENTH, SECOND, HOUR = 100, 1_000, 3_600_000
BERLIN = ZoneInfo("Europe/Berlin")
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""Berlin puts its clocks back: 03:00 is 02:00 once more."""
SPRING = datetime(2027, 3, 28, 1, tzinfo=UTC)
"""Berlin puts its clocks forward: 02:00 is 03:00."""
GROWTH = 1_500_000
"""Bytes that a heap may differ by between two full collections: caches of the browser, not of ours."""
STALLED = "return document.documentElement.classList.contains('stalled')"


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)


def snapshot(now: int) -> dict[str, Any]:
    """A first frame: a shop in Berlin with a surge."""
    present = surge(now)
    keys = []
    for key in present["keys"]:
        name = (key["tenant"], key["queue"], key["channel"])
        keys.append(key | {"series": present["series"].get(name)})
    lists = {
        name: [one | {"tenant": "demo"} for one in present["lists"]["demo"][name]]
        for name in ("agents", "alerts", "silences", "events")
    }
    return {
        "kind": "snapshot", "as_of": instant(now), "clocks": {"demo": instant(now)}, "server_time": instant(now),
        "zone": "Europe/Berlin", "zones": {"demo": "Europe/Berlin"}, "ingest_lag_ms": 100, "stale": False,
        "stale_reason": None, "partitions": {"total": 12, "behind": 0}, "keys": keys, **lists,
        "viewer": {"sub": "wall", "roles": ["viewer"], "can": []}, "labels": present["meta"]["labels"],
    }  # fmt: skip


class Wall:
    """A board whose time is the test's."""

    def __init__(self, page: Page, start: datetime, query: str) -> None:
        self.page = page
        script = f"window.FROM = {ms(start)}; window.FIRST = {json.dumps(snapshot(ms(start)))};\n{FAKE}"
        self._told = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        page.driver.get(page.theatre.address(f"lang=en&theme=dark&tenant=demo&{query}"))
        self.pass_time(3 * SECOND)

    @property
    def now(self) -> datetime:
        """Its moment."""
        return datetime.fromtimestamp(self.page.do("return document.now()") / 1_000, UTC)

    def pass_time(self, ms: int, every_ms: int = SECOND) -> None:
        """Let time pass, with a frame each `every_ms`."""
        while ms > 0:
            part = min(ms, every_ms * 100)
            self.page.do("document.pass(...arguments)", part, every_ms)
            ms -= part

    def until(self, moment: datetime, every_ms: int = SECOND) -> None:
        """Let time pass up to a moment."""
        self.pass_time(ms(moment) - ms(self.now), every_ms)

    def away(self, ms: int) -> None:
        """Time passes while nobody sees the page: its timers run once a minute, nothing is drawn."""
        self.page.do("document.conceal(true)")
        self.pass_time(ms, 60 * SECOND)
        self.page.do("document.conceal(false)")

    def stands(self) -> bool:
        """Whether its numbers are grey."""
        return bool(self.page.do(STALLED))

    def says_the_time(self) -> None:
        """The strip has the time of its zone, the drawing's scale the hours and half hours before it, to the minute."""
        self.pass_time(SECOND, TENTH)
        here = self.now.astimezone(BERLIN)
        newest = {(self.now - timedelta(seconds=late)).astimezone(BERLIN).strftime("%H:%M:%S") for late in (0, 1)}
        assert any(one in self.page.text(".strip") for one in newest), here
        scale = [text for text in self.page.do(_SCALE) if len(text) == len("00:00") and text[2] == ":"]
        marks = [self.now - timedelta(minutes=at) for at in range(180)]
        halves = {at.astimezone(BERLIN).strftime("%H:%M") for at in marks if at.minute % 15 == 0}
        assert len(scale) >= 5
        assert set(scale) <= halves, (scale, here)

    def oldest(self) -> str:
        """The longest wait: a tile on a desk, a line on a wall."""
        return self.page.text('[data-of="oldest"]') or self.page.text(".facts")

    def restarts(self) -> None:
        """The gateway goes and comes back, then the broker: each is said within five seconds, and is over after."""
        self.pass_time(SECOND, TENTH)
        before = self.oldest()
        self.page.do("document.gateway(false)")
        self.pass_time(4 * SECOND, TENTH)
        assert not self.stands()
        assert self.oldest() != before, "an age goes on between frames"
        self.pass_time(1 * SECOND, TENTH)
        assert self.stands()
        still = self.oldest()
        self.pass_time(15 * SECOND)
        assert self.oldest() == still, "and stands still with the numbers"
        self.page.do("document.gateway(true)")
        self.pass_time(30 * SECOND)
        assert not self.stands()
        self.page.do("document.broker(false)")
        self.pass_time(6 * SECOND, TENTH)
        assert self.stands()
        assert "broker" in self.page.text(".banner")
        self.pass_time(300 * SECOND)
        self.page.do("document.broker(true)")
        self.pass_time(2 * SECOND, TENTH)
        assert not self.stands()

    def close(self) -> None:
        self.page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", self._told)
        self.page.driver.get("about:blank")


_SCALE = "return [...document.querySelectorAll('svg.tide .axis')].map((one) => one.textContent)"


@contextmanager
def wall(page: Page, start: datetime, query: str = "") -> Iterator[Wall]:
    """One that is taken down after."""
    one = Wall(page, start, query)
    try:
        yield one
    finally:
        one.close()


def held(page: Page) -> tuple[int, int]:
    """Bytes that JavaScript holds after a full collection, and how many nodes there are."""
    page.driver.execute_cdp_cmd("HeapProfiler.enable", {})
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    used = int(page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])
    return used, page.do("return document.getElementsByTagName('*').length")


@pytest.mark.parametrize(("change", "query"), [(AUTUMN, ""), (SPRING, ""), (AUTUMN, "view=tv")])
def test_the_board_goes_over_midnight_and_a_change_of_the_clocks_by_itself(
    page: Page, change: datetime, query: str
) -> None:
    midnight = change.astimezone(BERLIN).replace(hour=0, minute=0).astimezone(UTC)
    with wall(page, midnight - timedelta(minutes=2), query) as one:
        for moment in (midnight, change):
            one.until(moment - timedelta(seconds=2), 20 * SECOND)
            one.says_the_time()
            one.pass_time(4 * SECOND)
            one.says_the_time()
        one.pass_time(2 * HOUR, 20 * SECOND)
        one.says_the_time()
        assert not one.stands()
        assert page.text('[data-of="backlog"]') == "91"
        one.restarts()


def test_two_compressed_hours_with_restarts_leave_nothing_behind(page: Page) -> None:
    with wall(page, AUTUMN - timedelta(hours=1)) as one:
        one.restarts()
        before, nodes = held(page)
        one.pass_time(HOUR // 2, 5 * SECOND)
        one.away(HOUR)
        one.restarts()
        one.says_the_time()
        after, later = held(page)
    assert after - before < GROWTH
    assert abs(later - nodes) < 60


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("query", ["", "view=tv"])
def test_three_days_over_a_change_of_the_clocks_leave_nothing_behind(page: Page, query: str) -> None:
    days = float(os.environ.get("TIDEWATCH_SOAK_DAYS", "3"))
    seen = []
    with wall(page, AUTUMN - timedelta(hours=13), query) as one:
        for _ in range(round(days * 4)):
            one.pass_time(3 * HOUR, 20 * SECOND)
            one.away(2 * HOUR)
            one.restarts()
            one.pass_time(ms_left(one), 10 * SECOND)
            one.says_the_time()
            seen.append(held(page))
    print(f"\n{query or 'desk'}: heap and nodes every six hours: " + ", ".join(f"{a:,}/{b}" for a, b in seen))
    assert seen[-1][0] - seen[0][0] < GROWTH
    assert abs(seen[-1][1] - seen[0][1]) < 60


def ms_left(one: Wall) -> int:
    """Until the next full six hours after the hour it began at."""
    return 6 * HOUR - (ms(one.now) - ms(AUTUMN - timedelta(hours=13))) % (6 * HOUR)
