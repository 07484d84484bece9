"""What a tick does to every alert: which rules speak of what, and one step of the table for each slot. Pure.

What is judged depends on the ticks alone, so judging them again after a crash is harmless. Hysteresis: an open alert
goes on until its `clear` bound holds, not until `fire` stops holding. Where the number behind it was restated to what
never breached, it ends at once and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from alerts.counters import count, increase
from alerts.facts import AROUND, Siblings, facts_of, impact_of
from alerts.readings import (
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
    volume_of,
)
from alerts.rule import SEVERITIES, Rule, Ruleset, matches, on_duty
from alerts.state import (
    FIRING,
    NEXT,
    OK,
    OPEN,
    PENDING,
    RECENT_MS,
    RESOLVED,
    Alert,
    Change,
    History,
    Signal,
    Slot,
    State,
    identity,
    in_debt,
)
from streams.events import REAL

MOST_RECENT = 1_000
"""Resolved alerts kept at most: a replay's clock may stand still for ever."""
MOST_FIRED = 5_000
"""Slots of which it is known when they fired lately."""


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
    topic: str = SUM
    entry: Key | None = None
    """Of a topic: its entry in the key."""

    @property
    def slot(self) -> Slot:
        """Where its alert stands."""
        return Slot(self.rule.name, self.tenant, self.queue, self.channel, self.topic)


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
    for sample in samples(rules, counters, clock, as_of, readings, siblings):
        slot = sample.slot
        seen.add(slot)
        before = state.alerts.get(slot)
        if before is None and not breaches(sample, None):
            continue
        yield slot, before, step(before, sample, clock, as_of, siblings)
    for slot, alert in state.alerts.items():
        if slot in seen or alert.outside or _unknown(alert, rules, readings):
            continue
        if alert.clock == clock or slot.tenant in readings.tenants:
            reason = "gone" if slot.rule in rules.by_name else "rule_removed"
            yield slot, alert, withdraw(alert, reason, as_of)


def _unknown(alert: Alert, rules: Ruleset, readings: Readings) -> bool:
    """Whether its number is only not known yet: the lag, until all that was missed is read."""
    reading = readings.tenants.get(alert.slot.tenant)
    here = reading is not None and reading.ingest_lag_ms is None
    return here and alert.metric == "ingest_lag" and alert.slot.rule in rules.by_name


def samples(
    rules: Ruleset,
    counters: Mapping[tuple[str, str], History],
    clock: str,
    as_of: int,
    readings: Readings,
    siblings: Siblings,
) -> Iterator[Sample]:
    """What every rule sees at a tick. What is about arrival is only told of tenants on the real clock."""
    for key in readings.keys:
        where = key["tenant"], key["queue"], key["channel"]
        for rule in rules.about(*where):
            yield from _of_key(rule, key, where, as_of, siblings)
    for tenant, reading in readings.tenants.items():
        for rule in rules.of_tenants:
            if matches(rule.scope.tenant, tenant) and (clock == REAL or rule.metric.name not in REAL_ONLY):
                value = _of_tenant(rule, tenant, reading, counters, as_of)
                if value is not None and on_duty(rule, as_of):
                    yield Sample(rule, tenant, SUM, SUM, value)
                elif value is not None:
                    yield Sample(rule, tenant, SUM, SUM, None, "off_duty")


def _of_key(rule: Rule, key: Key, where: tuple[str, str, str], as_of: int, siblings: Siblings) -> Iterator[Sample]:
    duty = on_duty(rule, as_of)
    if rule.metric.place is Place.TOPIC:
        for entry in key.get("topics") or ():
            topic = str(entry.get("topic"))
            if topic != SUM and matches(rule.scope.topic, topic):
                yield _sample(rule, where, value_of(rule.metric, entry, None), duty, key, topic, entry)
    elif rule.metric.place is Place.PEOPLE:
        value = impact_of(key, *siblings.at_work(key)).get(rule.metric.name) if duty else None
        yield _sample(rule, where, value, duty, key)
    else:
        yield _sample(rule, where, value_of(rule.metric, key, rule.window), duty, key)


def _sample(
    rule: Rule,
    where: tuple[str, str, str],
    value: float | None,
    duty: bool,
    key: Key,
    topic: str = SUM,
    entry: Key | None = None,
) -> Sample:
    if not duty:
        return Sample(rule, *where, None, "off_duty", key, topic, entry)
    return Sample(rule, *where, value, "cleared" if value is not None else "no_cases", key, topic, entry)


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
        case "parity_faults":
            return reading.parity_faults
        case "stream_age" | "channel_failing":
            return None  # no tick tells it
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
    cases = cases_of(rule.metric, sample.entry or sample.key, rule.window) or 0
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
        return _graver(alert, sample, as_of)
    begun = _about(Alert(sample.slot, sample.rule.metric.name, state, clock, since, as_of), sample.rule)
    begun = _graver(replace(begun, graver_since=alert.graver_since if alert else None), sample, as_of)
    if state is PENDING:
        return begun
    ground, id_ = tuple(_ground(sample)), identity(begun.slot, as_of)
    opened = replace(begun, id=id_, fired_at=as_of, changed_at=as_of, ground=ground)
    return _with_numbers(opened, sample, as_of, siblings)


def _opened(alert: Alert, sample: Sample, breach: bool, as_of: int, siblings: Siblings) -> Alert:
    alert = _with_numbers(_about(alert, sample.rule), sample, as_of, siblings)
    if breach:
        return _graver(replace(alert, clear_since=None), sample, as_of)
    since = as_of if alert.clear_since is None else alert.clear_since
    reason = _why_clear(alert, sample)
    over = reason in ("restated", "off_duty") or as_of - since >= sample.rule.keep_ms
    if not over:
        return replace(alert, clear_since=since)
    return replace(withdraw(alert, reason, as_of) or alert, clear_since=since)


def _graver(alert: Alert, sample: Sample, as_of: int) -> Alert:
    """The alert with a graver severity, once a step of its rule's ladder has held as long as firing takes."""
    if not sample.rule.ladder or sample.value is None:
        return alert
    severity = sample.rule.severity_of(sample.value)
    if SEVERITIES.index(severity) <= SEVERITIES.index(alert.severity):
        return alert if alert.graver_since is None else replace(alert, graver_since=None)
    since = as_of if alert.graver_since is None else alert.graver_since
    if alert.state is PENDING or as_of - since < sample.rule.hold_ms:
        return alert if since == alert.graver_since else replace(alert, graver_since=since)
    return replace(alert, severity=severity, graver_since=None, escalated=0)


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
        severity=alert.severity if alert.severity in dict(rule.ladder) else rule.severity,
        unit=rule.metric.unit,
        upward=rule.fire.upward and not rule.metric.name.endswith("lull"),
        runbook=rule.runbook,
        labels=rule.labels,
        summary=rule.summary,
        advice=rule.advice,
        planned=rule.planned,
    )


def _with_numbers(alert: Alert, sample: Sample, as_of: int, siblings: Siblings) -> Alert:
    """The alert with the tick's numbers. Of a flag the rate is told, not that it is on."""
    value = sample.value
    if sample.rule.metric.place is Place.FLAG and sample.key is not None:
        value = volume_of(sample.rule.metric, sample.key).get("rate_per_min")
    if value is None:
        return replace(alert, at=as_of)
    worst = max if alert.upward else min
    peak = value if alert.peak is None else worst(alert.peak, value)
    facts = facts_of(sample.rule, sample.key, value, siblings)
    if sample.rule.metric.place is Place.FLAG and not sample.value:  # it is over: what was said of it stands
        facts = replace(facts, keywords=alert.facts.keywords, samples=alert.facts.samples)
    elif peak != alert.peak:
        around = {name: facts.impact[name] for name in AROUND if name in facts.impact}
        alert = replace(alert, worst=replace(facts, samples=(), impact=around))
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
