"""What a person said a conversation was about, as an example to learn from; and what a model says. Pure.

An example holds no text: its words are hashed to 32 bits, which is all that a learner needs to tell them apart.
`chat.labels` has one partition, so every worker that reads it from its beginning learns the same, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from streams.hashing import WORD

MOST_WORDS = 64
"""Words of an example at most."""


class Example(msgspec.Struct, omit_defaults=True):
    """One record of `chat.labels`."""

    tenant: str
    id: str
    """Conversation and id of the event that told: what was learned once is not learned again."""
    topic: str
    words: bytes = b""
    """Of the episode's customer messages, four bytes each."""
    n: int | None = None
    """Embedded stack: its place in `worker.db`. It rises by one."""
    instead: str = ""
    """What was said of the same episode before, which no longer holds."""
    known: int = 0
    """How many of the words were known then: they are what is to be unlearned."""


class Reader(Protocol):
    """What a model of topics is asked while conversations are followed. It answers from what it has learned so far."""

    def rank(self, tenant: str, words: bytes) -> Sequence[tuple[str, int]]:
        """The likeliest topics of hashed words, best first; empty where nothing can be said of them.

        With each its gain: thousandths of log-probability above that of the topics that are not named, 1 to 65,535.
        """
        ...


def bounded(parts: Iterable[bytes]) -> bytes:
    """The words of several messages together, the first `MOST_WORDS`."""
    return b"".join(parts)[: MOST_WORDS * WORD]
