from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from tests.conformance.cases import LATENESS_MS, Row, at_of, permuted
from tests.conformance.compare import disagreements
from tests.reference.given import arrive, scope_of
from tests.reference.metrics import calm, reckon
from tests.reference.streams import LIVELY, Stream, story, stream, streams
from tests.reference.tables import COUNTS

SEEDS = range(300)


def told(given_stream: Stream) -> Row:
    return reckon(given_stream.events, given_stream.settings, given_stream.tick)


def test_a_seed_always_tells_the_same_story() -> None:
    assert story(7) == story(7)
    assert stream(7, 500) == stream(7, 500)
    assert stream(7, 500) != stream(8, 500)


def test_stories_have_everything_in_them() -> None:
    seen = dict.fromkeys(("reopen", "outbound", "dropped", "short", "late", "business", "expired", "undecided"), 0)
    outcomes, states = set(), set()
    for seed in SEEDS:
        answer = told(story(seed))
        seen["late"] += len(answer["late"])
        for row in answer["minutes"]:
            for name, column in (("dropped", "dropped"), ("short", "short_abandoned"), ("undecided", "undecided")):
                seen[name] += row[column]
        for row in answer["episodes"]:
            outcomes.add(row["outcome"])
            states.add(row["state"])
            seen["reopen"] += row["reopen"]
            seen["outbound"] += row["outbound"]
            seen["business"] += row["frt_business_ms"] is not None
            seen["expired"] += row["closed_at"] == row["opened_at"] + 86_400_000
    assert outcomes == {"waiting", "with_bot", "answered", "abandoned", "closed_unanswered", "bot_only", None}
    assert states == {"with_bot", "awaiting_first", "awaiting_reply", "waiting_on_customer", "closed"}
    assert min(seen.values()) > 0, seen


def test_ids_are_unique_and_repeats_say_the_same() -> None:
    for seed in SEEDS:
        said: dict[tuple[str, str, str], Row] = {}
        for event in story(seed).events:
            assert said.setdefault((*scope_of(event), event["id"]), event) == event


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams())
def test_every_offered_one_is_answered_abandoned_closed_or_waiting(given_stream: Stream) -> None:
    answer = told(given_stream)
    for row in answer["minutes"]:
        parts = ("answered", "abandoned", "closed_unanswered", "waiting")
        assert row["offered"] == sum(row[part] for part in parts)
        assert row["frt_n"] + row["reopen_frt_n"] == row["answered"]
        assert row["messages"] >= row["customer_messages"] + row["agent_messages"] + row["bot_messages"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams())
def test_what_opened_and_moved_in_is_open_or_left_again(given_stream: Stream) -> None:
    answer = told(given_stream)
    for key in answer["live"]:
        rows = [row for row in answer["minutes"] if key["queue"] in ("*", row["queue"])]
        rows = [row for row in rows if key["channel"] in ("*", row["channel"])]
        sums = {name: sum(row[name] for row in rows) for name in COUNTS}
        assert key["open"] == sums["opened"] - sums["closed"] + sums["moved_in"] - sums["moved_out"]
        assert key["backlog"] == sum(key["ages"]) == key["awaiting_first"] + key["awaiting_reply"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams())
def test_arrivals_and_offered_are_the_same_in_all(given_stream: Stream) -> None:
    rows = told(given_stream)["minutes"]
    assert sum(row["arrivals"] for row in rows) == sum(row["offered"] for row in rows)


@pytest.mark.parametrize("seed", range(60))
def test_days_say_what_minutes_say(seed: int) -> None:
    answer = told(story(seed))
    for name, column in (("offered", "offered"), ("closed", "closed"), ("resolved", "resolved"), ("ratings", "csat_n")):
        assert sum(row[name] for row in answer["minutes"]) == sum(row[column] for row in answer["outcomes_by_day"])


@pytest.mark.parametrize("seed", range(60))
def test_any_order_that_is_not_late_tells_the_same(seed: int) -> None:
    one = story(seed)
    kept, _ = arrive(one.events)
    events = [event for some in kept.values() for event in some]
    shuffled = permuted(events, Random(seed))
    assert disagreements(reckon(events, one.settings, one.tick), reckon(shuffled, one.settings, one.tick)) == []


def test_a_calm_tick_has_no_closing_by_the_clock_just_before_it() -> None:
    moved = 0
    for seed in SEEDS:
        one = story(seed)
        tick = calm(one.events, one.settings, one.tick)
        moved += tick != one.tick
        before, after = (reckon(one.events, one.settings, at)["episodes"] for at in (tick - 80_000, tick))
        newest = max(event["at"] for event in one.events)
        closed = [sum(row["closed_at"] is not None for row in rows) for rows in (before, after)]
        assert closed[0] == closed[1] or newest > tick - 80_000
    assert moved > 0


def test_a_help_desk_day_is_reckoned_well_within_a_minute() -> None:
    events = stream(1)
    assert 19_000 <= len(events) <= 21_000
    assert len({event.get("conversation") for event in events}) > 1_000
    answer = reckon(events, {}, max(event["at"] for event in events) + LATENESS_MS)
    assert answer["late"]
    assert sum(row["offered"] for row in answer["minutes"]) > 1_000


def test_a_stream_is_disordered_within_the_lateness_but_for_the_late() -> None:
    newest, behind = 0, []
    for event in stream(2, 5_000):
        behind.append(newest - at_of(event))
        newest = max(newest, at_of(event))
    late = sum(one > LATENESS_MS for one in behind) / len(behind)
    assert sum(0 < one <= LATENESS_MS for one in behind) > 0
    assert 0 < late < (LIVELY.late + LIVELY.ancient + 10) / 100
