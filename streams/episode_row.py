"""An episode as the row of table `episodes` that CONTRACT §4 describes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.calendars import business_ms
from streams.conversation import Conversation
from streams.episode import Episode
from streams.events import EpisodeRow, Hold
from streams.policy import Policy
from streams.standing import credit


def likeliest(gains: Mapping[int, int], names: Sequence[str]) -> str | None:
    """The topic with the greatest summed log-probability, of equals the first by name; None where none has any."""
    if not gains:
        return None
    return min((-gain, names[topic]) for topic, gain in gains.items())[1]


def row(conversation: Conversation, episode: Episode, policy: Policy, names: Sequence[str] = ()) -> EpisodeRow:
    """The episode as table `episodes` has it (CONTRACT §4). `names`: the topics by their number."""
    demand, reply, gone, closed = episode.demand_at, episode.reply_at, episode.gone_at, episode.closed_at
    outcome = episode.outcome
    frt = None if reply is None or demand is None else reply - demand
    calendar = policy.calendar(credit(episode))
    return EpisodeRow(
        tenant=conversation.tenant,
        conversation=conversation.id,
        episode=episode.number,
        version=conversation.version,
        channel=episode.channel,
        queue=episode.queue,
        credit_queue=credit(episode),
        customer=episode.customer,
        agent=episode.held or None,
        opened_at=episode.opened_at,
        demand_at=demand,
        first_reply_at=reply,
        first_reply_agent=episode.reply_agent,
        closed_at=closed,
        state=episode.state,
        outcome=outcome,
        reopen=episode.reopen,
        outbound=episode.outbound,
        frt_ms=frt,
        frt_business_ms=business_ms(calendar, demand, reply)
        if calendar and reply is not None and demand is not None
        else None,
        frt_customer_ms=episode.frt_customer_ms,
        frt_any_ms=episode.frt_any_ms,
        greeting_ms=episode.greeting_ms,
        handle_ms=closed - episode.handled_from if closed is not None and episode.handled_from is not None else None,
        abandon_wait_ms=gone - demand if outcome == "abandoned" and gone is not None and demand is not None else None,
        censored_wait_ms=closed - demand
        if outcome == "closed_unanswered" and closed is not None and demand is not None
        else None,
        reply_times_ms=list(episode.replies),
        queue_waits=list(episode.stays),
        queue_left_ms=episode.left_ms,
        waiting_since=episode.waiting_since,
        target_ms=episode.target_ms,
        short_ms=episode.short_ms,
        customer_messages=episode.customer_messages,
        agent_messages=episode.agent_messages,
        bot_messages=episode.bot_messages,
        transfers=episode.transfers,
        resolved=episode.resolved,
        csat=episode.score,
        topic=likeliest(episode.gains, names),
        agent_topic=episode.agent_topic,
        sentiment=episode.sentiment_sum / (1_000 * episode.sentiment_n) if episode.sentiment_n else None,
        holds=[Hold(hold.agent, hold.since, hold.until) for hold in episode.holds if hold.agent],
    )
