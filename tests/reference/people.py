"""Agents: their status log, the feed's rows, and `agents_by_hour` (METRICS §7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tests.conformance.cases import Row
from tests.reference.fold import Episode
from tests.reference.given import HOUR
from tests.reference.waits import ratio


@dataclass
class Span:
    """A stretch of time of one status and capacity. `until` None: still."""

    since: int
    until: int | None
    status: str
    capacity: int | None


def spans_of(events: list[Row]) -> list[Span]:
    """An agent's status log: a capacity holds until another is given."""
    spans: list[Span] = []
    capacity: int | None = None
    for event in events:
        capacity = event.get("capacity", capacity)
        if spans:
            spans[-1].until = event["at"]
        spans.append(Span(event["at"], None, event["status"], capacity))
    return spans


def since_of(spans: list[Span]) -> int:
    """When the present status began: repeating it begins nothing."""
    since = spans[-1].since
    for span in reversed(spans):
        if span.status != spans[-1].status:
            break
        since = span.since
    return since


def present(statuses: dict[str, list[Span]], episodes: Iterable[Episode]) -> list[Row]:
    """The feed's agents: everybody with a status, and who holds an open episode."""
    held: dict[str, list[str]] = defaultdict(list)
    for episode in episodes:
        if episode.closed_at is None and episode.row["agent"] is not None:
            held[episode.row["agent"]].append(episode.row["queue"])
    rows = []
    for agent in sorted({*statuses, *held}):
        spans = statuses.get(agent)
        rows.append(
            {
                "agent": agent,
                "queues": sorted(set(held[agent])),
                "status": spans[-1].status if spans else None,
                "open": len(held[agent]),
                "capacity": spans[-1].capacity if spans else None,
                "since": since_of(spans) if spans else None,
            }
        )
    return rows


def by_hour(statuses: dict[str, list[Span]], episodes: list[Episode], tick: int) -> list[Row]:
    """The rows of `agents_by_hour`: every hour in which an agent did, held or was there for anything."""
    hours: dict[tuple[str, int], Row] = defaultdict(lambda: defaultdict(int))
    _work(hours, episodes)
    holds: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for episode in episodes:
        for agent, since, until in episode.judged.routing.holds:
            holds[agent].append((since, until))
    for agent in {*statuses, *holds}:
        _time(hours, agent, statuses.get(agent, []), holds[agent], tick)
    return [{"agent": agent, "hour": hour, **_row(sums)} for (agent, hour), sums in sorted(hours.items())]


def _work(hours: dict[tuple[str, int], Row], episodes: list[Episode]) -> None:
    for episode in episodes:
        row = episode.row
        if row["frt_ms"] is not None and not row["reopen"] and row["first_reply_agent"] is not None:
            hour = hours[(row["first_reply_agent"], _hour(row["first_reply_at"]))]
            hour["first_replies"] += 1
            hour["frt_sum"] += row["frt_ms"]
        for said in episode.said:
            if said.author == "agent" and said.author_id is not None:
                hours[(said.author_id, _hour(said.at))]["messages"] += 1
        if row["handle_ms"] is not None and row["agent"] is not None:
            hour = hours[(row["agent"], _hour(row["closed_at"]))]
            hour["handled"] += 1
            hour["handle_sum"] += row["handle_ms"]


def _hour(at: int) -> int:
    return at // HOUR * HOUR


def _time(
    hours: dict[tuple[str, int], Row],
    agent: str,
    spans: list[Span],
    holds: list[tuple[int, int | None]],
    tick: int,
) -> None:
    """Add up held, busy and available time, stretch by stretch of one constant state, cut at the hours."""
    steps: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for since, until in holds:
        steps[since].append(("held", 1))
        steps[_until(since, until, tick)].append(("held", -1))
    for span in spans:
        if span.status in ("online", "busy"):
            for at, sign in ((span.since, 1), (_until(span.since, span.until, tick), -1)):
                steps[at].append(("online", sign))
                if span.capacity is not None:
                    steps[at] += [("rated", sign), ("capacity", sign * span.capacity)]
    state: dict[str, int] = defaultdict(int)
    times = sorted(steps)
    for at, following in pairwise(times):
        for name, change in steps[at]:
            state[name] += change
        if state["held"] or state["online"]:
            _spread(hours, agent, state, (at, following))


def _until(since: int, until: int | None, tick: int) -> int:
    return max(since, tick) if until is None else until


def _spread(hours: dict[tuple[str, int], Row], agent: str, state: dict[str, int], over: tuple[int, int]) -> None:
    low, end = over
    while low < end:
        high = min(end, _hour(low) + HOUR)
        span, hour = high - low, hours[(agent, _hour(low))]
        hour["held"] += state["held"] * span
        hour["holding"] += span if state["held"] else 0
        hour["online_ms"] += span if state["online"] else 0
        hour["busy"] += state["held"] * span if state["rated"] else 0
        hour["capacity"] += state["capacity"] * span
        low = high


def _row(sums: Row) -> Row:
    return {
        "first_replies": sums["first_replies"],
        "frt_avg_ms": ratio(sums["frt_sum"], sums["first_replies"]),
        "messages": sums["messages"],
        "handled": sums["handled"],
        "handle_avg_ms": ratio(sums["handle_sum"], sums["handled"]),
        "concurrency": ratio(sums["held"], sums["holding"]),
        "occupancy": ratio(sums["busy"], sums["capacity"]),
        "online_ms": sums["online_ms"],
    }
