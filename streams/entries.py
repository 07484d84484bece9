"""What a conversation keeps of its events: an entry each, in order, encoded one behind the other.

Most events come in order, so their entries are appended and never looked at again: no object stays in memory for them,
and keeping a conversation copies bytes. Only what reaches back decodes them. A repeat is found by its id's bytes.
"""

from __future__ import annotations

import msgspec

from streams.events import Event
from streams.labels import hashed
from streams.policy import Policy

GAIN = "<HH"
"""How an entry keeps what a model says of it: topic number, thousandths of log-probability above the other topics'."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What the fold needs of an event. It holds no text."""

    at: int
    seq: int
    id: str
    what: str
    """`customer` `agent` `bot` `system` (their public messages), `note`, or the kind of any other event."""
    who: str | None = None
    """The author, or the agent that the event names."""
    queue: str | None = None
    channel: str | None = None
    customer: str | None = None
    by: str | None = None
    resolved: bool | None = None
    topic: str | None = None
    score: int = 0
    goodbye: bool = False
    episode: int | None = None
    """Where the fold put it."""
    sentiment: int | None = None
    """Of a customer's text, in thousandths."""
    words: bytes = b""
    """Its keywords, hashed: four bytes each (`streams.labels`)."""
    topics: bytes = b""
    """What it may be about, the likeliest first, as pairs of `GAIN`; a topic that is not named gains nothing."""

    def place(self) -> tuple[int, int, str]:
        """Its place in the order of the conversation."""
        return self.at, self.seq, self.id


def entry(event: Event, policy: Policy) -> Entry:
    """An event as the fold keeps it."""
    message = event.kind == "message"
    what = (("note" if event.private else event.author) if message else event.kind) or "note"
    new = Entry(
        event.at, event.seq, event.id, what, event.author_id if message else event.agent, event.queue, event.channel,
        event.customer, event.by, event.resolved, event.topic, event.score or 0,
    )  # fmt: skip
    if what == "customer":
        new.goodbye = policy.goodbye(event.text)
        new.sentiment = None if event.sentiment is None else round(1_000 * event.sentiment)
        new.words = hashed(event.keywords)
    return new


class Log(msgspec.Struct, array_like=True, gc=False):
    """The entries of a conversation, in order."""

    n: int = 0
    at: int = -1
    """Of the last one."""
    tail: int = 0
    """Where the last one begins."""
    packed: bytearray = msgspec.field(default_factory=bytearray)
    """Each entry as msgpack has it, one behind the other."""

    def append(self, last: Entry) -> None:
        """Add what comes after all others."""
        self.tail = len(self.packed)
        self.packed += _pack(last)
        self.n += 1
        self.at = last.at

    def entries(self) -> list[Entry]:
        """All of them."""
        return _unpack(b"\xdd" + self.n.to_bytes(4, "big") + self.packed)

    def replace(self, entries: list[Entry]) -> None:
        """These instead."""
        self.n, self.at, self.packed = 0, -1, bytearray()
        for one in entries:
            self.append(one)

    def follows(self, at: int, seq: int, name: str) -> bool:
        """Whether an event of this place comes after all that are here, or beside the last."""
        if at != self.at or not self.n:
            return at > self.at
        return (at, seq, name) >= _unpack_one(self.packed[self.tail :]).place()

    def has(self, name: str) -> bool:
        """Whether an event of this id is here."""
        return _pack(name) in self.packed and any(one.id == name for one in self.entries())


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Entry]).decode
_unpack_one = msgspec.msgpack.Decoder(Entry).decode
