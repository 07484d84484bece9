from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.reference.waits import kaplan_meier, nearest_rank, wilson

some = st.lists(st.integers(0, 30), max_size=20)


@given(some, some)
def test_the_estimate_is_the_product_of_the_shares_that_go_on_waiting(answered: list[int], censored: list[int]) -> None:
    for q in (Fraction(1, 2), Fraction(9, 10)):
        survive, found = Fraction(1), None
        for t in sorted(set(answered)):
            at_risk = sum(wait >= t for wait in answered) + sum(wait >= t for wait in censored)
            survive *= 1 - Fraction(answered.count(t), at_risk)
            if found is None and 1 - survive >= q:
                found = t
        longest = max([*answered, *censored], default=None)
        beyond = found is None and longest is not None
        assert kaplan_meier(answered, censored, float(q)) == (longest if beyond else found, beyond)


@given(st.lists(st.integers(0, 99), min_size=1))
def test_without_censoring_it_is_the_nearest_rank(waits: list[int]) -> None:
    for q in (0.5, 0.9):
        assert kaplan_meier(waits, [], q)[0] == nearest_rank(waits, q)


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(2, 3)
    assert low is not None
    assert high is not None
    assert (round(low, 5), round(high, 5)) == (0.20766, 0.93851)
    assert wilson(0, 0) == (None, None)
