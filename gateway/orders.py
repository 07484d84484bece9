"""What a viewer may ask for over its socket: to watch other keys, or that something be done. Pure.

An order that may be carried out becomes one flat JSON object for the notifier, with who asked:
`{"do": "ack" | "silence" | "unsilence" | "grade", "tenant", "by", …}`; those in `OWN` the gateway carries out itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.frames import EVERY, Scope, rights
from gateway.held import Held

MOST_BYTES = 64 * 1024
MOST_ASKED = 200
"""Characters that the audit keeps of an order refused here."""
_MOST_NAMES = 2_000
_MOST_MINUTES = 7 * 24 * 60
_MOST_LABELS = 16
_MOST_REASON = 500
OWN = frozenset({"board", "link", "unlink"})
"""Orders about boards and TV links (`gateway.doings`)."""
_NEEDS = {"ack": "ack", "grade": "ack", "silence": "silence", "unsilence": "silence"} | dict.fromkeys(OWN, "admin")
"""Order → the right it needs."""


class Refused(Exception):
    """The viewer may not have this, or asked for it wrongly. The message is for the viewer."""


@dataclass(frozen=True)
class Watch:
    """The viewer watches other keys from now on."""

    scope: Scope


@dataclass(frozen=True)
class Order:
    """To be carried out by the notifier."""

    value: dict[str, Any]


def parse(text: str | bytes) -> dict[str, Any]:
    """One frame of a viewer. Raises: Refused."""
    if not isinstance(text, str) or len(text) > MOST_BYTES:
        raise Refused("a text frame of at most 64 KiB is expected")
    try:
        frame = json.loads(text)
        json.dumps(frame, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused("a lone surrogate") from None
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(frame, dict):
        raise Refused("an object is expected")
    return frame


def decide(frame: Mapping[str, Any], scope: Scope, sub: str, roles: Iterable[str], held: Held) -> Watch | Order:
    """What a frame comes to. Raises: Refused."""
    if "watch" in frame:
        return Watch(_watch(frame["watch"], scope))
    name = next((name for name in _NEEDS if name in frame), None)
    if name is None:
        raise Refused(f"unknown: one of watch, {', '.join(sorted(_NEEDS))} is expected")
    if _NEEDS[name] not in rights(roles):
        raise Refused(f"{name}: your role does not allow it")
    value = _READS[name](frame, scope, held)
    return Order({"do": name, "by": sub} | value)


def refused(frame: Mapping[str, Any], scope: Scope, sub: str, reason: str) -> Order | None:
    """What the audit is told of an order that was refused here; None: the frame was no order."""
    name = next((name for name in _NEEDS if name in frame), None)
    if name is None:
        return None
    asked = json.dumps(frame[name], ensure_ascii=False)[:MOST_ASKED]
    return Order({"do": name, "by": sub, "tenant": scope.tenant, "asked": asked, "refused": reason})


def _watch(wish: Any, scope: Scope) -> Scope:
    if not isinstance(wish, dict):
        raise Refused("watch: an object with queues or channels is expected")
    return replace(scope, queues=_names(wish, "queues"), channels=_names(wish, "channels"))


def _names(wish: Mapping[str, Any], name: str) -> frozenset[str] | None:
    given = wish.get(name)
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > _MOST_NAMES or not all(isinstance(item, str) for item in given):
        raise Refused(f"watch.{name}: a list of at most {_MOST_NAMES} names is expected")
    return frozenset(given)


def _found(id_: Any, what: str, scope: Scope, held: Held) -> str:
    """The tenant of the alert or silence with this id. One of another tenant is as unknown as one that never was."""
    for tenant, lists in held.lists.items():
        key = "alert" if what == "alerts" else "id"
        if scope.sees(tenant) and any(item.get(key) == id_ for item in lists.values[what]):
            return tenant
    raise Refused("there is no such alert" if what == "alerts" else "there is no such silence")


def _ack(frame: Mapping[str, Any], scope: Scope, held: Held) -> dict[str, Any]:
    return {"tenant": _found(frame["ack"], "alerts", scope, held), "alert": frame["ack"]}


def _grade(frame: Mapping[str, Any], scope: Scope, held: Held) -> dict[str, Any]:
    if frame.get("as") not in ("useful", "noise"):
        raise Refused('grade: "as" is "useful" or "noise"')
    return {"tenant": _found(frame["grade"], "alerts", scope, held), "alert": frame["grade"], "as": frame["as"]}


def _unsilence(frame: Mapping[str, Any], scope: Scope, held: Held) -> dict[str, Any]:
    return {"tenant": _found(frame["unsilence"], "silences", scope, held), "id": frame["unsilence"]}


def _silence(frame: Mapping[str, Any], scope: Scope, held: Held) -> dict[str, Any]:
    wish = frame["silence"]
    if not isinstance(wish, dict):
        raise Refused("silence: an object with match, minutes and reason is expected")
    match, minutes, reason = wish.get("match"), wish.get("minutes", 60), wish.get("reason")
    if not isinstance(match, dict) or not 0 < len(match) <= _MOST_LABELS or not all(map(_pattern, match.values())):
        raise Refused('silence.match: labels with patterns are expected, such as {"queue": "billing*"}')
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= _MOST_MINUTES:
        raise Refused(f"silence.minutes: 1 to {_MOST_MINUTES} is expected")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > _MOST_REASON:
        raise Refused(f"silence.reason: 1 to {_MOST_REASON} characters are expected")
    return {"tenant": _whose(match, scope, held), "match": match, "minutes": minutes, "reason": reason.strip()}


def _board(frame: Mapping[str, Any], scope: Scope, _held: Held) -> dict[str, Any]:
    if not isinstance(frame["board"], dict):
        raise Refused("board: an object with a name is expected")
    return {"tenant": scope.tenant, "board": frame["board"]}


def _link(frame: Mapping[str, Any], scope: Scope, _held: Held) -> dict[str, Any]:
    if not isinstance(frame["link"], dict):
        raise Refused("link: an object with a name is expected")
    return {"tenant": scope.tenant, "link": frame["link"]}


def _unlink(frame: Mapping[str, Any], scope: Scope, _held: Held) -> dict[str, Any]:
    if not isinstance(frame["unlink"], str) or not 0 < len(frame["unlink"]) <= 64:
        raise Refused("unlink: the id of a link is expected")
    return {"tenant": scope.tenant, "id": frame["unlink"]}


_READS = {
    "ack": _ack, "grade": _grade, "silence": _silence, "unsilence": _unsilence, "board": _board, "link": _link,
    "unlink": _unlink,
}  # fmt: skip


def _pattern(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 128


def _whose(match: Mapping[str, str], scope: Scope, held: Held) -> str:
    named = match.get("tenant", scope.tenant)
    if not scope.sees(named) and named != scope.tenant:
        raise Refused("silence.match.tenant: not yours")
    tenants = held.tenants()
    return next(iter(tenants)) if named == EVERY and len(tenants) == 1 else named
