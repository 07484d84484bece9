"""Days in front of a wall, with time compressed: timers and clocks are the test's, everything else is the page's own.

    a script before the page ── clocks, timers, sockets ──► the page as it is served
            ▲ the test says how much time passes, and what the gateway does meanwhile

Ten days would say no more than three: every path here repeats once an hour or once a day.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.board.conftest import Page
from tests.board.scenes import instant, surge

pytestmark = pytest.mark.slow

FAKE = (Path(__file__).parent / "compressed.js").read_text(encoding="utf-8")
HOUR = 3_600_000
BERLIN_AUTUMN = int(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp() * 1000)
"""Half a day before Berlin puts its clocks back."""
GROWTH = 1_500_000
"""Bytes that a heap may differ by between two full collections: caches of the browser, not of ours."""


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


def heap(page: Page) -> int:
    """Bytes that JavaScript holds after a full collection."""
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return int(page.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])


class Wall:
    """A board on a wall whose time is the test's."""

    def __init__(self, page: Page, start: int) -> None:
        self._page = page
        script = f"window.FROM = {start}; window.FIRST = {json.dumps(snapshot(start))};\n{FAKE}"
        self._told = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        page.driver.get(page.theatre.address("lang=en&theme=dark&tenant=demo"))
        self.pass_time(3_000)

    def pass_time(self, ms: int, every_ms: int = 1_000, hidden: bool = False) -> None:
        """Let time pass, with a frame each second; a hidden page's timers run once a minute."""
        left = ms
        while left > 0:
            part = min(left, 600_000 if not hidden else 6 * HOUR)
            self._page.do("document.pass(...arguments)", part, 60_000 if hidden else every_ms)
            left -= part

    def gateway(self, up: bool) -> None:
        """The gateway goes, or comes back."""
        self._page.do("document.gateway(arguments[0])", up)

    def close(self) -> None:
        self._page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", self._told)
        self._page.driver.get("about:blank")


def a_day(wall: Wall, page: Page, share: float) -> None:
    """A day: mostly in the background, a restart of the gateway, some time in sight."""
    wall.pass_time(int(23 * HOUR * share), hidden=True)
    wall.gateway(False)
    wall.pass_time(20_000)
    assert page.do("return document.documentElement.classList.contains('stalled')")
    wall.gateway(True)
    wall.pass_time(30_000)
    assert not page.do("return document.documentElement.classList.contains('stalled')")
    wall.pass_time(int(HOUR * share) - 50_000)


def watched(page: Page, days: float) -> tuple[int, int, int, int]:
    """Bytes and nodes at the first evening and at the last; the clock on the page is right all along."""
    page.driver.execute_cdp_cmd("HeapProfiler.enable", {})
    wall = Wall(page, BERLIN_AUTUMN)
    try:
        share = min(1.0, days)
        a_day(wall, page, share)
        before, nodes = heap(page), page.do("return document.getElementsByTagName('*').length")
        for _ in range(max(1, round(days) - 1)):
            a_day(wall, page, share)
        berlin = page.do("return new Intl.DateTimeFormat('en-GB', {timeZone: 'Europe/Berlin', hour: '2-digit', "
                         "minute: '2-digit', hourCycle: 'h23'}).format(document.now())")  # fmt: skip
        assert berlin in page.text(".strip")
        assert page.text('[data-of="backlog"]') == "91"
        return before, heap(page), nodes, page.do("return document.getElementsByTagName('*').length")
    finally:
        wall.close()


def test_two_compressed_hours_with_a_restart_leave_nothing_behind(page: Page) -> None:
    before, after, nodes, later = watched(page, 0.05)
    assert after - before < GROWTH
    assert abs(later - nodes) < 60


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_three_days_over_a_change_of_the_clocks_leave_nothing_behind(page: Page) -> None:
    began = time.monotonic()
    before, after, nodes, later = watched(page, float(os.environ.get("TIDEWATCH_SOAK_DAYS", "3")))
    print(f"heap {before:,} to {after:,} bytes, nodes {nodes} to {later}, {time.monotonic() - began:.0f} s")
    assert after - before < GROWTH
    assert abs(later - nodes) < 60
