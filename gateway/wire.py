"""An event as it is sent, with every limit (CONTRACT §3), and how it becomes ours: stamped and masked, or why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.instants import END_MS, FIRST_MS, instant
from gateway.masking import mask
from streams.events import Event
from streams.stamps import stamp

MAX_EVENTS = 1_000
MAX_DEPTH = 8
"""Levels of nesting, of which the event is the first."""
MAX_ID, MAX_NAME, MAX_TENANT, MAX_TEXT = 64, 128, 64, 8_000
"""Characters (code points): of `id`; of conversations, queues, agents …; of tenants; of `text` and `comment`."""
MAX_ATTRS, MAX_ATTR_KEY, MAX_ATTR_VALUE = 16, 64, 1_024
MAX_INT, MAX_CAPACITY = 2**63 - 1, 2**31 - 1
AHEAD_MS = 120_000
"""An event further ahead of its receipt has a wrong clock. Source: METRICS §1."""
NOT_JSON, TOO_BIG = 4400, 1009

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

    def add(self, index: int, ident: str | None, result: Event | str) -> None:
        """Note what became of the event at this place."""
        if isinstance(result, str):
            self.refused.append(Refusal(index, ident, result))
        else:
            self.events.append((index, result))


def frame_of(seq: int | None, size: int) -> Frame:
    """An empty frame for so many events.

    Raises:
        NotAFrame: they are too many.
    """
    if size > MAX_EVENTS:
        raise NotAFrame(TOO_BIG, f"more than {MAX_EVENTS} events in a frame")
    return Frame(seq, size)


class Wire(msgspec.Struct, forbid_unknown_fields=True):
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


ANY = ("v", "id", "kind", "at", "seq", "tenant", "channel", "attrs")
OF: dict[str, tuple[str, ...]] = {
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
_REQUIRED = dict.fromkeys(OF, ("id", "at", "conversation")) | {
    "message": ("id", "at", "conversation", "author"),
    "assigned": ("id", "at", "conversation", "agent"),
    "rated": ("id", "at", "conversation", "score"),
    "label": ("id", "at", "conversation", "topic"),
    "agent_status": ("id", "at", "agent", "status"),
}
_TAKEN = {kind: ("id", "kind", "seq", "channel", *names) for kind, names in OF.items()}
_MASKED = ("text", "comment", "topic")


def event_of(wire: Wire, source: Source) -> Event | str:
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
    stamp(event)
    return event


def tenant_of(given: str | None, token: str) -> str | None:
    """Whose event it is; None where the token does not allow that."""
    if token == "*":  # noqa: S105 - the tenant of a token, no secret
        return given or "default" if given != "*" else None
    return token if given in {None, token} else None


def _reserved(name: str) -> str:
    return f"{name}: * stands for all of them and is no name"
