from __future__ import annotations

import pytest

from tidewatch.wear import BUSY, LIFE_S, MEMORY, MOST, YOUNG_S, Wear


def looked_at(until_s: float, share: float, held: int = 0, wear: Wear | None = None) -> list[float]:
    """The ages at which it is found worn, looked at every ten seconds, when it takes this share of a core."""
    wear = wear or Wear()
    ages = [float(age) for age in range(10, int(until_s) + 1, 10)]
    return [age for age in ages if wear.worn(age, held, share * age)]


def test_one_that_takes_little_lives_on_for_ever() -> None:
    assert looked_at(86_400, BUSY - 0.01, MEMORY) == []


def test_one_that_takes_much_of_a_core_is_worn_once_it_is_not_young_any_more() -> None:
    assert looked_at(YOUNG_S + 30, BUSY + 0.01) == [YOUNG_S + 10, YOUNG_S + 20, YOUNG_S + 30]


@pytest.mark.parametrize("busy_s", [10, 20])
def test_a_burst_does_not_wear_it_out(busy_s: int) -> None:
    wear, spent = Wear(), 0.0
    for age in range(10, 3_600, 10):
        spent += 10 * (0.8 if age % 600 < busy_s else 0.01)
        assert not wear.worn(float(age), 0, spent)


def test_one_that_holds_much_is_worn_after_its_life_and_one_that_holds_very_much_at_once() -> None:
    assert looked_at(LIFE_S + 10, 0.0, MEMORY + 1) == [LIFE_S + 10]
    assert looked_at(20, 0.0, MOST + 1) == [10, 20]


def test_what_another_one_has_spent_is_not_its_own() -> None:
    wear = Wear()
    assert looked_at(600, 0.9, wear=wear)
    assert looked_at(600, 0.01, wear=wear) == []
