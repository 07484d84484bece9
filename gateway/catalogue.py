"""What may be asked about: tenants, queues, channels, and every metric with what it means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.asked import Asked
from gateway.frames import EVERY, Scope
from gateway.held import Held, decode_object
from gateway.routes import HISTORIES, METRICS, WINDOWS
from streams.metrics import CATALOGUE, Place


def keys(held: Held, tenant: str) -> dict[str, Any]:
    """The answer of `/v1/keys`, for what a tenant (`*`: all) may see."""
    scope = Scope(tenant)
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name, queue, channel in held.keys:
        if scope.sees(name):
            queues, channels = found.setdefault(name, (set(), set()))
            queues.add(queue)
            channels.add(channel)
    names = sorted(held.tenants() if tenant == EVERY else {tenant} & held.tenants())
    return {
        "tenants": names,
        "keys": [
            {"tenant": name, "queues": sorted(queues - {"*"}), "channels": sorted(channels - {"*"})}
            for name, (queues, channels) in sorted(found.items())
        ],
        "metrics": [_metric(name) for name in dict.fromkeys((*METRICS, *HISTORIES))],
        "windows": list(WINDOWS),
    }


def shown(held: Held, question: Asked, tenant: str, window: str | None) -> dict[str, Any]:
    """The number that a question is about, as the live feed has it now; null where the feed does not have it."""
    name, key = question.text("metric"), held.keys.get((tenant, question.text("queue"), question.text("channel")))
    value = None
    if key is not None and "from" not in question.values:
        body = decode_object(key.raw)
        narrowed = "topic" in question.values or "agent" in question.values
        value = _narrower(body, question, window) if narrowed else value_in(body, name, window)
    clock = held.meta.clocks.get(tenant) or (None if tenant in held.meta.replaying else held.meta.real)
    return {"shown": value, "shown_as_of": None if value is None else clock}


def _narrower(key: Mapping[str, Any], question: Asked, window: str | None) -> float | None:
    """What the feed has of one topic alone: how many messages are about it, of half an hour."""
    if question.maybe("agent") is not None or (question.text("metric"), window) != ("customer_messages", "30m"):
        return None
    counts = {one["topic"]: one["count"] for one in key.get("topics") or ()}
    return counts.get(question.text("topic"))


def value_in(key: Mapping[str, Any], name: str, window: str | None) -> float | None:
    """A number of the catalogue in a key object of the feed."""
    match CATALOGUE[name].place:
        case Place.WINDOW:
            value = (key.get("windows") or {}).get(window or "", {}).get(name)
        case Place.VOLUME | Place.FLAG:
            value = (key.get("volume") or {}).get(name)
        case _:
            value = key.get(name)
    return float(value) if isinstance(value, int | float) else None


def _metric(name: str) -> dict[str, Any]:
    metric = CATALOGUE[name]
    return {
        "name": name,
        "unit": metric.unit,
        "place": str(metric.place),
        "zh": metric.zh,
        "en": metric.en,
        "means": metric.means,
        "drill": name in METRICS,
        "history": name in HISTORIES,
    }
