"""What people ask of alerts: acknowledge, silence, grade. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alerts.state import ACKNOWLEDGED, NEXT, RESOLVED, Alert, Change, Signal, Silence, State

MOST_MINUTES = 7 * 24 * 60
"""Who wants quiet for longer changes the rule."""
MOST_REASON = 500
LABELS_MATCHED = 16


def obey(state: State, order: Mapping[str, Any], now: int) -> tuple[State, list[Change]]:
    """The state after an order (`{"do", "tenant", "by", …}`: ack, silence, unsilence, grade), and what it changed.

    Raises:
        Refused: it cannot be done; the message is for the person who asked.
    """
    tenant, by = str(order.get("tenant") or ""), str(order.get("by") or "")
    if not tenant or not by:
        raise Refused("an order needs its tenant and who asks")
    match order.get("do"):
        case "ack":
            return acknowledge(state, _text(order, "alert"), tenant, by, now)
        case "grade":
            return grade(state, _text(order, "alert"), tenant, _text(order, "as"))
        case "silence":
            return silence(state, silence_of(order, tenant, by, now)), []
        case "unsilence":
            return unsilence(state, _text(order, "id"), tenant), []
        case "board" | "link" | "unlink":
            return state, []  # the gateway does it, and has it written down first
        case _:
            raise Refused("unknown: one of ack, silence, unsilence, grade is expected")


def silence_of(order: Mapping[str, Any], tenant: str, by: str, now: int) -> Silence:
    """The silence that an order asks for. The same order at the same time is the same silence.

    Raises:
        Refused: it says too little, or too much.
    """
    match, minutes, reason = order.get("match"), order.get("minutes", 60), order.get("reason")
    if not isinstance(match, Mapping) or not 0 < len(match) <= LABELS_MATCHED:
        raise Refused('silence: match is missing (allowed: labels with patterns, such as {"queue": "billing*"})')
    if not all(isinstance(part, str) and part for pair in match.items() for part in pair):
        raise Refused("silence: match is pairs of a label and a pattern")
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= MOST_MINUTES:
        raise Refused(f"silence: minutes is a whole number from 1 to {MOST_MINUTES}")
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= MOST_REASON:
        raise Refused(f"silence: a reason of 1 to {MOST_REASON} characters is needed")
    text = json.dumps([tenant, sorted(match.items()), minutes, by, now], ensure_ascii=True)
    id_ = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Silence(id_, tenant, dict(match), now, now + minutes * 60_000, by, reason.strip())


def _text(order: Mapping[str, Any], name: str) -> str:
    found = order.get(name)
    if not isinstance(found, str) or not found:
        raise Refused(f"{name} is missing")
    return found


class Refused(Exception):  # named for what it means to the asker
    """What a person asked for cannot be done; the message says why."""


def find(state: State, alert_id: str, tenant: str) -> Alert:
    """The open or recent alert with this id, of a tenant (`*`: of any).

    Raises:
        Refused: there is none, or it is another tenant's: who may not see it learns no difference.
    """
    opened = (alert for alert in state.alerts.values() if alert.id == alert_id)
    found = next(opened, None) or state.recent.get(alert_id)
    if not alert_id or found is None or tenant not in ("*", found.slot.tenant):
        raise Refused("there is no such alert")
    return found


def acknowledge(state: State, alert_id: str, tenant: str, by: str, now: int) -> tuple[State, list[Change]]:
    """Somebody has taken it. Once taken, it stays theirs.

    Raises:
        Refused: there is no such alert, it is over, or somebody else has it.
    """
    alert = find(state, alert_id, tenant)
    if alert.state is RESOLVED:
        raise Refused("the alert is resolved")
    if alert.state is ACKNOWLEDGED:
        if alert.acknowledged_by == by:
            return state, []
        raise Refused(f"{alert.acknowledged_by} has acknowledged it")
    state_after = NEXT[alert.state][Signal.ACK]
    after = replace(alert, state=state_after, changed_at=alert.at, acknowledged_by=by, acknowledged_at=now)
    return _put(state, after), [Change(after, alert.state)]


def grade(state: State, alert_id: str, tenant: str, mark: str) -> tuple[State, list[Change]]:
    """What it was worth, for tuning. The last grade counts.

    Raises:
        Refused: there is no such alert, or no such grade.
    """
    alert = find(state, alert_id, tenant)
    if mark not in ("useful", "noise"):
        raise Refused("an alert is graded useful or noise")
    if alert.grade == mark:
        return state, []
    after = replace(alert, grade=mark)
    return _put(state, after), [Change(after, after.state)]


def silence(state: State, wish: Silence) -> State:
    """No word of what matches, until then. Asked for again, the same silence replaces itself."""
    return replace(state, silences={**state.silences, wish.id: wish})


def unsilence(state: State, silence_id: str, tenant: str) -> State:
    """End a silence of a tenant (`*`: of any) before its time.

    Raises:
        Refused: there is none, or it is another tenant's.
    """
    found = state.silences.get(silence_id)
    if found is None or tenant not in ("*", found.tenant):
        raise Refused("there is no such silence")
    return replace(state, silences={id_: kept for id_, kept in state.silences.items() if id_ != silence_id})


def _put(state: State, alert: Alert) -> State:
    if alert.state is RESOLVED:
        return replace(state, recent={**state.recent, alert.id: alert})
    return replace(state, alerts={**state.alerts, alert.slot: alert})
