"""One suite over every model: clones, pickles, looks without learning, stays within its memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from models.base import Corrupt
from models.moments import Days
from models.novelty import Novelty, Row
from models.volume import Pane, Volume
from tests.models.streams import DAY, MINUTE, MONDAY, counts

UTC = Days()


@dataclass(frozen=True)
class Case:
    make: Callable[[], Any]
    item: Callable[[int, int], Any]  # place, count → what the model takes
    most_bytes: int


CASES = {
    "volume": Case(lambda: Volume(300), lambda i, n: Pane(UTC.moment(MONDAY + i * 5 * MINUTE), n), 24_000),
    "novelty": Case(Novelty, lambda i, n: Row(UTC.moment(MONDAY + i * 5 * MINUTE), n), 300_000),
}
STREAM = counts(4 * 1440, 30.0, pane=5)

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def _taught(case: Case, upto: int) -> Any:
    model = case.make()
    for i in range(upto):
        model.learn_one(case.item(i, STREAM[i]))
    return model


def _scores(case: Case, model: Any, start: int) -> list[float]:
    scores = []
    for i in range(start, len(STREAM)):
        scores.append(model.score_one(case.item(i, STREAM[i] * (4 if i % 50 == 0 else 1))))
        model.learn_one(case.item(i, STREAM[i]))
    return scores


@cases
def test_a_clone_knows_nothing_and_does_as_a_fresh_one(case: Case) -> None:
    clone = _taught(case, 600).clone()
    assert _scores(case, clone, 0) == _scores(case, case.make(), 0)


@cases
def test_a_pickled_model_goes_on_exactly(case: Case) -> None:
    model = _taught(case, 600)
    again = pickle.loads(pickle.dumps(model))
    assert _scores(case, again, 600) == _scores(case, model, 600)


@cases
def test_a_saved_model_goes_on_exactly(case: Case) -> None:
    model = _taught(case, 600)
    again = case.make().restored(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    assert _scores(case, again, 600) == _scores(case, model, 600)


@cases
def test_a_damaged_save_is_refused_and_leaves_the_model_as_it_was(case: Case) -> None:
    data = _taught(case, 600).to_bytes()
    fresh = case.make()
    for bad in (b"", b"\xff\x00", data[:-7], data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        with pytest.raises(Corrupt):
            fresh.restored(bad)
    assert _scores(case, fresh, 0) == _scores(case, case.make(), 0)


@cases
def test_looking_learns_nothing(case: Case) -> None:
    model = _taught(case, 600)
    before = pickle.dumps(model)
    first = model.score_one(case.item(600, 5_000))
    assert [model.score_one(case.item(600, 5_000)) for _ in range(20)] == [first] * 20
    untouched = pickle.loads(before)
    assert _scores(case, model, 600) == _scores(case, untouched, 600)


@cases
def test_memory_does_not_grow_with_time(case: Case) -> None:
    model = _taught(case, len(STREAM))
    for i in range(len(STREAM), len(STREAM) + 3000):
        model.learn_one(case.item(i, (i * 7919) % 1000))
    assert len(pickle.dumps(model)) < case.most_bytes


@cases
def test_what_is_no_number_teaches_nothing(case: Case) -> None:
    model, clean = _taught(case, 600), _taught(case, 600)
    for bad in (float("nan"), float("inf"), float("-inf"), 1e300):
        assert model.score_one(case.item(600, bad)) == 0.0  # type: ignore[arg-type]  # that is the point
        model.learn_one(case.item(600, bad))  # type: ignore[arg-type]
    assert _scores(case, model, 600) == _scores(case, clean, 600)


def test_days_know_holidays_make_up_days_and_planned_events() -> None:
    from datetime import date

    from models.moments import NO_WEEKDAY, Planned

    monday, saturday = date(2026, 3, 2), date(2026, 3, 7)
    sale = Planned(MONDAY + DAY, MONDAY + 2 * DAY, 2.0)
    days = Days("Asia/Shanghai", frozenset({monday, saturday}), frozenset({saturday}), (sale,))
    assert (days.moment(MONDAY).weekday, days.moment(MONDAY).off) == (NO_WEEKDAY, True)
    assert days.moment(MONDAY).second == 8 * 3600
    assert not days.moment(MONDAY + 5 * DAY).off
    assert [days.moment(MONDAY + i * DAY).factor for i in range(3)] == [1.0, 2.0, 1.0]
