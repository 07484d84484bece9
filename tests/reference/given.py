"""What the reference is given: the settings of a tenant, and the events that count, in their order (METRICS §1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.conformance.cases import Row, at_of

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
LATE_MS = DAY
"""More than this behind is late."""
AHEAD_MS = 120 * SECOND
"""A live event may be this far ahead of its receipt."""

DEFAULTS: Row = {
    "target_s": 60,
    "short_s": 10,
    "calendar": None,
    "queues": {},
    "zone": "UTC",
    "bot_window_s": 60,
    "async_channels": ["wechat", "whatsapp", "email"],
    "closing_phrases": [
        "谢谢", "好的", "ok", "thanks", "thank you", "多谢", "谢谢你", "谢谢您", "好", "okay", "bye", "再见",
    ],
    "expire_s": 86_400,
    "expire_backlog_s": 604_800,
}  # fmt: skip


def complete(settings: Row) -> Row:
    """The settings with the defaults of `conformance/README.md` where they say nothing."""
    return {**DEFAULTS, **settings}


def of_queue(settings: Row, queue: str, name: str) -> Any:
    """`target_s`, `short_s` or `calendar` as in force for a queue: its own, else the tenant's."""
    own = settings["queues"].get(queue, {}).get(name)
    return settings[name] if own is None else own


def wire(event: Row) -> Row:
    """The event with `at` in ms, the contract's defaults in, and null fields out."""
    given = {name: value for name, value in event.items() if value is not None}
    return {"tenant": "default", "seq": 0, **given, "at": at_of(event)}


def scope_of(event: Row) -> tuple[str, str]:
    """Whose ids, order and lateness the event shares: its agent's for `agent_status`, else its conversation's."""
    if event["kind"] == "agent_status":
        return "agent", event["agent"]
    return "conversation", event["conversation"]


def by_tenant(events: Iterable[Row]) -> dict[str, list[Row]]:
    """The events of each tenant, in order of arrival."""
    parts: dict[str, list[Row]] = {}
    for event in events:
        parts.setdefault(event.get("tenant") or "default", []).append(event)
    return parts


def arrive(events: Sequence[Row], *, live: bool = False) -> tuple[dict[tuple[str, str], list[Row]], list[str]]:
    """The events that count, of each scope and in their order, and the ids that came too late.

    `events` are one tenant's, in order of arrival. Of those with the same id the first to arrive stands, late or not.
    A replay's event is late when it lies over 24 h behind the greatest `at` of its scope so far; a live one (which
    needs `received_at`, ms) when that far behind its receipt, and over 120 s ahead of it the receipt is its time.
    """
    seen: dict[tuple[str, str], set[str]] = {}
    kept: dict[tuple[str, str], list[Row]] = {}
    newest: dict[tuple[str, str], int] = {}
    late: list[str] = []
    for event in map(wire, events):
        scope = scope_of(event)
        if event["id"] in seen.setdefault(scope, set()):
            continue
        seen[scope].add(event["id"])
        if live and event["at"] > event["received_at"] + AHEAD_MS:
            event["at"] = event["received_at"]
        at = int(event["at"])
        if at < (event["received_at"] if live else newest.get(scope, at)) - LATE_MS:
            late.append(event["id"])
            continue
        if not event.get("private"):  # invisible to every clock
            newest[scope] = max(newest.get(scope, at), at)
        kept.setdefault(scope, []).append(event)
    return {scope: sorted(some, key=order) for scope, some in kept.items()}, late


def order(event: Row) -> tuple[int, int, str]:
    """(`at`, `seq`, id by code point): Python compares strings so."""
    return event["at"], event["seq"], event["id"]
