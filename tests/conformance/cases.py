"""The worked cases of METRICS.md: loading them, making wire events of them, and putting these in another order.

`vectors.json` is the normative list; `extra.json` holds more cases of the same form, for rules the list leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

Row = dict[str, Any]
"""A JSON object: an event, a case, or a row of an answer."""

HERE = Path(__file__).parent
LATENESS_MS = 60_000


def load_cases(*names: str) -> list[Row]:
    """All cases of the named files beside this one (default: both), in the order of the files."""
    files = names or ("vectors.json", "extra.json")
    return [case for name in files for case in json.loads((HERE / name).read_text(encoding="utf-8"))]


def start_ms(case: Row) -> int:
    """The case's `start` in ms since the epoch."""
    return round(datetime.fromisoformat(case["start"]).timestamp() * 1000)


def now_ms(case: Row) -> int:
    """The tick at which the case asks for live state, in ms since the epoch."""
    return start_ms(case) + to_ms(case["now"])


def to_ms(seconds: float) -> int:
    """Seconds with up to three decimals, in ms."""
    return round(seconds * 1000)


def rfc3339(ms: int) -> str:
    """An instant as CONTRACT §3 wants it: `2026-11-21T10:00:00.123Z`."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def events_of(case: Row) -> list[Row]:
    """The case's events in the wire form, `at` as RFC 3339, in the listed order."""
    start = start_ms(case)
    return [
        {**{k: v for k, v in event.items() if k != "t"}, "at": rfc3339(start + to_ms(event["t"]))}
        for event in case["events"]
    ]


def at_of(event: Row) -> int:
    """The event's `at` in ms, from either form; finer digits are cut off."""
    at = event["at"]
    if isinstance(at, int):
        return at
    moment = datetime.fromisoformat(at)
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


def permuted(events: Sequence[Row], rng: Random, within_ms: int = LATENESS_MS) -> list[Row]:
    """Another order of arrival in which nothing is more than `within_ms` behind what came before it.

    Each event is held up by a chance delay of at most `within_ms`; those of the same delay keep no order.
    """
    delays = [rng.choice((0, rng.randint(0, within_ms), within_ms)) for _ in events]
    keyed = [(at_of(event) + delay, rng.random(), event) for event, delay in zip(events, delays, strict=True)]
    return [event for _, _, event in sorted(keyed, key=lambda item: item[:2])]


def doubled(events: Sequence[Row], rng: Random | None = None) -> list[Row]:
    """Every event twice: one right after the other, or with `rng` anywhere within the lateness."""
    twice = [event for event in events for _ in range(2)]
    return permuted(twice, rng) if rng else twice


def arrivals(case: Row, rng: Random) -> list[Row]:
    """The case's wire events in some order and number of repeats under which it must hold; `as_listed` is kept."""
    events = events_of(case)
    if case.get("as_listed"):
        return events
    return permuted(events, rng) if rng.random() < 0.5 else doubled(events, rng)
