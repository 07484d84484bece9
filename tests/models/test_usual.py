from __future__ import annotations

import pytest

from models.usual import Reading, Usual
from models.watch import CALM, Watch, watched
from tests.models.streams import DAY, MINUTE, MONDAY, counts, rate

KEY = ("shop", "billing", "*")
DAYS = 15
STREAM = counts(DAYS * 1440, 60.0, seed=2)


@pytest.fixture(scope="module")
def saved() -> list[bytes]:
    usual = Usual()
    for i, count in enumerate(STREAM):
        usual.observe(KEY, MONDAY + i * MINUTE, count)
    return [data for _, data in usual.save()]


@pytest.fixture
def usual(saved: list[bytes]) -> Usual:
    made = Usual()
    assert made.load(saved) == 0
    return made


def _noon(usual: Usual) -> int:
    """Bring the day on to noon; returns the minute."""
    start = DAYS * 1440
    for i in range(start, start + 720):
        usual.observe(KEY, MONDAY + i * MINUTE, round(rate(i, 60.0)))
    return start + 720


def _surge(usual: Usual, minute: int, factor: float, minutes: int) -> list[tuple[int, Reading]]:
    """Live through a surge, looked at every 10 s. Returns (seconds since its start, reading)."""
    readings = []
    for i in range(minute, minute + minutes):
        for second in (10, 20, 30, 40, 50):
            seen = round(factor * rate(i, 60.0) * second / 60)
            reading = usual.look(KEY, MONDAY + i * MINUTE + second * 1000, [seen])
            assert reading is not None
            readings.append(((i - minute) * 60 + second, reading))
        whole = usual.observe(KEY, MONDAY + i * MINUTE, round(factor * rate(i, 60.0)))
        readings.append(((i - minute) * 60 + 60, whole))
    return readings


def test_a_clear_surge_is_out_within_ninety_seconds(usual: Usual) -> None:
    minute = _noon(usual)
    out = [seconds for seconds, reading in _surge(usual, minute, 5.0, 2) if reading.surge]
    assert out
    assert out[0] <= 60


def test_a_surge_stands_and_then_ends(usual: Usual) -> None:
    minute = _noon(usual)
    high = _surge(usual, minute, 3.0, 20)
    assert high[-1][1].surge
    since = high[-1][1].since
    assert since is not None
    assert MONDAY + minute * MINUTE < since < MONDAY + (minute + 6) * MINUTE
    after = _surge(usual, minute + 20, 1.0, 70)
    assert not after[-1][1].surge
    assert after[-1][1].since is None


def test_a_silent_queue_is_a_lull_at_once_and_no_surge(usual: Usual) -> None:
    minute = _noon(usual)
    silent = _surge(usual, minute, 0.0, 6)
    assert silent[-1][1].lull
    assert not silent[-1][1].surge


def test_small_excess_is_no_surge_however_unlikely() -> None:
    usual = Usual()
    key = ("shop", "night", "web")
    for i in range(3 * 1440):
        usual.observe(key, MONDAY + i * MINUTE, 1 if i % 60 == 0 else 0)
    readings = [usual.observe(key, MONDAY + (3 * 1440 + i) * MINUTE, 6) for i in range(10)]
    assert max(reading.score for reading in readings) > 3.5
    assert not any(reading.surge for reading in readings)


def test_a_restart_changes_nothing() -> None:
    whole, first = Usual(), Usual()
    for i in range(2000):
        uninterrupted = whole.observe(KEY, MONDAY + i * MINUTE, STREAM[i])
        if i <= 1500:
            first.observe(KEY, MONDAY + i * MINUTE, STREAM[i])
    second = Usual()
    second.load(data for _, data in first.save())
    for i in range(1400, 2000):  # some again: repeats are harmless
        reading = second.observe(KEY, MONDAY + i * MINUTE, STREAM[i])
    assert reading == uninterrupted
    assert [data for _, data in second.save()] == [data for _, data in whole.save()]


def test_minutes_not_yet_learned_count_when_looking(usual: Usual) -> None:
    minute = _noon(usual)
    one = [round(5 * rate(minute, 60.0))]
    behind = usual.look(KEY, MONDAY + (minute + 3) * MINUTE, [*one, *one, *one, 0])
    assert behind is not None
    assert behind.score > 3.5


def test_a_key_says_it_is_learning_for_two_weeks(usual: Usual) -> None:
    reading = usual.observe(KEY, MONDAY + DAYS * DAY, 30)
    assert not reading.learning
    assert 14.9 < reading.learned_days < 15.1
    fresh = Usual()
    readings = [fresh.observe(KEY, MONDAY + i * MINUTE, 30) for i in range(60)]
    assert not readings[0].known
    assert readings[-1].known
    assert readings[-1].learning
    assert readings[-1].low < 30 < readings[-1].high


def test_a_closed_minute_counts_silence_for_known_keys_only() -> None:
    usual = Usual()
    usual.close_minute(MONDAY, {KEY: 3, ("shop", "none", "web"): 0})
    readings = usual.close_minute(MONDAY + MINUTE, {})
    assert list(readings) == [KEY]


def test_a_flood_of_keys_is_bounded_and_spares_the_old(usual: Usual) -> None:
    usual.limit = 100
    for i in range(400):
        usual.observe(("flood", str(i), "web"), MONDAY + DAYS * DAY + i * MINUTE, 1)
    assert len(usual) <= 100
    assert KEY in usual


def test_after_a_restart_a_full_registry_forgets_the_same_key() -> None:
    usual = Usual(limit=3)
    usual.close_minute(MONDAY, {("b",): 1, ("a",): 1, ("c",): 1})
    again = Usual(limit=3).restored(usual.to_bytes())
    for one in (usual, again):
        one.close_minute(MONDAY + MINUTE, {("b",): 1, ("a",): 1, ("c",): 1, ("new",): 1})
    assert set(usual) == set(again) == {("b",), ("c",), ("new",)}


def test_where_all_keys_are_old_and_heard_of_a_new_one_has_to_wait(usual: Usual) -> None:
    usual.limit = 1
    for i in range(3):
        usual.close_minute(MONDAY + DAYS * DAY + i * MINUTE, {KEY: 30, ("late", "web"): 5})
    assert list(usual) == [KEY]


def test_a_key_long_silent_is_forgotten() -> None:
    usual = Usual()
    usual.close_minute(MONDAY, {KEY: 3})
    usual.close_minute(MONDAY + 61 * DAY, {})
    assert KEY not in usual


def test_damaged_saves_start_afresh_and_spare_the_others(saved: list[bytes]) -> None:
    usual = Usual()
    assert usual.load([b"", b"\xff\x00", saved[0][:-7], saved[0]]) == 3
    assert KEY in usual
    assert len(saved[0]) < 6_500


def test_what_is_expected_can_be_asked_for_any_minute(usual: Usual) -> None:
    noon, night = (usual.expect(KEY, MONDAY + DAYS * DAY + hour * 60 * MINUTE) for hour in (13, 1))
    assert noon is not None
    assert night is not None
    assert noon.low < noon.expected < noon.high
    assert noon.expected > 3 * night.expected
    assert usual.expect(("nobody",), MONDAY) is None


def test_within_one_step_more_looks_change_nothing() -> None:
    watch = CALM
    for at in range(0, 9_000, 1_000):
        watch = watched(watch, at, breach=True, holds=True)
    assert watch.since is None
    assert watched(watch, 10_000, breach=True, holds=True).since == 10_000


def test_a_watch_ends_only_after_five_calm_minutes() -> None:
    watch = Watch(0, 3, None, 0)
    for at in range(10_000, 300_000, 10_000):
        watch = watched(watch, at, breach=False, holds=at == 100_000)
    assert watch.since == 0
    for at in range(300_000, 420_000, 10_000):
        watch = watched(watch, at, breach=False, holds=False)
    assert watch.since is None
