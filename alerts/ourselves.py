"""Alerts about Tidewatch itself, which no tick can tell: the stream stands still, a channel is dead. Pure."""

from __future__ import annotations

from dataclasses import replace

from alerts.facts import Siblings
from alerts.judging import Sample, breaches, step, withdraw
from alerts.readings import EVERYWHERE, OUTSIDE, SUM
from alerts.rule import Ruleset, matches
from alerts.state import CHANNEL_DOWN, FIRING, OK, PENDING, RESOLVED, Alert, Change, Slot, State, identity
from streams.events import REAL


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


def channel_down(state: State, name: str, reason: str | None, now: int) -> tuple[State, list[Change]]:
    """A delivery channel cannot be reached, for a reason; or, with none, can be again."""
    slot = Slot(f"{CHANNEL_DOWN}{name}", EVERYWHERE, SUM, SUM)
    before = state.alerts.get(slot)
    if (reason is None) is (before is None):
        return state, []
    if before is None:
        after = Alert(
            slot, "delivery", FIRING, REAL, now, now, now, severity="critical", id=identity(slot, now), fired_at=now,
            reason=reason, outside=True,
        )  # fmt: skip
        return replace(state, alerts={**state.alerts, slot: after}), [Change(after, OK)]
    over = withdraw(before, "cleared", now) or before
    alerts = {other: alert for other, alert in state.alerts.items() if other != slot}
    return replace(state, alerts=alerts, recent={**state.recent, over.id: over}), [Change(over, before.state)]
