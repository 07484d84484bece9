"""An alert: what is known of it, and the table of its states. No clock: time comes with the tick.

    ok ──breach──► pending ──held for `for`──► firing ──ack──► acknowledged
     ▲                │                           ▲ └────┬──────────┘ │
     └────no breach───┘            resolved ◄──clear     └──expired─────┘
                                     for `keep_firing_for`

One slot (rule, tenant, queue, channel) has at most one open alert. Its id is made of the slot and the tick at which it
fired, so the same ticks give the same alerts with the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from alerts.facts import NO_FACTS, Facts
from alerts.rule import SEVERITIES, Severity

RECENT_MS = 1_800_000
"""How long a resolved alert stays in the feed."""
CHANNEL_DOWN = "channel-down/"
"""Begins the rule name of an alert about a delivery channel; its name follows. No rule of a file can be named so."""
CATCHING_UP = "catching-up/"
"""The rule name of the note that the stream is read after a long absence."""
UNREAD = "unread/"
"""Begins the rule names of alerts about what a role has not read and Kafka will delete: the role, and how near."""
RULES_REFUSED = "rules-refused/"
"""The rule name of the alert that a file of rules has a mistake, and the old rules stay."""


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
    EXPIRED = "expired"


OK, PENDING, FIRING, ACKNOWLEDGED, RESOLVED = Phase
# fmt: off
_TABLE = {
    #              CLEAR     BREACH        HELD          ACK           EXPIRED
    OK:           (OK,       PENDING,      FIRING,       OK,           OK),
    PENDING:      (OK,       PENDING,      FIRING,       PENDING,      PENDING),
    FIRING:       (RESOLVED, FIRING,       FIRING,       ACKNOWLEDGED, FIRING),
    ACKNOWLEDGED: (RESOLVED, ACKNOWLEDGED, ACKNOWLEDGED, ACKNOWLEDGED, FIRING),
    RESOLVED:     (RESOLVED, PENDING,      FIRING,       RESOLVED,     RESOLVED),
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
    topic: str = "*"
    """Of an alert about one topic: which; `*`: all together."""


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
    """It rises as its rule's ladder says, and falls with the alert's end only."""
    graver_since: int | None = None
    """The tick since which it has been graver than its severity says."""
    unit: str = "count"
    upward: bool = True
    runbook: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, str] | None = None
    advice: Mapping[str, str] | None = None
    planned: str = "judge"
    id: str = ""
    """From firing on; the same until it is forgotten."""
    fired_at: int | None = None
    clear_since: int | None = None
    value: float | None = None
    peak: float | None = None
    """The worst value since it began: the greatest, or of a rule that fires below a bound the smallest."""
    facts: Facts = NO_FACTS
    worst: Facts = NO_FACTS
    """What was usual, what drove it and which words rose at its peak: an alert that is over keeps its cause."""
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
    told_severity: Severity | None = None
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


def identity(slot: Slot, fired_at: int) -> str:
    """The alert's id: the same whenever the same ticks are judged again."""
    where = slot[:4] if slot.topic == "*" else slot
    text = "\x00".join((*where, str(fired_at)))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def in_debt(alert: Alert) -> bool:
    """Whether people believe something else of it than is true. Who never heard of it needs no end of it."""
    if alert.state in OPEN and alert.told is alert.state and alert.told_severity is not None:
        return SEVERITIES.index(alert.severity) > SEVERITIES.index(alert.told_severity)
    if alert.state is PENDING or alert.told is alert.state:
        return False
    return alert.told is not None or alert.state in OPEN


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
