"""One agent's status as a log of spans. Source: METRICS §7.

Repeating a status begins nothing; a capacity holds until another is given. Statuses are folded in order of (`at`,
`seq`, `id`), so one that arrives late is put where it belongs.
"""

from __future__ import annotations

from bisect import insort

import msgspec

from streams.events import Event, StatusRow
from streams.windows import DAY

KEPT = 2 * DAY
"""Statuses older than this behind the newest can no longer change: their ids are late by then."""


class Status(msgspec.Struct, array_like=True, order=True, frozen=True):
    """One `agent_status` event."""

    at: int
    seq: int
    id: str
    status: str
    capacity: int | None = None


class Span(msgspec.Struct, array_like=True, frozen=True):
    """A span of one status and capacity; `until` None: still."""

    since: int
    until: int | None
    status: str
    capacity: int | None


class AgentLog(msgspec.Struct, array_like=True):
    """What is known of one agent's status in the agent's own partition."""

    tenant: str
    agent: str
    statuses: list[Status] = []
    ids: dict[str, int] = {}
    """Id → `at`, of the last 24 h and a little more."""
    greatest_at: int = 0
    version: int = 0

    def late(self, event: Event) -> bool:
        """METRICS §1: behind receipt, or in a replay behind the agent's greatest `at`."""
        return (self.greatest_at if event.replay else event.received_at) - event.at > DAY

    def insert(self, event: Event) -> None:
        """Add a status that is neither a repeat nor late."""
        self.ids[event.id] = event.at
        self.greatest_at = max(self.greatest_at, event.at)
        insort(self.statuses, Status(event.at, event.seq, event.id, event.status or "offline", event.capacity))

    def forget(self) -> None:
        """Drop what can no longer change, but for the status in force then: since when, and at which capacities."""
        horizon = self.greatest_at - KEPT
        kept: list[Status] = []
        for status in self.statuses:
            if status.at >= horizon:
                break
            last = kept[-1] if kept else None
            capacity = status.capacity if status.capacity is not None or last is None else last.capacity
            now = Status(status.at, status.seq, status.id, status.status, capacity)
            if last is None or last.status != now.status:
                kept = [now]
            elif last.capacity != capacity:
                kept.append(now)
        self.statuses = kept + [status for status in self.statuses if status.at >= horizon]
        self.ids = {name: at for name, at in self.ids.items() if at >= horizon}

    def spans(self) -> list[Span]:
        """All spans, oldest first; one that would be empty is left out."""
        out: list[Span] = []
        capacity: int | None = None
        for status in self.statuses:
            capacity = capacity if status.capacity is None else status.capacity
            if out and (out[-1].status, out[-1].capacity) == (status.status, capacity):
                continue
            if out:
                last = out.pop()
                if last.since < status.at:
                    out.append(Span(last.since, status.at, last.status, last.capacity))
            out.append(Span(status.at, None, status.status, capacity))
        return out

    def now(self) -> tuple[str, int | None, int] | None:
        """(status, capacity, since when the status holds), or None before the first."""
        if not self.statuses:
            return None
        capacity, since, status = None, self.statuses[0].at, self.statuses[0].status
        for one in self.statuses:
            capacity = capacity if one.capacity is None else one.capacity
            if one.status != status:
                since, status = one.at, one.status
        return status, capacity, since

    def rows(self) -> list[StatusRow]:
        """The spans as table `agent_status` has them."""
        return [
            StatusRow(self.tenant, self.agent, span.since, self.version, span.until, span.status, span.capacity)
            for span in self.spans()
        ]
