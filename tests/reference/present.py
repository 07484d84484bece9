"""The feed's key objects at a tick (METRICS §3, §4, §6, CONTRACT §2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.conformance.cases import Row
from tests.reference.clocks import midnight_of, pane_of
from tests.reference.fold import Conversation, Episode
from tests.reference.given import DAY, HOUR, MINUTE, SECOND, of_queue
from tests.reference.tables import COUNTS, Key, Panes, answered_only, connected
from tests.reference.waits import kaplan_meier, nearest_rank, ratio, wilson

STATES = ("with_bot", "awaiting_first", "awaiting_reply", "waiting_on_customer")
BANDS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, DAY)
DRAIN_S = 1_800


def live(conversations: list[Conversation], panes: Panes, settings: Row, tick: int) -> list[Row]:
    """A key object for every queue and channel, and for their sums, `*` for all."""
    episodes = [episode for conversation in conversations for episode in conversation.episodes]
    now, cohorts, found = _by_key(episodes, panes)
    sums: dict[Key, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for (queue, channel, minute), counts in panes.items():
        for key in scopes((queue, channel)):
            for name, count in counts.items():
                sums[key][minute][name] += count
    return [_key(key, now[key], cohorts[key], sums[key], settings, tick) for key in sorted(found)]


def scopes(key: Key) -> list[Key]:
    """The key and the sums it belongs to."""
    queue, channel = key
    return [key, (queue, "*"), ("*", channel), ("*", "*")]


def _by_key(
    episodes: Iterable[Episode], panes: Panes
) -> tuple[dict[Key, list[Episode]], dict[Key, list[Episode]], set[Key]]:
    """Open episodes by where they are, those with a `d` by where their credit is, and every key there is."""
    now: dict[Key, list[Episode]] = defaultdict(list)
    cohorts: dict[Key, list[Episode]] = defaultdict(list)
    found = {key for queue, channel, _ in panes for key in scopes((queue, channel))} | {("*", "*")}
    for episode in episodes:
        if episode.closed_at is None:
            for key in scopes(episode.key):
                now[key].append(episode)
        if episode.row["demand_at"] is not None:
            for key in scopes(episode.cohort):
                cohorts[key].append(episode)
    return now, cohorts, found | {*now} | {*cohorts}


def _key(
    key: Key,
    episodes: list[Episode],
    cohort: list[Episode],
    panes: dict[int, dict[str, int]],
    settings: Row,
    tick: int,
) -> Row:
    pane = pane_of(tick)
    starts = {"1m": pane, "5m": pane - 4 * MINUTE, "30m": pane - 29 * MINUTE}
    starts["today"] = pane_of(midnight_of(tick, settings["zone"]))
    windows = {name: _window(cohort, panes, start, pane + MINUTE, tick) for name, start in starts.items()}
    backlog = _backlog(episodes, tick)
    excess = windows["30m"]["closed"] - windows["30m"]["offered"]
    queue = key[0] if key[0] != "*" else ""
    return {
        "queue": key[0],
        "channel": key[1],
        "open": len(episodes),
        **{state: sum(e.row["state"] == state for e in episodes) for state in STATES},
        **backlog,
        "drain_s": backlog["backlog"] * DRAIN_S / excess if excess > 0 else None,
        "targets": {"target_ms": round(of_queue(settings, queue, "target_s") * SECOND)},
        "windows": windows,
    }


def _backlog(episodes: list[Episode], tick: int) -> Row:
    waiting = [e for e in episodes if e.row["waiting_since"] is not None]
    ages = [max(0, tick - e.row["waiting_since"]) for e in waiting]
    bands = [0] * 6
    for age in ages:
        bands[sum(age >= border for border in BANDS)] += 1
    return {
        "backlog": len(waiting),
        "unassigned": sum(e.row["agent"] is None for e in waiting),
        "over_target": sum(age >= e.row["target_ms"] for e, age in zip(waiting, ages, strict=True)),
        "oldest_ms": max(ages, default=None),
        "ages": bands,
    }


def _window(cohort: list[Episode], panes: dict[int, dict[str, int]], start: int, end: int, tick: int) -> Row:
    """All counters of `[start, end)`, and what is derived from them."""
    sums = dict.fromkeys(COUNTS, 0)
    for minute, counts in panes.items():
        if start <= minute < end:
            for name, count in counts.items():
                sums[name] += count
    inside = [e for e in cohort if start <= e.row["demand_at"] < end]
    frts = [e.row["frt_ms"] for e in inside if e.row["frt_ms"] is not None and not e.row["reopen"]]
    low, high = wilson(sums["csat_good"], sums["ratings"])
    judged = sums["offered"] - sums["short_abandoned"]
    return {
        **sums,
        "frt_avg_ms": ratio(sums["frt_sum_ms"], sums["frt_n"]),
        "frt_p50_ms": nearest_rank(frts, 0.5),
        "frt_p90_ms": nearest_rank(frts, 0.9),
        **_estimates(cohort, start, end, tick),
        "service_level": ratio(sums["answered_in_target"], judged - sums["undecided"]),
        "connect": ratio(sum(connected(e.row) for e in inside), len(inside)),
        "answered_only": answered_only(inside),
        "provisional": sums["undecided"] > 0,
        "abandon_rate": ratio(sums["abandoned"] - sums["short_abandoned"], judged),
        "csat": ratio(sums["csat_good"], sums["ratings"]),
        "csat_low": low,
        "csat_high": high,
    }


def _estimates(cohort: list[Episode], start: int, end: int, tick: int) -> Row:
    """Kaplan–Meier over the waits that touch the window, the reopened left out."""
    answered: list[int] = []
    censored: list[int] = []
    for row in (e.row for e in cohort if not e.row["reopen"]):
        wait = length(row, tick)
        if row["demand_at"] < end and row["demand_at"] + wait >= start:
            (answered if row["outcome"] == "answered" else censored).append(wait)
    result: Row = {"frt_km_n": len(answered) + len(censored)}
    for name, q in (("p50", 0.5), ("p90", 0.9)):
        value, beyond = kaplan_meier(answered, censored, q)
        result |= {f"frt_{name}_km_ms": value, f"frt_{name}_km_censored": beyond}
    return result


def length(row: Row, tick: int) -> int:
    """How long the wait for the first response was, or is by now."""
    for name in ("frt_ms", "abandon_wait_ms", "censored_wait_ms"):
        if row[name] is not None:
            return int(row[name])
    return max(0, tick - int(row["demand_at"]))
