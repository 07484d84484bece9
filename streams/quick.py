"""The short way for what most events are: a plain step of an open episode, in order, or its plain beginning.

It does what `streams.conversation.Fold` and `Line.settle` would, without looking at the rest of the episode: one more
message changes counts and the turn; an assignment, a first reply and a closing change what the episode stands for in a
few known places (`streams.strides`). Plainer than the house style, for it runs for most of what comes
(`docs/performance.md`). A property test holds the two ways together.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.conversation import Conversation, marked
from streams.episode import BOTS, NEGATIVES, SENTIMENT_SUM, Episode, Mark
from streams.events import Event, EventRow, PaneRow
from streams.hashing import hashed
from streams.heard import Heard
from streams.line import Line
from streams.metrics import NEGATIVE
from streams.stamps import stamp
from streams.standing import Stance
from streams.strides import answer, ask, begin, close, engage, stand_first, take
from streams.windows import DAY, MINUTE, NEVER

_pack: Final = msgspec.msgpack.Encoder().encode


def quick(line: Line, conversation: Conversation, event: Heard, given: Event) -> bool:
    """Apply an event, if it is such a one. False: it is something else, and nothing was done. `event`: as `given`."""
    episode, stance, log, at = conversation.last, conversation.stance, conversation.log, event.at
    kind = event.kind
    if episode is None:
        return kind == "message" and _opens(line, conversation, event, given)
    if (
        stance is None
        or event.private
        or episode.gone_at != NEVER
        or episode.away_at != NEVER
        or not log.follows(at, event.seq, event.id)
        or at < line.tenant.closed_until
        or at - episode.last_at >= line.policy.silence
        or line.now - at >= line.policy.silence
        or line.now < conversation.clock
        or (conversation.greatest_at if event.replay else event.received_at) - at > DAY
    ):
        return False
    message = kind == "message"
    what = event.author if message else kind
    if not (_plain_message(line, what, episode, at) if message else _plain_other(what, episode, event)):
        return False
    name = event.id
    if (log.may_have(name) and _pack(name) in log.packed) or (conversation.late and name in conversation.late):
        return False
    line.hear(at)
    topic, sentiment, words, topics, goodbye = None, None, b"", b"", False
    episode.last_at = conversation.greatest_at = at
    conversation.clock = line.now
    conversation.version = line.position
    if what == "customer":
        goodbye = line.policy.goodbye(event.text)
        topic, sentiment, words, topics = _customer(line, conversation, stance, episode, event, given)
    else:
        _other(line, conversation, stance, episode, event, what)
    log.add(at, name, (
        at, event.seq, name, what, event.author_id if message else event.agent, event.queue,
        event.channel, event.customer, event.by, event.resolved, event.topic, event.score or 0, goodbye,
        episode.number, sentiment, words, topics,
    ))  # fmt: skip
    if at + line.policy.silence < conversation.wake:
        line.schedule(conversation, line.now)
    if conversation.round != line.round:
        line.touch(conversation, episode.number)
    _tell(line, episode, given, topic, sentiment)
    return True


def _other(
    line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard, what: str | None
) -> None:
    """What is no customer's message."""
    at = event.at
    if what == "agent":
        _agent(line, conversation, stance, episode, event)
    elif what == "bot":
        _bot(line, conversation, stance, episode, event)
    elif what == "handoff":
        ask(line, conversation, stance, episode, at)
        line.schedule(conversation, line.now)
    elif what == "assigned":
        take(line, conversation, stance, episode, at, event.agent or "")
        episode.assigned_at = at
        if episode.handled_from == NEVER:
            episode.handled_from = at
    else:
        close(line, conversation, stance, episode, event)


def _tell(line: Line, episode: Episode, event: Event, topic: str | None, sentiment: int | None) -> None:
    if sentiment is None:
        row = EventRow(event, episode.number, False, line.position, topic)
    else:
        row = EventRow(event, episode.number, False, line.position, topic, episode.queue, episode.channel)
    line.said.events.add(row)


def _opens(line: Line, conversation: Conversation, event: Heard, given: Event) -> bool:
    """The first that is heard of a conversation, where it is a customer's message."""
    at = event.at
    if (
        event.author != "customer"
        or event.private
        or conversation.number
        or conversation.log.n
        or conversation.late
        or at < line.tenant.closed_until
        or line.now - at >= line.policy.silence
        or (not event.replay and event.received_at - at > DAY)
    ):
        return False
    line.hear(at)
    if event.sentiment is None:
        _stamp(event, given)
    episode, pane = begin(line, conversation, event)
    topic, sentiment, words, topics = _words(line, pane, episode.marks[0], episode, event, given)
    stand_first(line, conversation, episode, pane)
    conversation.log.add(at, event.id, (
        at, event.seq, event.id, "customer", event.author_id, event.queue, event.channel, event.customer, event.by,
        event.resolved, event.topic, event.score or 0, line.policy.goodbye(event.text), 1, sentiment, words, topics,
    ))  # fmt: skip
    line.touch(conversation, 1)
    _tell(line, episode, given, topic, sentiment)
    return True


# -- which are plain -------------------------------------------------------------------------------------------------


def _plain_message(line: Line, author: str | None, episode: Episode, at: int) -> bool:
    """Whether only what this file and `streams.strides` change can change by it."""
    if author == "bot":
        return not _may_engage(line, episode, at) or _only_waits(episode)
    if author == "customer":
        return episode.reply_at != NEVER or _waits(episode)
    if author != "agent" or episode.demand_at == NEVER:
        return False
    # one that takes an answered episode out of a queue is the definition's
    return episode.reply_at == NEVER or (episode.held is not None and episode.stay is None)


def _plain_other(kind: str | None, episode: Episode, event: Heard) -> bool:
    """The same of an event that is no message."""
    if kind == "assigned":
        return _plain_assigned(episode, event)
    if kind == "handoff":
        return episode.demand_at == NEVER and episode.engaged and not episode.spoken and _nobody_has(episode)
    return kind == "closed" and _plain_closed(episode, event)


def _may_engage(line: Line, episode: Episode, at: int) -> bool:
    """Whether a bot that speaks now may have the episode."""
    if episode.engaged or episode.asked or episode.spoken:
        return False
    return episode.first_customer_at == NEVER or at - episode.first_customer_at < line.policy.bot_window


def _only_waits(episode: Episode) -> bool:
    """Whether nothing has come of the customer's first message but a wait for a person."""
    return (
        episode.demand_at != NEVER
        and episode.demand_at == episode.first_customer_at
        and episode.queue == episode.demand_queue
        and not (episode.hints.engages or episode.hints.unasked or episode.hints.stayed)
        and _nobody_has(episode)
    )


def _nobody_has(episode: Episode) -> bool:
    """Whether no person has had it, nor left any trace of it."""
    return (
        episode.held is None
        and not episode.holds
        and not episode.stays
        and episode.reply_at == NEVER
        and episode.left_ms == NEVER
        and episode.assigned_at == NEVER
        and episode.handled_from == NEVER
        and episode.credit_queue is None
        and not (episode.reopen or episode.outbound or episode.transfers)
        and episode.score is None
        and episode.agent_topic is None
    )


def _waits(episode: Episode) -> bool:
    """Whether the customer has asked for a person already, or talks with a bot alone: one more message is a count."""
    if episode.unanswered_since == NEVER:
        return False
    return episode.demand_at != NEVER or (episode.engaged and not episode.hints.unasked and not episode.outbound)


def _plain_assigned(episode: Episode, event: Heard) -> bool:
    """It stays in its queue, and is not asked for by this."""
    if event.queue is not None and event.queue != episode.queue:
        return False
    if episode.demand_at == NEVER:
        return not episode.engaged or episode.spoken
    return episode.reply_at == NEVER or episode.stay is None


def _plain_closed(episode: Episode, event: Heard) -> bool:
    """No wait ends by it, and it teaches nothing."""
    return event.topic is None and (episode.reply_at != NEVER or episode.demand_at == NEVER)


# -- one more message ------------------------------------------------------------------------------------------------


Words = tuple[str | None, int | None, bytes, bytes]
"""What a message says: its likeliest topic; and as an entry keeps it, its sentiment, words and topics."""


def _customer(
    line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard, given: Event
) -> Words:
    at, queue = event.at, episode.queue
    minute = at - at % MINUTE
    if event.sentiment is None:
        _stamp(event, given)
    who = event.customer
    if who is not None:
        conversation.memory.customer = episode.customer = who
    elif episode.customer is None:
        conversation.memory.customer = episode.customer = event.author_id
    mark = marked(episode, queue, minute)
    pane = line.pane_now(stance, minute)
    counts = pane.counts
    episode.customer_messages += 1
    mark.messages += 1
    mark.customers += 1
    counts["messages"] = counts.get("messages", 0) + 1
    counts["customer_messages"] = counts.get("customer_messages", 0) + 1
    said = _words(line, pane, mark, episode, event, given)
    if episode.first_customer_at == NEVER:
        episode.first_customer_at = at
    if episode.unanswered_since == NEVER:
        episode.unanswered_since = at
        since = max(at, episode.demand_at)
        line.gauge(stance).turn(stance, since, since + episode.target_ms)
    return said


def _stamp(event: Heard, given: Event) -> None:
    stamp(given)
    event.sentiment, event.keywords = given.sentiment, given.keywords


def _words(line: Line, pane: PaneRow, mark: Mark, episode: Episode, event: Heard, given: Event) -> Words:
    """What a customer's words say, as `Fold` counts it."""
    sentiment: int | None = None
    if event.sentiment is not None:
        sentiment = round(1_000 * event.sentiment)
        counts = pane.counts
        episode.sentiment_n += 1
        mark.sentiment_n += 1
        counts["sentiment_n"] = counts.get("sentiment_n", 0) + 1
        if sentiment:
            episode.sentiment_sum += sentiment
            mark.sentiment_sum += sentiment
            line.mark(pane, SENTIMENT_SUM, sentiment)
            if sentiment < NEGATIVE:
                mark.add(NEGATIVES, 1)
                line.mark(pane, NEGATIVES, 1)
    keywords = event.keywords
    if not keywords and not event.gains:
        return None, sentiment, b"", b""
    words = hashed(keywords)
    topic, topics = line.read(given, words)
    if topics:
        line.count_topics(pane, mark, episode, topics)
    return topic, sentiment, words, topics


def _bot(line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard) -> None:
    at, queue = event.at, episode.queue
    minute = at - at % MINUTE
    if _may_engage(line, episode, at):
        engage(line, conversation, stance, episode, at)
    if event.customer is not None:
        conversation.memory.customer = episode.customer = event.customer
    mark = marked(episode, queue, minute)
    pane = line.pane_now(stance, minute)
    counts = pane.counts
    episode.bot_messages += 1
    mark.messages += 1
    mark.add(BOTS, 1)
    counts["messages"] = counts.get("messages", 0) + 1
    counts["bot_messages"] = counts.get("bot_messages", 0) + 1
    if episode.frt_any_ms == NEVER and episode.first_customer_at != NEVER:
        episode.frt_any_ms = at - episode.first_customer_at


def _agent(line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard) -> None:
    at, queue = event.at, episode.queue
    minute = at - at % MINUTE
    if event.customer is not None:
        conversation.memory.customer = episode.customer = event.customer
    mark = marked(episode, queue, minute)
    pane = line.pane_now(stance, minute)
    counts = pane.counts
    episode.agent_messages += 1
    mark.messages += 1
    mark.agents += 1
    counts["messages"] = counts.get("messages", 0) + 1
    counts["agent_messages"] = counts.get("agent_messages", 0) + 1
    if episode.frt_any_ms == NEVER and episode.first_customer_at != NEVER:
        episode.frt_any_ms = at - episode.first_customer_at
    if episode.reply_at == NEVER:
        answer(line, conversation, stance, episode, event)
    elif episode.unanswered_since != NEVER:
        episode.replies.append(at - episode.turn_start())
        episode.unanswered_since = NEVER
        line.gauge(stance).rest(stance, at if at > line.tenant.closed_until else NEVER)
