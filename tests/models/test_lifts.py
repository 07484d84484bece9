"""Planned events of some queues or channels, and the sums they are a part of."""

from __future__ import annotations

import pytest

from models.lifts import Lifts
from models.moments import Days, Moment, Planned
from models.usual import Usual
from tests.models.streams import DAY, MINUTE, MONDAY

RATES = {
    ("a", "*"): 30.0, ("a", "web"): 20.0, ("a", "app"): 10.0, ("b", "*"): 10.0, ("b", "web"): 10.0,
    ("*", "*"): 40.0, ("*", "web"): 30.0, ("*", "app"): 10.0, ("a", "*", "refund"): 3.0, ("*", "*", "refund"): 4.0,
}  # fmt: skip


def lifted(event: Planned) -> dict[tuple[str, ...], float]:
    lifts = Lifts(Days(planned=(event,)), MONDAY)

    def rates(_: Moment) -> list[tuple[tuple[str, ...], float]]:
        return list(RATES.items())

    return {key: lifts.moment(key, rates).factor for key in RATES}


def test_an_event_about_everything_lifts_every_key_alike() -> None:
    assert set(lifted(Planned(MONDAY, MONDAY + 1, 3.0)).values()) == {3.0}


def test_an_event_of_a_queue_lifts_a_sum_by_that_queues_part_of_it() -> None:
    found = lifted(Planned(MONDAY, MONDAY + 1, 3.0, queue="a*"))
    assert found["a", "web"] == found["a", "*"] == found["a", "*", "refund"] == 3.0
    assert found["b", "web"] == 1.0
    assert found["*", "*"] == pytest.approx(1 + 2 * 30 / 40)
    assert found["*", "web"] == pytest.approx(1 + 2 * 20 / 30)
    assert found["*", "*", "refund"] == pytest.approx(1 + 2 * 3 / 4)


def test_an_event_of_a_queue_on_a_channel_lifts_what_both_are_part_of() -> None:
    found = lifted(Planned(MONDAY, MONDAY + 1, 2.0, queue="a", channel="app"))
    assert (found["a", "app"], found["a", "web"]) == (2.0, 1.0)
    assert found["a", "*"] == pytest.approx(1 + 10 / 30)
    assert found["*", "app"] == pytest.approx(2.0)
    assert found["*", "*"] == pytest.approx(1 + 10 / 40)
    assert found["a", "*", "refund"] == found["a", "*"]  # how topics spread over channels is not known


def test_a_pattern_takes_nothing_but_the_star_for_special() -> None:
    found = lifted(Planned(MONDAY, MONDAY + 1, 2.0, queue="[ab]"))
    assert set(found.values()) == {1.0}


def test_a_planned_event_of_one_queue_is_no_surge_there_and_none_in_the_sum() -> None:
    sale = Planned(MONDAY + 2 * DAY, MONDAY + 2 * DAY + 60 * MINUTE, 5.0, queue="sales")
    planned, unaware = Usual(Days(planned=(sale,))), Usual()
    surges = {"planned": 0, "unaware": 0}
    for minute in range(2 * 1440 + 60):
        sales = 20 if minute < 2 * 1440 else 100
        counts: dict[tuple[str, ...], int] = {("sales", "*"): sales, ("help", "*"): 20, ("*", "*"): 20 + sales}
        at = MONDAY + minute * MINUTE
        surges["planned"] += any(reading.surge for reading in planned.close_minute(at, counts).values())
        surges["unaware"] += any(reading.surge for reading in unaware.close_minute(at, counts).values())
    assert surges["planned"] == 0
    assert surges["unaware"] > 50


def test_plans_taken_up_on_the_way_hold_from_the_next_minute() -> None:
    usual = Usual()
    for minute in range(120):
        usual.close_minute(MONDAY + minute * MINUTE, {("q", "web"): 20})
    before = usual.expect(("q", "web"), MONDAY + 120 * MINUTE)
    usual.days = Days(planned=(Planned(MONDAY, MONDAY + DAY, 2.0),))
    after = usual.expect(("q", "web"), MONDAY + 120 * MINUTE)
    assert before is not None
    assert after is not None
    assert after.expected == pytest.approx(2 * before.expected)


def test_a_sum_is_lifted_alike_whatever_the_order_in_which_keys_were_first_seen() -> None:
    sale = Planned(MONDAY, MONDAY + DAY, 3.0, queue="a")
    keys = [("a", "web"), ("b", "web"), ("a", "*"), ("b", "*"), ("*", "*"), ("*", "web")]
    found = []
    for order in (keys, keys[::-1]):
        usual = Usual(Days(planned=(sale,)))
        for minute in range(200):
            counts: dict[tuple[str, ...], int] = {key: 7 + (minute * 13 + len(key[0] + key[1])) % 11 for key in order}
            readings = usual.close_minute(MONDAY + minute * MINUTE, counts)
        found.append({key: readings[key] for key in keys})
    assert found[0] == found[1]
