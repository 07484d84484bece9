from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy.stats import nbinom  # type: ignore[import-untyped]  # scipy ships no types

from models.base import Corrupt
from models.moments import Days, Moment, Planned
from models.tails import Tail, tails
from models.volume import UNKNOWN, Pane, Volume
from models.watch import THRESHOLD, lulled, surging
from tests.models.streams import DAY, MINUTE, MONDAY, counts, rate

WEEK = 7 * 288


def _moment(place: int, days: Days | None = None) -> Moment:
    return (days or Days()).moment(MONDAY + place * 5 * MINUTE)


def _taught(stream: list[int], days: Days | None = None) -> Volume:
    model = Volume(300)
    for i, count in enumerate(stream):
        model.learn_one(Pane(_moment(i, days), count))
    return model


THREE_WEEKS = counts(21 * 1440, 6.0, seed=3, pane=5)


@pytest.fixture(scope="module")
def taught() -> bytes:
    return _taught(THREE_WEEKS).to_bytes()


@pytest.fixture
def model(taught: bytes) -> Volume:
    return Volume(300).restored(taught)


def test_the_curve_of_the_week_is_learned(model: Volume) -> None:
    start = len(THREE_WEEKS)
    ratios = [model.band(_moment(start + i))[0] / (5 * rate((start + i) * 5, 6.0)) for i in range(0, WEEK, 6)]
    assert 0.85 < statistics.median(ratios) < 1.15
    assert statistics.quantiles(ratios, n=20)[0] > 0.7
    assert statistics.quantiles(ratios, n=20)[-1] < 1.4


def test_the_band_holds_nearly_all_and_is_wider_while_young(model: Volume) -> None:
    start = len(THREE_WEEKS)
    more = counts(28 * 1440, 6.0, seed=3, pane=5)[start:]
    bands = [model.band(_moment(start + i)) for i in range(288)]
    assert statistics.mean(low <= count <= high for (_, low, high), count in zip(bands, more, strict=False)) > 0.93
    young = _taught(THREE_WEEKS[: 2 * 288])
    _, low, high = young.band(_moment(2 * 288 + 150))
    _, old_low, old_high = model.band(_moment(start + 150))
    assert high / max(low, 1) > old_high / max(old_low, 1)


def test_one_threshold_means_the_same_for_small_and_large_queues() -> None:
    pages = []
    for mean in (1.0, 1000.0):
        model = Volume(300)
        stream = counts(14 * 1440, mean, seed=11, pane=5)
        scores = [model.learn_one(Pane(_moment(i), n)).surge for i, n in enumerate(stream)]
        pages.append(sum(score >= THRESHOLD for score in scores[WEEK:]))
    assert max(pages) <= 8  # rows, in a week: about one page


def test_a_surge_of_five_times_shows_while_its_first_pane_fills(model: Volume) -> None:
    start = len(THREE_WEEKS) + 150
    for i in range(len(THREE_WEEKS), start):
        model.learn_one(Pane(_moment(i), round(5 * rate(i * 5, 6.0))))
    usual = 5 * rate(start * 5, 6.0)
    assert model.judge([Pane(_moment(start), round(usual / 2), part=0.5)]).surge < 1.0
    assert model.judge([Pane(_moment(start), round(5 * usual / 2), part=0.5)]).surge > THRESHOLD


def test_a_minute_of_five_times_the_usual_is_enough_where_minutes_are_lively_and_one_of_twice_is_not() -> None:
    rng, days, model = np.random.default_rng(7), Days(), Volume(60)
    for i in range(4 * 1440):
        model.learn_one(Pane(days.moment(MONDAY + i * MINUTE), int(rng.poisson(100 * rng.gamma(4.0, 1 / 4.0)))))
    now = days.moment(MONDAY + 4 * DAY)
    usual, _, _ = model.band(now)
    assert model.judge([Pane(now, round(5 * usual))]).surge > THRESHOLD
    assert model.judge([Pane(now, round(2 * usual))]).surge < 1.5


def test_a_surge_is_not_learned_as_usual(model: Volume) -> None:
    start = len(THREE_WEEKS) + 100
    before = model.band(_moment(start + 288))[0]
    for i in range(len(THREE_WEEKS), start):
        model.learn_one(Pane(_moment(i), round(5 * rate(i * 5, 6.0))))
    for i in range(start, start + 12):
        model.learn_one(Pane(_moment(i), round(25 * rate(i * 5, 6.0))))
    assert model.band(_moment(start + 288))[0] < 1.25 * before


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_a_new_level_is_learned_within_a_day(model: Volume, factor: float) -> None:
    start = len(THREE_WEEKS)
    shifted = counts(24 * 1440, 6.0, seed=5, pane=5)[start:]
    for i, count in enumerate(shifted[:288]):
        model.learn_one(Pane(_moment(start + i), round(count * factor)))
    expected = model.band(_moment(start + 288 + 140))[0]
    assert 0.7 < expected / (factor * 5 * rate((start + 288 + 140) * 5, 6.0)) < 1.4
    verdicts = [model.learn_one(Pane(_moment(start + 288 + i), round(shifted[288 + i] * factor))) for i in range(200)]
    assert sum(max(v.surge, v.lull) > THRESHOLD for v in verdicts) <= 6


def test_a_channel_that_falls_silent_is_a_lull(model: Volume) -> None:
    start = len(THREE_WEEKS)
    for i in range(start, start + 150):
        model.learn_one(Pane(_moment(i), round(5 * rate(i * 5, 6.0))))
    verdicts = [model.learn_one(Pane(_moment(start + 150 + i), 0)) for i in range(4)]
    assert verdicts[-1].lull > THRESHOLD
    assert verdicts[-1].surge == 0.0


def test_a_planned_event_lifts_what_is_expected_and_is_not_learned_as_usual(taught: bytes) -> None:
    start = len(THREE_WEEKS)
    sale = Days(planned=(Planned(MONDAY + 21 * DAY, MONDAY + 22 * DAY, 3.0),))
    model = Volume(300).restored(taught)
    verdicts = [
        model.learn_one(Pane(_moment(start + i, sale), round(15 * rate((start + i) * 5, 6.0)))) for i in range(288)
    ]
    assert max(v.surge for v in verdicts) < THRESHOLD
    expected = model.band(_moment(start + 288 + 140))[0]
    assert 0.8 < expected / (5 * rate((start + 288 + 140) * 5, 6.0)) < 1.25


def test_a_saved_model_goes_on_exactly_and_is_small(taught: bytes) -> None:
    assert len(taught) < 6_000
    whole, again = _taught(THREE_WEEKS[:2005]), Volume(300).restored(_taught(THREE_WEEKS[:2005]).to_bytes())
    for i in range(2005, 2405):
        pane = Pane(_moment(i), THREE_WEEKS[i])
        assert whole.learn_one(pane) == again.learn_one(pane)
    assert whole.to_bytes() == again.to_bytes()


def test_a_damaged_save_is_refused(taught: bytes) -> None:
    for damaged in (b"", b"abc", taught[:-1], taught[:100] + b"\x00" + taught[101:], b"\x00" * 500):
        with pytest.raises(Corrupt):
            Volume(300).restored(damaged)
    with pytest.raises(Corrupt):
        Volume(60).restored(taught)


def test_gaps_and_clock_jumps_neither_break_nor_alarm(model: Volume) -> None:
    start = len(THREE_WEEKS)
    places = [*range(start, start + 50), *range(start + 200, start + 250), *range(start + 20, start + 30)]
    places += [*range(start + 60 * 288, start + 60 * 288 + 50), *range(start + 300, start + 400)]
    verdicts = [model.learn_one(Pane(_moment(i), round(5 * rate(i * 5, 6.0)))) for i in places]
    assert sum(v.surge > THRESHOLD for v in verdicts) <= 2
    assert model.last == _moment(start + 399).at  # it went back with the clock


def test_what_was_before_a_gap_is_not_taken_for_what_is_now(model: Volume) -> None:
    start = len(THREE_WEEKS)
    for i in range(start, start + 8):
        model.learn_one(Pane(_moment(i), round(25 * rate(i * 5, 6.0))))
    after = start + 8 + 12
    assert model.judge([Pane(_moment(after), round(5 * rate(after * 5, 6.0)))]).surge < 1.0


@pytest.mark.parametrize("stream", [[0] * 3000, [40] * 3000, [0] * 2990 + [5] + [0] * 9], ids=["0", "40", "spike"])
def test_constant_streams_raise_nothing(stream: list[int]) -> None:
    model = Volume(300)
    verdicts = [model.learn_one(Pane(_moment(i), n)) for i, n in enumerate(stream)]
    assert not any(surging(v, 0.2) or lulled(v, 0.2) for v in verdicts)


def test_negative_and_absurd_counts_are_left_out(model: Volume) -> None:
    start = len(THREE_WEEKS)
    for count in (-1.0, -1e18, float("nan"), float("inf"), 1e18):
        assert model.learn_one(Pane(_moment(start), count)) == UNKNOWN
    assert model.last == _moment(start - 1).at
    model.learn_one(Pane(_moment(start), 1e9))  # absurd, but a count: it must not teach much
    assert model.band(_moment(start + 288))[0] < 3 * 5 * rate(start * 5, 6.0)


def test_tails_are_those_of_the_negative_binomial() -> None:
    cases = [(True, 0.0, 0.3, 0.05), (True, 9.0, 3.0, 2.0), (False, 0.0, 4.0, 1.0), (False, 31.0, 50.0, 60.0)]
    for (above, count, mean, spread), found in zip(cases, tails(cases), strict=True):
        size = mean * mean / spread
        law = nbinom(size, size / (size + mean))
        beyond = law.sf(count) if above else law.cdf(count - 1)
        assert 10**-found == pytest.approx(beyond + law.pmf(count) / 2)


def test_a_tail_counts_a_zero_the_short_way_as_it_would_the_long_way() -> None:
    short, long = Tail(900), Tail(900)
    for i in range(5_000):
        if i % 3 == 0:
            short.learn(i * 37 % 101 / 20)
            long.learn(i * 37 % 101 / 20)
        else:
            short.learn_none()
            long.learn(0.0)
        assert short.to_bytes() == long.to_bytes()
