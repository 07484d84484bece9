from __future__ import annotations

from random import Random

import pytest

from tests.conformance.cases import Row, arrivals, doubled, events_of, load_cases, permuted
from tests.conformance.compare import compare
from tests.reference.metrics import answer_to

CASES = load_cases()
FREE = [case for case in CASES if not case.get("as_listed")]


def named(cases: list[Row]) -> list[object]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def test_the_worked_cases_are_all_there() -> None:
    assert len(load_cases("vectors.json")) == 97
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", named(CASES))
def test_the_reference_passes_every_worked_case(case: Row) -> None:
    assert compare(case, answer_to(case)) == []


@pytest.mark.parametrize("case", named(FREE))
def test_the_order_of_arrival_changes_nothing(case: Row) -> None:
    told = answer_to(case)
    for seed in range(8):
        assert answer_to(case, permuted(events_of(case), Random(seed))) == told


@pytest.mark.parametrize("case", named(FREE))
def test_a_repeat_changes_nothing(case: Row) -> None:
    told = answer_to(case)
    assert answer_to(case, doubled(events_of(case))) == told
    for seed in range(4):
        assert answer_to(case, doubled(events_of(case), Random(seed))) == told
        assert compare(case, answer_to(case, arrivals(case, Random(seed)))) == []
