"""The short way for what most events are: one more message, in order, in an open episode.

It does what `streams.conversation.Fold` and `Line.settle` would, without looking at the rest of the episode: of such a
message only counts and the turn change. Plainer than the house style, for it runs for most of what comes
(`docs/performance.md`). A property test holds the two ways together.
"""

from __future__ import annotations

import msgspec

from streams.conversation import (
    AGENTS,
    CUSTOMERS,
    MESSAGES,
    NEGATIVES,
    SENTIMENT_N,
    SENTIMENT_SUM,
    Conversation,
    marked,
)  # fmt: skip
from streams.entries import Entry
from streams.episode import Episode
from streams.events import Event, EventRow
from streams.labels import hashed
from streams.line import Line
from streams.metrics import NEGATIVE
from streams.stamps import stamp
from streams.standing import Stance
from streams.windows import DAY, MINUTE

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


def quick(line: Line, conversation: Conversation, event: Event) -> bool:
    """Apply a message, if it is such a one. False: it is something else, and nothing was done."""
    author = event.author
    if (author not in {"customer", "agent"}) or event.private or not conversation.episodes:
        return False
    episode, stance, log, at = conversation.episodes[-1], conversation.stance, conversation.log, event.at
    if (
        stance is None
        or episode.away_at is not None
        or at <= log.at
        or at < line.tenant.closed_until
        or at - episode.last_at >= line.policy.silence
        or line.now - at >= line.policy.silence
        or (conversation.greatest_at if event.replay else event.received_at) - at > DAY
    ):
        return False
    if episode.reply_at is None and (author == "agent" or not _waits(episode)):
        return False
    if author == "agent" and (episode.held is None or episode.stay is not None or episode.frt_any_ms is None):
        return False
    if _pack(event.id) in log.packed or (conversation.late and event.id in conversation.late):
        return False
    line.hear(at)
    if author == "customer":
        new, topic = _customer(line, stance, episode, event)
    else:
        new, topic = _agent(line, stance, episode, event), None
    who = event.customer
    if who is not None:
        conversation.memory.customer = episode.customer = who
    elif author == "customer" and episode.customer is None:
        conversation.memory.customer = episode.customer = event.author_id
    episode.last_at = conversation.greatest_at = at
    conversation.clock = max(conversation.clock, line.now)
    conversation.version = line.position
    log.append(new)
    if at + line.policy.silence < conversation.wake:
        line.schedule(conversation, line.now)
    if conversation.round != line.round:
        line.touch(conversation, episode.number)
    row = EventRow(event, episode.number, False, line.position, topic)
    if new.sentiment is not None:
        row.queue, row.channel = episode.queue, episode.channel
    line.said.events.append(_encode(row))
    return True


def _waits(episode: Episode) -> bool:
    """Whether the customer, not gone, has asked for a first response already: one more message changes counts alone."""
    return episode.demand_at is not None and episode.unanswered_since is not None and episode.gone_at is None


def _customer(line: Line, stance: Stance, episode: Episode, event: Event) -> tuple[Entry, str | None]:
    at, queue = event.at, episode.queue
    minute = at - at % MINUTE
    if event.sentiment is None:
        stamp(event)
    new = Entry(
        at, event.seq, event.id, "customer", event.author_id, event.queue, event.channel, event.customer, event.by,
        event.resolved, event.topic, event.score or 0, line.policy.goodbye(event.text), episode.number,
    )  # fmt: skip
    marks = marked(episode, queue, minute)
    pane = line.hot.get((queue, episode.channel, minute)) or line.pane((queue, episode.channel, minute))
    counts = pane.counts
    episode.customer_messages += 1
    marks[MESSAGES] = marks.get(MESSAGES, 0) + 1
    marks[CUSTOMERS] = marks.get(CUSTOMERS, 0) + 1
    counts["messages"] = counts.get("messages", 0) + 1
    counts["customer_messages"] = counts.get("customer_messages", 0) + 1
    topic = None
    if event.sentiment is not None:
        new.sentiment = sentiment = round(1_000 * event.sentiment)
        episode.sentiment_n += 1
        marks[SENTIMENT_N] = marks.get(SENTIMENT_N, 0) + 1
        counts["sentiment_n"] = counts.get("sentiment_n", 0) + 1
        if sentiment:
            episode.sentiment_sum += sentiment
            marks[SENTIMENT_SUM] = marks.get(SENTIMENT_SUM, 0) + sentiment
            line.mark(pane, SENTIMENT_SUM, sentiment)
            if sentiment < NEGATIVE:
                marks[NEGATIVES] = marks.get(NEGATIVES, 0) + 1
                line.mark(pane, NEGATIVES, 1)
    if event.keywords or event.gains:
        new.words = hashed(event.keywords)
        topic = line.read(new, event)
        if new.topics:
            line.count_topics(pane, marks, episode, new)
    if episode.first_customer_at is None:
        episode.first_customer_at = at
    if episode.unanswered_since is None:
        episode.unanswered_since = at
        demand = episode.demand_at or 0
        since = max(at, demand)
        line.gauge(stance).turn(stance, since, since + (episode.target_ms or 0))
    return new, topic


def _agent(line: Line, stance: Stance, episode: Episode, event: Event) -> Entry:
    at, queue = event.at, episode.queue
    minute = at - at % MINUTE
    marks = marked(episode, queue, minute)
    pane = line.hot.get((queue, episode.channel, minute)) or line.pane((queue, episode.channel, minute))
    counts = pane.counts
    episode.agent_messages += 1
    marks[MESSAGES] = marks.get(MESSAGES, 0) + 1
    marks[AGENTS] = marks.get(AGENTS, 0) + 1
    counts["messages"] = counts.get("messages", 0) + 1
    counts["agent_messages"] = counts.get("agent_messages", 0) + 1
    if episode.unanswered_since is not None:
        episode.replies.append(at - episode.turn_start())
        episode.unanswered_since = None
        since, gauge = stance.since, line.gauge(stance)
        gauge.rest(stance)
        gauge.leave(at, since)
    return Entry(
        at, event.seq, event.id, "agent", event.author_id, event.queue, event.channel, event.customer, event.by,
        event.resolved, event.topic, event.score or 0, False, episode.number,
    )  # fmt: skip
