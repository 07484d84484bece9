"""Spans that move are the merges of their panes, and the curve over many waits is that of the definition."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.metrics import EXACT_WAITS, Window, derived, described, kaplan_meier
from streams.spans import MOST_EXACT, Span
from streams.survival import FEW, QUANTILES, Own, Shared, buckets, tally, waiting
from streams.waits import Waits, bucket
from streams.windows import MINUTE

waits = st.dictionaries(st.one_of(st.integers(0, 400), st.integers(0, 10**7)), st.integers(1, 3), max_size=40)


def own(answered: dict[int, int], censored: dict[int, int]) -> Own:
    by_bucket: tuple[dict[int, int], dict[int, int]] = {}, {}
    n = tally(by_bucket[0], answered) + tally(by_bucket[1], censored)
    return Own(answered, censored, by_bucket, n)


@given(waits, waits, waits, waits, st.lists(st.integers(0, 10**6), max_size=60), st.sampled_from([1, 7, 80]))
def test_the_curve_by_arrays_is_that_of_the_definition(
    answered: dict[int, int],
    censored: dict[int, int],
    later: dict[int, int],
    left: dict[int, int],
    since: list[int],
    times: int,
) -> None:
    answered = {ms: n * times for ms, n in answered.items()}
    shared = Shared(waiting([array("q", since).tobytes()], 10**6, 10**6), later, left)
    window = Window(answered_waits=answered, censored_waits=censored)
    found = shared.curve(own(answered, censored))
    still = Counter(10**6 - one for one in since if one < 10**6)
    still.update(left)
    expected = derived(window, still, later)
    n = shared.n + sum(answered.values()) + sum(censored.values())
    assert described(window, found, n) == expected
    assert all(type(value) in (int, type(None)) for value, _ in found)


@pytest.mark.parametrize("n", [FEW, FEW + 1, EXACT_WAITS, EXACT_WAITS + 1, 6_000])
def test_few_many_and_very_many_waits_come_to_the_same_as_by_the_definition(n: int) -> None:
    chance = random.Random(n)
    answered, censored = Counter[int](), Counter[int]()
    for _ in range(n // 2):
        answered[chance.randrange(1, 600_000)] += 1
    since = [chance.randrange(600_000) for _ in range(n - n // 2)]
    for one in since:
        censored[600_000 - one] += 1
    shared = Shared(waiting([array("q", since).tobytes()], 600_000, 600_000), {}, {})
    found = shared.curve(own(answered, {}))
    assert found == kaplan_meier(answered, censored, QUANTILES)


def test_those_who_wait_since_before_the_end_have_waited_and_nobody_less_than_nothing() -> None:
    rows: list[Waits] = [array("q", [1_000, 4_000, 9_000]).tobytes(), b"", {2_000: 2}]
    assert sorted(waiting(rows, 3_500, 9_000).tolist()) == [0, 1_500, 1_500, 2_500]
    assert waiting([], 1, 1).tolist() == []


@given(st.lists(st.integers(0, 2**52), max_size=50))
def test_buckets_are_those_of_the_definition(some: list[int]) -> None:
    assert buckets(np.array(some, np.int64)).tolist() == [bucket(ms) for ms in some]


@pytest.mark.parametrize("seed", range(20))
def test_a_span_that_moves_is_the_merge_of_its_panes(seed: int) -> None:
    chance, span = random.Random(seed), Span()
    panes: dict[int, SimpleNamespace] = {}
    now = 0
    for _ in range(150):
        now += chance.choice([0, 0, 0, 1, 1, 2, 40, -1 if now else 0])
        for _ in range(chance.randrange(4)):
            minute = max(0, now - chance.choice([0, 0, 1, 3, 12, -1])) * MINUTE
            by = Window({"messages": 1}, {}, {chance.randrange(5_000): 1}, {chance.randrange(900): 1}, {"refund": 1})
            pane = panes.setdefault(minute, SimpleNamespace(window=Window(), version=0))
            pane.window.add(by)
            pane.version += 2
            span.change(minute, by, 2)
        until = (now + 1) * MINUTE
        since = max(0, until - chance.choice([10, 10, 10, 5]) * MINUTE)
        span.roll(since, until, panes)
        whole = Window()
        for minute in range(since, until, MINUTE):
            if minute in panes:
                whole.add(panes[minute].window)
        assert span.window == whole
        assert span.version == sum(panes[minute].version for minute in range(since, until, MINUTE) if minute in panes)
        assert span.waits() == own(whole.answered_waits, whole.censored_waits)


def test_a_span_of_very_many_waits_has_them_by_bucket_and_each_again_when_they_are_few() -> None:
    chance, span = random.Random(3), Span()
    panes: dict[int, SimpleNamespace] = {}
    sizes = [0, *(MOST_EXACT // 8 for _ in range(14)), *(3 for _ in range(14)), EXACT_WAITS, EXACT_WAITS, *([1] * 14)]
    exact = []
    for number, n in enumerate(sizes):
        waits = Counter(chance.randrange(1, 900_000) for _ in range(n))
        panes[number * MINUTE] = SimpleNamespace(window=Window(answered_waits=waits, censored_waits={7: 1}), version=1)
        since, until = max(0, number - 10) * MINUTE, (number + 1) * MINUTE
        span.roll(since, until, panes)
        whole = Window()
        for minute in range(since, until, MINUTE):
            whole.add(panes[minute].window)
        expected, found = own(whole.answered_waits, whole.censored_waits), span.waits()
        assert (found.by_bucket, found.n) == (expected.by_bucket, expected.n)
        exact.append(found == expected)
        assert exact[-1] or found.n > EXACT_WAITS
        none = Shared(np.empty(0, np.int64), {}, {})
        assert none.curve(found) == none.curve(expected)
    assert False in exact
    assert exact[exact.index(False) :].count(True) > 10, "they come to be known again"
