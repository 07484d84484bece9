"""Who hears of an alert, and when: routes, silences, inhibition, grouping, flapping, repeats, escalation. Pure.

The plan is made of debts. An alert is in debt while the last state people were told of is not the one it is in. Each
time something happens, and each second, the debts that nothing holds back are paid: one notice per channel. What holds
a debt back (a silence, a graver alert, a group's wait) never loses it: when the hold ends, the debt is still there,
with the state as it is then. So a silence and a storm end in one word about how things stand, not in their history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from alerts.readings import EVERYWHERE, METRICS, OUTSIDE, Place
from alerts.rule import SEVERITIES, matches
from alerts.state import ACKNOWLEDGED, CHANNEL_DOWN, FIRING, OPEN, RECENT_MS, Alert, Group, State, everything, in_debt
from streams.events import REAL

FRESH_MS = 300_000
"""A new alert of the real clock whose tick is older waits until the stream has caught up: it may be over by then."""


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts with these labels go to these channels."""

    match: Mapping[str, str]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert matching `source` is open, those matching `target` with equal labels stay quiet."""

    source: Mapping[str, str]
    target: Mapping[str, str]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A planned silence, by the file: between two instants (ms), or weekly between times of day in a zone."""

    match: Mapping[str, str]
    reason: str
    owner: str
    since: int | None = None
    until: int | None = None
    zone: str = "UTC"
    weekly: Mapping[str, Sequence[tuple[str, str]]] | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who else hears of an alert of at least this severity that nobody acknowledged for so long."""

    after_ms: int
    channels: tuple[str, ...]
    severity: Literal["info", "warning", "critical"] = "critical"


@dataclass(frozen=True, slots=True)
class Policy:
    """How people are told. Spans in ms; 0 switches off."""

    channels: tuple[str, ...]
    routes: tuple[Route, ...] = ()
    fallback: str = "console"
    """Hears of what no route matches: an alert nobody hears of is worse than one too many."""
    group_by: tuple[str, ...] = ("tenant", "rule")
    wait_ms: int = 0
    interval_ms: int = 0
    repeat_ms: int = 14_400_000
    """Alertmanager's 4 h: long enough to be no nuisance, within a shift."""
    flap_times: int = 4
    """Firings of one slot within 30 min from which on it flaps."""
    flap_interval_ms: int = 300_000
    """Least time between two notices about a slot that flaps."""
    inhibit: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    events: tuple[Maintenance, ...] = ()
    """Planned events: quiet for the alerts whose rule says so."""
    escalate: tuple[Escalation, ...] = ()
    """Step by step, the earliest first."""
    charted: frozenset[str] = frozenset()
    """Channels whose letters have a picture of the last hours."""
    ack_expires_ms: int = 28_800_000
    """A shift: who took an alert and went home has it no longer."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell on one channel."""

    channel: str
    alert: Alert
    kind: Literal["change", "repeat", "escalation"] = "change"


def labels_of(alert: Alert) -> dict[str, str]:
    """What routes, silences and groups can match."""
    rule, tenant, queue, channel, topic = alert.slot
    return {
        **alert.labels, "alert": alert.id, "rule": rule, "metric": alert.metric, "severity": alert.severity,
        "tenant": tenant, "queue": queue, "channel": channel, "topic": topic, "about": about(alert),
    }  # fmt: skip


def about(alert: Alert) -> str:
    """`chat`, or `stack`: whether the alert is about Tidewatch itself and what reaches it."""
    metric = METRICS.get(alert.metric)
    ours = alert.outside or metric is None or metric.place in (Place.TENANT, Place.COUNTER)
    return "stack" if ours else "chat"


def fits(match: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether every label named fits its pattern. A label that is absent fits nothing but `*`."""
    return all(matches(pattern, labels.get(name, "")) for name, pattern in match.items())


def channels_for(alert: Alert, policy: Policy) -> tuple[str, ...]:
    """The channels of every route that matches, each once; about a dead channel, the others."""
    labels = labels_of(alert)
    named = [name for route in policy.routes if fits(route.match, labels) for name in route.channels]
    found = tuple(dict.fromkeys(named if policy.routes else policy.channels))
    if alert.slot.rule.startswith(CHANNEL_DOWN):
        dead = alert.slot.rule.removeprefix(CHANNEL_DOWN)
        found = tuple(name for name in policy.channels if name != dead)
    return found or (policy.fallback,)


def silencer(alert: Alert, state: State, policy: Policy, now: int) -> str | None:
    """Who wants no word of it now."""
    labels = labels_of(alert)
    for silence in state.silences.values():
        mine = silence.tenant in ("*", alert.slot.tenant)
        if mine and silence.since <= now < silence.until and fits(silence.match, labels):
            return silence.by
    windows = policy.maintenance + (policy.events if alert.planned == "quiet" else ())
    return next((window.owner for window in windows if _under_way(window, now) and fits(window.match, labels)), None)


def _under_way(window: Maintenance, now: int) -> bool:
    if window.weekly is None:
        return (window.since or 0) <= now and (window.until is None or now < window.until)
    local = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(window.zone))
    spans = window.weekly.get(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()], ())
    return any(start <= local.strftime("%H:%M") < end for start, end in spans)


def inhibitor(alert: Alert, sources: Iterable[tuple[Inhibition, Alert]]) -> str | None:
    """The id of a graver open alert that stands in for this one."""
    labels = labels_of(alert)
    for rule, source in sources:
        if source.id != alert.id and fits(rule.target, labels) and _equal(rule.equal, labels_of(source), labels):
            return source.id
    return None


def _equal(names: Iterable[str], source: Mapping[str, str], target: Mapping[str, str]) -> bool:
    """Equal labels; what is true everywhere is true of each tenant."""
    return all(
        source.get(name) == target.get(name) or (name == "tenant" and source.get(name) == EVERYWHERE) for name in names
    )


def plan(state: State, policy: Policy, now: int) -> tuple[State, list[Notice]]:
    """The state after everything that may be told now was told, and the notices that tell it. `now`: the real clock."""
    state = _forget(state, now)
    sources = [
        (rule, alert)
        for rule in policy.inhibit
        for alert in state.alerts.values()
        if alert.state in OPEN and fits(rule.source, labels_of(alert))
    ]
    changed: dict[str, Alert] = {}
    debtors: dict[str, list[Alert]] = {}
    notices: list[Notice] = []
    for before in everything(state):
        alert = _held(before, state, policy, sources, now)
        if not _quiet(alert, state, now):
            if in_debt(alert):
                debtors.setdefault(alert.group or "", []).append(alert)
            else:
                alert, more = _reminded(alert, policy, now)
                notices += more
        if alert != before:
            changed[alert.id] = alert
    groups, paid = _pay(state.groups, debtors, policy, now)
    for alert in paid:
        changed[alert.id] = alert
        notices += [Notice(name, alert) for name in channels_for(alert, policy)]
    return _put_all(replace(state, groups=groups), changed), notices


def _forget(state: State, now: int) -> State:
    """Without the silences that are over, and the firings that no longer say anything about flapping."""
    if any(silence.until <= now for silence in state.silences.values()):
        kept = {id_: silence for id_, silence in state.silences.items() if silence.until > now}
        state = replace(state, silences=kept)
    return state


def _held(alert: Alert, state: State, policy: Policy, sources: Sequence[tuple[Inhibition, Alert]], now: int) -> Alert:
    """The alert with what holds it back, and the group it waits with."""
    fired = [at for at in state.fired.get(alert.slot, ()) if at > state.judged.get(alert.clock, 0) - RECENT_MS]
    flapping = bool(policy.flap_times) and len(fired) >= policy.flap_times
    group = _group(alert, policy)
    holds = state.silences or policy.maintenance or policy.events
    silenced = silencer(alert, state, policy, now) if holds else None
    inhibited = inhibitor(alert, sources) if sources else None
    if (flapping, group, silenced, inhibited) == (alert.flapping, alert.group, alert.silenced_by, alert.inhibited_by):
        return alert
    return replace(alert, flapping=flapping, group=group, silenced_by=silenced, inhibited_by=inhibited)


def _group(alert: Alert, policy: Policy) -> str:
    labels = labels_of(alert)
    return "/".join(labels.get(name, "") for name in policy.group_by)


def _quiet(alert: Alert, state: State, now: int) -> bool:
    """Whether nothing may be said of it now."""
    if alert.silenced_by is not None or alert.inhibited_by is not None:
        return True
    new = alert.told is None and alert.state in OPEN and not alert.outside
    about_us = alert.metric in OUTSIDE or alert.metric == "ingest_lag"
    behind = now - state.judged.get(REAL, now)
    return new and alert.clock == REAL and not about_us and behind > FRESH_MS


def _pay(
    groups: Mapping[str, Group], debtors: Mapping[str, Sequence[Alert]], policy: Policy, now: int
) -> tuple[dict[str, Group], list[Alert]]:
    """The groups after this moment, and the alerts told: those of the groups whose wait and interval are over."""
    after = {name: group for name, group in groups.items() if now - (group.flushed_at or 0) < _interval(name, policy)}
    paid: list[Alert] = []
    for group_name, members in debtors.items():
        for name, alerts in _flaps_apart(group_name, members).items():
            before = groups.get(name, Group())
            since = now if before.waiting_since is None else before.waiting_since
            due = since + policy.wait_ms
            if before.flushed_at is not None:
                due = max(due, before.flushed_at + _interval(name, policy))
            if now < due:
                after[name] = Group(since, before.flushed_at)
                continue
            after[name] = Group(None, now)
            paid += [_told(alert, now) for alert in alerts]
    return after, paid


def _told(alert: Alert, now: int) -> Alert:
    heard = now if alert.heard_at is None else alert.heard_at
    return replace(alert, told=alert.state, told_severity=alert.severity, told_at=now, heard_at=heard)


_FLAP = "flap:"


def _flaps_apart(group: str, alerts: Sequence[Alert]) -> dict[str, list[Alert]]:
    """What flaps waits by itself, so that it slows nobody else."""
    found: dict[str, list[Alert]] = {}
    for alert in alerts:
        found.setdefault(_FLAP + "/".join(alert.slot) if alert.flapping else group, []).append(alert)
    return found


def _interval(group: str, policy: Policy) -> int:
    return max(policy.interval_ms, policy.flap_interval_ms) if group.startswith(_FLAP) else policy.interval_ms


def _reminded(alert: Alert, policy: Policy, now: int) -> tuple[Alert, list[Notice]]:
    """Say it again, or to somebody else, while nobody has taken it."""
    if alert.state is not FIRING or alert.told_at is None or alert.heard_at is None:
        return alert, []
    step = _escalation(alert, policy, now - alert.heard_at)
    if step is not None:
        escalated = replace(alert, escalated=alert.escalated + 1)
        return escalated, [Notice(name, escalated, "escalation") for name in step.channels]
    if policy.repeat_ms and now - alert.told_at >= policy.repeat_ms:
        repeated = replace(alert, told_at=now)
        return repeated, [Notice(name, repeated, "repeat") for name in channels_for(repeated, policy)]
    return alert, []


def _escalation(alert: Alert, policy: Policy, waited_ms: int) -> Escalation | None:
    """The next step for an alert of its severity, if its time has come."""
    grave = SEVERITIES.index(alert.severity)
    steps = [step for step in policy.escalate if grave >= SEVERITIES.index(step.severity)]
    following = steps[alert.escalated : alert.escalated + 1]
    return next((step for step in following if waited_ms >= step.after_ms), None)


def _put_all(state: State, changed: Mapping[str, Alert]) -> State:
    if not changed:
        return state
    alerts, recent = dict(state.alerts), dict(state.recent)
    for alert in changed.values():
        if alert.state in (FIRING, ACKNOWLEDGED):
            alerts[alert.slot] = alert
        else:
            recent[alert.id] = alert
    return replace(state, alerts=alerts, recent=recent)
