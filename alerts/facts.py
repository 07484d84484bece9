"""What stands behind an alert, for the person who reads it: what is usual, what drives it, what it does to a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.readings import SUM, Key, Place
from alerts.rule import Rule

DRIVERS = 5
"""Named parts of one dimension; the rest is `other`: more bars than that nobody reads."""
SOON_S = 900
"""How soon a backlog should be gone for the people asked for to be enough."""
MOST_AGENTS = 20
"""More people than that is no longer a suggestion."""


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
        return sum(
            1
            for agent in self._agents
            if agent.get("tenant") == key["tenant"]
            and agent.get("status") in ("online", "busy")
            and (key["queue"] == SUM or key["queue"] in (agent.get("queues") or ()))
        )


def facts_of(rule: Rule, key: Key | None, value: float | None, siblings: Siblings) -> Facts:
    """What to tell about a rule's breach in a key; a number of the whole tenant (no key) has bounds only."""
    if rule.metric.place is not Place.FLAG or key is None:
        low, high = (None, rule.fire.value) if rule.fire.upward else (rule.fire.value, None)
        return Facts(low=low, high=high, impact={} if key is None else impact_of(key, siblings.staff(key)))
    volume = key.get("volume") or {}
    return Facts(
        expected=volume.get("expected"),
        low=volume.get("low"),
        high=volume.get("high"),
        drivers=tuple(drivers_of(key, value, siblings)),
        keywords=tuple(_words(key.get("keywords"))),
        samples=tuple(str(sample) for sample in key.get("samples") or ()),
        impact=impact_of(key, siblings.staff(key)),
    )


def _words(keywords: object) -> Iterable[str]:
    for word in keywords if isinstance(keywords, list | tuple) else ():
        yield str(word.get("keyword") or word.get("word") or "") if isinstance(word, Mapping) else str(word)


def drivers_of(key: Key, value: float | None, siblings: Siblings) -> list[dict[str, Any]]:
    """The excess split by queue and by channel, the greatest parts first, each dimension closed by `other`."""
    expected = (key.get("volume") or {}).get("expected")
    if value is None or expected is None:
        return []
    given = [dict(driver) for driver in (key.get("volume") or {}).get("drivers") or ()]
    found = list(given)
    for dimension in ("channel", "queue"):
        if any(driver.get("dimension") == dimension for driver in given):
            continue
        parts = {part[dimension]: _excess(part) for part in siblings.parts(key, dimension)}
        found += split(dimension, {name: part for name, part in parts.items() if part is not None}, value - expected)
    return found


def _excess(key: Key) -> float | None:
    volume = key.get("volume") or {}
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


def impact_of(key: Key, staff: int) -> dict[str, Any]:
    """What it does to those who wait, and what more people would do. Spans as in the feed; unknown is None."""
    half_hour = (key.get("windows") or {}).get("30m") or {}
    backlog = key.get("backlog")
    needed, plus = reinforcement(backlog, half_hour.get("closed"), half_hour.get("offered"), staff)
    return {
        "backlog": backlog,
        "oldest_ms": key.get("oldest_ms"),
        "frt_p90_ms": half_hour.get("frt_p90_km_ms", half_hour.get("frt_p90_ms")),
        "agents_needed": needed,
        "drain_s": key.get("drain_s"),
        "drain_plus": plus,
    }


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
