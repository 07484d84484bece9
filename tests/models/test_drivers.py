from __future__ import annotations

import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drivers import OTHER, agents_needed, drain_plus, drain_s, drivers, erlang_a, keywords, log_likelihood

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


def test_a_backlog_drains_only_when_more_is_closed_than_comes() -> None:
    assert drain_s(60, 4.0, 300.0, 1.0, 30) == pytest.approx(1800.0)
    assert drain_s(60, 4.0, 300.0, 1.0, 20) is None
    assert drain_s(0, 4.0, 300.0, 1.0, 20) == 0.0
    assert drain_plus(60, 4.0, 300.0, 1.0, 20, (1, 2)) == pytest.approx({1: 18_000.0, 2: 9_000.0})


def test_a_rate_that_has_faded_to_next_to_nothing_breaks_nothing() -> None:
    assert math.isfinite(log_likelihood(3.0, 40.0, 5e-324, 5e-324))
    assert math.isfinite(log_likelihood(5e-324, 1e6, 5e-324, 1e-300))
