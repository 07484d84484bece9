"""The models at work: every tick of the aligned present passes here before a rule sees it.

    segments ──► present ──► ticked: minutes closed, what is said of them written down, surges and lulls looked for
                    ▲                                                                         │
                    └── `volume`, `series`, windows ask the tenant's `Lookout` ◄──────────────┘

Closing is cut into slices, and the loop is given up between them, so that whatever else runs goes on. State is kept
when a minute was closed and when a surge or lull begins or ends, each tenant as of its last tick, and every few seconds
of a tick that closes many: whoever starts again from there hears the ticks after it once more, and comes to the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import structlog

from models.base import Corrupt
from models.moments import Days
from models.usual import LIMIT, Key
from streams.align import Cut
from streams.events import REAL
from streams.lookout import Lookout
from streams.policy import Policy
from streams.present import ALL, Present, View
from streams.reasons import Reasons
from streams.saying import Saying
from streams.shelf import Shelf
from streams.windows import MINUTE, pane_of

log = structlog.get_logger()

SLICE_S = 0.02
"""So long the loop may wait for the models."""
ROWS = 5_000
"""Rows said at once."""
BATCH = 20
"""Keys packed between two breaths."""
SAVE_EVERY_S = 1.0
"""A fast replay closes minutes more often than there is reason to keep them."""
MEANWHILE_S = 5.0
"""One tick may close weeks: what is closed so far is kept in between, that nobody begins anew who is cut off."""
KEEPING_MOST = 0.1
"""Of the time that takes, at most so much goes into keeping."""
WHY_EVERY_S = 120.0
"""Words are many; those that came since are heard again after a restart."""
TENANT, KEY, WHY = "tenant/", "key/", "why/"


class Insight:
    """Every tenant's lookout, kept and taken up again. `judged` is the aligned present, `shown` the board's."""

    def __init__(
        self,
        judged: Present,
        shown: Present,
        shelf: Shelf,
        saying: Saying,
        policy_of: Callable[[str], Policy],
        days_of: Callable[[str], Days],
    ) -> None:
        self._judged, self._shown = judged, shown
        self._shelf, self._saying = shelf, saying
        self._policy_of, self._days_of = policy_of, days_of
        self._lookouts: dict[str, Lookout] = {}
        self._reasons: dict[str, Reasons] = {}
        self._saved_at: dict[str, float] = {}
        self._rested_at = 0.0
        self.arrivals_of: Callable[[], bool] = lambda: False
        """Whether a rule asks for what is usual of arrivals; whoever has rules sets it."""
        self.limit = LIMIT
        self.save_every_s, self.meanwhile_s = SAVE_EVERY_S, MEANWHILE_S
        self._load()
        for present in (judged, shown):
            present.outlook_of = self._lookouts.get

    def __len__(self) -> int:
        return sum(len(lookout.usual) for lookout in self._lookouts.values())

    async def hear(self, cut: Cut) -> None:
        """Count the words, the segments and the work of what all partitions said, in the order of time.

        What was counted before a restart is not counted again.
        """
        events = [row for _, segment in cut.segments for row in segment.events]
        messages = [row for row in events if row.queue is not None or row.event.attrs is not None]
        again: dict[str, bool] = {}
        for row in sorted(messages, key=lambda row: row.event.at):
            tenant = row.event.tenant
            if tenant not in again:
                again[tenant] = self._heard_before(cut, tenant)
            self._reasons_of(tenant).message(row, again=again[tenant])
            await self._rest()
        for episode in (row for _, segment in cut.segments for row in segment.episodes):
            if not self._heard_before(cut, episode.tenant):
                self._reasons_of(episode.tenant).work.take(episode)

    def _heard_before(self, cut: Cut, tenant: str) -> bool:
        lookout = self._lookouts.get(tenant)
        left = cut.clock == tenant and lookout is not None and lookout.live
        return left or (cut.tick is not None and cut.tick <= self._reasons_of(tenant).tick)

    def explain(self, view: View, obj: dict[str, Any], now: int) -> dict[str, Any]:
        """A key's object with what stands behind it, for the rules: drivers, messages to quote, what the work takes."""
        lookout, reasons = self._lookouts.get(view.name), self._reasons.get(view.name)
        if lookout is None or reasons is None:
            return obj
        reasons.explain(obj, view, lookout, now)
        work = reasons.work.of(obj["queue"]) or reasons.work.of(ALL)
        if work is not None:
            passed = 4 + (now - pane_of(now)) / MINUTE
            obj["work"] = {**work, "arrivals_per_min": obj["windows"]["5m"]["arrivals"] / passed}
        return obj

    def _reasons_of(self, tenant: str) -> Reasons:
        reasons = self._reasons.get(tenant)
        if reasons is None:
            reasons = self._reasons[tenant] = Reasons()
        return reasons

    def learned(self, tenant: str) -> int:
        """Up to which minute (ms) a tenant's panes are needed no more; 0: all are."""
        lookout = self._lookouts.get(tenant)
        return 0 if lookout is None else lookout.learned

    async def ticked(self, clock: str, tick: int) -> None:
        """Return once everything that a tick of the aligned present brings is learned and looked at."""
        for view in self._views(clock):
            lookout = self._lookout(view)
            due = lookout.due(tick, real=clock == REAL)
            reasons = self._reasons_of(view.name)
            if due is None:
                reasons.tick = max(reasons.tick, tick)
                continue
            reasons.tick = tick
            first = await self._close(lookout, due)
            await self._sliced(lookout.look())
            self._stir(lookout, first)
            await self._keep(lookout, closed=first is not None)

    def _views(self, clock: str) -> list[View]:
        views = self._judged.views.values()
        return [view for view in views if (view.name if view.replaying else REAL) == clock]

    def _lookout(self, view: View) -> Lookout:
        lookout = self._lookouts.get(view.name)
        if lookout is None:
            lookout = self._lookouts[view.name] = Lookout(view, self._days_of(view.name))
        lookout.keywords = self._reasons_of(view.name).keywords
        lookout.view = view  # the aligned one, where it was only taken up from the shelf
        return lookout

    async def _close(self, lookout: Lookout, due: Iterable[int]) -> int | None:
        """Close these minutes; returns the first of them."""
        lookout.usual.days, lookout.arrivals = self._days_of(lookout.view.name), self.arrivals_of()
        first, again = None, time.monotonic() + self.meanwhile_s
        for minute in due:
            first = minute if first is None else first
            if time.monotonic() >= again:
                again = await self._keep_so_far(lookout)
            self._share(lookout, minute)
            await self._sliced(lookout.close(minute))
            if len(lookout.rows) >= ROWS:
                await self._say(lookout)
        await self._say(lookout)
        return first

    async def _keep_so_far(self, lookout: Lookout) -> float:
        """Keep what a tick has closed up to now. Returns when to do so again, on the monotonic clock."""
        began = time.monotonic()
        await self._say(lookout)
        await self._write(lookout, {TENANT + lookout.view.name: lookout.saved(partly=True)})
        ended = time.monotonic()
        return ended + max(self.meanwhile_s, (ended - began) / KEEPING_MOST)

    async def _say(self, lookout: Lookout) -> None:
        rows, lookout.rows = lookout.rows, []
        if rows:
            await self._saying.say(rows)

    def _share(self, lookout: Lookout, minute: int) -> None:
        """No more keys than `limit` in all; a tenant that comes late gets its share of the room of young keys."""
        own, others = len(lookout.usual), [one for one in self._lookouts.values() if one is not lookout]
        lookout.usual.limit = max(self.limit - sum(len(one.usual) for one in others), 0)
        if not others or own + len(lookout.view.keys) <= lookout.usual.limit:
            return
        wanted = own + lookout.newcomers(minute) - lookout.usual.limit
        fair, largest = self.limit // len(self._lookouts), max(others, key=lambda one: len(one.usual))
        if wanted > 0 and own < fair < len(largest.usual):
            lookout.usual.limit += largest.usual.make_room(min(wanted, fair - own), minute)

    async def _sliced(self, steps: Iterator[None]) -> None:
        for _ in steps:
            await self._rest()

    async def _rest(self) -> None:
        if time.monotonic() - self._rested_at > SLICE_S:
            await asyncio.sleep(0)
            self._rested_at = time.monotonic()

    def _stir(self, lookout: Lookout, first: int | None) -> None:
        """Have the keys shown and judged anew of which the models may say something else now."""
        stirred, closed = lookout.stirred, lookout.closed
        lookout.stirred, lookout.closed = set(), set()
        for present in (self._judged, self._shown):
            view = present.views.get(lookout.view.name)
            if view is not None:
                view.stir((key[0], key[1]) for key in stirred)
                view.stir(((key[0], key[1]) for key in closed), first)

    # -- kept --------------------------------------------------------------------------------------------------------

    async def _keep(self, lookout: Lookout, *, closed: bool) -> None:
        name = lookout.view.name
        if not closed and not lookout.flipped:
            return
        if not lookout.flipped and time.monotonic() - self._saved_at.get(name, 0.0) < self.save_every_s:
            return
        lookout.flipped = False
        self._saved_at[name] = time.monotonic()
        rows: dict[str, bytes | None] = {TENANT + name: lookout.saved()}
        if time.monotonic() - self._saved_at.get(WHY + name, 0.0) >= WHY_EVERY_S:
            self._saved_at[WHY + name] = time.monotonic()
            rows[WHY + name] = self._reasons_of(name).to_bytes()
        await self._write(lookout, rows)

    async def _write(self, lookout: Lookout, rows: dict[str, bytes | None]) -> None:
        """Keep these, and the keys that changed, at once."""
        name, keys = lookout.view.name, lookout.saved_keys()
        while batch := list(islice(keys, BATCH)):
            rows |= {_name(name, key): value for key, value in batch}
            await asyncio.sleep(0)
        await asyncio.to_thread(self._shelf.keep, rows)

    def _load(self) -> None:
        for name, value in self._shelf.kept(TENANT):
            tenant = name.removeprefix(TENANT)
            lookout = Lookout(View(tenant, self._policy_of(tenant)), self._days_of(tenant))
            try:
                lookout.load(value)
            except Corrupt as error:
                log.error("usual_not_readable", tenant=tenant, reason=str(error))
                continue
            self._lookouts[tenant] = lookout
            lookout.keywords = self._reasons_of(tenant).keywords
        for name, value in self._shelf.kept(WHY):
            try:
                self._reasons_of(name.removeprefix(WHY)).load(value)
            except Corrupt as error:
                log.error("words_not_readable", tenant=name.removeprefix(WHY), reason=str(error))
        for name, value in self._shelf.kept(KEY):
            self._load_key(name, value)
        for row in self._saying.recall():
            if row.tenant in self._lookouts:
                self._lookouts[row.tenant].recall(row)

    def _load_key(self, name: str, value: bytes) -> None:
        tenant, *key = json.loads(name.removeprefix(KEY))
        lookout = self._lookouts.get(tenant)
        try:
            if lookout is not None:
                lookout.load_key(tuple(key), value)
        except Corrupt as error:
            log.error("usual_not_readable", tenant=tenant, queue=key[0], channel=key[1], reason=str(error))
            self._shelf.keep({name: None})


def _name(tenant: str, key: Key) -> str:
    return KEY + json.dumps([tenant, *key], ensure_ascii=False)
