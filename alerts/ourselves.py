"""Alerts about Tidewatch itself, which no tick can tell: the stream stands still, a channel is dead. Pure.

Also what time alone brings: an acknowledgement that expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alerts.facts import Siblings
from alerts.judging import Sample, breaches, step, withdraw
from alerts.readings import DELIVERY, EVERYWHERE, OUTSIDE, SUM
from alerts.rule import Rule, Ruleset, Severity, matches
from alerts.state import (
    ACKNOWLEDGED,
    CATCHING_UP,
    CHANNEL_DOWN,
    FIRING,
    NEXT,
    OK,
    PENDING,
    RESOLVED,
    RULES_REFUSED,
    UNREAD,
    Alert,
    Change,
    Signal,
    Slot,
    State,
    identity,
)
from streams.events import REAL

USED: Sequence[tuple[str, float, Severity]] = (("50", 0.5, "warning"), ("80", 0.8, "critical"))
"""At which shares of its retention the oldest record that a role has not read is told of."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What a role has not read on Kafka: of all it reads, the topic where that is worst."""

    role: str
    topic: str
    used: float
    """The age of the oldest of these records, as a share of the topic's retention; 0: none, or it is kept for good."""
    lost: int
    """Records of all its topics that were deleted before it read them."""


def overdue(state: State, rules: Ruleset, silent_ms: int, now: int) -> tuple[State, list[Change]]:
    """The state after no tick of the real clock came for so long; `OUTSIDE` is judged for the stack as a whole."""
    alerts, recent = dict(state.alerts), dict(state.recent)
    changes: list[Change] = []
    for rule in rules.of_tenants:
        if rule.metric.name not in OUTSIDE or not matches(rule.scope.tenant, EVERYWHERE):
            continue
        sample = Sample(rule, EVERYWHERE, SUM, SUM, silent_ms)
        before = alerts.get(sample.slot)
        after = step(before, sample, REAL, now, Siblings(())) if before or breaches(sample, None) else None
        if after is None:
            alerts.pop(sample.slot, None)
        elif after.state is RESOLVED:
            del alerts[sample.slot]
            recent[after.id] = after
        else:
            alerts[sample.slot] = replace(after, outside=True)
        if after is not None and after.state is not PENDING and after.state is not (before.state if before else OK):
            changes.append(Change(after, before.state if before else OK))
    return replace(state, alerts=alerts, recent=recent), changes


def channel_down(
    state: State, name: str, reason: str | None, now: int, rule: Rule | None = None
) -> tuple[State, list[Change]]:
    """A delivery channel cannot be reached, for a reason; or, with none, can be again. `rule`: what is said of it."""
    made = Alert(_ours(f"{CHANNEL_DOWN}{name}"), DELIVERY, FIRING, REAL, now, now, severity="critical", unit="ms")
    if rule is not None:
        made = replace(
            made, severity=rule.severity, labels=rule.labels, runbook=rule.runbook, summary=rule.summary,
            advice=rule.advice,
        )  # fmt: skip
    return _told_of_us(state, made, reason, now)


def rules_refused(state: State, mistake: str | None, now: int) -> tuple[State, list[Change]]:
    """A file of rules has a mistake, and those before it stay in force; or, with none, is right again."""
    made = Alert(_ours(RULES_REFUSED), "rules", FIRING, REAL, now, now, severity="warning")
    return _told_of_us(state, made, mistake, now)


def catching_up(state: State, behind_ms: int | None, now: int) -> tuple[State, list[Change]]:
    """The stream is read after an absence, so far behind; or, with none, is read to its end again.

    Its end is nobody's news: what was held back is told then, or nothing is wrong.
    """
    made = Alert(_ours(CATCHING_UP), "ingest_lag", FIRING, REAL, now, now, severity="info", unit="ms", value=behind_ms)
    reason = None if behind_ms is None else "the stream is read after an absence"
    state, changes = _told_of_us(state, made, reason, now)
    if behind_ms is not None:
        return state, changes
    hushed = {change.alert.id: replace(change.alert, told=change.alert.state) for change in changes}
    return replace(state, recent={**state.recent, **hushed}) if hushed else state, changes


def unread(state: State, found: Unread, now: int) -> tuple[State, list[Change]]:
    """How near what a role has not read is to being deleted, or how much of it was; nothing where it stands so already.

    What was lost is told with the first look that finds it; the alert's peak is what it came to.
    """
    marks = [(mark, found.used >= share, found.used, "ratio", severity) for mark, share, severity in USED]
    changes: list[Change] = []
    for mark, over, value, unit, severity in (*marks, ("lost", found.lost > 0, found.lost, "", "critical")):
        slot = _ours(f"{UNREAD}{found.role}/{mark}")
        made = Alert(slot, "unread", FIRING, REAL, now, now, severity=severity, unit=unit, value=value)
        state, more = _told_of_us(state, made, found.topic if over else None, now)
        changes += more
    return state, changes


def _ours(rule: str) -> Slot:
    return Slot(rule, EVERYWHERE, SUM, SUM)


def _told_of_us(state: State, made: Alert, reason: str | None, now: int) -> tuple[State, list[Change]]:
    """Open the alert for a reason, or end it. Where it stands already nobody is told; it keeps the highest value."""
    slot, before = made.slot, state.alerts.get(made.slot)
    if before is None:
        if reason is None:
            return state, []
        after = replace(
            made, changed_at=now, id=identity(slot, now), fired_at=now, reason=reason, outside=True, peak=made.value
        )
        return replace(state, alerts={**state.alerts, slot: after}), [Change(after, OK)]
    if reason is not None:
        return _raised(state, before, made.value), []
    over = withdraw(before, "cleared", now) or before
    alerts = {other: alert for other, alert in state.alerts.items() if other != slot}
    return replace(state, alerts=alerts, recent={**state.recent, over.id: over}), [Change(over, before.state)]


def _raised(state: State, alert: Alert, value: float | None) -> State:
    if value is None or (alert.peak is not None and value <= alert.peak):
        return state
    return replace(state, alerts={**state.alerts, alert.slot: replace(alert, value=value, peak=value)})


def expired(state: State, span_ms: int, now: int) -> tuple[State, list[Change]]:
    """Acknowledgements older than a span (0: never) are over: the alert fires again, and escalates anew."""
    due = [
        alert
        for alert in state.alerts.values()
        if span_ms and alert.state is ACKNOWLEDGED and now - (alert.acknowledged_at or now) >= span_ms
    ]
    if not due:
        return state, []
    after = [
        replace(alert, state=NEXT[alert.state][Signal.EXPIRED], changed_at=alert.at, heard_at=None, escalated=0)
        for alert in due
    ]
    alerts = {**state.alerts, **{alert.slot: alert for alert in after}}
    return replace(state, alerts=alerts), [Change(alert, ACKNOWLEDGED) for alert in after]
