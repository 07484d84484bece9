"""An episode as the row of table `episodes` that CONTRACT §4 describes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.calendars import business_ms
from streams.conversation import Conversation
from streams.episode import BACKLOG, Episode
from streams.events import FORMULA, EpisodeRow
from streams.policy import Policy
from streams.standing import credit
from streams.windows import NEVER, known


def likeliest(gains: Mapping[int, int] | None, names: Sequence[str]) -> str | None:
    """The topic with the greatest summed log-probability, of equals the first by name; None where none has any."""
    if not gains:
        return None
    return min((-gain, names[topic]) for topic, gain in gains.items())[1]


def row(conversation: Conversation, episode: Episode, policy: Policy, names: Sequence[str] = ()) -> EpisodeRow:
    """The episode as table `episodes` has it (CONTRACT §4), to be encoded before the episode goes on.

    `names`: the topics by their number.
    """
    demand, reply, gone, closed = episode.demand_at, episode.reply_at, episode.gone_at, episode.closed_at
    outcome = episode.outcome
    frt = None if NEVER in (reply, demand) else reply - demand
    credited, state = credit(episode), episode.state
    calendar = policy.calendar(credited)
    waited = None if outcome != "abandoned" or NEVER in (gone, demand) else gone - demand
    unanswered = None if outcome != "closed_unanswered" or NEVER in (closed, demand) else closed - demand
    business = None
    if calendar and frt is not None:
        business = business_ms(calendar, demand, reply)
    return EpisodeRow(  # by place: names cost as much as all the rest, and there is a row for every third event
        conversation.tenant, conversation.id, episode.number, conversation.version, False, episode.channel,
        episode.queue, credited, episode.customer, episode.held or None, episode.opened_at, known(demand), known(reply),
        episode.reply_agent, known(closed), state, outcome, episode.reopen, episode.outbound, frt, business,
        known(episode.frt_customer_ms), known(episode.frt_any_ms), known(episode.greeting_ms),
        None if NEVER in (closed, episode.handled_from) else closed - episode.handled_from, waited, unanswered,
        episode.replies, episode.stays, known(episode.left_ms), episode.turn_start() if state in BACKLOG else None,
        known(episode.target_ms), known(episode.short_ms), episode.customer_messages, episode.agent_messages,
        episode.bot_messages, episode.transfers, episode.resolved, episode.score,
        likeliest(episode.gains, names), episode.agent_topic,
        episode.sentiment_sum / (1_000 * episode.sentiment_n) if episode.sentiment_n else None, FORMULA,
        [hold for hold in episode.holds if hold.agent],
    )  # fmt: skip
