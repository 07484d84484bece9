"""What people ask of alerts: acknowledge, silence, grade. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from alerts.state import Change, Refused, Silence, State, acknowledge, grade, silence, unsilence

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
