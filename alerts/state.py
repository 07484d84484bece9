"""How an alert behaves over time: a table, and a step that reads it. No clock: time comes with the tick.

    ok ──breach──► pending ──held for `for`──► firing ──ack──► acknowledged
     ▲                │                           └──────┬──────────┘
     └────no breach───┘            resolved ◄──clear for `keep_firing_for`

One slot (rule, tenant, queue, channel) has at most one open alert. What is judged depends on the ticks alone, so the
same ticks give the same alerts with the same ids, and judging them again after a crash is harmless.

Hysteresis: an open alert goes on until its `clear` bound holds, not until `fire` stops holding. Where the number behind
it was restated to what never breached, it ends at once and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from alerts.facts import NO_FACTS, Facts, Siblings, facts_of
from alerts.readings import (
    EVERYWHERE,
    OUTSIDE,
    REAL_ONLY,
    SUM,
    WINDOWS,
    Key,
    Place,
    Readings,
    TenantReading,
    cases_of,
    restated_in,
    value_of,
)
from alerts.rules import Rule, Ruleset, Severity, matches, on_duty
from streams.events import REAL

RECENT_MS = 1_800_000
"""How long a resolved alert stays in the feed."""
MOST_RECENT = 1_000
"""Resolved alerts kept at most: a replay's clock may stand still for ever."""
MOST_FIRED = 5_000
"""Slots of which it is known when they fired lately."""
BUCKET_MS = 10_000
"""Grain of a counter's history: fine enough for windows of minutes, few enough to write with every change."""


CHANNEL_DOWN = "channel-down/"
"""Begins the rule name of an alert about a delivery channel; its name follows. No rule of a file can be named so."""


class Phase(StrEnum):
    """Where an alert stands."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Signal(StrEnum):
    """What a tick, or a person, says to an alert."""

    CLEAR = "clear"
    BREACH = "breach"
    HELD = "held"
    ACK = "ack"


OK, PENDING, FIRING, ACKNOWLEDGED, RESOLVED = Phase
# fmt: off
_TABLE = {
    #              CLEAR     BREACH        HELD          ACK
    OK:           (OK,       PENDING,      FIRING,       OK),
    PENDING:      (OK,       PENDING,      FIRING,       PENDING),
    FIRING:       (RESOLVED, FIRING,       FIRING,       ACKNOWLEDGED),
    ACKNOWLEDGED: (RESOLVED, ACKNOWLEDGED, ACKNOWLEDGED, ACKNOWLEDGED),
    RESOLVED:     (RESOLVED, PENDING,      FIRING,       RESOLVED),
}
# fmt: on
NEXT = {phase: dict(zip(Signal, row, strict=True)) for phase, row in _TABLE.items()}
OPEN = frozenset({FIRING, ACKNOWLEDGED})


class Slot(NamedTuple):
    """What has at most one open alert."""

    rule: str
    tenant: str
    queue: str
    channel: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Instants in ms of its own clock; those of people (`acknowledged_at`, `told_at`) of the real one."""

    slot: Slot
    metric: str
    state: Phase
    clock: str
    since: int
    """The tick since which the condition has held."""
    at: int
    """The tick that value and facts are as of."""
    changed_at: int = 0
    """The tick at which it took its state."""
    severity: Severity = "warning"
    unit: str = "count"
    upward: bool = True
    runbook: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, str] | None = None
    id: str = ""
    """From firing on; the same until it is forgotten."""
    fired_at: int | None = None
    clear_since: int | None = None
    value: float | None = None
    peak: float | None = None
    """The worst value since it began: the greatest, or of a rule that fires below a bound the smallest."""
    facts: Facts = NO_FACTS
    ground: tuple[str, ...] = ()
    """Restatements that stood when it fired; a later one may take its ground away."""
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    grade: str | None = None
    resolved_at: int | None = None
    reason: str | None = None
    silenced_by: str | None = None
    inhibited_by: str | None = None
    flapping: bool = False
    group: str | None = None
    told: Phase | None = None
    """The last state that people were told of."""
    told_at: int | None = None
    heard_at: int | None = None
    """When people first heard of it."""
    escalated: int = 0
    """How many steps of escalation were taken."""
    outside: bool = False
    """About ourselves, made outside ticks: a dead channel, a stream that stands still. No tick judges it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Who wanted no word of what, until when, and why. Instants of the real clock, in ms."""

    id: str
    tenant: str
    match: Mapping[str, str]
    since: int
    until: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Notices that wait for each other. Instants of the real clock."""

    waiting_since: int | None = None
    flushed_at: int | None = None


History = tuple[tuple[int, int], ...]
"""A counter: (instant, total), oldest first."""


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered."""

    judged: Mapping[str, int] = field(default_factory=dict)
    """Clock → the last tick judged."""
    alerts: Mapping[Slot, Alert] = field(default_factory=dict)
    """Pending and open ones."""
    recent: Mapping[str, Alert] = field(default_factory=dict)
    """Resolved ones by id, while the feed shows them or somebody is still to be told."""
    counters: Mapping[tuple[str, str], History] = field(default_factory=dict)
    """(tenant, metric) → its history."""
    silences: Mapping[str, Silence] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    fired: Mapping[Slot, tuple[int, ...]] = field(default_factory=dict)
    """When a slot fired lately, for flapping."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alert after a change of state that people may hear of (never of pending)."""

    alert: Alert
    was: Phase


@dataclass(frozen=True, slots=True)
class Sample:
    """What one rule sees in one place at one tick."""

    rule: Rule
    tenant: str
    queue: str
    channel: str
    value: float | None
    """The number judged; None: there is nothing to judge, for the `reason`."""
    reason: str = "cleared"
    key: Key | None = None

    @property
    def slot(self) -> Slot:
        """Where its alert stands."""
        return Slot(self.rule.name, self.tenant, self.queue, self.channel)


def identity(slot: Slot, fired_at: int) -> str:
    """The alert's id: the same whenever the same ticks are judged again."""
    text = "\x00".join((*slot, str(fired_at)))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


# Judging a tick


def judge(state: State, rules: Ruleset, clock: str, as_of: int, readings: Readings) -> tuple[State, list[Change]]:
    """The state after a tick of a clock, and the alerts whose state it changed.

    A tick that is not after the last one judged of its clock changes nothing. Every slot of the clock's tenants is
    stepped once; an open alert whose key or rule is gone resolves.
    """
    if as_of <= state.judged.get(clock, -1):
        return state, []
    counters = count(state.counters, as_of, readings.tenants)
    siblings = Siblings(readings.keys, readings.agents)
    alerts, recent, fired = dict(state.alerts), dict(state.recent), dict(state.fired)
    changes: list[Change] = []
    for slot, before, after in _steps(state, rules, counters, clock, as_of, readings, siblings):
        if after is None:
            alerts.pop(slot, None)
            continue
        if after.state is RESOLVED:
            alerts.pop(slot, None)
            recent[after.id] = after
        else:
            alerts[slot] = after
        was = before.state if before else OK
        if after.state is not was and after.state is not PENDING:
            changes.append(Change(after, was))
            if after.state is FIRING:
                lately = (at for at in fired.pop(slot, ()) if at > as_of - RECENT_MS)
                fired[slot] = (*lately, as_of)
    for slot in list(fired)[: max(0, len(fired) - MOST_FIRED)]:
        del fired[slot]
    judged = {**state.judged, clock: as_of}
    return (
        replace(state, judged=judged, alerts=alerts, recent=_kept(recent, judged), counters=counters, fired=fired),
        changes,
    )


def _steps(
    state: State,
    rules: Ruleset,
    counters: Mapping[tuple[str, str], History],
    clock: str,
    as_of: int,
    readings: Readings,
    siblings: Siblings,
) -> Iterator[tuple[Slot, Alert | None, Alert | None]]:
    """(slot, alert before, alert after) of everything that is not quiet before and after."""
    seen = set()
    for sample in samples(rules, counters, clock, as_of, readings):
        slot = sample.slot
        seen.add(slot)
        before = state.alerts.get(slot)
        if before is None and not breaches(sample, None):
            continue
        yield slot, before, step(before, sample, clock, as_of, siblings)
    for slot, alert in state.alerts.items():
        if slot not in seen and not alert.outside and (alert.clock == clock or slot.tenant in readings.tenants):
            reason = "gone" if slot.rule in rules.by_name else "rule_removed"
            yield slot, alert, withdraw(alert, reason, as_of)


def samples(
    rules: Ruleset, counters: Mapping[tuple[str, str], History], clock: str, as_of: int, readings: Readings
) -> Iterator[Sample]:
    """What every rule sees at a tick. What is about arrival is only told of tenants on the real clock."""
    for key in readings.keys:
        where = key["tenant"], key["queue"], key["channel"]
        for rule in rules.about(*where):
            yield _of_key(rule, key, where, as_of)
    for tenant, reading in readings.tenants.items():
        for rule in rules.of_tenants:
            if matches(rule.scope.tenant, tenant) and (clock == REAL or rule.metric.name not in REAL_ONLY):
                value = _of_tenant(rule, tenant, reading, counters, as_of)
                if value is not None and on_duty(rule, as_of):
                    yield Sample(rule, tenant, SUM, SUM, value)
                elif value is not None:
                    yield Sample(rule, tenant, SUM, SUM, None, "off_duty")


def _of_key(rule: Rule, key: Key, where: tuple[str, str, str], as_of: int) -> Sample:
    if not on_duty(rule, as_of):
        return Sample(rule, *where, None, "off_duty", key)
    value = value_of(rule.metric, key, rule.window)
    return Sample(rule, *where, value, "cleared" if value is not None else "no_cases", key)


def _of_tenant(
    rule: Rule,
    tenant: str,
    reading: TenantReading,
    counters: Mapping[tuple[str, str], History],
    as_of: int,
) -> float | None:
    match rule.metric.name:
        case "ingest_lag":
            return reading.ingest_lag_ms
        case "no_data":
            return reading.no_data_ms
        case "stream_age":
            return None  # while ticks come there is nothing to say
        case name:
            history = counters.get((tenant, name))
            return None if history is None else increase(history, as_of - WINDOWS[rule.window or "5m"])


def breaches(sample: Sample, alert: Alert | None) -> bool:
    """Whether the alert's condition holds: `fire` to begin, anything but `clear` to go on.

    Too few cases are none. An open alert needs half as many: it must not come and go with one case more or less.
    """
    if sample.value is None:
        return False
    rule, standing = sample.rule, alert is not None and alert.state in OPEN
    beyond = not rule.clear.holds(sample.value) if standing else rule.fire.holds(sample.value)
    if not beyond or not rule.min_n or sample.key is None:
        return beyond
    cases = cases_of(rule.metric, sample.key, rule.window) or 0
    return cases >= (rule.min_n / 2 if standing else rule.min_n)


def step(alert: Alert | None, sample: Sample, clock: str, as_of: int, siblings: Siblings) -> Alert | None:
    """The slot's alert after a tick; None: nothing is wrong there. A new clock begins all waiting anew."""
    if alert is not None and alert.clock != clock:
        alert = replace(alert, clock=clock, since=as_of if alert.state is PENDING else alert.since, clear_since=None)
    breach = breaches(sample, alert)
    if alert is None or alert.state is PENDING:
        return _unopened(alert, sample, breach, clock, as_of, siblings)
    return _opened(alert, sample, breach, as_of, siblings)


def _unopened(
    alert: Alert | None, sample: Sample, breach: bool, clock: str, as_of: int, siblings: Siblings
) -> Alert | None:
    if not breach:
        return None
    since = alert.since if alert else as_of
    held = as_of - since >= sample.rule.hold_ms
    state = NEXT[alert.state if alert else OK][Signal.HELD if held else Signal.BREACH]
    if state is PENDING and alert is not None:
        return alert
    begun = _about(Alert(sample.slot, sample.rule.metric.name, state, clock, since, as_of), sample.rule)
    if state is PENDING:
        return begun
    ground, id_ = tuple(_ground(sample)), identity(begun.slot, as_of)
    opened = replace(begun, id=id_, fired_at=as_of, changed_at=as_of, ground=ground)
    return _with_numbers(opened, sample, as_of, siblings)


def _opened(alert: Alert, sample: Sample, breach: bool, as_of: int, siblings: Siblings) -> Alert:
    alert = _with_numbers(_about(alert, sample.rule), sample, as_of, siblings)
    if breach:
        return replace(alert, clear_since=None)
    since = as_of if alert.clear_since is None else alert.clear_since
    reason = _why_clear(alert, sample)
    over = reason in ("restated", "off_duty") or as_of - since >= sample.rule.keep_ms
    if not over:
        return replace(alert, clear_since=since)
    return replace(withdraw(alert, reason, as_of) or alert, clear_since=since)


def _why_clear(alert: Alert, sample: Sample) -> str:
    if set(_ground(sample, before=alert.fired_at)) - set(alert.ground):
        return "restated"
    if sample.value is not None and not sample.rule.clear.holds(sample.value):
        return "too_few"
    return sample.reason


def _ground(sample: Sample, before: int | None = None) -> list[str]:
    """The restatements that concern what is judged, up to the instant an alert fired."""
    if sample.key is None:
        return []
    found = restated_in(sample.rule.metric, sample.key)
    return sorted(f"{minute} {what}" for minute, what in found if before is None or minute <= before)


def withdraw(alert: Alert, reason: str, as_of: int) -> Alert | None:
    """The alert after it ended for a reason; None where nobody could have known it."""
    state = NEXT[alert.state][Signal.CLEAR]
    if state is not RESOLVED:
        return None
    return replace(alert, state=state, at=as_of, changed_at=as_of, resolved_at=as_of, reason=reason)


def _about(alert: Alert, rule: Rule) -> Alert:
    """The alert with what its rule says of it now."""
    return replace(
        alert,
        severity=rule.severity,
        unit=rule.metric.unit,
        upward=rule.fire.upward and rule.metric.name != "lull",
        runbook=rule.runbook,
        labels=rule.labels,
        summary=rule.summary,
    )


def _with_numbers(alert: Alert, sample: Sample, as_of: int, siblings: Siblings) -> Alert:
    """The alert with the tick's numbers. Of a flag the rate is told, not that it is on."""
    value = sample.value
    if sample.rule.metric.place is Place.FLAG and sample.key is not None:
        value = (sample.key.get("volume") or {}).get("rate_per_min")
    if value is None:
        return replace(alert, at=as_of)
    worst = max if alert.upward else min
    peak = value if alert.peak is None else worst(alert.peak, value)
    facts = facts_of(sample.rule, sample.key, value, siblings)
    return replace(alert, at=as_of, value=value, peak=peak, facts=facts)


def _kept(recent: Mapping[str, Alert], judged: Mapping[str, int]) -> dict[str, Alert]:
    """The resolved ones that the feed still shows or that somebody has still to hear of."""
    kept = {
        id_: alert
        for id_, alert in recent.items()
        if in_debt(alert) or judged.get(alert.clock, 0) - (alert.resolved_at or 0) < RECENT_MS
    }
    for id_ in list(kept)[: max(0, len(kept) - MOST_RECENT)]:
        if not in_debt(kept[id_]):
            del kept[id_]
    return kept


def in_debt(alert: Alert) -> bool:
    """Whether people believe something else of it than is true. Who never heard of it needs no end of it."""
    if alert.state is PENDING or alert.told is alert.state:
        return False
    return alert.told is not None or alert.state in OPEN


# What no tick can tell


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


# Counters


def count(
    counters: Mapping[tuple[str, str], History], as_of: int, tenants: Mapping[str, TenantReading]
) -> Mapping[tuple[str, str], History]:
    """The counters' histories after a tick; the same object where none changed."""
    changed: dict[tuple[str, str], History] = {}
    for tenant, reading in tenants.items():
        for name, total in (("dead_letters", reading.dead_letters), ("late_total", reading.late_total)):
            if total is None:
                continue
            before = counters.get((tenant, name), ())
            if not before or before[-1][1] != total:
                changed[tenant, name] = _noted(before, as_of, total)
    return {**counters, **changed} if changed else counters


def _noted(history: History, at: int, total: int) -> History:
    oldest = at - WINDOWS["30m"] - BUCKET_MS
    first = max((place for place, (then, _) in enumerate(history) if then <= oldest), default=0)
    kept = history[first:]
    if len(kept) > 1 and kept[-1][0] // BUCKET_MS == at // BUCKET_MS and total >= kept[-1][1]:
        kept = kept[:-1]
    return (*kept, (at, total))


def increase(history: History, since: int) -> int:
    """By how much a counter rose after an instant. A fall is a new beginning at 0. The first total known is no rise."""
    rise, before = 0, None
    for at, total in history:
        if before is not None and at > since:
            rise += total - before if total >= before else total
        before = total
    return rise


# What people do


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


def everything(state: State) -> Iterable[Alert]:
    """All alerts that people can know of: open, then recent."""
    yield from (alert for alert in state.alerts.values() if alert.state in OPEN)
    yield from state.recent.values()


def latest(changes: Sequence[Change], state: State) -> list[Change]:
    """The changes, with the alerts as they stand now (after it was settled who hears of them)."""
    found = []
    for change in changes:
        slot, alert = change.alert.slot, change.alert
        now = state.recent.get(alert.id) if alert.state is RESOLVED else state.alerts.get(slot)
        found.append(replace(change, alert=now) if now is not None and now.id == alert.id else change)
    return found
