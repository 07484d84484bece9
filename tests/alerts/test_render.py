"""The alert object: every field of the contract, and facts that add up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.facts import DRIVERS, Siblings, drivers_of, reinforcement, split
from alerts.orders import acknowledge
from alerts.ourselves import channel_down
from alerts.render import amount, console_line, to_object
from alerts.state import Alert, State
from config.settings import Label, Labels
from tests.alerts.build import BACKLOG, T0, M, S, Story, key, rules

CONTRACT = """
v alert rule state severity tenant queue channel since at value peak expected low high unit summary drivers keywords
samples impact acknowledged_by acknowledged_at silenced_by grade resolved_at reason group runbook board"""
NAMES = Labels(queue={"returns": Label(zh="退货退款", en="Returns")}, channel={"web": Label(zh="网页", en="Web")})


def fired(text: str = BACKLOG, **fields: Any) -> Alert:
    story = Story(rules(text))
    (change,) = story.tick(T0, key(**{"backlog": 30, **fields}))
    return change.alert


def test_every_field_of_the_contract_is_there_and_instants_are_rfc_3339_in_utc() -> None:
    found = to_object(fired(oldest_ms=61_000), NAMES, "https://board.example")
    assert set(CONTRACT.split()) <= set(found)
    assert (found["v"], found["state"], found["severity"]) == (1, "firing", "warning")
    assert found["since"] == found["at"] == "2026-03-02T10:00:00.000Z"
    assert (found["value"], found["peak"], found["expected"], found["low"], found["high"]) == (30, 30, None, None, 20)
    promised = {"backlog", "oldest_ms", "frt_p90_ms", "agents_needed", "drain_s", "drain_plus"}
    assert set(found["impact"]) == promised | {"rate_per_min", "usual_per_min", "at_work"}
    assert found["summary"] == {
        "zh": "shop · 退货退款：待处理 30（阈值 20）",
        "en": "shop · Returns: Backlog 30 (limit 20)",
    }
    assert found["board"] == f"https://board.example/?queue=returns&alert={found['alert']}"


def test_an_acknowledged_and_a_resolved_alert_say_who_when_and_why() -> None:
    story = Story(rules(BACKLOG))
    (change,) = story.tick(T0, key(backlog=30))
    story.state, (acked,) = acknowledge(story.state, change.alert.id, "shop", "li", T0 + 7)
    found = to_object(acked.alert, NAMES)
    assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "li")
    assert found["acknowledged_at"] == "2026-03-02T10:00:00.007Z"
    (over,) = story.tick(T0 + M, key(backlog=1))
    found = to_object(over.alert, NAMES)
    assert (found["state"], found["reason"], found["peak"]) == ("resolved", "cleared", 30)
    assert found["resolved_at"] == found["at"] == "2026-03-02T10:01:00.000Z"


def test_at_is_when_it_took_its_state_and_as_of_when_its_numbers_stood() -> None:
    story = Story(rules(BACKLOG))
    story.backlog(T0, 30)
    story.backlog(T0 + M, 50)
    (alert,) = story.state.alerts.values()
    found = to_object(alert, NAMES)
    assert (found["at"], found["as_of"]) == ("2026-03-02T10:00:00.000Z", "2026-03-02T10:01:00.000Z")
    assert (found["value"], found["peak"]) == (50, 50)


def test_a_rule_can_say_it_in_its_own_words() -> None:
    found = to_object(fired(BACKLOG + "  summary: {zh: 排队过长, en: Line too long}\n"), Labels())
    assert found["summary"] == {
        "zh": "shop · returns：排队过长 30（阈值 20）",
        "en": "shop · returns: Line too long 30 (limit 20)",
    }


def test_a_dead_channel_is_told_in_both_languages() -> None:
    _, (change,) = channel_down(State(), "ops", "answered 404", T0)
    found = to_object(change.alert, Labels())
    assert found["summary"] == {"zh": "通知渠道 ops 无法送达", "en": "Channel ops cannot be reached"}
    assert found["reason"] == "answered 404"


def test_the_consoles_line_has_ids_and_numbers_and_no_words_of_customers() -> None:
    story = Story(rules("- {name: surge, metric: surge, scope: {queue: '*'}}"))
    volume = {"surge": True, "rate_per_min": 96.0, "expected": 31.0}
    (change,) = story.tick(T0, key(volume=volume, samples=["CANARY"], keywords=["CANARY"]))
    found = to_object(change.alert, Labels())
    assert found["samples"] == found["keywords"] == ["CANARY"]
    assert "CANARY" not in repr(console_line(found))


@pytest.mark.parametrize(
    ("value", "unit", "en", "zh"),
    [
        (0.724, "ratio", "72.4%", "72.4%"), (96, "per_min", "96 per min", "96 条/分钟"),
        (90, "s", "1 min 30 s", "1分30秒"),
        (-0.5, "score", "-0.50", "-0.50"), (12, "count", "12", "12"), (848_000, "ms", "14 min 8 s", "14分8秒"),
    ],
)  # fmt: skip
def test_a_number_is_said_with_its_unit(value: float, unit: str, en: str, zh: str) -> None:
    assert (amount(value, unit, "en"), amount(value, unit, "zh")) == (en, zh)


parts = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(-1e4, 1e4), max_size=12)


@given(parts, st.floats(-1e5, 1e5))
def test_the_drivers_of_a_dimension_sum_to_the_excess(found: dict[str, float], total: float) -> None:
    drivers = split("queue", found, total)
    if drivers:
        assert sum(driver["excess"] for driver in drivers) == pytest.approx(total, abs=1e-6)
        assert sum(driver["share"] for driver in drivers) == pytest.approx(1, abs=1e-3) or abs(total) < 1e-3
    assert len(drivers) <= DRIVERS + 1
    assert len({driver["value"] for driver in drivers}) == len(drivers)


def surging(queue: str, channel: str, rate: float, expected: float | None, **volume: Any) -> dict[str, Any]:
    return key(queue, channel, volume={"surge": True, "rate_per_min": rate, "expected": expected, **volume})


def test_a_surge_is_split_by_the_queues_and_channels_it_is_the_sum_of() -> None:
    keys = [
        surging("*", "*", 96, 31), surging("a", "*", 70, 20), surging("b", "*", 20, 11), surging("*", "web", 90, 30),
        surging("*", "app", 6, 1), surging("a", "web", 70, 20),
    ]  # fmt: skip
    drivers = drivers_of(keys[0], 96, Siblings(keys))
    assert [(d["dimension"], d["value"], d["excess"]) for d in drivers] == [
        ("channel", "web", 60), ("channel", "app", 5), ("queue", "a", 50), ("queue", "b", 9), ("queue", "other", 6),
    ]  # fmt: skip


def test_drivers_the_model_gives_stand_and_a_key_without_an_expectation_has_none() -> None:
    topic = {"dimension": "topic", "value": "refund", "excess": 65.0, "share": 1.0}
    one = surging("a", "web", 96, 31, drivers=[topic])
    assert drivers_of(one, 96, Siblings([one])) == [topic]
    assert drivers_of(surging("a", "web", 96, None), 96, Siblings(())) == []


def test_other_tenants_are_nobodys_drivers() -> None:
    mine, theirs = surging("*", "*", 96, 31), {**surging("a", "*", 90, 20), "tenant": "other"}
    assert drivers_of(mine, 96, Siblings([mine, theirs])) == []


@pytest.mark.parametrize(
    ("backlog", "closed", "offered", "staff", "needed", "plus"),
    [
        (30, 60, 60, 2, 2, {"1": 1800, "2": 900}),  # two people close 2 a minute: each further one 1 a minute
        (30, 60, 90, 2, 3, {"1": None, "2": 1800, "3": 900}),
        (0, 60, 60, 2, 0, {"1": 0, "2": 0}),
        (5, 60, 30, 2, 0, {"1": 150, "2": 100}),
        (900, 60, 600, 2, None, {"1": None, "2": None}),
        (30, 0, 60, 2, None, {"1": None, "2": None}),
        (30, 60, 60, 0, None, {"1": None, "2": None}),
        (None, 60, 60, 2, None, {"1": None, "2": None}),
    ],
)  # fmt: skip
def test_how_many_more_people_it_takes(
    backlog: int | None, closed: int, offered: int, staff: int, needed: int | None, plus: dict[str, int | None]
) -> None:
    assert reinforcement(backlog, closed, offered, staff) == (needed, plus)


def test_an_alerts_value_goes_on_while_it_is_open_and_stops_with_it() -> None:
    story = Story(rules(BACKLOG))
    story.backlog(T0, 30)
    story.backlog(T0 + S, 40)
    (over,) = story.tick(T0 + 2 * S, key(backlog=3))
    story.backlog(T0 + 3 * S, 2)
    (kept,) = story.state.recent.values()
    assert over.alert.value == kept.value == 3
