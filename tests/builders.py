"""Events in the wire form of CONTRACT §3, one short call each, and streams of them.

Instants are ms since the epoch. An event's id is made of what it says, so the same call gives the same event; give `id`
where two would be alike.
"""

from __future__ import annotations

from tests.conformance.cases import Row, rfc3339
from tests.reference.streams import Stream, settings_for, stream, streams

__all__ = [
    "START", "Stream", "agent", "as_text", "assigned", "bot", "closed", "customer", "event", "left", "queued",
    "returned", "settings_for", "status", "stream", "streams", "transferred",
]  # fmt: skip

START = 1_772_445_600_000
"""2026-03-02T10:00:00Z, where most stories begin; a full minute."""


def event(kind: str, at: int, conversation: str = "c1", **fields: object) -> Row:
    """Any event of a conversation; fields that are None are left out."""
    made = {"id": f"{kind}-{fields.get('author', '')}-{at}-{fields.get('seq', '')}", "kind": kind, "at": at}
    return {
        **made,
        "conversation": conversation,
        **{name: value for name, value in fields.items() if value is not None},
    }


def customer(at: int, text: str = "我的订单还没到", conversation: str = "c1", **fields: object) -> Row:
    """A message by the customer of the conversation."""
    given: Row = {"author": "customer", "author_id": f"u-{conversation}", "text": text, **fields}
    return event("message", at, conversation, **given)


def agent(at: int, name: str = "amy", conversation: str = "c1", **fields: object) -> Row:
    """A public message by a person."""
    given: Row = {"author": "agent", "author_id": name, "text": "您好，我来看一下", **fields}
    return event("message", at, conversation, **given)


def bot(at: int, conversation: str = "c1", **fields: object) -> Row:
    """A message by the bot."""
    given: Row = {"author": "bot", "author_id": "bot", "text": "我是机器人", **fields}
    return event("message", at, conversation, **given)


def queued(at: int, queue: str | None = None, conversation: str = "c1") -> Row:
    """Into a line: the named one, or the one where it is."""
    return event("queued", at, conversation, queue=queue)


def assigned(at: int, name: str = "amy", conversation: str = "c1") -> Row:
    """A person has it."""
    return event("assigned", at, conversation, agent=name)


def transferred(at: int, queue: str | None = None, name: str | None = None, conversation: str = "c1") -> Row:
    """On to another queue, another person, or both."""
    return event("transferred", at, conversation, queue=queue, agent=name)


def left(at: int, conversation: str = "c1") -> Row:
    """The customer is gone."""
    return event("customer_left", at, conversation)


def returned(at: int, conversation: str = "c1") -> Row:
    """The customer is back."""
    return event("customer_back", at, conversation)


def closed(at: int, by: str | None = "agent", conversation: str = "c1", **fields: object) -> Row:
    """The end of an episode."""
    return event("closed", at, conversation, by=by, **fields)


def status(at: int, name: str, what: str = "online", capacity: int | None = None) -> Row:
    """An agent's status, from now on."""
    made = {"id": f"{name}-{what}-{at}", "kind": "agent_status", "at": at, "agent": name, "status": what}
    return made if capacity is None else {**made, "capacity": capacity}


def as_text(events: list[Row]) -> list[Row]:
    """The same events with `at` in RFC 3339."""
    return [{**one, "at": rfc3339(one["at"])} for one in events]
