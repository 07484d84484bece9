"""The stored events of one conversation, folded once more by the stream's own rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.conversation import Conversation, Fold
from streams.entries import entry
from streams.episode_row import row
from streams.events import EpisodeRow, Event
from streams.policy import Policy

Row = dict[str, Any]
_GIVEN = (
    "id", "kind", "seq", "channel", "queue", "customer", "author", "author_id", "text", "type", "private", "agent",
    "by", "resolved", "topic", "score",
)  # fmt: skip


def refold(tenant: str, conversation: str, events: Iterable[Row], policy: Policy, now: int) -> dict[int, EpisodeRow]:
    """Number → episode, of all its events (late ones count nothing), as of `now` (ms)."""
    folded = Conversation(tenant, conversation)
    fold = Fold(folded, policy)
    for one in events:
        if not one["late"]:
            given = {name: one[name] for name in _GIVEN if one[name] is not None}
            event = Event(at=one["ms"], tenant=tenant, conversation=conversation, **given)
            fold.insert(entry(event, policy))
    fold.advance(now)
    return {episode.number: row(folded, episode, policy) for episode in folded.episodes}
