"""Are the numbers on the board those in ClickHouse? Compared without end, minute by minute, for every tenant and key.

A minute that has closed is compared column by column. The two sides are never as of the same instant, so what differs
is looked at again: it is a fault once the board's side has stood still for `SETTLED_S` and ClickHouse says that it
holds everything up to the tick at which the difference was first seen. Newest minutes come first; behind them each
round goes on through an older stretch, until the whole day was seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import structlog

from streams.ending import go_on
from streams.metrics import COUNTS
from streams.present import Present, View
from streams.waits import counted
from streams.windows import HOUR, MINUTE, pane_of, rfc3339

log = structlog.get_logger()

EVERY_S = 5.0
AT_REST = 4
"""A long round is followed by a rest so many times as long: to ask must not be what keeps ClickHouse busy."""
SETTLED_S = 10.0
"""Both sides have said all that came until then: the sink stores every second or two."""
NEWEST = 5
"""Minutes that every round compares."""
STRETCH = 30
"""Older minutes that a round goes on through."""
REACH = 24 * HOUR
MOST_TENANTS = 50
"""Tenants of one round; the next goes on with others."""
CLOSING = 5_000
"""A quiet partition's watermark follows the tick this much later, ms."""

ROWS = "\n".join((
    "SELECT queue, channel, toUnixTimestamp64Milli(minute) AS minute_ms, frt_hist,",
    "    " + ", ".join(COUNTS),
    "FROM minutes",
    "WHERE tenant = {tenant:String} AND minute >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
    "    AND minute < fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
))  # fmt: skip
CLOCKS = "SELECT tenant, toUnixTimestamp64Milli(as_of) AS now_ms FROM clocks"

Numbers = dict[str, int]
"""Column → its value; what is 0 is left out. `frt_hist.N`: a bucket of the histogram."""


class Place(NamedTuple):
    """One row of `minutes`."""

    tenant: str
    queue: str
    channel: str
    minute: int


class Asks(Protocol):
    """Whoever asks ClickHouse for us."""

    def rows(self, sql: str, **values: Any) -> Awaitable[list[dict[str, Any]]]:
        """The rows of a statement."""


@dataclass(slots=True)
class Doubt:
    """A difference, and since when the board's side has stood as it stands."""

    live: Numbers
    stored: Numbers
    as_of: int
    """The clock of the board when it was seen, ms."""
    seen_s: float
    fault: bool = False

    @property
    def column(self) -> str:
        """The first column that differs."""
        return next(name for name in sorted(self.live.keys() | self.stored.keys())
                    if self.live.get(name, 0) != self.stored.get(name, 0))  # fmt: skip


@dataclass(slots=True)
class Verdict:
    """What has been found so far. Pure: `judge` is told both sides and the time."""

    doubts: dict[Place, Doubt] = field(default_factory=dict)
    compared: int = 0
    """Rows compared since the start."""
    checked_at: int | None = None
    """When a round last went through, ms."""
    differing: set[str] = field(default_factory=set)
    """Tenants of which it was said that they differ."""

    def judge(self, place: Place, live: Numbers, stored: Numbers, clocks: tuple[int, int | None], now_s: float) -> None:
        """Compare one row. `clocks`: the board's and ClickHouse's, ms; `now_s`: monotonic."""
        self.compared += 1
        if live == stored:
            self.doubts.pop(place, None)
            return
        doubt = self.doubts.get(place)
        if doubt is None or doubt.live != live:
            self.doubts[place] = Doubt(live, stored, clocks[0], now_s)
            return
        doubt.stored = stored
        settled = now_s - doubt.seen_s >= SETTLED_S and clocks[1] is not None and clocks[1] >= doubt.as_of
        doubt.fault |= settled

    def say(self, tenant: str) -> None:
        """A line when a tenant's sides begin to differ, with the first row that does, and one when they are equal:
        however many rows there are.
        """
        found = [(place, doubt) for place, doubt in self.doubts.items() if place.tenant == tenant and doubt.fault]
        if found and tenant not in self.differing:
            self.differing.add(tenant)
            place, doubt = min(found, key=lambda pair: pair[0])
            log.error("parity_fault", rows=len(found), **place._asdict(), **_difference(doubt))
        elif not found and tenant in self.differing:
            self.differing.remove(tenant)
            log.info("parity_again", tenant=tenant)

    def faults(self, tenant: str) -> int | None:
        """How many rows of a tenant differ for sure; None: nothing was compared yet."""
        if self.checked_at is None:
            return None
        return sum(doubt.fault for place, doubt in self.doubts.items() if place.tenant == tenant)

    def told(self) -> dict[str, Any]:
        """For the feed: when, how much, and per tenant what differs."""
        by: dict[str, dict[str, Any]] = {}
        for place, doubt in sorted(self.doubts.items()):
            if doubt.fault:
                first = {**place._asdict(), "minute": rfc3339(place.minute), **_difference(doubt)}
                by.setdefault(place.tenant, {"faults": 0, "first_fault": first})["faults"] += 1
        at = None if self.checked_at is None else rfc3339(self.checked_at)
        return {"checked_at": at, "compared": self.compared, "by": by}


def _difference(doubt: Doubt) -> dict[str, Any]:
    name = doubt.column
    return {"field": name, "live": doubt.live.get(name, 0), "stored": doubt.stored.get(name, 0)}


class Parity:
    """The watch over one present."""

    def __init__(self, present: Present) -> None:
        self.verdict = Verdict()
        self._present = present
        self._behind: dict[str, int] = {}
        """Tenant → where the walk through older minutes goes on."""
        self._turn = 0

    async def run(self, asks: Asks) -> None:
        """Compare for ever. ClickHouse away is no fault: `checked_at` stands still meanwhile."""
        while True:
            started = time.monotonic()
            try:
                await self.round(asks)
            except Exception as error:  # noqa: BLE001  whoever asks says it in their own words
                go_on()
                log.debug("parity_not_checked", error=type(error).__name__)
            took = time.monotonic() - started
            await asyncio.sleep(max(EVERY_S - took, AT_REST * took))

    async def round(self, asks: Asks) -> None:
        """Compare the newest closed minutes of every tenant, a stretch of older ones, and what is in doubt.

        Raises:
            whatever `asks` raises.
        """
        stored = {row["tenant"]: row["now_ms"] for row in await asks.rows(CLOCKS)}
        names = sorted(self._present.views)
        turn = [names[(self._turn + at) % len(names)] for at in range(min(MOST_TENANTS, len(names)))]
        self._turn += len(turn)
        for name in turn:
            now = self._present.as_of(name)
            if now is not None:
                await self._tenant(asks, self._present.views[name], now, stored.get(name))
        self.verdict.checked_at = time.time_ns() // 1_000_000

    async def _tenant(self, asks: Asks, view: View, now: int, stored: int | None) -> None:
        oldest = view.panes.first()
        if oldest is None:
            return
        end = pane_of(min(now, now if stored is None else stored) - view.policy.lateness - CLOSING)
        oldest = max(oldest, end - REACH)
        for since, until in self._spans(view.name, oldest, end):
            rows = await asks.rows(ROWS, tenant=view.name, since=since, until=until)
            self._compare(view, {_place(view.name, row): _stored(row) for row in rows}, (since, until), (now, stored))
        self.verdict.say(view.name)

    def _spans(self, tenant: str, oldest: int, end: int) -> Iterator[tuple[int, int]]:
        newest = max(oldest, end - NEWEST * MINUTE)
        if newest < end:
            yield newest, end
        until = min(self._behind.get(tenant, newest), newest)
        since = max(oldest, until - STRETCH * MINUTE)
        if since < until:
            yield since, until
        self._behind[tenant] = since if since > oldest else newest
        doubted = sorted({place.minute for place in self.verdict.doubts if place.tenant == tenant})
        for minute in doubted[:STRETCH]:
            if not (newest <= minute < end or since <= minute < until):
                yield minute, minute + MINUTE

    def _compare(
        self, view: View, stored: Mapping[Place, Numbers], span: tuple[int, int], clocks: tuple[int, int | None]
    ) -> None:
        live = {
            Place(view.name, queue, channel, minute): _live(parts.values())
            for queue, channel, minute, parts in view.panes.between(*span)
        }
        now_s = time.monotonic()
        for place in live.keys() | stored.keys():
            self.verdict.judge(place, live.get(place, {}), stored.get(place, {}), clocks, now_s)


def _place(tenant: str, row: Mapping[str, Any]) -> Place:
    return Place(tenant, row["queue"], row["channel"], int(row["minute_ms"]))


def _live(parts: Any) -> Numbers:
    out: Numbers = {}
    for part in parts:
        for name, n in part.counts.items():
            out[name] = out.get(name, 0) + n
        for lower, n in counted(part.frt_hist).items():
            out[f"frt_hist.{lower}"] = out.get(f"frt_hist.{lower}", 0) + n
    return {name: n for name, n in out.items() if n}


def _stored(row: Mapping[str, Any]) -> Numbers:
    out = {name: round(row[name] * (1_000 if name == "sentiment_sum" else 1)) for name in COUNTS}
    out |= {f"frt_hist.{lower}": int(n) for lower, n in (row["frt_hist"] or {}).items()}
    return {name: n for name, n in out.items() if n}
