from __future__ import annotations

from models.moments import Days
from models.novelty import Novelty, Row
from tests.models.streams import MINUTE, MONDAY, counts

UTC = Days()


def _row(place: int, value: float) -> Row:
    return Row(UTC.moment(MONDAY + place * 5 * MINUTE), value)


def test_what_was_never_seen_is_novel_and_what_was_is_not() -> None:
    model = Novelty()
    stream = counts(10 * 1440, 20.0, pane=5)
    for i, count in enumerate(stream):
        model.learn_one(_row(i, count))
    usual = model.score_one(_row(len(stream), stream[-1]))
    novel = model.score_one(_row(len(stream), 10 * max(stream)))
    assert usual < 0.05
    assert novel > 0.5


def test_one_story_is_reported_once() -> None:
    model = Novelty()
    stream = counts(10 * 1440, 20.0, pane=5)
    for i, count in enumerate(stream):
        model.learn_one(_row(i, count))
    high = 10 * max(stream)
    scores = [model.learn_one(_row(len(stream) + i, high)) for i in range(20)]
    assert scores[0] > 0.5
    assert max(scores[1:]) == 0.0


def test_a_constant_stream_is_never_novel() -> None:
    model = Novelty()
    assert {model.learn_one(_row(i, 7.0)) for i in range(500)} == {0.0}
