"""What customers' words come to (METRICS §7): sums over the messages an episode and a pane have, from what each says.

What a single message says (its sentiment in thousandths; each topic's gain in thousandths of log-probability) is given
by the caller: it is a model's matter. Everything is summed anew on every call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.cases import Row
from tests.reference.clocks import pane_of
from tests.reference.fold import Episode, fold
from tests.reference.given import arrive, complete
from tests.reference.judge import is_message


@dataclass(frozen=True)
class Says:
    """What one message says."""

    sentiment: int | None = None
    gains: dict[str, int] = field(default_factory=dict)


Read = Callable[[Row], Says]


def worded(events: Sequence[Row], settings: Row, tick: int, read: Read) -> Row:
    """`episodes`: (conversation, number) → sentiment, topic; `minutes`: (queue, channel, minute) → the sums."""
    given = complete(settings)
    scopes, _ = arrive(events)
    whole = [fold(name, some, given, tick) for (sort, name), some in scopes.items() if sort == "conversation"]
    episodes = [episode for conversation in whole for episode in conversation.episodes]
    return {
        "episodes": {(e.opening.conversation, e.opening.number): _episode(e, read) for e in episodes},
        "minutes": _minutes(episodes, read),
    }


def _said(episode: Episode) -> Iterator[tuple[Row, str]]:
    """The customer's messages, and the queue in which each was written."""
    routing = episode.judged.routing
    queues = [*routing.queues, *[routing.queue] * len(episode.goodbyes)]
    for event, queue in zip([*episode.events, *episode.goodbyes], queues, strict=True):
        if is_message(event, "customer"):
            yield event, queue


def _episode(episode: Episode, read: Read) -> Row:
    said = [read(event) for event, _ in _said(episode)]
    known = [one.sentiment for one in said if one.sentiment is not None]
    gains: Counter[str] = Counter()
    for one in said:
        gains.update(one.gains)
    best = max(gains.values(), default=None)
    return {
        "sentiment": sum(known) / len(known) / 1_000 if known else None,
        "topic": None if best is None else min(topic for topic, gain in gains.items() if gain == best),
    }


def _minutes(episodes: Sequence[Episode], read: Read) -> dict[tuple[str, str, int], Row]:
    panes: dict[tuple[str, str, int], Row] = defaultdict(_nothing)
    for episode in episodes:
        for event, queue in _said(episode):
            pane, says = panes[queue, episode.opening.channel, pane_of(event["at"])], read(event)
            if says.sentiment is not None:
                pane["sentiment_n"] += 1
                pane["sentiment_sum"] += says.sentiment
                pane["negative"] += says.sentiment < -300
            if says.gains:
                best = max(says.gains.values())
                pane["topics"][min(topic for topic, gain in says.gains.items() if gain == best)] += 1
    return dict(panes)


def _nothing() -> dict[str, Any]:
    return {"sentiment_n": 0, "sentiment_sum": 0, "negative": 0, "topics": Counter()}
