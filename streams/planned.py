"""Planned events and exceptional days as they are in force now; a file that changes is read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from config.calendar_events import EventsError, Planned, listed, planned
from models.moments import Days
from streams.days import days_of
from streams.policy import Policy

log = structlog.get_logger()

LOOK_EVERY_S = 1.0


class Plan:
    """The events of a file (None: there is none). One that cannot be read leaves those known in force."""

    def __init__(
        self, path: Path | None, policy_of: Callable[[str], Policy], look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._path, self._policy_of, self._look_every_s = path, policy_of, look_every_s
        self._events: list[Planned] = []
        self._days: dict[str, Days] = {}
        self._read: object = None
        self._looked_at = -look_every_s

    def days(self, tenant: str) -> Days:
        """The days of a tenant: the same object until something changes."""
        self._look()
        days = self._days.get(tenant)
        if days is None:
            days = self._days[tenant] = days_of(tenant, self._policy_of(tenant), self._events)
        return days

    def events(self) -> list[Planned]:
        """All of them."""
        self._look()
        return self._events

    def listed(self, tenant: str, now: int | None) -> list[dict[str, Any]]:
        """`events` of the live feed, as of `now` (ms)."""
        self._look()
        return [] if now is None else listed(self._events, tenant, now)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < self._look_every_s:
            return
        self._looked_at = now
        mark = _mark(self._path)
        if mark == self._read:
            return
        self._read = mark
        try:
            self._events = planned(self._path)
        except EventsError as error:
            log.error("events_not_readable", reason=str(error))
            return
        self._days.clear()
        log.info("events_read", events=len(self._events))


def _mark(path: Path | None) -> object:
    """What changes when the file does."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        found = None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
