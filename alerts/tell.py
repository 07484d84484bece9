"""Sends what stands in the outbox: one task a channel, so that a dead one slows no other."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from alerts.notifiers import Notifier, Rejected, Unavailable
from alerts.outbox import TOPICS, Row, Store, Unwritable
from alerts.pace import Alone, Pace
from config import crash

log = structlog.get_logger()

FIRST_WAIT_MS = 500
LONGEST_BACKOFF_MS = 30_000
"""So that what was missed arrives within a minute of the other side's recovery."""
GIVE_UP_MS = 86_400_000
"""After a day nobody needs to be told any more; it stands in the history."""
DOWN_MS = 25_000
"""Failing for so long, a channel is dead, and the others are told: with one more try, within a minute."""
IDLE_S = 1.0
STEP_MS = 1_000
"""A clock that goes back by more was set."""
GRACE_S = 5.0
"""How long a sending under way may go on after the end was asked for: to cut it short would be to repeat it."""

Trouble = Callable[[str, str | None], None]
"""Hears of a channel by name: why it is dead, or None: it works again."""


def now_ms() -> int:
    """The real clock."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that nobody sets: for how long something lasts."""
    return time.monotonic_ns() // 1_000_000


def backoff_ms(attempts: int, chance: float) -> int:
    """How long to wait after so many failures: doubling, and between half and all of it, so that senders part."""
    full = min(LONGEST_BACKOFF_MS, FIRST_WAIT_MS << min(attempts, 16))
    return round(full * (0.5 + chance / 2))


class Tell:
    """Delivers the outbox's rows through the doors. Rows of one channel leave in order."""

    def __init__(
        self,
        store: Store,
        notifiers: Mapping[str, Notifier],
        on_trouble: Trouble,
        pace: Pace | None = None,
        dead_after: Callable[[], int] = lambda: DOWN_MS,
    ) -> None:
        self._store, self._notifiers, self._on_trouble = store, dict(notifiers), on_trouble
        self._pace, self._dead_after = pace or Alone(), dead_after
        self._wake = {name: asyncio.Event() for name in notifiers}
        self._failing_since: dict[str, int] = {}
        self._down: set[str] = set()
        self._latest = now_ms()
        self._owed: dict[int, str] = {}
        """Results by row that the disk did not take yet: such a row is not sent again."""

    def poke(self) -> None:
        """There may be something to send."""
        for event in self._wake.values():
            event.set()

    async def run(self) -> None:
        """Send for ever. Rows of channels that are no longer configured are given up at the start."""
        for name in self._store.unsettled():
            if name not in self._notifiers:
                self._settle([row.id for row in self._store.due(name, 1 << 62, 1 << 31)], "no channel")
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, notifier in self._notifiers.items():
                    tasks.create_task(self._serve(name, notifier), name=f"tell {name}")
        finally:
            for notifier in self._notifiers.values():
                await notifier.close()

    async def _serve(self, name: str, notifier: Notifier) -> None:
        while True:
            self._wake[name].clear()
            try:
                if self._batch(name, notifier):
                    await self._pace.turn(name, notifier.gap_ms)
                    await self._store.safe()
                    rows = self._batch(name, notifier)
                    await _to_its_end(self._try(name, notifier, rows))
                    await asyncio.sleep(notifier.gap_ms / 1000)
                else:
                    await self._rest(name)
            except Unwritable as error:
                log.error("outbox_not_written", reason=str(error), mend="free space on the disk of the data directory")
                await asyncio.sleep(IDLE_S)

    def _batch(self, name: str, notifier: Notifier) -> list[Row]:
        """What to send now: after a failure of a steady door, the very rows that failed."""
        if self._owed:
            self._settle([], "")
        now, back = now_ms(), self._latest - now_ms()
        if back > STEP_MS:
            self._store.sooner(back)
        self._latest = now
        rows = self._store.due(name, now, notifier.batch)
        return [row for row in rows if row.attempts == rows[0].attempts] if notifier.steady else rows

    async def _rest(self, name: str) -> None:
        next_at = self._store.next_at(name)
        wait = IDLE_S if next_at is None else min(IDLE_S, max(0.01, (next_at - now_ms()) / 1000))
        try:
            async with asyncio.timeout(wait):
                await self._wake[name].wait()
        except TimeoutError:
            pass

    async def _try(self, name: str, notifier: Notifier, rows: Sequence[Row]) -> None:
        ids, began = [row.id for row in rows], now_ms()
        try:
            crash.here("notifier.sending")
            await notifier.send(rows)
            crash.here("notifier.sent")
        except Unavailable as error:
            self._failed(name, rows, str(error), error.retry_ms, began)
        except Rejected as error:
            self._settle(ids, f"rejected: {error}")
            self._is_down(name, str(error))
        except Unwritable:
            raise
        except Exception as error:  # noqa: BLE001  # a mistake of ours in one door must not close the others
            log.error("notifier_failed", channel=name, error=type(error).__name__, where=_where(error))
            self._settle(ids, f"failed: {type(error).__name__}")
            self._is_down(name, f"failed: {type(error).__name__}")
        else:
            self._settle(ids, "sent")
            crash.here("notifier.settled")
            self._is_up(name)

    def _settle(self, ids: Sequence[int], result: str) -> None:
        """Write what became of the rows, and of those the disk did not take before."""
        self._owed.update(dict.fromkeys(ids, result))
        self._store.settle(self._owed, now_ms())
        self._owed.clear()

    def _failed(self, name: str, rows: Sequence[Row], reason: str, retry_ms: int | None, began: int) -> None:
        now = now_ms()
        since = self._failing_since.setdefault(name, began)
        if now - since >= self._dead_after():
            self._is_down(name, reason)
        wait = max(retry_ms or 0, backoff_ms(rows[0].attempts, random.random()))
        log.warning("alert_not_sent", channel=name, reason=reason, attempts=rows[0].attempts + 1, retry_ms=wait)
        old = [row.id for row in rows if now - row.created_at > GIVE_UP_MS and name not in TOPICS]
        if old:
            self._settle(old, f"given up: {reason}")
        self._store.postpone([row.id for row in rows if row.id not in old], now + wait, reason)

    def _is_down(self, name: str, reason: str) -> None:
        self._failing_since.setdefault(name, now_ms())
        if name not in self._down:
            self._down.add(name)
            log.error("channel_down", channel=name, reason=reason)
            if name not in TOPICS:  # without the broker no tick comes either, which is told by itself
                self._on_trouble(name, reason)

    def _is_up(self, name: str) -> None:
        self._failing_since.pop(name, None)
        if name in self._down:
            self._down.discard(name)
            log.info("channel_up", channel=name)
        if name not in TOPICS:
            self._on_trouble(name, None)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it; if called off meanwhile, let it come to its end within `GRACE_S`."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        _, late = await asyncio.wait({task}, timeout=GRACE_S)
        for one in late:
            one.cancel()
        raise


def _where(error: Exception) -> str:
    """File and line of a mistake. What an exception says may hold what somebody wrote, so it is not told."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
