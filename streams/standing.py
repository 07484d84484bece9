"""What an episode is in the numbers as of a tick, and which counts follow. Pure. Source: METRICS §1 (cohort), §3–§7.

What can still change (outcome, wait, state) is told as a few plain values, reckoned whole from the episode and the
tick. Where they differ from what the numbers hold, that is withdrawn and the new is added; nothing needs an inverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from streams.episode import BACKLOG, Episode
from streams.policy import Policy
from streams.windows import NEVER, pane_of

if TYPE_CHECKING:
    from streams.gauges import Gauge

Key = tuple[str, str, int]
"""(queue, channel, minute)."""
Count = tuple[str, int, str, int]
"""(queue, minute, field, n)."""


@mypyc_attr(acyclic=True)
class Stance:
    """What an open episode is in the gauges."""

    __slots__ = ("agent", "channel", "due", "episode", "gauge", "opened", "queue", "since", "state", "waits_from")

    def __init__(
        self, queue: str, channel: str, state: str, agent: str | None, since: int, due: int, waits_from: int,
        opened: int, episode: int,
    ) -> None:  # fmt: skip
        self.queue = queue
        self.channel = channel
        self.state = state
        self.agent = agent
        self.since = since
        """Since when the turn that waits now has waited, in the backlog; else `NEVER`."""
        self.due = due
        """When that is over target."""
        self.waits_from = waits_from
        """`d`, where its first response is awaited and counts in the headline."""
        self.opened = opened
        self.episode = episode
        self.gauge: Gauge | None = None
        """The one of its queue and channel, once it was asked for."""

    def same(self, other: Stance) -> bool:
        """Whether nothing differs."""
        return (
            self.state == other.state
            and self.agent == other.agent
            and self.since == other.since
            and self.due == other.due
            and self.waits_from == other.waits_from
            and self.queue == other.queue
            and self.channel == other.channel
            and self.opened == other.opened
            and self.episode == other.episode
        )


@mypyc_attr(acyclic=True)
class Cohort:
    """What an episode with a `d` counts as. Instants and spans in ms. It is replaced, never changed."""

    __slots__ = ("connected", "credit", "demand_queue", "ended", "minute", "ms", "outcome", "reopen", "within")

    def __init__(
        self, demand_queue: str, credit: str, minute: int, outcome: str | None, ms: int, within: bool,
        connected: bool, reopen: bool, ended: int,
    ) -> None:  # fmt: skip
        self.demand_queue = demand_queue
        self.credit = credit
        self.minute = minute
        self.outcome = outcome
        self.ms = ms
        """The first response, where answered; else the wait so far as it ended, 0 while it lasts."""
        self.within = within
        """Answered within target; given up so soon that it is no miss; waiting for less than the target."""
        self.connected = connected
        self.reopen = reopen
        self.ended = ended
        """The pane in which the wait for the first response ended; `NEVER` while it lasts."""

    def same(self, other: Cohort | None) -> bool:
        """Whether nothing differs."""
        return other is not None and (
            self.outcome == other.outcome
            and self.ms == other.ms
            and self.within == other.within
            and self.connected == other.connected
            and self.ended == other.ended
            and self.minute == other.minute
            and self.demand_queue == other.demand_queue
            and self.credit == other.credit
            and self.reopen == other.reopen
        )


@mypyc_attr(acyclic=True)
class Standing:
    """What the numbers hold of an episode. It is replaced, never changed."""

    __slots__ = ("channel", "closing", "cohort", "rating")

    def __init__(
        self,
        channel: str = "",
        cohort: Cohort | None = None,
        closing: tuple[str, int, bool] | None = None,
        rating: tuple[str, int, int] | None = None,
    ) -> None:
        self.channel = channel
        self.cohort = cohort
        self.closing = closing
        """Queue, minute, resolved."""
        self.rating = rating
        """Queue, minute, score."""

    def same(self, other: Standing) -> bool:
        """Whether nothing differs."""
        return (
            self.channel == other.channel
            and (other.cohort is None if self.cohort is None else self.cohort.same(other.cohort))
            and self.closing == other.closing
            and self.rating == other.rating
        )


NOTHING: Final = Standing()


def credit(episode: Episode) -> str:
    """The queue that every cohort number of the episode counts in. METRICS §3."""
    return episode.credit_queue or episode.queue


def standing(episode: Episode, tick: int) -> Standing:
    """What an episode counts as, as of a tick."""
    closed, score = episode.closed_at, episode.score
    return Standing(
        episode.channel,
        None if episode.demand_at == NEVER else cohort(episode, tick),
        None if closed == NEVER else (episode.queue, pane_of(closed), bool(episode.resolved)),
        None if score is None else (episode.rated_queue, pane_of(episode.rated_at), score),
    )


def cohort(episode: Episode, tick: int) -> Cohort:
    """What an episode with a `d` counts as."""
    demand, target = episode.demand_at, episode.target_ms
    outcome = episode.outcome
    end = episode.reply_at
    if end == NEVER:
        end = episode.closed_at if episode.gone_at == NEVER else episode.gone_at
    ms = 0 if end == NEVER else end - demand
    if outcome == "answered":
        within = ms <= target
    elif outcome == "abandoned":
        within = ms <= episode.short_ms
    else:
        within = outcome == "waiting" and max(0, tick - demand) < target
    left = episode.left_ms
    return Cohort(
        episode.demand_queue, credit(episode), pane_of(demand), outcome, ms, within,
        left != NEVER and left <= target, episode.reopen, NEVER if end == NEVER else pane_of(end),
    )  # fmt: skip


def counts(one: Cohort) -> list[Count]:
    """The columns of `minutes` that a cohort counts in."""
    queue, minute, outcome = one.credit, one.minute, one.outcome
    out = [(one.demand_queue, minute, "arrivals", 1), (queue, minute, "offered", 1)]
    if one.connected:
        out.append((queue, minute, "connected", 1))
    if outcome == "answered":
        out.append((queue, minute, "answered", 1))
        if one.within:
            out.append((queue, minute, "answered_in_target", 1))
        out.append((queue, minute, "reopen_frt_n" if one.reopen else "frt_n", 1))
        if one.ms:
            out.append((queue, minute, "reopen_frt_sum_ms" if one.reopen else "frt_sum_ms", one.ms))
    elif outcome == "abandoned":
        out.append((queue, minute, "abandoned", 1))
        if one.within:
            out.append((queue, minute, "short_abandoned", 1))
    elif outcome == "waiting":
        out.append((queue, minute, "waiting", 1))
        if one.within:
            out.append((queue, minute, "undecided", 1))
    else:
        out.append((queue, minute, "closed_unanswered", 1))
    return out


def closing_counts(queue: str, minute: int, resolved: bool) -> list[Count]:
    """The columns that a closing counts in."""
    out = [(queue, minute, "closed", 1)]
    if resolved:
        out.append((queue, minute, "resolved", 1))
    return out


def rating_counts(queue: str, minute: int, score: int) -> list[Count]:
    """The columns that a rating counts in."""
    out = [(queue, minute, "ratings", 1), (queue, minute, "score_sum", score)]
    if score >= 4:
        out.append((queue, minute, "csat_good", 1))
    return out


def stance(episode: Episode) -> Stance | None:
    """What an open episode is in the gauges; None where it is closed."""
    if episode.closed_at != NEVER:
        return None
    state = episode.state
    since = episode.turn_start() if state in BACKLOG else NEVER
    return Stance(
        episode.queue,
        episode.channel,
        state,
        episode.held,
        since,
        NEVER if since == NEVER else since + episode.target_ms,
        episode.demand_at if state == "awaiting_first" and not episode.reopen else NEVER,
        episode.opened_at,
        episode.number,
    )


def next_change(episode: Episode, tick: int, policy: Policy) -> int:
    """The first instant after the tick at which the clock alone changes what an open episode counts as."""
    state = episode.state
    due = episode.due(policy, state)
    if state != "awaiting_first" or episode.demand_at == NEVER:
        return due
    decided = episode.demand_at + episode.target_ms
    return min(due, decided) if decided > tick else due
