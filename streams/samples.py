"""What customers wrote lately, to be quoted in an alert: a few messages of each queue and channel, masked, shortened.

Of the messages of a key those are typical that share most with the others: words that rose first, then words at all.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from streams.events import EventRow
from streams.present import ALL, LeafKey
from streams.windows import MINUTE

LATELY = 5 * MINUTE
EACH = 40
"""Messages kept of one queue and channel."""
LEAVES = 1_000
"""Queues and channels of which any are kept; those heard of last."""
LONGEST = 160
"""Characters of a quoted message."""
SHOWN = 3
LOOKED_AT = 400
"""Messages among which the typical ones are sought."""


class Message(NamedTuple):
    """One message, as quoted."""

    at: int
    text: str
    words: frozenset[str]
    topic: str | None


class Samples:
    """One tenant's. Bounded by `EACH` · `LEAVES` messages of `LONGEST` characters: 6 MB."""

    def __init__(self) -> None:
        self._lately: dict[LeafKey, deque[Message]] = {}

    def take(self, row: EventRow) -> None:
        """Keep what a customer wrote, where it has words."""
        event = row.event
        if event.text is None or row.queue is None or row.channel is None or not event.keywords:
            return
        leaf = (row.queue, row.channel)
        kept = self._lately.pop(leaf, None)
        if kept is None:
            kept = deque(maxlen=EACH)
            if len(self._lately) >= LEAVES:
                del self._lately[next(iter(self._lately))]
        self._lately[leaf] = kept  # the last to be forgotten
        kept.append(Message(event.at, shortened(event.text), frozenset(event.keywords), row.model_topic))

    def typical(self, key: LeafKey, now: int, risen: Sequence[str], topic: str | None = None) -> list[str]:
        """Three messages of the last minutes of a key, the most typical first: of the topic, with words that rose."""
        messages = [message for message in self._of(key) if now - LATELY < message.at <= now][-LOOKED_AT:]
        common = Counter(word for message in messages for word in message.words)
        names = frozenset(risen)

        def rank(message: Message) -> tuple[int, bool, float, int]:
            shared = sum(common[word] - 1 for word in message.words) / max(len(message.words), 1)
            return -len(message.words & names), topic is None or message.topic != topic, -shared, -message.at

        found: dict[str, None] = {}
        for message in sorted(messages, key=rank):
            found.setdefault(message.text)
            if len(found) == SHOWN:
                break
        return list(found)

    def _of(self, key: LeafKey) -> Iterator[Message]:
        queue, channel = key
        leaves: Iterable[LeafKey] = (
            [key]
            if ALL not in key
            else [one for one in self._lately if queue in (ALL, one[0]) and channel in (ALL, one[1])]
        )
        return iter(
            sorted((message for leaf in leaves for message in self._lately.get(leaf, ())), key=lambda one: one.at)
        )


def shortened(text: str) -> str:
    """On one line, and no longer than is quoted."""
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
