"""The plain steps that change what an episode stands for: begun, taken, answered, closed. For `streams.quick` alone.

Each does what the definition would come to for an event in order, in the order in which it would: the counts that are
no more are taken away, then the new ones are added. Nothing else of the episode can have changed, so nothing else is
reckoned.
"""

from __future__ import annotations

from heapq import heappush
from typing import Final, cast

from streams.conversation import Conversation
from streams.episode import NO_HINTS, OPENED, Episode, Hints, Mark
from streams.events import Hold, PaneRow
from streams.gauges import bump
from streams.heard import Heard
from streams.line import Line
from streams.standing import Cohort, Stance, Standing
from streams.waits import bucket, put
from streams.windows import MINUTE, NEVER

ENGAGES: Final = Hints(engages=True)
NOBODY: Final = Cohort("", "", 0, None, 0, False, False, False, NEVER)


def begin(line: Line, conversation: Conversation, event: Heard) -> tuple[Episode, PaneRow]:
    """The first episode of a conversation, and the pane it opens in. What it stands for: `stand_first`."""
    at, memory, policy = event.at, conversation.memory, line.policy
    memory.customer = event.author_id if event.customer is None else event.customer
    before = memory.copy()
    queue = memory.queue = event.queue or memory.queue
    channel = memory.channel = event.channel or memory.channel
    minute = at - at % MINUTE
    episode = Episode(1, 0, before, NO_HINTS, channel, queue, at, reopen=False, outbound=False)
    episode.customer = memory.customer
    episode.first_customer_at = episode.demand_at = episode.unanswered_since = episode.last_at = at
    episode.demand_queue, episode.stay = queue, (queue, at)
    episode.target_ms, episode.short_ms = policy.target(queue), policy.short(queue)
    episode.customer_messages = 1
    mark = episode.mark = Mark(queue, minute)
    mark.messages, mark.customers, mark.more = 1, 1, {OPENED: 1}
    episode.marks.append(mark)
    conversation.number = 1
    conversation.begin(episode)
    conversation.greatest_at = at
    conversation.clock = max(conversation.clock, line.now)
    conversation.version = line.position
    pane = line.hot.get((queue, channel, minute)) or line.pane((queue, channel, minute))
    counts = pane.counts
    counts["opened"] = counts.get("opened", 0) + 1
    counts["messages"] = counts.get("messages", 0) + 1
    counts["customer_messages"] = counts.get("customer_messages", 0) + 1
    return episode, pane


def stand_first(line: Line, conversation: Conversation, episode: Episode, pane: PaneRow) -> None:
    """Let the numbers know of an episode that begins with the customer waiting."""
    at, queue, channel, target = episode.opened_at, episode.queue, episode.channel, episode.target_ms
    within = max(0, line.now - at) < target
    cohort = Cohort(queue, queue, pane.minute, "waiting", 0, within, False, False, NEVER)
    conversation.standings.append(Standing(channel, cohort))
    counts = pane.counts
    bump(counts, "arrivals", 1)
    bump(counts, "offered", 1)
    bump(counts, "waiting", 1)
    if within:
        bump(counts, "undecided", 1)
    stance = Stance(queue, channel, "awaiting_first", None, at, at + target, at, at, 1)
    conversation.stance = stance
    line.gauge(stance).add(stance)
    due = at + line.policy.expire_backlog
    conversation.wake = min(due, at + target) if at + target > line.now else due
    heappush(line.deadlines, (conversation.wake, conversation.id))
    line.closed.pop(conversation.id, None)


def engage(line: Line, conversation: Conversation, stance: Stance, episode: Episode, at: int) -> None:
    """A bot answers soon enough: it had the episode from the start, and nobody was asked for."""
    episode.demand_at, episode.demand_queue, episode.stay = NEVER, "", None
    episode.target_ms = episode.short_ms = NEVER
    episode.engaged, episode.hints = True, ENGAGES
    _restand(line, conversation, episode, None)
    new = Stance(stance.queue, stance.channel, "with_bot", None, NEVER, NEVER, NEVER, stance.opened, stance.episode)
    gauge = line.gauge(stance)
    gauge.shift(stance, new)
    new.gauge = gauge
    if at > line.tenant.closed_until:
        gauge.leave(at, stance.since)
    conversation.stance = new


def ask(line: Line, conversation: Conversation, stance: Stance, episode: Episode, at: int) -> None:
    """The bot hands over: from here on a person is needed."""
    queue, policy = episode.queue, line.policy
    target = policy.target(queue)
    episode.demand_at, episode.demand_queue, episode.stay, episode.asked = at, queue, (queue, at), True
    episode.target_ms, episode.short_ms = target, policy.short(queue)
    within = max(0, line.now - at) < target
    _restand(
        line, conversation, episode, Cohort(queue, queue, at - at % MINUTE, "waiting", 0, within, False, False, NEVER)
    )
    new = Stance(queue, stance.channel, "awaiting_first", None, at, at + target, at, stance.opened, stance.episode)
    gauge = line.gauge(stance)
    gauge.shift(stance, new)
    new.gauge = gauge
    conversation.stance = new


def _restand(line: Line, conversation: Conversation, episode: Episode, cohort: Cohort | None) -> None:
    old = conversation.standings[-1]
    new = Standing(episode.channel, cohort, old.closing, old.rating)
    conversation.standings[-1] = new
    line.apply(old, new)


def take(line: Line, conversation: Conversation, stance: Stance, episode: Episode, at: int, agent: str) -> None:
    """A person takes an episode whose wait is not over."""
    if _out_of_queue(episode, at) and episode.left_ms <= episode.target_ms:
        _connect(line, conversation, episode)
    _hand_over(line, stance, episode, at, agent)


def _out_of_queue(episode: Episode, at: int) -> bool:
    """End the stay in a queue. True: that is when the episode left it, seen from `d`."""
    if episode.stay is None:
        return False
    queue, since = episode.stay
    episode.stays.append((queue, at - since))
    episode.stay = None
    if episode.demand_at == NEVER or episode.left_ms != NEVER:
        return False
    episode.left_ms = at - episode.demand_at
    return True


def _connect(line: Line, conversation: Conversation, episode: Episode) -> None:
    old = conversation.standings[-1]
    one = old.cohort
    if one is None:
        return
    connected = Cohort(
        one.demand_queue, one.credit, one.minute, one.outcome, one.ms, one.within, True, one.reopen, one.ended
    )
    conversation.standings[-1] = Standing(old.channel, connected, old.closing, old.rating)
    bump(line.pane((one.credit, episode.channel, one.minute)).counts, "connected", 1)


def _hand_over(line: Line, stance: Stance, episode: Episode, at: int, agent: str | None) -> None:
    if episode.held == agent:
        return
    if episode.holds and episode.holds[-1].until is None:
        episode.holds[-1].until = at
    if agent is not None:
        episode.holds.append(Hold(agent, at, None))
    episode.held = agent
    if stance.agent:
        line.hold(stance, -1)
    line.gauge(stance).take(stance, agent)
    if agent:
        line.hold(stance, 1)


def answer(line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard) -> None:
    """The first reply."""
    at = event.at
    if episode.held is None or episode.stay is not None:
        _out_of_queue(episode, at)
        _hand_over(line, stance, episode, at, event.author_id)
    if episode.handled_from == NEVER:
        episode.handled_from = at
    if not episode.spoken:
        episode.spoken = True
        if episode.assigned_at != NEVER:
            episode.greeting_ms = at - episode.assigned_at
    episode.reply_at, episode.reply_agent, episode.credit_queue = at, event.author_id, episode.queue
    if episode.first_customer_at != NEVER:
        episode.frt_customer_ms = at - episode.first_customer_at
    episode.replies.append(at - episode.turn_start())
    episode.unanswered_since = NEVER
    _stand_answered(line, conversation, episode)
    line.gauge(stance).rest(stance, at if at > line.tenant.closed_until else NEVER)


def _stand_answered(line: Line, conversation: Conversation, episode: Episode) -> None:
    old, queue, channel, at = conversation.standings[-1], episode.queue, episode.channel, episode.last_at
    was = old.cohort or NOBODY
    ms, target, left, ended = at - episode.demand_at, episode.target_ms, episode.left_ms, at - at % MINUTE
    within, connected = ms <= target, left != NEVER and left <= target
    new = Cohort(was.demand_queue, queue, was.minute, "answered", ms, within, connected, was.reopen, ended)
    conversation.standings[-1] = Standing(channel, new, old.closing, old.rating)
    pane = line.pane((queue, channel, was.minute))
    counts = pane.counts
    bump(counts, "waiting", -1)
    if was.within:
        bump(counts, "undecided", -1)
    if connected and not was.connected:
        bump(counts, "connected", 1)
    bump(counts, "answered", 1)
    if within:
        bump(counts, "answered_in_target", 1)
    bump(counts, "reopen_frt_n" if was.reopen else "frt_n", 1)
    if ms:
        bump(counts, "reopen_frt_sum_ms" if was.reopen else "frt_sum_ms", ms)
    if not was.reopen:
        pane.frt_hist = put(cast(bytes, pane.frt_hist), bucket(ms))
        pane = line.pane((queue, channel, ended))
        pane.answered_waits = put(cast(bytes, pane.answered_waits), ms)


def close(line: Line, conversation: Conversation, stance: Stance, episode: Episode, event: Heard) -> None:
    """It is closed, and no wait for a first reply with it."""
    at, queue = event.at, episode.queue
    by, resolved = event.by or ("agent" if event.agent else "system"), event.resolved
    if resolved is None:
        resolved = episode.reply_at != NEVER and by in ("agent", "customer")
    episode.closed_at, episode.resolved, episode.stay = at, resolved, None
    if episode.holds and episode.holds[-1].until is None:
        episode.holds[-1].until = at
    minute, old = at - at % MINUTE, conversation.standings[-1]
    conversation.standings[-1] = Standing(old.channel, old.cohort, (queue, minute, resolved), old.rating)
    counts = line.pane((queue, episode.channel, minute)).counts
    bump(counts, "closed", 1)
    if resolved:
        bump(counts, "resolved", 1)
    gauge = line.gauge(stance)
    gauge.withdraw(stance)
    if at > line.tenant.closed_until:
        gauge.leave(at, stance.since)
    if stance.agent:
        line.hold(stance, -1)
    conversation.stance, conversation.wake = None, -1
    line.closed.pop(conversation.id, None)
    line.closed[conversation.id] = None
