"""Episodes as rows of `minutes`, `outcomes_by_day` and `agents_by_hour` (METRICS §1, §7, CONTRACT §4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from tests.conformance.cases import Row
from tests.reference.clocks import day_of, pane_of
from tests.reference.fold import Conversation, Episode, Said
from tests.reference.given import DAY, HOUR
from tests.reference.waits import ratio, wilson

COUNTS = (
    "messages", "customer_messages", "agent_messages", "bot_messages", "opened", "closed", "moved_in", "moved_out",
    "arrivals", "offered", "answered", "answered_in_target", "abandoned", "short_abandoned", "closed_unanswered",
    "waiting", "undecided", "dropped", "frt_n", "frt_sum_ms", "reopen_frt_n", "reopen_frt_sum_ms", "resolved",
    "ratings", "csat_good", "score_sum",
)  # fmt: skip
"""The counter columns of `minutes` but the models' own."""
Key = tuple[str, str]
Panes = dict[tuple[str, str, int], dict[str, int]]
WINDOWS = {"24h": DAY, "72h": 3 * DAY, "7d": 7 * DAY}


def minutes(conversations: Iterable[Conversation], tick: int) -> Panes:
    """The counters of every (queue, channel, minute) in which anything was counted."""
    panes: Panes = defaultdict(lambda: defaultdict(int))
    for conversation in conversations:
        _count_said(panes, conversation.outside)
        for episode in conversation.episodes:
            _count_said(panes, episode.said)
            _count_course(panes, episode)
            _count_cohort(panes, episode, tick)
    return panes


def add(panes: Panes, key: Key, at: int, counts: dict[str, int]) -> None:
    """Add to the pane of a key that holds the instant."""
    pane = panes[(*key, pane_of(at))]
    for name, count in counts.items():
        pane[name] += count


def _count_said(panes: Panes, said: Iterable[Said]) -> None:
    for message in said:
        add(panes, (message.queue, message.channel), message.at, {"messages": 1})
        if message.author != "system":
            add(panes, (message.queue, message.channel), message.at, {f"{message.author}_messages": 1})


def _count_course(panes: Panes, episode: Episode) -> None:
    """What is counted when it happens: opening, moving, dropping, rating, closing."""
    opening, row = episode.opening, episode.row
    add(panes, (opening.queue, opening.channel), row["opened_at"], {"opened": 1})
    for at, old, new in episode.judged.routing.moves:
        add(panes, (old, opening.channel), at, {"moved_out": 1})
        add(panes, (new, opening.channel), at, {"moved_in": 1})
    for i in episode.judged.dropped:
        queue = episode.judged.routing.queues[i]
        add(panes, (queue, opening.channel), episode.events[i]["at"], {"dropped": 1})
    if episode.rated is not None:
        at, queue, score = episode.rated
        add(panes, (queue, opening.channel), at, {"ratings": 1, "csat_good": int(score >= 4), "score_sum": score})
    if row["closed_at"] is not None:
        add(panes, episode.key, row["closed_at"], {"closed": 1, "resolved": int(row["resolved"])})


def _count_cohort(panes: Panes, episode: Episode, tick: int) -> None:
    """What is counted in the minute of `d`: arrivals where it was then, the rest where the credit is."""
    d, verdict = episode.row["demand_at"], episode.judged
    if d is None or verdict.demand is None:
        return
    add(panes, (verdict.routing.queues[verdict.demand], episode.opening.channel), d, {"arrivals": 1})
    add(panes, episode.cohort, d, cohort_counts(episode.row, tick))


def cohort_counts(row: Row, tick: int) -> dict[str, int]:
    """What one episode with a `d` adds to its cohort."""
    outcome, frt = row["outcome"], row["frt_ms"]
    counts = {"offered": 1, outcome: 1}
    if outcome == "answered":
        sort = "reopen_frt" if row["reopen"] else "frt"
        counts |= {"answered_in_target": int(frt <= row["target_ms"]), f"{sort}_n": 1, f"{sort}_sum_ms": frt}
    if outcome == "abandoned":
        counts["short_abandoned"] = int(row["abandon_wait_ms"] <= row["short_ms"])
    if outcome == "waiting":
        counts["undecided"] = int(max(0, tick - row["demand_at"]) < row["target_ms"])
    return counts


def minute_rows(panes: Panes) -> list[Row]:
    """The panes as rows of `minutes`, those with nothing in them left out."""
    return [
        {"queue": queue, "channel": channel, "minute": minute, **{name: counts.get(name, 0) for name in COUNTS}}
        for (queue, channel, minute), counts in sorted(panes.items())
        if any(counts.values())
    ]


def outcomes_by_day(conversations: list[Conversation], settings: Row, tick: int) -> list[Row]:
    """The rows of `outcomes_by_day`: each share over the episodes that its day and queue have by its own rule."""
    zone = settings["zone"]
    offered, closed, rated = defaultdict(list), defaultdict(list), defaultdict(list)
    follows = {id(e): n for c in conversations for e, n in zip(c.episodes, [*c.episodes[1:], None], strict=False)}
    visits = _visits(conversations)
    for episode in (episode for conversation in conversations for episode in conversation.episodes):
        row = episode.row
        if row["demand_at"] is not None:
            offered[(*episode.cohort, day_of(row["demand_at"], zone))].append(episode)
        if row["closed_at"] is not None:
            closed[(*episode.key, day_of(row["closed_at"], zone))].append(episode)
        if episode.rated is not None:
            at, queue, score = episode.rated
            rated[(queue, episode.opening.channel, day_of(at, zone))].append(score)
    return [
        {
            "queue": key[0],
            "channel": key[1],
            "day": key[2],
            **_offered(offered.get(key, [])),
            **_closed(closed.get(key, []), follows, visits, tick),
            **_rated(rated.get(key, [])),
        }
        for key in sorted({*offered, *closed, *rated})
    ]


def _offered(episodes: list[Episode]) -> Row:
    return {
        "offered": len(episodes),
        "connect": ratio(sum(connected(e.row) for e in episodes), len(episodes)),
        "answered_only": answered_only(episodes),
    }


def connected(row: Row) -> bool:
    """Whether it left the queue within T."""
    return row["queue_left_ms"] is not None and row["queue_left_ms"] <= row["target_ms"]


def answered_only(episodes: list[Episode]) -> float | None:
    """Answered within T ÷ answered."""
    answered = [e.row for e in episodes if e.row["outcome"] == "answered"]
    return ratio(sum(row["frt_ms"] <= row["target_ms"] for row in answered), len(answered))


def _closed(
    episodes: list[Episode], follows: dict[int, Episode | None], visits: dict[tuple[str, str], list[int]], tick: int
) -> Row:
    demanded = [e for e in episodes if e.row["demand_at"] is not None]
    resolved = [e for e in episodes if e.row["resolved"]]
    answered = [e for e in episodes if e.row["outcome"] == "answered"]
    stayed = [e for e in demanded if e.row["resolved"] and not _reopened(e, follows[id(e)], 3 * DAY)]
    repeats = {}
    for name, window in WINDOWS.items():
        passed = [e for e in resolved if tick >= e.row["closed_at"] + window]
        repeats[f"repeat_contact_{name}"] = ratio(sum(_repeated(e, visits, window) for e in passed), len(passed))
    return {
        "closed": len(episodes),
        "resolved": len(resolved),
        "resolution_rate": ratio(len(stayed), len(demanded)),
        "reopen_rate": ratio(sum(_reopened(e, follows[id(e)], None) for e in resolved), len(resolved)),
        **repeats,
        "response_rate": ratio(sum(e.rated is not None for e in answered), len(answered)),
    }


def _reopened(episode: Episode, following: Episode | None, within: int | None) -> bool:
    if following is None or not following.opening.reopen:
        return False
    apart: int = following.row["opened_at"] - episode.row["closed_at"]
    return within is None or apart < within


def _visits(conversations: list[Conversation]) -> dict[tuple[str, str], list[int]]:
    """When each customer came, in order."""
    visits: dict[tuple[str, str], list[int]] = defaultdict(list)
    for conversation in conversations:
        for episode in conversation.episodes:
            if not episode.opening.outbound:
                visits[_who(episode)].append(episode.row["opened_at"])
    return {customer: sorted(times) for customer, times in visits.items()}


def _who(episode: Episode) -> tuple[str, str]:
    """The customer; where nobody said who that is, whoever is in this conversation."""
    if episode.customer is None:
        return "conversation", episode.opening.conversation
    return "customer", episode.customer


def _repeated(episode: Episode, visits: dict[tuple[str, str], list[int]], within: int) -> bool:
    """Whether the same customer came again at least an hour, and less than W, after the closing."""
    times = visits.get(_who(episode), [])
    soonest = bisect_left(times, episode.row["closed_at"] + HOUR)
    return soonest < len(times) and times[soonest] < episode.row["closed_at"] + within


def _rated(scores: list[int]) -> Row:
    good = sum(score >= 4 for score in scores)
    low, high = wilson(good, len(scores))
    return {"csat": ratio(good, len(scores)), "csat_n": len(scores), "csat_low": low, "csat_high": high}
