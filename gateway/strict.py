"""The strict way to read a frame: whatever JSON takes and we do not costs the event it is in, and no other.

The standard library's decoder does the work; its hooks put a marker in place of what is unfit (NaN, a number beyond 64
bits, a key given twice). What is nested too deep even for the decoder is cut out first, so that it can be refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gateway.instants import instant
from gateway.steps import Steps, at_once
from gateway.wire import (
    ANY,
    MAX_ATTR_KEY,
    MAX_ATTR_VALUE,
    MAX_ATTRS,
    MAX_CAPACITY,
    MAX_DEPTH,
    MAX_ID,
    MAX_INT,
    MAX_NAME,
    MAX_TENANT,
    MAX_TEXT,
    NOT_JSON,
    OF,
    Frame,
    NotAFrame,
    Refusal,
    Source,
    TickAsk,
    Wire,
    event_of,
    frame_of,
    tenant_of,
)
from streams.events import Event


class _Unfit:
    """Stands in place of a value that JSON, or its decoder, takes and we do not."""

    __slots__ = ("reason", "value")

    def __init__(self, reason: str, value: dict[str, Any] | None = None) -> None:
        self.reason = reason
        self.value = value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Unfit:
    keys = dict(pairs)
    return keys if len(keys) == len(pairs) else _Unfit("a key is given twice", keys)


def _integer(digits: str) -> int | _Unfit:
    value = int(digits) if len(digits) < 21 else 2**64
    return value if -(2**63) <= value < 2**64 else _Unfit("an integer beyond 64 bits")


def _number(digits: str) -> float | _Unfit:
    value = float(digits)
    return value if abs(value) != float("inf") else _Unfit("an infinite number")


def _constant(name: str) -> _Unfit:
    return _Unfit("NaN" if name == "NaN" else "an infinite number")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
).decode


LARGE = 32 << 10
"""Characters; what is longer is decoded on a thread of its own where somebody else waits meanwhile."""


def read_strictly(text: str, source: Source) -> Frame:
    """Read one text frame.

    Raises:
        NotAFrame: it is not JSON, not of the three forms (4400), or holds too many events (1009).
    """
    return at_once(reading_strictly(text, source))


def reading_strictly(text: str, source: Source) -> Steps[Frame]:
    """The same in steps: decoding the whole, then one event after another.

    Raises:
        NotAFrame: as `read_strictly`.
    """
    value = (yield partial(_loads, text)) if len(text) > LARGE else _loads(text)
    if isinstance(value, _Unfit) and value.value is not None and "events" in value.value:
        raise NotAFrame(NOT_JSON, "a key of the frame is given twice")
    if isinstance(value, dict) and "kind" not in value and {"events", "tick"} & value.keys():
        return (yield from _batch(value, source, text)) if "events" in value else _tick(value, source)
    if isinstance(value, list):
        return (yield from _refine(None, value, source, text))
    if isinstance(value, dict) or (isinstance(value, _Unfit) and value.value is not None):
        return (yield from _refine(None, [value], source, text))
    raise NotAFrame(NOT_JSON, "neither an event, an array of events nor a numbered frame")


def _loads(text: str) -> Any:
    try:
        return _decode(text)
    except RecursionError:
        pass
    except ValueError as error:
        raise NotAFrame(NOT_JSON, "not JSON") from error
    try:
        return _decode("".join(_pruned(text)))
    except ValueError as error:
        raise NotAFrame(NOT_JSON, "not JSON") from error


_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\[+|\]+|[{}]', re.DOTALL)
_PRUNED_DEPTH = 16  # deeper than any event that is taken, in any form of frame


def _pruned(text: str) -> Iterator[str]:
    """The text without what is nested hopelessly deep, so that it can be decoded, and is refused for its depth."""
    open_: list[str] = []
    kept_to, depth = 0, 0
    for token in _STRUCTURE.finditer(text):
        char, count = token[0][0], len(token[0])
        if char in "[{":
            if depth <= _PRUNED_DEPTH < depth + count:
                yield text[kept_to : token.start() + _PRUNED_DEPTH - depth] + "0"
            depth += count
            open_.append(token[0])
        elif char in "]}":
            depth -= count
            _unwind(open_, "[" if char == "]" else "{", count)
            if depth <= _PRUNED_DEPTH < depth + count:
                kept_to = token.end() - (_PRUNED_DEPTH - depth)
    if depth:
        raise NotAFrame(NOT_JSON, "not JSON")
    yield text[kept_to:]


def _unwind(opened: list[str], char: str, count: int) -> None:
    """Close `count` brackets; what was opened last must be of that kind."""
    while count:
        run = opened.pop() if opened else "?"
        if run[0] != char:
            raise NotAFrame(NOT_JSON, "not JSON")
        if len(run) > count:
            opened.append(run[count:])
        count -= min(count, len(run))


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _batch(frame: dict[str, Any], source: Source, text: str) -> Steps[Frame]:
    if not _is_seq(frame.get("seq")):
        raise NotAFrame(NOT_JSON, "seq: not an integer from 0")
    if not isinstance(frame["events"], list):
        raise NotAFrame(NOT_JSON, "events: not an array")
    if "tick" in frame:  # an ack of the events would pass for one of the tick
        raise NotAFrame(NOT_JSON, "events and a tick in one frame")
    return (yield from _refine(frame["seq"], frame["events"], source, text))


def _tick(frame: dict[str, Any], source: Source) -> Frame:
    if not _is_seq(frame.get("seq")):
        raise NotAFrame(NOT_JSON, "seq: not an integer from 0")
    seq, given = frame["seq"], frame.get("tenant")
    named = given is None or (isinstance(given, str) and 0 < len(given) <= MAX_TENANT and _is_unicode(given))
    tenant = tenant_of(given, source.tenant) if named else None
    at = None if frame["tick"] is None else instant(frame["tick"])
    if tenant is None:
        return Frame(seq, refused=[Refusal(0, None, "tenant: not this token's" if named else "tenant: not a name")])
    if isinstance(at, str):
        return Frame(seq, refused=[Refusal(0, None, at.replace("at:", "tick:"))])
    return Frame(seq, tick=TickAsk(tenant, at))


def _refine(seq: int | None, values: list[Any], source: Source, text: str) -> Steps[Frame]:
    frame = frame_of(seq, len(values))
    escapes = _SURROGATE.search(text) is not None
    for index, value in enumerate(values):
        keys = value.value if isinstance(value, _Unfit) else value
        ident = keys.get("id") if isinstance(keys, dict) else None
        known = isinstance(ident, str) and len(ident) <= MAX_ID and _is_unicode(ident)
        problem = _unfit(value, escapes)
        frame.add(index, ident if known else None, problem or _checked(value, source))
        yield None
    return frame


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _unfit(event: object, escapes: bool) -> str | None:
    """Why the event cannot be taken whatever its fields mean; None: it can be read."""
    if not isinstance(event, dict | _Unfit):
        return "not an object"
    todo: list[tuple[Any, int]] = [(event, 1)]
    while todo:
        value, depth = todo.pop()
        if isinstance(value, _Unfit):
            return value.reason
        if isinstance(value, str):
            if escapes and not _is_unicode(value):
                return "a lone surrogate"
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                return f"nested over {MAX_DEPTH} levels deep"
            todo += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]
            if escapes and isinstance(value, dict):
                todo += [(key, depth) for key in value]
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(event: dict[str, Any], source: Source) -> Event | str:
    kind = event.get("kind")
    if kind is None:
        return "kind: missing"
    if not isinstance(kind, str) or kind not in OF:
        return f"kind: not one of {', '.join(OF)}"
    fields = {}
    for name in (*ANY, *OF[kind]):
        value = event.get(name)
        if value is None:
            continue
        if problem := CHECKS[name](value):
            return f"{name}: {problem}"
        fields[name] = value
    return event_of(Wire(**fields), source)


_Check = Callable[[Any], str | None]


def _text(most: int, least: int = 0) -> _Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "not a string"
        if len(value) > most:
            return f"longer than {most} characters"
        return "empty" if len(value) < least else None

    return check


def _whole(least: int, most: int) -> _Check:
    def check(value: Any) -> str | None:
        if type(value) is not int:
            return "not an integer"
        return None if least <= value <= most else f"not within {least} to {most}"

    return check


def _one_of(*allowed: str) -> _Check:
    return lambda value: None if isinstance(value, str) and value in allowed else f"not one of {', '.join(allowed)}"


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "not true or false"


def _any_instant(value: Any) -> str | None:
    problem = instant(value)
    return problem.removeprefix("at: ") if isinstance(problem, str) else None


def _pairs(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "not an object"
    if len(value) > MAX_ATTRS:
        return f"more than {MAX_ATTRS} pairs"
    problems = (_text(MAX_ATTR_KEY, 1)(key) or _text(MAX_ATTR_VALUE)(item) for key, item in value.items())
    return next((problem for problem in problems if problem), None)


_authors = _one_of("customer", "agent", "bot", "system")
_name = _text(MAX_NAME, 1)
CHECKS: dict[str, _Check] = {
    "v": lambda value: None if type(value) is int and value == 1 else "not 1",
    "id": _text(MAX_ID, 1),
    "kind": _one_of(*OF),
    "at": _any_instant,
    "seq": _whole(0, MAX_INT),
    "tenant": _text(MAX_TENANT, 1),
    "conversation": _name,
    "channel": _name,
    "queue": _name,
    "customer": _name,
    "author": _authors,
    "author_id": _name,
    "text": _text(MAX_TEXT),
    "type": _one_of("text", "image", "file", "voice", "video", "card", "emoji"),
    "private": _boolean,
    "agent": _name,
    "by": _authors,
    "resolved": _boolean,
    "topic": _name,
    "score": _whole(1, 5),
    "comment": _text(MAX_TEXT),
    "status": _one_of("online", "busy", "away", "offline"),
    "capacity": _whole(0, MAX_CAPACITY),
    "attrs": _pairs,
}
