"""Totals that only rise, such as dead letters: how much one rose within a window. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.readings import WINDOWS, TenantReading
from alerts.state import History

BUCKET_MS = 10_000
"""Grain of a counter's history: fine enough for windows of minutes, few enough to write with every change."""


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
