"""What rules may judge: where each metric of the catalogue stands in the numbers of one tick.

A rule reads the same objects the wallboard shows (`keys` of the live feed), so an alert and a tile cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.metrics import CATALOGUE, Metric, Place

__all__ = [
    "DELIVERY", "EVERYWHERE", "METRICS", "OF_ARRIVALS", "OUTSIDE", "REAL_ONLY", "SUM", "WINDOWS", "Key", "Metric",
    "Place", "Readings", "TenantReading", "cases_of", "instant_ms", "restated_in", "value_of", "volume_of",
]  # fmt: skip

WINDOWS = {"1m": 60_000, "5m": 300_000, "30m": 1_800_000, "today": 0}
"""Names of the windows → length in ms; `today` has no fixed one."""
SUM = "*"
"""In a key's queue or channel: the sum over all of them."""
EVERYWHERE = "*"
"""As a tenant: the stack as a whole, where a number belongs to nobody (unreadable input has no tenant)."""

Key = Mapping[str, Any]
"""One entry of `keys` in the live feed."""


@dataclass(frozen=True, slots=True)
class TenantReading:
    """What stands for a tenant as a whole. Counters never fall, but may begin again at 0 with a new start."""

    ingest_lag_ms: int | None = None
    """None: not known; an alert about it stays as it is."""
    no_data_ms: int | None = None
    """Time since anything was last heard of it."""
    parity_faults: int | None = None
    """Rows of its history that differ from the board; None: nothing was compared yet."""
    dead_letters: int | None = None
    late_total: int | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """All numbers of the tenants of one clock, complete as of one tick."""

    keys: Sequence[Key] = ()
    tenants: Mapping[str, TenantReading] = field(default_factory=dict)
    """Every tenant on this clock, with or without keys; `EVERYWHERE` for what belongs to no tenant."""
    agents: Sequence[Mapping[str, Any]] = ()
    """`agents` of the live feed."""


OF_ARRIVALS = frozenset({"arrivals_surge", "arrivals_lull"})
"""What is about how many come, not about how much they write."""
METRICS: Mapping[str, Metric] = CATALOGUE
"""What a rule may name: every number of the catalogue."""

REAL_ONLY = frozenset({"ingest_lag", "no_data"})
"""What is about arrival, which the history in a replay says nothing of."""
OUTSIDE = ("no_data", "stream_age")
"""What is also judged when no tick comes any more, for the stack as a whole: the age of the last tick."""
DELIVERY = "channel_failing"
"""What is judged when a channel of alerts takes nothing, one alert a channel."""


def value_of(metric: Metric, key: Key, window: str | None) -> float | None:
    """The metric's value in a key, in its unit; a flag is 1 or 0; None while there is nothing to judge.

    Of a topic: in an entry of the key's `topics`.
    """
    match metric.place:
        case Place.GAUGE:
            found = key.get(metric.name)
        case Place.WINDOW:
            found = _window(key, window).get(metric.name)
        case Place.VOLUME | Place.FLAG:
            found = (key.get("volume") or {}).get(metric.name)
        case Place.TOPIC:
            found = key.get(metric.name.removeprefix("topic_"))
        case _:
            found = None
    return None if found is None else float(found)


def volume_of(metric: Metric | None, key: Key) -> Mapping[str, Any]:
    """The volume that a flag is about (None: of messages): its rate, what is usual of it, since when it is not."""
    volume = key.get("volume") or {}
    return (volume.get("arrivals") or {}) if metric is not None and metric.name in OF_ARRIVALS else volume


def cases_of(metric: Metric, key: Key, window: str | None) -> int | None:
    """How many cases stand behind the value; None where the metric has no such number."""
    if not metric.cases:
        return None
    source = _window(key, window) if metric.place is Place.WINDOW else key
    first, *others = (int(source.get(name.removeprefix("topic_")) or 0) for name in metric.cases)
    return first - sum(others)


def restated_in(metric: Metric, key: Key) -> frozenset[tuple[int, str]]:
    """The restatements a key carries of the columns this metric is made of: (minute in ms, what was changed)."""
    if not key.get("restated"):
        return frozenset()
    columns = {metric.name, *metric.made_of, *metric.cases}
    return frozenset(
        (instant_ms(entry.get("minute")), f"{entry['field']}={entry.get('new')}")
        for entry in key["restated"]
        if entry.get("field") in columns
    )


def _window(key: Key, window: str | None) -> Mapping[str, Any]:
    found = (key.get("windows") or {}).get(window)
    return found if isinstance(found, Mapping) else {}


def instant_ms(value: object) -> int:
    """An instant of the feed (RFC 3339, or ms) in ms; 0 where it is neither."""
    if isinstance(value, int):
        return value
    try:
        return round(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except ValueError:
        return 0
