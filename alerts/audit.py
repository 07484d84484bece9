"""Whether what is kept of people's deeds is whole: the chain of the notifier's memory, and the history beside it. Pure.

Each deed carries the digest of itself and of the one before it, so an edit and a removal show. The history
(ClickHouse's `audit`) has the same deeds under their digests, so a chain made anew from somewhere on shows too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alerts.outbox import chain_broken_at

Deed = Mapping[str, Any]
"""One deed of the memory: n, at, who, tenant, what, detail (JSON), result, previous, digest."""
Told = Mapping[str, Any]
"""One deed of the history: id, at (ms), tenant, actor, action, detail (JSON)."""
SETTLED_MS = 600_000
"""How long the history may take to have a deed."""


def problems(deeds: Sequence[Deed], ever: int, history: Sequence[Told] | None, now: int) -> list[str]:
    """A line for each thing that is wrong; none: all is as it was written. `ever`: the greatest number ever given."""
    found = []
    broken = chain_broken_at(deeds)
    if broken is not None:
        found.append(f"deed {broken}: it was edited, or the one before it was removed")
    last = int(deeds[-1]["n"]) if deeds else 0
    if last < ever:
        found.append(f"deeds {last + 1} to {ever}: removed from the end")
    return found + list(_beside(deeds, history, now) if history is not None else ())


def _beside(deeds: Sequence[Deed], history: Sequence[Told], now: int) -> Iterator[str]:
    told: dict[int, Told] = {}
    for one in history:
        number = _detail(one).get("n")
        if isinstance(number, int):
            told[number] = one
    known = {int(deed["n"]): deed for deed in deeds}
    for number, one in sorted(told.items()):
        deed = known.get(number)
        if deed is None:
            yield f"deed {number}: the history has it, the memory does not"
        elif one["id"] != str(deed["digest"])[:32] or not _same(deed, one):
            yield f"deed {number}: the history says something else"
    for number, deed in known.items():
        if number not in told and now - int(deed["at"]) > SETTLED_MS and (not told or number > min(told)):
            yield f"deed {number}: the history does not have it"


def _same(deed: Deed, told: Told) -> bool:
    detail = {name: value for name, value in _detail(told).items() if name not in ("result", "n")}
    return (
        (told["at"], told["actor"], told["tenant"], told["action"])
        == (deed["at"], deed["who"], deed["tenant"], deed["what"])
        and detail == json.loads(deed["detail"])
        and _detail(told).get("result") == deed["result"]
    )


def _detail(told: Told) -> dict[str, Any]:
    try:
        found = json.loads(told["detail"])
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
