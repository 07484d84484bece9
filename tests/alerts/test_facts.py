"""People needed: by Erlang-A where the work is known, checked against customers simulated one by one."""

from __future__ import annotations

import heapq
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.facts import SOON_S, Siblings, around, facts_of, feeling_of, impact_of, staffing
from tests.alerts.build import BACKLOG, key, rules

WORK = {"arrivals_per_min": 6.0, "handle_s": 300.0, "patience_s": 200.0}
TARGETS = {"target_ms": 60_000, "service_level": 0.8}


def answered_in_target(people: int, each: int, work: dict[str, float], target_s: float, n: int = 40_000) -> float:
    """The share answered in time, first come first served, each with `each` conversations at once."""
    rng = random.Random(3)
    free, now, good = [0.0] * (people * each), 0.0, 0
    for _ in range(n):
        now += rng.expovariate(work["arrivals_per_min"] / 60)
        start = max(free[0], now)
        if start - now > rng.expovariate(1 / work["patience_s"]):
            continue
        heapq.heapreplace(free, start + rng.expovariate(1 / work["handle_s"]))
        good += start - now <= target_s
    return good / n


@pytest.mark.parametrize(("arrivals", "each", "staff"), [(6.0, 1, 4), (6.0, 3, 2), (40.0, 2, 30), (1.0, 1, 1)])
def test_so_many_more_are_enough_and_two_fewer_are_not(arrivals: float, each: int, staff: int) -> None:
    work = {**WORK, "arrivals_per_min": arrivals}
    needed, _ = staffing(work, TARGETS, 0, staff, staff * each)
    assert needed > 0
    assert answered_in_target(staff + needed, each, work, 60.0) >= 0.77
    assert answered_in_target(staff + needed - 2, each, work, 60.0) < 0.80


def test_a_backlog_is_gone_soon_with_so_many_more() -> None:
    needed, plus = staffing({**WORK, "arrivals_per_min": 1.0}, TARGETS, 60, 8, 8)
    assert plus["1"] is not None
    assert plus["2"] is not None
    assert plus["1"] > plus["2"] > SOON_S
    assert plus[str(needed)] is not None
    assert (
        (plus[str(needed)] or 0)
        <= SOON_S
        < (staffing({**WORK, "arrivals_per_min": 1.0}, TARGETS, 60, 8, 8)[1]["2"] or 0)
    )


def test_nobody_more_is_needed_where_all_is_well() -> None:
    assert staffing({**WORK, "arrivals_per_min": 0.2}, TARGETS, 0, 5, 3)[0] == 0
    assert staffing({**WORK, "arrivals_per_min": 0.0}, TARGETS, 0, 5, 0)[0] == 0


@given(
    work=st.fixed_dictionaries(
        {
            "arrivals_per_min": st.floats(0, 5_000),
            "handle_s": st.floats(0, 100_000),
            "patience_s": st.floats(0.5, 100_000),
        }
    ),
    target_ms=st.integers(0, 10**8),
    backlog=st.integers(0, 10_000),
    staff=st.integers(1, 500),
    held=st.integers(0, 5_000),
)
@settings(deadline=None)
def test_whatever_the_work_is_like_people_are_reckoned(
    work: dict[str, float], target_ms: int, backlog: int, staff: int, held: int
) -> None:
    needed, plus = staffing(work, {**TARGETS, "target_ms": target_ms}, backlog, staff, held)
    assert needed >= 0
    assert all(span is None or span >= 0 for span in plus.values())


def test_work_that_takes_no_time_needs_nobody() -> None:
    for handle_s in (0.0, 5e-324, 1e-40, 0.0009):
        assert staffing({**WORK, "handle_s": handle_s}, TARGETS, 60, 8, 8) == (0, {"1": 0, "2": 0})


def test_a_flood_is_reckoned_in_no_time() -> None:
    began = time.process_time()
    needed, _ = staffing(
        {"arrivals_per_min": 20_000.0, "handle_s": 900.0, "patience_s": 60_000.0}, TARGETS, 9_999, 9, 9
    )
    assert needed > 100_000
    assert time.process_time() - began < 3.0


def at_work(*agents: dict[str, Any]) -> tuple[int, int]:
    key = {"tenant": "shop", "queue": "billing", "channel": "*"}
    given = [{"tenant": "shop", "queues": ["billing"], "capacity": None, **agent} for agent in agents]
    return Siblings([], given).at_work(key)


def test_who_holds_a_conversation_while_nobody_tells_a_status_is_at_work() -> None:
    assert at_work({"status": "online", "open": 3}, {"status": "away", "open": 2}, {"status": None, "open": 2}) == (
        2,
        5,
    )
    assert at_work({"status": None, "open": 0}, {"status": "busy", "open": 1, "queues": ["sales"]}) == (0, 0)


def test_without_the_works_length_it_is_reckoned_from_what_was_closed() -> None:
    key = {"windows": {"30m": {"closed": 60, "offered": 60}}, "backlog": 30, "targets": TARGETS}
    assert impact_of(key, 2, 4)["agents_needed"] == 2
    known = impact_of({**key, "work": WORK}, 2, 4)
    assert known["agents_needed"] > 10
    assert set(known["drain_plus"]) == {"1", "2", str(known["agents_needed"])}


def test_how_customers_sound_is_told_against_the_rest_of_the_day() -> None:
    windows = {
        "5m": {"sentiment_sum": -6.0, "sentiment_n": 20},
        "today": {"sentiment_sum": 14.0, "sentiment_n": 220},
    }
    assert feeling_of({"windows": windows}) == {"sentiment": -0.3, "sentiment_change": -0.4}
    assert feeling_of({}) == {"sentiment": None, "sentiment_change": None}


def test_who_is_told_of_bad_feelings_reads_what_is_said_and_who_is_told_of_a_backlog_does_not() -> None:
    heard = key(
        keywords=[{"keyword": "没到账"}], samples=["三天了还没到账"],
        windows={"5m": {"sentiment_sum": -6.0, "sentiment_n": 20}, "today": {"sentiment_sum": -6.0, "sentiment_n": 20}},
    )  # fmt: skip
    (feeling,) = rules("- {name: cross, metric: sentiment, fire: '< -0.2'}").rules
    (backlog,) = rules(BACKLOG).rules
    facts = facts_of(feeling, heard, -0.3, Siblings([heard]))
    assert (facts.keywords, facts.samples, facts.low) == (("没到账",), ("三天了还没到账",), -0.2)
    assert facts.impact["sentiment"] == -0.3
    assert facts_of(backlog, heard, 30, Siblings([heard])).samples == ()


def test_how_much_is_written_and_how_many_are_at_work_are_told_where_they_are_known() -> None:
    here = key(volume={"rate_per_min": 9.0, "expected": 4.0})
    person = {"tenant": "shop", "agent": "a", "queues": ["returns"], "open": 1}
    unknown = around(here, Siblings([here], [{**person, "status": None}]))
    assert unknown == {"rate_per_min": 9.0, "usual_per_min": 4.0, "at_work": None}
    assert around(here, Siblings([here], [{**person, "status": "online"}]))["at_work"] == 1
    assert around(here, Siblings([here], [{**person, "status": "away"}]))["at_work"] == 0
