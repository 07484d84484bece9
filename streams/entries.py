"""What a conversation keeps of its events: an entry each, in order, encoded one behind the other.

Most events come in order, so their entries are appended and never looked at again: no object stays in memory for them,
and keeping a conversation copies bytes. Only what reaches back decodes them. A repeat is found by its id's bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from mypy_extensions import i64, mypyc_attr

from streams.events import Event
from streams.hashing import hashed
from streams.policy import Policy

GAIN: Final = "<HH"
"""How an entry keeps what a model says of it: topic number, thousandths of log-probability above the other topics'."""


@mypyc_attr(acyclic=True)
class Entry:
    """What the fold needs of an event. It holds no text."""

    __slots__ = (
        "at", "by", "channel", "customer", "episode", "goodbye", "id", "queue", "resolved", "score", "sentiment",
        "seq", "topic", "topics", "what", "who", "words",
    )  # fmt: skip

    def __init__(
        self, at: int, seq: int, id: str, what: str, who: str | None = None, queue: str | None = None,  # noqa: A002 - as everywhere
        channel: str | None = None, customer: str | None = None, by: str | None = None, resolved: bool | None = None,
        topic: str | None = None, score: int = 0, goodbye: bool = False, episode: int | None = None,
        sentiment: int | None = None, words: bytes = b"", topics: bytes = b"",
    ) -> None:  # fmt: skip
        self.at = at
        self.seq = seq
        self.id = id
        self.what = what
        """`customer` `agent` `bot` `system` (their public messages), `note`, or the kind of any other event."""
        self.who = who
        """The author, or the agent that the event names."""
        self.queue = queue
        self.channel = channel
        self.customer = customer
        self.by = by
        self.resolved = resolved
        self.topic = topic
        self.score = score
        self.goodbye = goodbye
        self.episode = episode
        """Where the fold put it."""
        self.sentiment = sentiment
        """Of a customer's text, in thousandths."""
        self.words = words
        """Its keywords, hashed: four bytes each (`streams.labels`)."""
        self.topics = topics
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


@mypyc_attr(acyclic=True)
class Log:
    """The entries of a conversation, in order."""

    __slots__ = ("at", "n", "packed", "seen", "tail")

    def __init__(self, n: int = 0, at: int = -1, tail: int = 0, packed: bytearray | None = None) -> None:
        self.n = n
        self.at = at
        """Of the last one."""
        self.tail = tail
        """Where the last one begins."""
        self.packed = bytearray() if packed is None else packed
        """Each entry as msgpack has it, one behind the other."""
        self.seen: i64 = -1 if n else 0
        """A bit for each id: one whose bit is not set is not here. Not kept: all are set once it is read back."""

    def append(self, last: Entry) -> None:
        """Add what comes after all others."""
        self.add(
            last.at,
            last.id,
            (
                last.at, last.seq, last.id, last.what, last.who, last.queue, last.channel, last.customer, last.by,
                last.resolved, last.topic, last.score, last.goodbye, last.episode, last.sentiment, last.words,
                last.topics,
            ),
        )  # fmt: skip

    def add(self, at: int, name: str, fields: tuple[object, ...]) -> None:
        """The same, where no `Entry` was made of its fields."""
        self.seen |= _bit(name)
        self.tail = len(self.packed)
        self.packed += _pack(fields)
        self.n += 1
        self.at = at

    def entries(self) -> list[Entry]:
        """All of them."""
        rows: list[list[Any]] = _unpack(b"\xdd" + self.n.to_bytes(4, "big") + self.packed)
        return [Entry(*row) for row in rows]

    def replace(self, entries: list[Entry]) -> None:
        """These instead."""
        self.n, self.at, self.packed, self.seen = 0, -1, bytearray(), 0
        for one in entries:
            self.append(one)

    def follows(self, at: int, seq: int, name: str) -> bool:
        """Whether an event of this place comes after all that are here, or beside the last."""
        if at != self.at or not self.n:
            return at > self.at
        last = _unpack(self.packed[self.tail :])
        return (at, seq, name) >= (last[0], last[1], last[2])

    def may_have(self, name: str) -> bool:
        """Whether an event of this id may be here: False is certain, and costs no look at all that is kept."""
        return self.seen & _bit(name) != 0

    def has(self, name: str) -> bool:
        """Whether an event of this id is here."""
        return self.may_have(name) and _pack(name) in self.packed and any(one.id == name for one in self.entries())


def _bit(name: str) -> i64:
    """By its last two characters: to hash all of it took longer than to add it."""
    one: i64 = 1
    if len(name) < 2:
        return one
    place: i64 = 8 * ord(name[-2]) + ord(name[-1])
    return one << (place & 63)


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode
