"""Are the numbers on the page those of the feed and those of ClickHouse? `python -m tests.board.equal [--dir DIR]`

Asked of a stack that runs, its traffic included (without a directory the demo is started): page, feed and history are
read until all three are as of the same second, and then compared, queue by queue.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from selenium import webdriver

from tests.board.picture import browser, demo, until
from tests.integration.outside import History, ms, snapshot

TIMES, WITHIN_S = 5, 180
"""So often they have to be found equal; and how long may be looked for such seconds."""

_PAGE = """
  const number = (text) => +(text ?? '').replace(/[^0-9]/g, '');
  const cell = (row, of) => number(row.querySelector(`[data-cell=${of}] > span:last-child`)?.innerText);
  return {
    clock: document.querySelector('.strip b')?.innerText,
    all: number(document.querySelector('[data-of=backlog]')?.innerText),
    queues: Object.fromEntries([...document.querySelectorAll('[data-row]')].map((row) => [row.dataset.row, {
      backlog: cell(row, 'backlog'), unassigned: cell(row, 'unassigned'),
      judged: number(row.querySelector('[data-cell=service_level]')?.closest('td').querySelector('small').innerText),
    }])),
  };
"""
_STANDING = """
SELECT queue, sum(b.backlog) AS backlog, sum(b.unassigned) AS unassigned FROM backlog_now AS b
WHERE tenant = {tenant:String} GROUP BY queue"""
_TODAY = """
SELECT queue, toInt64(sum(m.offered)) - sum(m.short_abandoned) - sum(m.undecided) AS judged FROM minutes AS m
WHERE tenant = {tenant:String} AND minute >= {since:DateTime64(3, 'UTC')} GROUP BY queue"""
_CLOCK = "SELECT as_of, zone FROM clocks WHERE tenant = {tenant:String}"

Numbers = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Seen:
    """One side at one moment: its second, the backlog of all, and each queue's numbers."""

    second: int
    all: int
    queues: Numbers


def fed(access: dict[str, Any], tenant: str) -> Seen:
    """What the feed says."""
    frame = snapshot(access)
    keys = [key for key in frame["keys"] if (key["tenant"], key["channel"]) == (tenant, "*")]
    queues: Numbers = {}
    for key in keys:
        day = key["windows"]["today"]
        judged = day["offered"] - day["short_abandoned"] - day["undecided"]
        queues[key["queue"]] = {"backlog": key["backlog"], "unassigned": key["unassigned"], "judged": judged}
    whole = queues.pop("*")
    return Seen((ms(frame["clocks"][tenant]) or 0) // 1_000, whole["backlog"], queues)


def kept(history: History, tenant: str) -> Seen | None:
    """What ClickHouse has; None where it went on while it was asked, or has no clock yet."""
    (before,) = history.rows(_CLOCK, tenant=tenant)
    if before["as_of"] is None:
        return None
    here = datetime.fromtimestamp(before["as_of"] / 1_000, ZoneInfo(before["zone"]))
    since = here.replace(hour=0, minute=0, second=0, microsecond=0)
    queues: Numbers = {row["queue"]: {"judged": 0, **_counts(row)} for row in history.rows(_STANDING, tenant=tenant)}
    for row in history.rows(_TODAY, tenant=tenant, since=since):
        queues.setdefault(row["queue"], {"backlog": 0, "unassigned": 0})["judged"] = row["judged"]
    if history.rows(_CLOCK, tenant=tenant) != [before]:
        return None
    return Seen(before["as_of"] // 1_000, sum(one["backlog"] for one in queues.values()), queues)


def _counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in ("backlog", "unassigned")}


def shown(page: webdriver.Chrome, second: int, zone: str) -> Seen | None:
    """What the page shows; None where it is of another second."""
    found = page.execute_script(_PAGE)
    clock = datetime.fromtimestamp(second, ZoneInfo(zone)).strftime("%H:%M:%S")
    return Seen(second, found["all"], found["queues"]) if found["clock"] == clock else None


@dataclass
class Found:
    """Seconds in which all three were read, those in which they were equal, and how many numbers that were."""

    seconds: int = 0
    equal: int = 0
    numbers: int = 0
    last: tuple[Seen, Seen, Seen] | None = None
    """Page, feed and history where they were not."""


def equal(page: webdriver.Chrome, access: dict[str, Any], tenant: str) -> Found:
    """Compare until all three were equal as of one second `TIMES` times. Raises: AssertionError where they are not."""
    history = History(access)
    zone = history.rows(_CLOCK, tenant=tenant)[0]["zone"]
    page.get(f"{access['board_url']}&lang=en&window=today&tenant={tenant}")
    end, found = time.monotonic() + WITHIN_S, Found()
    while found.equal < TIMES:
        assert time.monotonic() < end, f"equal in {found.equal} of {found.seconds} seconds; last {found.last}"
        live = fed(access, tenant)
        drawn, stored = shown(page, live.second, zone), kept(history, tenant)
        if stored is None or drawn is None or stored.second != live.second:
            continue
        found.seconds += 1
        if drawn == live == stored:
            found.equal, found.numbers = found.equal + 1, found.numbers + 1 + 3 * len(live.queues)
        else:  # one of them has heard of the next second already: complete up to a second is not cut off at it
            found.last = (drawn, live, stored)
        time.sleep(1.1)
    return found


def main(directory: Path) -> None:
    """Compare all that runs on a directory."""
    access = json.loads((directory / "access.json").read_text())
    until(lambda: bool(snapshot(access)["keys"]), WITHIN_S)
    with browser() as page:
        for tenant in sorted({key["tenant"] for key in snapshot(access)["keys"]}):
            found = equal(page, access, tenant)
            print(f"{tenant}: {found.numbers} numbers the same on the page, in the feed, in ClickHouse, ", end="")
            print(f"in {found.equal} of the {found.seconds} seconds in which all three were as of the same")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, help="the directory of a running stack; without it the demo is started")
    asked = parser.parse_args()
    with contextlib.nullcontext(asked.dir) if asked.dir else demo() as running:
        main(running)
