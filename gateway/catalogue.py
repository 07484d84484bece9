"""What may be asked about: tenants, queues, channels, and every metric with what it means. Pure."""

from __future__ import annotations

from typing import Any

from gateway.frames import EVERY, Scope
from gateway.held import Held
from gateway.routes import METRICS, WINDOWS
from streams.metrics import CATALOGUE


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
        "metrics": [_metric(name) for name in METRICS],
        "windows": list(WINDOWS),
    }


def _metric(name: str) -> dict[str, Any]:
    metric = CATALOGUE[name]
    return {
        "name": name,
        "unit": metric.unit,
        "place": str(metric.place),
        "zh": metric.zh,
        "en": metric.en,
        "means": metric.means,
        "drill": True,
        "history": True,
    }
