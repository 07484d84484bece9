"""One frame of the ingest door → events, parsed, masked and stamped; or for each that is not taken, why.

Two ways lead to the same result. The *plain* way decodes a whole frame in C, straight into typed structs; it gives up
at the first thing that is not plain: a null, an unknown field, a value out of bounds, a key that may be given twice.
The *strict* way then reads the frame with the standard library's decoder, whose hooks put a marker in place of whatever
JSON takes and we do not (NaN, a number beyond 64 bits, a key given twice), so that it costs that event and no other.

Why duplicates can be seen by counting: every key is followed by a colon. Where no blank stands before one, `":` occurs
at least once per key given; if it occurs just as often as there are fields that are set, no key was given twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.masking import mask
from streams.events import Event

MAX_EVENTS = 1_000
MAX_DEPTH = 8
"""Levels of nesting, of which the event is the first."""
MAX_ID, MAX_NAME, MAX_TENANT, MAX_TEXT = 64, 128, 64, 8_000
"""Characters (code points): of `id`; of conversations, queues, agents …; of tenants; of `text` and `comment`."""
MAX_ATTRS, MAX_ATTR_KEY, MAX_ATTR_VALUE = 16, 64, 1_024
MAX_INT, MAX_CAPACITY = 2**63 - 1, 2**31 - 1
AHEAD_MS = 120_000
"""An event further ahead of its receipt has a wrong clock. Source: METRICS §1."""
FIRST_MS, END_MS = 946_684_800_000, 4_102_444_800_000
"""The years 2000 to 2099, UTC."""

_NOT_JSON, _TOO_BIG = 4400, 1009

Kind = Literal[
    "message", "opened", "handoff", "queued", "assigned", "transferred", "customer_left", "customer_back", "closed",
    "rated", "label", "agent_status",
]  # fmt: skip
Author = Literal["customer", "agent", "bot", "system"]
Shape = Literal["text", "image", "file", "voice", "video", "card", "emoji"]
Status = Literal["online", "busy", "away", "offline"]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_AttrKey = Annotated[str, Meta(min_length=1, max_length=MAX_ATTR_KEY)]
_AttrValue = Annotated[str, Meta(max_length=MAX_ATTR_VALUE)]


class NotAFrame(Exception):
    """The connection must close: `code` is the close code, the message the reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Source:
    """Who sends, and when it came: all that parsing needs beside the frame."""

    tenant: str
    """The token's: a name, or `*`."""
    received_at: int
    """ms since the epoch."""
    replay: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event (or tick) that is not taken."""

    index: int
    id: str | None
    error: str


@dataclass(frozen=True, slots=True)
class TickAsk:
    """What a tick frame asks for: that a tenant's clock stands at `at`, or (None) is the real one."""

    tenant: str
    at: int | None


@dataclass(slots=True)
class Frame:
    """A frame as read. `events` are in their order, with their index in the frame."""

    seq: int | None = None
    """None: numbered by its place in the connection."""
    size: int = 0
    """How many events the frame held."""
    events: list[tuple[int, Event]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    tick: TickAsk | None = None


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    """An event as it is sent, its types and bounds (CONTRACT §3)."""

    v: Literal[1] | None = None
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | None = None
    kind: Kind | None = None
    at: Annotated[int, Meta(ge=FIRST_MS, lt=END_MS)] | str | None = None
    seq: Annotated[int, Meta(ge=0, le=MAX_INT)] | None = None
    tenant: Annotated[str, Meta(min_length=1, max_length=MAX_TENANT)] | None = None
    conversation: _Name | None = None
    channel: _Name | None = None
    queue: _Name | None = None
    customer: _Name | None = None
    author: Author | None = None
    author_id: _Name | None = None
    text: _Text | None = None
    type: Shape | None = None
    private: bool | None = None
    agent: _Name | None = None
    by: Author | None = None
    resolved: bool | None = None
    topic: _Name | None = None
    score: Annotated[int, Meta(ge=1, le=5)] | None = None
    comment: _Text | None = None
    status: Status | None = None
    capacity: Annotated[int, Meta(ge=0, le=MAX_CAPACITY)] | None = None
    attrs: Annotated[dict[_AttrKey, _AttrValue], Meta(max_length=MAX_ATTRS)] | None = None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    seq: Annotated[int, Meta(ge=0, le=MAX_INT)]
    events: list[_Wire]


_ANY = ("v", "id", "kind", "at", "seq", "tenant", "channel", "attrs")
_OF: dict[str, tuple[str, ...]] = {
    "message": ("conversation", "queue", "customer", "author", "author_id", "text", "type", "private"),
    "opened": ("conversation", "queue", "customer"),
    "handoff": ("conversation",),
    "queued": ("conversation", "queue"),
    "assigned": ("conversation", "queue", "agent"),
    "transferred": ("conversation", "queue", "agent"),
    "customer_left": ("conversation",),
    "customer_back": ("conversation",),
    "closed": ("conversation", "agent", "by", "resolved", "topic"),
    "rated": ("conversation", "score", "comment"),
    "label": ("conversation", "topic"),
    "agent_status": ("agent", "status", "capacity"),
}
"""The fields of each kind beside those of any; what stands elsewhere is as unknown as any other field."""
_REQUIRED = dict.fromkeys(_OF, ("id", "at", "conversation")) | {
    "message": ("id", "at", "conversation", "author"),
    "assigned": ("id", "at", "conversation", "agent"),
    "rated": ("id", "at", "conversation", "score"),
    "label": ("id", "at", "conversation", "topic"),
    "agent_status": ("id", "at", "agent", "status"),
}
_TAKEN = {kind: ("id", "kind", "seq", "channel", *names) for kind, names in _OF.items()}
_MASKED = ("text", "comment", "topic")

_one = msgspec.json.Decoder(_Wire).decode
_many = msgspec.json.Decoder(list[_Wire]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


def read(text: str, source: Source) -> Frame:
    """Read one text frame.

    Raises:
        NotAFrame: it is not JSON, not of the three forms (4400), or holds too many events (1009).
    """
    plain = _plain(text)
    return _strict(text, source) if plain is None else _taken(plain[0], plain[1], source)


def _plain(text: str) -> tuple[int | None, list[_Wire]] | None:
    """The frame's number and events, or None where it has to be read the strict way."""
    seq: int | None
    try:
        if text[:1] == "[":
            seq, wires, keys = None, _many(text), 0
        elif '"events"' in text:
            envelope = _envelope(text)
            seq, wires, keys = envelope.seq, envelope.events, 2
        else:
            wires = [_one(text)]
            seq, keys = wires[0].seq, 0
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    for wire in wires:
        values = msgspec.structs.astuple(wire)
        keys += len(values) - values.count(None) + (len(wire.attrs) if wire.attrs else 0)
    return (seq, wires) if keys == text.count('":') and not _BLANK_COLON.search(text) else None


_BLANK_COLON = re.compile(r'"[ \t\n\r]+:')


def _taken(seq: int | None, wires: list[_Wire], source: Source) -> Frame:
    frame = Frame(seq=seq, size=_bounded(len(wires)))
    for index, wire in enumerate(wires):
        _sort(frame, index, wire.id, _event(wire, source))
    return frame


def _sort(frame: Frame, index: int, ident: str | None, result: Event | str) -> None:
    if isinstance(result, str):
        frame.refused.append(Refusal(index, ident, result))
    else:
        frame.events.append((index, result))


def _bounded(size: int) -> int:
    if size > MAX_EVENTS:
        raise NotAFrame(_TOO_BIG, f"more than {MAX_EVENTS} events in a frame")
    return size


# --- from a wire event to ours


def _event(wire: _Wire, source: Source) -> Event | str:
    """Our event, or why there is none. The fields are within their bounds already."""
    if wire.kind is None:
        return "kind: missing"
    for name in _REQUIRED[wire.kind]:
        if getattr(wire, name) is None:
            return f"{name}: missing"
    tenant = tenant_of(wire.tenant, source.tenant)
    if tenant is None:
        return _reserved("tenant") if wire.tenant == "*" else "tenant: not this token's"
    given = instant(wire.at)
    if isinstance(given, str):
        return given
    fields = {name: value for name in _TAKEN[wire.kind] if (value := getattr(wire, name)) is not None}
    for name in ("queue", "channel"):
        if fields.get(name) == "*":
            return _reserved(name)
    for name in _MASKED:
        if name in fields:
            fields[name] = mask(fields[name])
    if wire.attrs:
        fields["attrs"] = {mask(key): mask(value) for key, value in wire.attrs.items()}
    event = Event(at=given, tenant=tenant, received_at=source.received_at, replay=source.replay, **fields)
    if given > source.received_at + AHEAD_MS and not source.replay:
        event.at, event.given_at, event.clock_suspect = source.received_at, given, True
    return event


def tenant_of(given: str | None, token: str) -> str | None:
    """Whose event it is; None where the token does not allow that."""
    if token == "*":  # noqa: S105 - the tenant of a token, no secret
        return given or "default" if given != "*" else None
    return token if given in {None, token} else None


def _reserved(name: str) -> str:
    return f"{name}: * stands for all of them and is no name"


_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def instant(value: int | str | None) -> int | str:
    """Milliseconds since the epoch, of an instant in either form of `at`; or what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return "at: neither RFC 3339 nor an integer"
    at = value if isinstance(value, int) else _rfc3339(value)
    if at is None:
        return "at: not RFC 3339 with an offset"
    return at if FIRST_MS <= at < END_MS else "at: outside the years 2000 to 2099"


def _rfc3339(text: str) -> int | None:
    found = _RFC3339.fullmatch(text)
    day = found and _day_ms(found[1])
    if found is None or day is None:
        return None
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    off_hour, off_minute = int(found[7] or 0), int(found[8] or 0)
    if hour > 23 or minute > 59 or second > 60 or off_hour > 23 or off_minute > 59:
        return None
    offset = (off_hour * 60 + off_minute) * (-1 if found[6] == "-" else 1)
    minutes = hour * 60 + minute - offset
    if second == 60 and minutes % 1440 != 1439:  # a leap second is 23:59:60 UTC; it counts as the second after it
        return None
    return day + minutes * 60_000 + second * 1_000 + int(((found[5] or "0") + "00")[:3])


@lru_cache(maxsize=4_096)
def _day_ms(day: str) -> int | None:
    try:
        return (date.fromisoformat(day).toordinal() - 719_163) * 86_400_000
    except ValueError:
        return None


# --- the strict way


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


def _strict(text: str, source: Source) -> Frame:
    value = _loads(text)
    if isinstance(value, _Unfit) and value.value is not None and "events" in value.value:
        raise NotAFrame(_NOT_JSON, "a key of the frame is given twice")
    if isinstance(value, dict) and "kind" not in value and {"events", "tick"} & value.keys():
        return _batch(value, source, text) if "events" in value else _tick(value, source)
    if isinstance(value, list):
        return _refine(None, value, source, text)
    if isinstance(value, dict) or (isinstance(value, _Unfit) and value.value is not None):
        own = value.get("seq") if isinstance(value, dict) else None
        return _refine(own if _is_seq(own) else None, [value], source, text)
    raise NotAFrame(_NOT_JSON, "neither an event, an array of events nor a numbered frame")


def _loads(text: str) -> Any:
    try:
        return _decode(text)
    except RecursionError:
        pass
    except ValueError as error:
        raise NotAFrame(_NOT_JSON, "not JSON") from error
    try:
        return _decode("".join(_pruned(text)))
    except ValueError as error:
        raise NotAFrame(_NOT_JSON, "not JSON") from error


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
        raise NotAFrame(_NOT_JSON, "not JSON")
    yield text[kept_to:]


def _unwind(opened: list[str], char: str, count: int) -> None:
    """Close `count` brackets; what was opened last must be of that kind."""
    while count:
        run = opened.pop() if opened else "?"
        if run[0] != char:
            raise NotAFrame(_NOT_JSON, "not JSON")
        if len(run) > count:
            opened.append(run[count:])
        count -= min(count, len(run))


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _batch(frame: dict[str, Any], source: Source, text: str) -> Frame:
    if not _is_seq(frame.get("seq")):
        raise NotAFrame(_NOT_JSON, "seq: not an integer from 0")
    if not isinstance(frame["events"], list):
        raise NotAFrame(_NOT_JSON, "events: not an array")
    return _refine(frame["seq"], frame["events"], source, text)


def _tick(frame: dict[str, Any], source: Source) -> Frame:
    if not _is_seq(frame.get("seq")):
        raise NotAFrame(_NOT_JSON, "seq: not an integer from 0")
    seq, given = frame["seq"], frame.get("tenant")
    named = given is None or (isinstance(given, str) and 0 < len(given) <= MAX_TENANT and _is_unicode(given))
    tenant = tenant_of(given, source.tenant) if named else None
    at = None if frame["tick"] is None else instant(frame["tick"])
    if tenant is None:
        return Frame(seq, refused=[Refusal(0, None, "tenant: not this token's" if named else "tenant: not a name")])
    if isinstance(at, str):
        return Frame(seq, refused=[Refusal(0, None, at.replace("at:", "tick:"))])
    return Frame(seq, tick=TickAsk(tenant, at))


def _refine(seq: int | None, values: list[Any], source: Source, text: str) -> Frame:
    frame = Frame(seq=seq, size=_bounded(len(values)))
    escapes = _SURROGATE.search(text) is not None
    for index, value in enumerate(values):
        keys = value.value if isinstance(value, _Unfit) else value
        ident = keys.get("id") if isinstance(keys, dict) else None
        known = isinstance(ident, str) and len(ident) <= MAX_ID and _is_unicode(ident)
        problem = _unfit(value, escapes)
        _sort(frame, index, ident if known else None, problem or _checked(value, source))
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
    if not isinstance(kind, str) or kind not in _OF:
        return f"kind: not one of {', '.join(_OF)}"
    fields = {}
    for name in (*_ANY, *_OF[kind]):
        value = event.get(name)
        if value is None:
            continue
        if problem := _CHECKS[name](value):
            return f"{name}: {problem}"
        fields[name] = value
    return _event(_Wire(**fields), source)


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
_CHECKS: dict[str, _Check] = {
    "v": lambda value: None if type(value) is int and value == 1 else "not 1",
    "id": _text(MAX_ID, 1),
    "kind": _one_of(*_OF),
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
