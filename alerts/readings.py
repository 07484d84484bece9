"""What rules may judge: each metric by name, its unit, and where it stands in the numbers of one tick.

A rule reads the same objects the wallboard shows (`keys` of the live feed), so an alert and a tile cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Any

from streams.metrics import CATALOGUE

WINDOWS = {"1m": 60_000, "5m": 300_000, "30m": 1_800_000, "today": 0}
"""Names of the windows → length in ms; `today` has no fixed one."""
SUM = "*"
"""In a key's queue or channel: the sum over all of them."""
EVERYWHERE = "*"
"""As a tenant: the stack as a whole, where a number belongs to nobody (unreadable input has no tenant)."""

Key = Mapping[str, Any]
"""One entry of `keys` in the live feed."""


class Place(StrEnum):
    """Where a metric is found."""

    GAUGE = "gauge"
    WINDOW = "window"
    VOLUME = "volume"
    FLAG = "flag"
    TENANT = "tenant"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing a rule can name."""

    name: str
    place: Place
    unit: str
    """`count`, `ms`, `s`, `ratio` (0 to 1), `per_min`, `score` (-1 to 1) or `flag`."""
    zh: str
    en: str
    cases: tuple[str, ...] = ()
    """Columns whose first, less the others, is the number of cases behind the value. None: it has no such number."""
    columns: tuple[str, ...] = ()
    """Columns it is made of, besides its own: where one of them is restated, the value was."""


@dataclass(frozen=True, slots=True)
class TenantReading:
    """What stands for a tenant as a whole. Counters never fall, but may begin again at 0 with a new start."""

    ingest_lag_ms: int | None = None
    no_data_ms: int | None = None
    """Time since anything was last heard of it."""
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


_JUDGED = ("offered", "short_abandoned", "undecided")
_CASES: Mapping[str, tuple[str, ...]] = {
    "frt_avg_ms": ("frt_n",), "frt_p50_ms": ("frt_n",), "frt_p90_ms": ("frt_n",),
    "frt_p50_km_ms": ("frt_km_n",), "frt_p90_km_ms": ("frt_km_n",),
    "service_level": _JUDGED, "connect": ("offered",), "answered_only": ("answered",),
    "abandon_rate": ("offered", "short_abandoned"),
    "csat": ("ratings",), "csat_low": ("ratings",), "csat_high": ("ratings",), "sentiment": ("sentiment_n",),
}  # fmt: skip
_MADE_OF: Mapping[str, tuple[str, ...]] = {
    "frt_avg_ms": ("frt_sum_ms",), "frt_p50_ms": ("frt_sum_ms",), "frt_p90_ms": ("frt_sum_ms",),
    "frt_p50_km_ms": ("frt_n", "offered"), "frt_p90_km_ms": ("frt_n", "offered"),
    "service_level": ("answered_in_target",), "connect": ("connected",), "answered_only": ("answered_in_target",),
    "abandon_rate": ("abandoned",), "csat": ("csat_good",), "csat_low": ("csat_good",), "csat_high": ("csat_good",),
    "rate_per_min": ("customer_messages",), "surge": ("customer_messages",), "lull": ("customer_messages",),
}  # fmt: skip
_VOLUME = ("rate_per_min", "expected", "low", "high")

_FURTHER = (
    Metric("csat_low", Place.WINDOW, "ratio", "满意度下限", "CSAT, lower end"),
    Metric("csat_high", Place.WINDOW, "ratio", "满意度上限", "CSAT, upper end"),
    Metric("sentiment", Place.GAUGE, "score", "情绪", "Sentiment"),
    Metric("expected", Place.VOLUME, "per_min", "通常水平", "Usual volume"),
    Metric("surge", Place.FLAG, "per_min", "客户消息突增", "Surge of customer messages"),
    Metric("lull", Place.FLAG, "per_min", "客户消息骤减", "Lull of customer messages"),
    Metric("novelty", Place.FLAG, "per_min", "异常形态", "Unusual pattern"),
    Metric("ingest_lag", Place.TENANT, "ms", "接入延迟", "Ingest lag"),
    Metric("no_data", Place.TENANT, "ms", "没有数据", "No data"),
    Metric("stream_age", Place.TENANT, "ms", "数据流停止", "The stream stands still"),
    Metric("dead_letters", Place.COUNTER, "count", "无法读取的消息", "Dead letters"),
    Metric("late_total", Place.COUNTER, "count", "迟到事件", "Late events"),
)
"""What rules may name beyond the catalogue of numbers."""


def _of_catalogue() -> Iterator[Metric]:
    for found in CATALOGUE.values():
        place = Place.VOLUME if found.name in _VOLUME else Place.WINDOW if found.windowed else Place.GAUGE
        yield Metric(found.name, place, "ratio" if found.unit == "share" else found.unit, found.zh, found.en)


def _complete(metric: Metric) -> Metric:
    cases, made_of = _CASES.get(metric.name, ()), _MADE_OF.get(metric.name, ())
    return replace(metric, cases=cases, columns=(*cases, *made_of))


METRICS: Mapping[str, Metric] = {metric.name: _complete(metric) for metric in chain(_of_catalogue(), _FURTHER)}
"""What a rule may name: the catalogue's numbers, the volume model's flags, and what is known of a tenant as a whole."""

REAL_ONLY = frozenset({"ingest_lag", "no_data"})
"""What is about arrival, which the history in a replay says nothing of."""
OUTSIDE = ("no_data", "stream_age")
"""What is also judged when no tick comes any more, for the stack as a whole: the age of the last tick."""


def value_of(metric: Metric, key: Key, window: str | None) -> float | None:
    """The metric's value in a key, in its unit; a flag is 1 or 0; None while there is nothing to judge."""
    match metric.place:
        case Place.GAUGE:
            found = key.get(metric.name)
        case Place.WINDOW:
            found = _window(key, window).get(metric.name)
        case Place.VOLUME | Place.FLAG:
            found = (key.get("volume") or {}).get(metric.name)
        case _:
            found = None
    return None if found is None else float(found)


def cases_of(metric: Metric, key: Key, window: str | None) -> int | None:
    """How many cases stand behind the value; None where the metric has no such number."""
    if not metric.cases:
        return None
    source = _window(key, window) if metric.place is Place.WINDOW else key
    first, *others = (int(source.get(name) or 0) for name in metric.cases)
    return first - sum(others)


def restated_in(metric: Metric, key: Key) -> frozenset[tuple[int, str]]:
    """The restatements a key carries of the columns this metric is made of: (minute in ms, what was changed)."""
    if not key.get("restated"):
        return frozenset()
    columns = {metric.name, *metric.columns, *metric.cases}
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
