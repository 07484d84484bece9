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
from models.rising import RisingWords, Said
from models.topics import Topics
from models.usual import Counted, Usual
from models.volume import Pane, Volume
from streams.hashing import hashed
from streams.segments import Segments, Wrote
from tests.models.streams import DAY, MINUTE, MONDAY, counts

UTC = Days()


WORDS = [f"word{n}" for n in range(60)]


@dataclass(frozen=True)
class Case:
    """A model, and how it is fed: place and count in the stream → what it learns and is asked."""

    make: Callable[[], Any]
    teach: Callable[[Any, int, float], object]
    ask: Callable[[Any, int, float], Any]
    most_bytes: int
    """Pickled, however long it has run."""
    counts: bool = True
    """It is fed with numbers."""


def _pane(i: int, n: float) -> Pane:
    return Pane(UTC.moment(MONDAY + i * 5 * MINUTE), n)


def _row(i: int, n: float) -> Row:
    return Row(UTC.moment(MONDAY + i * 5 * MINUTE), n)


def _words(i: int, n: float) -> list[str]:
    return [WORDS[int(i * 7 + k * (1 + n % 5)) % len(WORDS)] for k in range(4)]


def _counted(i: int, n: float) -> Counted:
    """Half the minutes of the first queue, half of others, of which there are more than there is room for."""
    queue = "q0" if i % 2 else f"q{i // 2 % 7}"
    return Counted((queue, "web"), MONDAY + i * MINUTE, n)


def _wrote(i: int, n: float) -> Wrote:
    return Wrote((f"q{i % 4}", "web"), MONDAY + i * MINUTE, ("vip", "", "new")[int(n) % 3])


def _asked_of_segments(model: Segments, i: int, n: float) -> object:
    volume = {"rate_per_min": 2.0 * n, "expected": n}
    now = MONDAY + i * MINUTE
    return model.predict_one(_wrote(i, n)), model.parts(("*", "web"), volume, now)


CASES = {
    "volume": Case(
        lambda: Volume(300),
        lambda model, i, n: model.learn_one(_pane(i, n)),
        lambda model, i, n: model.score_one(_pane(i, n)),
        24_000,
    ),
    "novelty": Case(
        Novelty,
        lambda model, i, n: model.learn_one(_row(i, n)),
        lambda model, i, n: model.score_one(_row(i, n)),
        300_000,
    ),
    "topics": Case(
        lambda: Topics(classes=12, vocabulary=80),
        lambda model, i, n: model.learn_one(hashed(_words(i, n)), f"topic {int(n) % 20}"),
        lambda model, i, n: (model.predict_one(hashed(_words(i, n))), model.rank(hashed(_words(i, n)))),
        20_000,
        counts=False,
    ),
    "registry": Case(
        lambda: Usual(limit=4),
        lambda model, i, n: model.learn_one(_counted(i, n)),
        lambda model, i, n: model.score_one(_counted(i, n)),
        100_000,
    ),
    "segments": Case(
        lambda: Segments(leaves=3),
        lambda model, i, n: model.learn_one(_wrote(i, n)),
        _asked_of_segments,
        20_000,
        counts=False,
    ),
    "rising words": Case(
        lambda: RisingWords(keys=20),
        lambda model, i, n: model.learn_one(Said((f"q{i % 30}", "web"), MONDAY + i * MINUTE, _words(i, n))),
        lambda model, i, n: model.predict_one(Said(("*", "*"), MONDAY + i * MINUTE)),
        60_000,
        counts=False,
    ),
}
STREAM = counts(4 * 1440, 30.0, pane=5)

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def _taught(case: Case, upto: int) -> Any:
    model = case.make()
    for i in range(upto):
        case.teach(model, i, STREAM[i])
    return model


def _answers(case: Case, model: Any, start: int) -> list[Any]:
    answers = []
    for i in range(start, len(STREAM)):
        answers.append(case.ask(model, i, STREAM[i] * (4 if i % 50 == 0 else 1)))
        case.teach(model, i, STREAM[i])
    return answers


@cases
def test_a_clone_knows_nothing_and_does_as_a_fresh_one(case: Case) -> None:
    clone = _taught(case, 600).clone()
    assert _answers(case, clone, 0) == _answers(case, case.make(), 0)


@cases
def test_a_pickled_model_goes_on_exactly(case: Case) -> None:
    model = _taught(case, 600)
    again = pickle.loads(pickle.dumps(model))
    assert _answers(case, again, 600) == _answers(case, model, 600)


@cases
def test_a_saved_model_goes_on_exactly(case: Case) -> None:
    model = _taught(case, 600)
    again = case.make().restored(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    assert _answers(case, again, 600) == _answers(case, model, 600)


@cases
def test_a_damaged_save_is_refused_and_leaves_the_model_as_it_was(case: Case) -> None:
    data = _taught(case, 600).to_bytes()
    fresh = case.make()
    for bad in (b"", b"\xff\x00", data[:-7], data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        with pytest.raises(Corrupt):
            fresh.restored(bad)
    assert _answers(case, fresh, 0) == _answers(case, case.make(), 0)


@cases
def test_looking_learns_nothing(case: Case) -> None:
    model = _taught(case, 600)
    before = pickle.dumps(model)
    first = case.ask(model, 600, 5_000)
    assert [case.ask(model, 600, 5_000) for _ in range(20)] == [first] * 20
    untouched = pickle.loads(before)
    assert _answers(case, model, 600) == _answers(case, untouched, 600)


@cases
def test_memory_does_not_grow_with_time(case: Case) -> None:
    model = _taught(case, len(STREAM))
    for i in range(len(STREAM), len(STREAM) + 3000):
        case.teach(model, i, (i * 7919) % 1000)
    assert len(pickle.dumps(model)) < case.most_bytes


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.counts])
def test_what_is_no_number_teaches_nothing(case: Case) -> None:
    model, clean = _taught(case, 600), _taught(case, 600)
    for bad in (float("nan"), float("inf"), float("-inf"), 1e300):
        assert case.ask(model, 600, bad) == 0.0
        case.teach(model, 600, bad)
    assert _answers(case, model, 600) == _answers(case, clean, 600)


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
