"""A rule: which numbers it is about, and whether one of them breaches it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from alerts.readings import DELIVERY, SUM, Metric, Place
from config.settings import WEEKDAYS, CalendarSettings

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison with a number, in the metric's unit."""

    op: Literal[">", ">=", "<", "<="]
    value: float

    def holds(self, value: float) -> bool:
        """Whether the value lies on the bound's side of it."""
        match self.op:
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value

    @property
    def upward(self) -> bool:
        """Whether greater values hold."""
        return self.op in (">", ">=")


def opposite(bound: Bound) -> Bound:
    """The bound that holds exactly where this one does not."""
    ops: dict[str, Literal[">", ">=", "<", "<="]] = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
    return Bound(ops[bound.op], bound.value)


def overlap(fire: Bound, clear: Bound) -> bool:
    """Whether some value holds for both: then an alert would begin and end in one breath."""
    if fire.upward == clear.upward:
        return True
    low, high = (fire, clear) if fire.upward else (clear, fire)
    if low.value == high.value:
        return low.op == ">=" and high.op == "<="
    return low.value < high.value


@dataclass(frozen=True, slots=True)
class Scope:
    """Which keys a rule is about. A pattern with `*` per dimension; None: summed over. Tenants are never summed."""

    tenant: str = "*"
    queue: str | None = None
    channel: str | None = None
    topic: str = "*"
    """Of a metric of topics: which of them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition and how long it must last. Spans in ms."""

    name: str
    metric: Metric
    fire: Bound
    clear: Bound
    scope: Scope = Scope()
    window: str | None = None
    hold_ms: int = 0
    keep_ms: int = 0
    severity: Severity = "warning"
    ladder: tuple[tuple[Severity, Bound], ...] = ()
    """Graver severities, the least first, and from where on the same alert has them."""
    runbook: str | None = None
    min_n: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    schedule: CalendarSettings | None = None
    summary: Mapping[str, str] | None = None
    """What is wrong, in the rule's own words, by language; with `{fields}` (`alerts.words`) the whole sentence."""
    advice: Mapping[str, str] | None = None
    """What to do first, by language."""
    planned: Literal["judge", "quiet"] = "judge"
    """Whether people hear of it while a planned event is under way."""

    def severity_of(self, value: float) -> Severity:
        """How grave a value is that fires."""
        return next((severity for severity, bound in reversed(self.ladder) if bound.holds(value)), self.severity)


def matches(pattern: str, text: str) -> bool:
    """Whether the text fits a pattern in which `*` stands for anything, and nothing else is special."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    at, last = len(first), rest.pop()
    for part in rest:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)


def in_scope(scope: Scope, tenant: str, queue: str, channel: str) -> bool:
    """Whether a key is one the scope speaks of: named dimensions match one by one, the others are the sum."""
    return matches(scope.tenant, tenant) and _fits(scope.queue, queue) and _fits(scope.channel, channel)


def _fits(pattern: str | None, value: str) -> bool:
    return value == SUM if pattern is None else value != SUM and matches(pattern, value)


def on_duty(rule: Rule, at: int) -> bool:
    """Whether the rule is judged at this instant (ms). Make-up days win over holidays, both over the week."""
    if rule.schedule is None:
        return True
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(rule.schedule.zone))
    day = local.date()
    if day in rule.schedule.workdays:
        spans = rule.schedule.workdays[day]
    elif day in rule.schedule.holidays:
        spans = []
    else:
        spans = rule.schedule.weekly.get(WEEKDAYS[local.weekday()], [])  # type: ignore[call-overload]  # WEEKDAYS holds its keys
    now = local.strftime("%H:%M")
    return any(start <= now < end for start, end in spans)


class Ruleset:
    """All rules, and which of them are about a key. What was asked once is remembered: keys come back every tick."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.by_name = {rule.name: rule for rule in self.rules}
        self.of_keys = tuple(r for r in self.rules if r.metric.place not in (Place.TENANT, Place.COUNTER))
        self.of_tenants = tuple(r for r in self.rules if r.metric.place in (Place.TENANT, Place.COUNTER))
        self.of_channels = tuple(r for r in self.rules if r.metric.name == DELIVERY)
        self._known: dict[tuple[str, str, str], tuple[Rule, ...]] = {}

    def about(self, tenant: str, queue: str, channel: str) -> tuple[Rule, ...]:
        """The rules on keys that are about this one."""
        slot = (tenant, queue, channel)
        found = self._known.get(slot)
        if found is None:
            found = tuple(rule for rule in self.of_keys if in_scope(rule.scope, *slot))
            self._known[slot] = found
        return found


def thresholds(rules: Ruleset, tenant: str, queue: str, channel: str) -> dict[str, dict[str, float | int | None]]:
    """`thresholds` of a key of the feed: metric → where it is near, a warning, critical; and the least n to judge."""
    found: dict[str, dict[str, float | int | None]] = {}
    for rule in rules.about(tenant, queue, channel):
        if rule.metric.place in (Place.FLAG, Place.TOPIC) or rule.severity == "info":
            continue
        entry = found.setdefault(rule.metric.name, {"near": None, "warning": None, "critical": None, "min_n": 0})
        entry[rule.severity] = rule.fire.value
        entry["min_n"] = max(rule.min_n, int(entry["min_n"] or 0))
        for severity, bound in rule.ladder:
            entry[severity] = bound.value
        if rule.severity == "warning" and rule.clear.value != rule.fire.value:
            entry["near"] = rule.clear.value
    return found
