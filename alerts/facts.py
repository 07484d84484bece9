"""What stands behind an alert, for the person who reads it: what is usual, what drives it, what it does to a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import ceil
from typing import Any

from alerts.readings import SUM, Key, Metric, Place, volume_of
from alerts.rule import Rule
from models.drivers import agents_needed, drain_plus

DRIVERS = 5
"""Named parts of one dimension; the rest is `other`: more bars than that nobody reads."""
SOON_S = 900
"""How soon a backlog should be gone for the people asked for to be enough."""
MOST_AGENTS = 20
"""More people than that is no longer a suggestion, where it is only reckoned from what was closed."""
MOST_GOAL = 0.995
"""Nobody can promise all: a share of 1 would take no end of people."""

AROUND = ("rate_per_min", "usual_per_min", "at_work")
"""Of `impact`: what goes on where a rule fired, for whoever asks why: how much customers write, and who is there."""
FEELINGS = frozenset({"sentiment", "negative", "sentiment_sum"})
"""Metrics of how customers sound: who is told of them wants to read what they say."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Rates in the alert's unit. Drivers of one dimension sum to value − expected."""

    expected: float | None = None
    low: float | None = None
    high: float | None = None
    drivers: tuple[Mapping[str, Any], ...] = ()
    keywords: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    impact: Mapping[str, Any] = field(default_factory=dict)


NO_FACTS = Facts()


class Siblings:
    """The keys of one tick by tenant, to split a sum into its parts."""

    def __init__(self, keys: Iterable[Key], agents: Iterable[Mapping[str, Any]] = ()) -> None:
        self._keys = list(keys)
        self._agents = list(agents)
        self._parts: dict[tuple[str, str, str], list[Key]] | None = None
        self._staff: dict[tuple[str, str], tuple[int, int]] | None = None
        self._telling: set[str] | None = None

    def parts(self, key: Key, dimension: str) -> list[Key]:
        """The keys that add up to this one along `queue` or `channel`; none where it is not a sum over it."""
        if key[dimension] != SUM:
            return []
        if self._parts is None:
            self._parts = {}
            for part in self._keys:
                for name, other in (("queue", "channel"), ("channel", "queue")):
                    if part[name] != SUM:
                        self._parts.setdefault((part["tenant"], name, part[other]), []).append(part)
        other = "channel" if dimension == "queue" else "queue"
        return self._parts.get((key["tenant"], dimension, key[other]), [])

    def staff(self, key: Key) -> int:
        """How many people are at work in the key's queue (of the tenant, where it is the sum)."""
        return self.at_work(key)[0]

    def tell(self, tenant: str) -> bool:
        """Whether anybody of a tenant says whether they are at work."""
        if self._telling is None:
            self._telling = {str(agent.get("tenant")) for agent in self._agents if agent.get("status") is not None}
        return tenant in self._telling

    def at_work(self, key: Key) -> tuple[int, int]:
        """The same, and how many open episodes they hold. Who holds one while nobody tells a status is at work."""
        if self._staff is None:
            self._staff = {}
            for agent in filter(_works, self._agents):
                for queue in {SUM, *(agent.get("queues") or ())}:
                    where = str(agent.get("tenant")), queue
                    people, held = self._staff.get(where, (0, 0))
                    self._staff[where] = people + 1, held + int(agent.get("open") or 0)
        return self._staff.get((key["tenant"], key["queue"]), (0, 0))


def _works(agent: Mapping[str, Any]) -> bool:
    status = agent.get("status")
    return status in ("online", "busy") or (status is None and bool(agent.get("open")))


def facts_of(rule: Rule, key: Key | None, value: float | None, siblings: Siblings) -> Facts:
    """What to tell about a rule's breach in a key; a number of the whole tenant (no key) has bounds only."""
    low, high = (None, rule.fire.value) if rule.fire.upward else (rule.fire.value, None)
    if key is None:
        return Facts(low=low, high=high)
    impact = {**impact_of(key, *siblings.at_work(key)), **around(key, siblings)}
    if rule.metric.place is not Place.FLAG:
        bounds = Facts(low=low, high=high, impact=impact)
        return _heard(bounds, key) if rule.metric.name in FEELINGS else bounds
    volume = volume_of(rule.metric, key)
    usual = Facts(
        expected=volume.get("expected"),
        low=volume.get("low"),
        high=volume.get("high"),
        drivers=tuple(drivers_of(key, value, siblings, rule.metric)),
        impact=impact,
    )
    return _heard(usual, key)


def around(key: Key, siblings: Siblings) -> dict[str, float | int | None]:
    """How much customers write, what is usual of it, and how many people are at work; unknown is None."""
    volume = key.get("volume") or {}
    staff = siblings.staff(key) if siblings.tell(key["tenant"]) else None
    return dict(zip(AROUND, (volume.get("rate_per_min"), volume.get("expected"), staff), strict=True))


def _heard(facts: Facts, key: Key) -> Facts:
    """The facts with what customers say there now, and how they sound."""
    return replace(
        facts,
        keywords=tuple(_words(key.get("keywords"))),
        samples=tuple(str(sample) for sample in key.get("samples") or ()),
        impact={**facts.impact, **feeling_of(key)},
    )


def _words(keywords: object) -> Iterable[str]:
    for word in keywords if isinstance(keywords, list | tuple) else ():
        yield str(word.get("keyword") or word.get("word") or "") if isinstance(word, Mapping) else str(word)


def drivers_of(key: Key, value: float | None, siblings: Siblings, metric: Metric | None = None) -> list[dict[str, Any]]:
    """The excess split by queue and by channel, the greatest parts first, each dimension closed by `other`."""
    volume = volume_of(metric, key)
    expected = volume.get("expected")
    if value is None or expected is None:
        return []
    given = [dict(driver) for driver in volume.get("drivers") or ()]
    found = list(given)
    for dimension in ("channel", "queue"):
        if any(driver.get("dimension") == dimension for driver in given):
            continue
        parts = {part[dimension]: _excess(volume_of(metric, part)) for part in siblings.parts(key, dimension)}
        found += split(dimension, {name: part for name, part in parts.items() if part is not None}, value - expected)
    return found


def _excess(volume: Mapping[str, Any]) -> float | None:
    rate, expected = volume.get("rate_per_min"), volume.get("expected")
    return None if rate is None or expected is None else float(rate) - float(expected)


def split(dimension: str, parts: Mapping[str, float], total: float) -> list[dict[str, Any]]:
    """The parts as drivers, the greatest in the excess's own direction first; `other` makes them sum to the total."""
    if not parts or not total:
        return []
    sign = 1 if total > 0 else -1
    ranked = sorted(parts.items(), key=lambda part: (-sign * part[1], part[0]))
    named = [(name, excess) for name, excess in ranked if sign * excess > 0 and name != "other"][:DRIVERS]
    rest = total - sum(excess for _, excess in named)
    if abs(rest) > 1e-9:
        named.append(("other", rest))
    return [
        {"dimension": dimension, "value": name, "excess": excess, "share": excess / total} for name, excess in named
    ]


def impact_of(key: Key, staff: int, held: int = 0) -> dict[str, Any]:
    """What it does to those who wait, and what more people would do. Spans as in the feed; unknown is None.

    `staff` people are at work and hold `held` open episodes. Where it is known how long the work takes, people are
    reckoned by Erlang-A; else from what those at work closed in the last half hour.
    """
    half_hour = (key.get("windows") or {}).get("30m") or {}
    backlog, work = key.get("backlog"), key.get("work")
    needed: int | None
    if work and staff and backlog is not None:
        needed, plus = staffing(work, key.get("targets") or {}, backlog, staff, held)
    else:
        needed, plus = reinforcement(backlog, half_hour.get("closed"), half_hour.get("offered"), staff)
    return {
        "backlog": backlog,
        "oldest_ms": key.get("oldest_ms"),
        "frt_p90_ms": half_hour.get("frt_p90_km_ms", half_hour.get("frt_p90_ms")),
        "agents_needed": needed,
        "drain_s": key.get("drain_s"),
        "drain_plus": plus,
    }


def staffing(
    work: Mapping[str, float], targets: Mapping[str, Any], backlog: int, staff: int, held: int
) -> tuple[int, dict[str, int | None]]:
    """How many more people it takes, and how long the backlog takes (s) with 1, 2 and that many more.

    Enough are those who answer the share wanted within the target at the rate at which people come now (Erlang-A: some
    give up), and who are through with the backlog within `SOON_S` besides.
    """
    arrivals, handling, parallel = round(work["arrivals_per_min"], 1), _near(work["handle_s"]), _near(held / staff)
    each = max(parallel, 1.0)
    target, goal = float(targets.get("target_ms") or 60_000) / 1_000, float(targets.get("service_level") or 0.8)
    enough = _enough(arrivals, handling, each, _near(work["patience_s"]), target, min(goal, MOST_GOAL))
    needed = max(enough - staff, 0)
    if backlog:
        pace = backlog / SOON_S + arrivals / 60  # conversations a second
        needed = max(needed, ceil(round(pace * handling / each - staff, 6)))
    drained = drain_plus(backlog, arrivals, handling, each, staff, (1, 2, *([needed] if needed else [])))
    return needed, {str(more): None if span is None else round(span) for more, span in drained.items()}


@lru_cache(maxsize=4_096)
def _enough(arrivals: float, handling: float, each: float, patience: float, target: float, goal: float) -> int:
    return agents_needed(arrivals, handling, each, patience, target, goal)


def _near(value: float) -> float:
    """Two digits: more nobody knows, and what was reckoned once need not be again."""
    return float(f"{value:.2g}")


def feeling_of(key: Key) -> dict[str, float | None]:
    """How customers sound in the last five minutes, and how that differs from the rest of the day; unknown is None."""
    windows = key.get("windows") or {}
    now, day = windows.get("5m") or {}, windows.get("today") or {}
    n, of = now.get("sentiment_n") or 0, (day.get("sentiment_n") or 0) - (now.get("sentiment_n") or 0)
    if not n:
        return {"sentiment": None, "sentiment_change": None}
    mean = now["sentiment_sum"] / n
    usual = (day["sentiment_sum"] - now["sentiment_sum"]) / of if of > 0 else None
    return {"sentiment": round(mean, 3), "sentiment_change": None if usual is None else round(mean - usual, 3)}


def reinforcement(
    backlog: int | None, closed: int | None, offered: int | None, staff: int
) -> tuple[int | None, dict[str, int | None]]:
    """How many more people empty the backlog within `SOON_S`, and how long it takes (s) with 1, 2 and that many more.

    Each is taken to close what one of those at work closed in the last 30 min. None: it cannot be said, or never.
    """
    plus: dict[str, int | None] = {"1": None, "2": None}
    if backlog is None or closed is None or offered is None or not staff or not closed:
        return None, plus
    each, excess = closed / staff / 1800, (closed - offered) / 1800

    def drain(more: int) -> int | None:
        rate = excess + more * each
        return round(backlog / rate) if rate > 0 else None

    needed = next(
        (more for more in range(MOST_AGENTS + 1) if not backlog or (drain(more) or SOON_S + 1) <= SOON_S), None
    )
    for more in (1, 2, *([needed] if needed else [])):
        plus[str(more)] = drain(more)
    return needed, plus
