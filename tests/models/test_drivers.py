from __future__ import annotations

import heapq
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaincc  # type: ignore[import-untyped]  # scipy ships no types

from models.drivers import (
    OTHER,
    _late,
    agents_needed,
    drain_plus,
    drain_s,
    drivers,
    erlang_a,
    keywords,
    log_likelihood,
)

parts = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1e6), max_size=8)


@given(parts, parts, st.floats(0, 1e7), st.floats(0, 1e7))
def test_the_parts_sum_to_the_excess(
    seen: dict[str, float], expected: dict[str, float], total: float, usual: float
) -> None:
    found = drivers(seen, expected, total, usual)
    assert math.fsum(driver.excess for driver in found) == pytest.approx(total - usual, abs=1e-6)


def test_the_greatest_excess_comes_first_and_the_rest_is_other() -> None:
    seen = {"refund": 90.0, "login": 22.0, "size": 9.0}
    expected = {"refund": 10.0, "login": 20.0, "size": 10.0}
    found = drivers(seen, expected, 121.0, 40.0, most=1)
    assert [(d.value, d.excess) for d in found] == [("refund", 80.0), (OTHER, 1.0)]
    assert found[0].share == pytest.approx(80 / 81)


def test_words_rise_by_what_is_usual_not_by_how_common_they_are() -> None:
    usual = {"the": 5000.0, "cancelled": 20.0, "flight": 300.0, "hello": 900.0}
    now = {"the": 500, "cancelled": 60, "flight": 90, "hello": 60, "typo": 2}
    assert keywords(now, usual) == ["cancelled", "flight"]
    assert keywords({"the": 500, "hello": 92}, usual) == []
    assert keywords({}, {}) == []


def _simulate(arrivals: float, handling: float, patience: float, servers: int, target: float, n: int) -> float:
    """The share that is not answered within the target, customer by customer, first come first served."""
    rng = random.Random(7)
    free, now, late = [0.0] * servers, 0.0, 0
    for _ in range(n):
        now += rng.expovariate(arrivals)
        start = max(free[0], now)
        if start - now > rng.expovariate(1.0 / patience):
            late += 1
            continue
        heapq.heapreplace(free, start + rng.expovariate(1.0 / handling))
        late += start - now > target
    return late / n


@pytest.mark.parametrize("servers", [18, 20, 23])
def test_erlang_a_agrees_with_a_simulation(servers: int) -> None:
    args = (1 / 15.0, 300.0, 240.0, servers, 60.0)
    assert erlang_a(*args).wait_over == pytest.approx(_simulate(*args, 60_000), abs=0.03)


def test_enough_agents_are_enough_and_one_fewer_is_not() -> None:
    need = agents_needed(4.0, 300.0, 2.0, 240.0, 60.0, 0.8)
    assert _simulate(4 / 60, 300.0, 240.0, need * 2, 60.0, 60_000) <= 0.22
    assert _simulate(4 / 60, 300.0, 240.0, (need - 1) * 2, 60.0, 60_000) > 0.18
    assert agents_needed(0.0, 300.0, 2.0, 240.0, 60.0, 0.8) == 0


@pytest.mark.parametrize("per_min", [0.3, 7.0, 180.0, 10_000.0])
@pytest.mark.parametrize("goal", [0.5, 0.8, 0.995])
@pytest.mark.parametrize(
    ("handling", "each", "patience"), [(20.0, 1.0, 15.0), (220.0, 1.0, 600.0), (220.0, 7.5, 600.0)]
)
def test_with_as_many_as_are_needed_the_goal_is_met_and_with_one_fewer_it_is_not(
    per_min: float, goal: float, handling: float, each: float, patience: float
) -> None:
    need = agents_needed(per_min, handling, each, patience, 60.0, goal)
    late = [
        erlang_a(per_min / 60, handling, patience, max(round(n * each), 1), 60.0).wait_over for n in (need, need - 1)
    ]
    assert late[0] <= 1.0 - goal
    assert late[1] > 1.0 - goal or need == 1


@pytest.mark.parametrize(("first", "pace", "target"), [(0, 0.5, 60.0), (0, 170.0, 60.0), (9_000, 170.0, 60.0)])
def test_what_is_all_but_certain_of_a_wait_is_what_reckoning_says(first: int, pace: float, target: float) -> None:
    theta = 1 / 600.0
    each = 1.0 / (pace + theta * np.arange(first + 4_000))
    mean, variance = np.cumsum(each)[first:], np.cumsum(each * each)[first:]
    later = gammaincc(mean * mean / variance, target * mean / variance)
    expected = 1.0 - (1.0 - later) * np.exp(-theta * np.minimum(mean, target))
    assert _late(first, first + 4_000, pace, theta, target) == pytest.approx(expected, abs=1e-14)


def test_a_backlog_drains_only_when_more_is_closed_than_comes() -> None:
    assert drain_s(60, 4.0, 300.0, 1.0, 30) == pytest.approx(1800.0)
    assert drain_s(60, 4.0, 300.0, 1.0, 20) is None
    assert drain_s(0, 4.0, 300.0, 1.0, 20) == 0.0
    assert drain_s(60, 4.0, 0.0, 1.0, 1) == 0.0, "work that takes no time is done at once"
    assert drain_plus(60, 4.0, 300.0, 1.0, 20, (1, 2)) == pytest.approx({1: 18_000.0, 2: 9_000.0})


def test_a_rate_that_has_faded_to_next_to_nothing_breaks_nothing() -> None:
    assert math.isfinite(log_likelihood(3.0, 40.0, 5e-324, 5e-324))
    assert math.isfinite(log_likelihood(5e-324, 1e6, 5e-324, 1e-300))
