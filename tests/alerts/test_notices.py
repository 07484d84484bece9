"""Who hears of it, and when: timelines in which everything told, and everything not told, is written down."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.judging import judge
from alerts.notices import Escalation, Inhibition, Maintenance, Policy, Route, channels_for
from alerts.orders import Refused, obey
from alerts.readings import TenantReading
from alerts.state import FIRING, RESOLVED, in_debt
from streams.events import REAL
from tests.alerts.build import BACKLOG, T0, M, S, Story, key, readings, rules

LOUD = Policy(("ops",), repeat_ms=0, flap_times=0)
ORDER: dict[str, Any] = {
    "do": "silence",
    "tenant": "shop",
    "by": "li",
    "match": {"queue": "returns"},
    "reason": "drill",
}


def story(policy: Policy = LOUD, text: str = BACKLOG) -> Story:
    return Story(rules(text), policy)


def timeline(played: Story, moves: dict[int, int], until: int) -> list[tuple[int, str]]:
    """(second, state told) of everything told; `moves`: second → backlog from then on. A tick a second."""
    told: list[tuple[int, str]] = []
    backlog = 0
    for second in range(until + 1):
        backlog = moves.get(second, backlog)
        before = len(played.told)
        played.backlog(T0 + second * S, backlog)
        told += [(second, state) for _, _, state in played.told[before:]]
    return told


@pytest.mark.parametrize(
    ("policy", "moves", "expected"),
    [
        pytest.param(LOUD, {5: 30}, [(5, "firing")], id="fires at once"),
        pytest.param(LOUD, {5: 30, 9: 0}, [(5, "firing"), (9, "resolved")], id="fires and resolves at once"),
        pytest.param(LOUD, {}, [], id="quiet"),
        pytest.param(LOUD, {5: 15, 8: 20}, [], id="never beyond the bound"),
        pytest.param(
            LOUD,
            {1: 30, 2: 0, 3: 30, 4: 0},
            [(1, "firing"), (2, "resolved"), (3, "firing"), (4, "resolved")],
            id="twice",
        ),
        pytest.param(replace(LOUD, wait_ms=10 * S), {5: 30}, [(15, "firing")], id="waits for company"),
        pytest.param(replace(LOUD, wait_ms=10 * S), {5: 30, 12: 0}, [], id="over before its wait is"),
        pytest.param(
            replace(LOUD, wait_ms=10 * S), {5: 30, 20: 0}, [(15, "firing"), (30, "resolved")], id="the end waits too"
        ),
        pytest.param(
            replace(LOUD, interval_ms=30 * S), {5: 30, 10: 0}, [(5, "firing"), (35, "resolved")], id="keeps away"
        ),
        pytest.param(
            replace(LOUD, interval_ms=30 * S),
            {5: 30, 10: 0, 15: 30, 20: 0, 25: 30},
            [(5, "firing"), (35, "firing"), (35, "resolved")],
            id="what came and went in between is not told",
        ),
        pytest.param(
            replace(LOUD, repeat_ms=20 * S), {5: 30}, [(5, "firing"), (25, "firing"), (45, "firing")], id="repeats"
        ),
        pytest.param(
            replace(LOUD, repeat_ms=20 * S), {5: 30, 30: 0}, [(5, "firing"), (25, "firing"), (30, "resolved")],
            id="repeats until resolved",
        ),
        pytest.param(
            replace(LOUD, flap_times=2, flap_interval_ms=20 * S),
            {1: 30, 2: 0, 3: 30, 4: 0, 5: 30, 6: 0, 7: 30},
            [(1, "firing"), (2, "resolved"), (3, "firing"), (23, "firing"), (23, "resolved")],
            id="flaps",
        ),
        pytest.param(LOUD, {0: 30}, [(0, "firing")], id="at the first tick"),
        pytest.param(LOUD, {5: 30, 6: 15, 7: 30}, [(5, "firing")], id="between the bounds it goes on"),
        pytest.param(LOUD, {5: 30, 6: 11}, [(5, "firing")], id="just above clear it goes on"),
        pytest.param(LOUD, {5: 21, 6: 10}, [(5, "firing"), (6, "resolved")], id="at the bounds"),
        pytest.param(replace(LOUD, wait_ms=10 * S), {5: 30, 14: 0}, [], id="over just before its wait"),
        pytest.param(
            replace(LOUD, wait_ms=10 * S), {5: 30, 8: 0, 10: 30}, [(20, "firing")], id="begins its wait anew"
        ),
        pytest.param(
            replace(LOUD, wait_ms=10 * S), {5: 30, 16: 0, 17: 30}, [(15, "firing"), (26, "firing"), (26, "resolved")],
            id="comes again after its wait",
        ),
        pytest.param(
            replace(LOUD, interval_ms=20 * S), {5: 30, 30: 0}, [(5, "firing"), (30, "resolved")], id="long after"
        ),
        pytest.param(
            replace(LOUD, interval_ms=20 * S), {5: 30, 6: 0, 7: 30, 8: 0}, [(5, "firing"), (25, "resolved")],
            id="what is over again when the interval ends",
        ),
        pytest.param(
            replace(LOUD, wait_ms=5 * S, interval_ms=20 * S), {5: 30, 12: 0}, [(10, "firing"), (30, "resolved")],
            id="wait and interval",
        ),
        pytest.param(
            replace(LOUD, interval_ms=10 * S, repeat_ms=25 * S),
            {5: 30}, [(5, "firing"), (30, "firing"), (55, "firing")], id="interval and repeat",
        ),
        pytest.param(
            replace(LOUD, repeat_ms=60 * S), {5: 30, 50: 0}, [(5, "firing"), (50, "resolved")], id="no repeat"
        ),
        pytest.param(
            replace(LOUD, maintenance=(Maintenance({}, "x", "ops", T0 + 10 * S, T0 + 20 * S),)), {5: 30, 15: 0},
            [(5, "firing"), (20, "resolved")], id="ends inside a maintenance window",
        ),
        pytest.param(
            replace(LOUD, maintenance=(Maintenance({}, "x", "ops", T0 + 10 * S, T0 + 20 * S),)), {12: 30, 15: 0}, [],
            id="comes and goes inside a maintenance window",
        ),
        pytest.param(
            replace(LOUD, maintenance=(Maintenance({}, "x", "ops", T0 + 10 * S, T0 + 20 * S),)), {12: 30, 25: 0},
            [(20, "firing"), (25, "resolved")], id="outlasts a maintenance window",
        ),
        pytest.param(
            replace(LOUD, maintenance=(Maintenance({"queue": "b*"}, "x", "ops", T0, T0 + M),)),
            {12: 30}, [(12, "firing")], id="a maintenance window of another queue",
        ),
        pytest.param(
            replace(LOUD, repeat_ms=10 * S, maintenance=(Maintenance({}, "x", "ops", T0 + 10 * S, T0 + 30 * S),)),
            {5: 30}, [(5, "firing"), (30, "firing"), (40, "firing"), (50, "firing"), (60, "firing")],
            id="no repeat inside a maintenance window",
        ),
    ],
)  # fmt: skip
def test_a_timeline_tells_exactly_this(policy: Policy, moves: dict[int, int], expected: list[tuple[int, str]]) -> None:
    assert sorted(timeline(story(policy), moves, 60)) == sorted(expected)


@pytest.mark.slow
def test_a_hundred_flaps_are_told_at_most_once_a_group_interval() -> None:
    played = story(replace(LOUD, interval_ms=5 * M))
    told = timeline(played, {second: 30 * (second // 3 % 2) for second in range(0, 600, 3)}, 1200)
    seconds = sorted({second for second, _ in told})
    assert all(later - sooner >= 300 for sooner, later in pairwise(seconds))


@pytest.mark.slow
def test_flapping_is_damped_by_itself() -> None:
    played = story(Policy(("ops",)))
    told = timeline(played, {second: 30 * (second // 3 % 2) for second in range(0, 600, 3)}, 900)
    assert len(told) <= 2 * 3 + 2 * 3
    assert not any(in_debt(alert) for alert in played.state.recent.values())


@pytest.mark.slow
def test_a_storm_is_one_flush_a_group() -> None:
    played = story(replace(LOUD, wait_ms=30 * S))
    for second in range(10):
        played.tick(T0 + second * S, *(key(f"q{n}", backlog=30) for n in range(200 * (second + 1))))
    assert played.told == []
    played.tick(T0 + 30 * S, *(key(f"q{n}", backlog=30) for n in range(2000)))
    assert len(played.told) == 2000
    assert len(played.state.groups) == 1


def test_inside_a_silence_nothing_is_told_and_at_its_end_only_what_still_stands() -> None:
    played = story()
    played.state, _ = obey(played.state, {**ORDER, "minutes": 1}, T0)
    told = timeline(played, {5: 30, 10: 0, 20: 30}, 70)
    assert told == [(60, "firing")]
    assert played.state.silences == {}


def test_an_alert_told_before_a_silence_and_resolved_inside_it_is_told_as_over_at_its_end() -> None:
    played = story()
    timeline(played, {1: 30}, 5)
    played.state, _ = obey(played.state, {**ORDER, "minutes": 1}, T0 + 5 * S)
    for second in range(6, 70):
        played.backlog(T0 + second * S, 0)
    assert played.told == [("ops", "backlog-high", "firing"), ("ops", "backlog-high", "resolved")]


def test_a_silence_holds_for_what_it_matches_and_its_tenant_only() -> None:
    played = story()
    for match, tenant in (
        ({"queue": "bill*"}, "shop"),
        ({"queue": "returns"}, "other"),
        ({"severity": "critical"}, "*"),
    ):
        played.state, _ = obey(played.state, {**ORDER, "match": match, "tenant": tenant}, T0)
    assert timeline(played, {1: 30}, 2) == [(1, "firing")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"match": {}}, {"match": None}, {"match": {"queue": 7}}, {"minutes": 0}, {"minutes": True}, {"minutes": 1.5},
        {"minutes": 10**6}, {"reason": ""}, {"reason": " "}, {"reason": None}, {"reason": "x" * 501}, {"by": ""},
        {"tenant": None}, {"do": "sing"}, {"do": "unsilence"}, {"do": "ack", "alert": 7},
    ],
)  # fmt: skip
def test_a_wrong_order_is_refused_with_what_it_lacks(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        obey(story().state, {**ORDER, **wrong}, T0)


def test_another_tenants_silence_cannot_be_ended() -> None:
    state, _ = obey(story().state, ORDER, T0)
    (id_,) = state.silences
    with pytest.raises(Refused, match="there is no such silence"):
        obey(state, {"do": "unsilence", "tenant": "other", "by": "x", "id": id_}, T0)
    state, _ = obey(state, {"do": "unsilence", "tenant": "shop", "by": "x", "id": id_}, T0)
    assert state.silences == {}


def test_a_maintenance_window_is_a_silence_that_the_file_keeps() -> None:
    window = Maintenance({"queue": "ret*"}, "deploy", "ops team", T0 + 5 * S, T0 + 15 * S)
    played = story(replace(LOUD, maintenance=(window,)))
    assert timeline(played, {6: 30}, 20) == [(15, "firing")]
    weekly = Maintenance({}, "quiet hour", "ops", weekly={"mon": [("10:00", "10:01")]})
    assert timeline(story(replace(LOUD, maintenance=(weekly,))), {6: 30}, 70) == [(60, "firing")]


TWO = (
    BACKLOG
    + """
- {name: worse, metric: backlog, scope: {queue: "*"}, fire: "> 60", severity: critical}
"""
)
STANDS_IN = Inhibition({"rule": "worse"}, {"rule": "backlog-high"}, ("tenant", "queue"))


def test_a_graver_alert_stands_in_for_a_lesser_one_with_equal_labels() -> None:
    played = story(replace(LOUD, inhibit=(STANDS_IN,)), TWO)
    played.tick(T0, key("a", backlog=70), key("b", backlog=30))
    assert sorted(played.told) == [("ops", "backlog-high", "firing"), ("ops", "worse", "firing")]
    (quiet,) = [alert for alert in played.state.alerts.values() if alert.inhibited_by]
    assert quiet.slot.queue == "a"
    played.tick(T0 + S, key("a", backlog=40), key("b", backlog=30))  # the graver one is over, the lesser one stands
    assert sorted(played.told[2:]) == [("ops", "backlog-high", "firing"), ("ops", "worse", "resolved")]


def test_what_is_true_everywhere_inhibits_in_every_tenant() -> None:
    ruleset = "- {name: lag, metric: ingest_lag, fire: '> 30s'}\n- {name: surge, metric: surge, scope: {queue: '*'}}"
    inhibit = (Inhibition({"rule": "lag"}, {"metric": "surge"}, ("tenant",)),)
    played = story(replace(LOUD, inhibit=inhibit), ruleset)
    surging = key("a", volume={"surge": True, "rate_per_min": 90, "expected": 30})
    numbers = readings([surging], **{"*": TenantReading(ingest_lag_ms=40_000)})
    played.state, _ = judge(played.state, played.rules, REAL, T0, numbers)
    assert played.plan(T0) == ["firing"]
    assert [alert.slot.rule for alert in played.state.alerts.values() if alert.told] == ["lag"]


def test_routes_add_up_each_channel_once_and_what_none_matches_goes_to_the_console() -> None:
    routes = (Route({"queue": "ret*"}, ("a", "b")), Route({"severity": "warning"}, ("b", "c")))
    policy = replace(LOUD, channels=("a", "b", "c"), routes=routes)
    played = story(policy)
    played.tick(T0, key("returns", backlog=30))
    assert [channel for channel, _, _ in played.told] == ["a", "b", "c"]
    elsewhere = story(replace(policy, routes=routes[:1]))
    elsewhere.tick(T0, key("billing", backlog=30))
    assert [channel for channel, _, _ in elsewhere.told] == ["console"]


def test_a_label_of_the_rule_can_route_too() -> None:
    policy = replace(LOUD, channels=("a", "b"), routes=(Route({"team": "pay*"}, ("a",)),))
    played = story(policy, BACKLOG + "  labels: {team: payments}\n")
    played.backlog(T0, 30)
    (alert,) = played.state.alerts.values()
    assert channels_for(alert, policy) == ("a",)


def test_what_nobody_acknowledges_is_escalated_once_and_what_somebody_has_is_not() -> None:
    step = Escalation(10 * S, ("boss",), "warning")
    played = story(replace(LOUD, escalate=(step,), repeat_ms=4 * S))
    timeline(played, {1: 30}, 30)
    assert [channel for channel, _, _ in played.told].count("boss") == 1
    taken = story(replace(LOUD, escalate=(step,)))
    timeline(taken, {1: 30}, 5)
    (alert,) = taken.state.alerts.values()
    order = {"do": "ack", "tenant": "shop", "by": "li", "alert": alert.id}
    taken.state, _ = obey(taken.state, order, T0 + 5 * S)
    for second in range(6, 30):
        taken.backlog(T0 + second * S, 30)
    assert [(c, s) for c, _, s in taken.told] == [("ops", "firing"), ("ops", "acknowledged")]


def test_while_the_stream_catches_up_nothing_new_is_told_and_then_only_what_still_stands() -> None:
    played, late = story(), T0 + 20 * M
    played.backlog(T0, 30, now=late)
    played.backlog(T0 + M, 0, now=late)
    played.backlog(T0 + 2 * M, 30, now=late)
    assert played.told == []
    played.backlog(late - S, 30, now=late)
    assert [state for _, _, state in played.told] == ["firing"]


def test_a_replays_alerts_are_told_though_its_clock_is_long_past() -> None:
    played = Story(rules(BACKLOG), LOUD, clock="shop")
    played.backlog(T0, 30, now=T0 + 10**9)
    assert [state for _, _, state in played.told] == ["firing"]


def test_escalation_goes_step_by_step_and_leaves_lesser_alerts_alone() -> None:
    steps = (
        Escalation(5 * S, ("lead",), "warning"),
        Escalation(8 * S, ("boss",), "critical"),
        Escalation(12 * S, ("head",), "warning"),
    )
    played = story(replace(LOUD, escalate=steps))
    told = timeline(played, {1: 30}, 40)
    assert [second for second, _ in told] == [1, 6, 13]
    assert [channel for channel, _, _ in played.told] == ["ops", "lead", "head"]


walks = st.lists(st.integers(0, 40), max_size=60)
policies = st.builds(
    Policy, st.just(("ops",)), wait_ms=st.sampled_from((0, 3 * S)), interval_ms=st.sampled_from((0, 10 * S)),
    repeat_ms=st.sampled_from((0, 20 * S)), flap_times=st.sampled_from((0, 2)), flap_interval_ms=st.just(15 * S),
)  # fmt: skip


@given(walks, policies)
def test_in_the_end_people_believe_what_is_true(walk: list[int], policy: Policy) -> None:
    """However it is grouped, damped or repeated: at last no debt is left, and no end was told without a beginning."""
    played = story(policy)
    for second, backlog in enumerate(walk):
        played.backlog(T0 + second * S, backlog)
    end = len(walk) * S + T0
    for second in range(40):
        played.plan(end + second * S)
    known = [*played.state.alerts.values(), *played.state.recent.values()]
    assert not any(in_debt(alert) for alert in known)
    assert all(alert.told is FIRING for alert in known if alert.state is FIRING)
    assert all(alert.told in (None, RESOLVED) for alert in known if alert.state is RESOLVED)
    states = [state for _, _, state in played.told]
    assert states.count("resolved") <= states.count("firing")


@given(walks)
def test_without_any_hold_every_change_is_told_exactly_once(walk: list[int]) -> None:
    played = story()
    changed = [state for second, backlog in enumerate(walk) for state in played.backlog(T0 + second * S, backlog)]
    assert [state for _, _, state in played.told] == changed
