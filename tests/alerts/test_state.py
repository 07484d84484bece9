"""An alert over time: the table, holds, hysteresis, identity, and what a repeated or replayed tick does."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.counters import count, increase
from alerts.judging import judge
from alerts.orders import Refused, acknowledge, find, grade
from alerts.ourselves import channel_down, overdue
from alerts.readings import EVERYWHERE, Readings, TenantReading
from alerts.rule import Ruleset
from alerts.state import NEXT, RECENT_MS, Alert, Change, Phase, Signal, State
from streams.events import REAL
from tests.alerts.build import BACKLOG, HELD, T0, M, S, Story, key, readings, rules

OK, PENDING, FIRING, ACKNOWLEDGED, RESOLVED = Phase


def test_every_state_answers_every_signal() -> None:
    assert {(phase, signal) for phase, row in NEXT.items() for signal in row} == set(product(Phase, Signal))


def test_nothing_leads_back_from_resolved_to_the_same_alert() -> None:
    assert NEXT[RESOLVED][Signal.CLEAR] is NEXT[RESOLVED][Signal.ACK] is RESOLVED


def test_without_a_hold_an_alert_fires_at_the_first_tick_that_breaches() -> None:
    story = Story(rules(BACKLOG))
    assert story.backlog(T0, 20) == []
    assert story.backlog(T0 + S, 21) == ["firing"]
    (alert,) = story.state.alerts.values()
    assert (alert.since, alert.at, alert.fired_at, alert.value) == (T0 + S, T0 + S, T0 + S, 21)


def test_a_hold_is_kept_to_the_millisecond_and_begins_anew_after_a_pause() -> None:
    story = Story(rules(HELD))
    assert story.backlog(T0, 30) == []
    assert story.backlog(T0 + 2 * M - 1, 30) == []
    assert story.backlog(T0 + 2 * M, 15) == []  # one moment below the bound
    assert story.backlog(T0 + 3 * M, 30) == []
    assert story.backlog(T0 + 5 * M - 1, 30) == []
    assert story.backlog(T0 + 5 * M, 30) == ["firing"]
    (alert,) = story.state.alerts.values()
    assert alert.since == T0 + 3 * M


def test_between_the_bounds_an_alert_goes_on_and_none_begins() -> None:
    story = Story(rules(BACKLOG))
    assert story.backlog(T0, 15) == []
    assert story.backlog(T0 + S, 25) == ["firing"]
    assert story.backlog(T0 + 2 * S, 11) == []
    assert story.backlog(T0 + 3 * S, 10) == ["resolved"]


def test_keep_firing_for_waits_out_a_lull() -> None:
    story = Story(rules(BACKLOG + "  keep_firing_for: 5m"))
    story.backlog(T0, 30)
    assert story.backlog(T0 + M, 5) == []
    assert story.backlog(T0 + 4 * M, 30) == []
    assert story.backlog(T0 + 5 * M, 5) == []
    assert story.backlog(T0 + 10 * M - 1, 5) == []
    assert story.backlog(T0 + 10 * M, 5) == ["resolved"]


def test_the_id_is_the_same_from_firing_to_resolved_and_new_the_next_time() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    story.state, (acked,) = acknowledge(story.state, fired.alert.id, "shop", "li", T0 + S)
    (resolved,) = story.tick(T0 + M, key(backlog=0))
    (again,) = story.tick(T0 + 2 * M, key(backlog=30))
    assert fired.alert.id == acked.alert.id == resolved.alert.id != again.alert.id
    assert resolved.alert.acknowledged_by == "li"
    assert again.alert.acknowledged_by is None


def test_the_peak_is_the_worst_value_in_the_rules_own_direction() -> None:
    story = Story(rules(BACKLOG))
    for at, value in enumerate((30, 50, 40)):
        story.backlog(T0 + at, value)
    assert next(iter(story.state.alerts.values())).peak == 50
    low = Story(rules("- {name: sl, metric: service_level, window: 30m, fire: '< 80%', scope: {queue: '*'}}"))
    for at, level in enumerate((0.7, 0.5, 0.6)):
        low.tick(T0 + at, key(w30m={"service_level": level}))
    assert next(iter(low.state.alerts.values())).peak == 0.5


SL = """
- name: sl
  metric: service_level
  scope: {queue: "*"}
  window: 30m
  fire: "< 80%"
  min_n: 20
"""


def level(value: float | None, offered: int, **fields: Any) -> dict[str, Any]:
    window = {"service_level": value, "offered": offered, "short_abandoned": 0, "undecided": 0}
    return key(w30m=window, **fields)


def test_too_few_cases_are_not_judged_and_an_open_alert_needs_half_as_many() -> None:
    story = Story(rules(SL))
    assert story.tick(T0, level(0.1, 19)) == []
    assert [c.alert.state for c in story.tick(T0 + S, level(0.1, 20))] == [FIRING]
    assert story.tick(T0 + 2 * S, level(0.1, 10)) == []
    (over,) = story.tick(T0 + 3 * S, level(0.1, 9))
    assert (over.alert.state, over.alert.reason) == (RESOLVED, "too_few")


def test_undecided_and_short_abandons_are_no_cases() -> None:
    story = Story(rules(SL))
    window = {"service_level": 0.1, "offered": 40, "short_abandoned": 10, "undecided": 11}
    assert story.tick(T0, key(w30m=window)) == []


def test_where_nothing_is_left_to_judge_an_alert_ends_and_says_so() -> None:
    story = Story(rules(SL))
    story.tick(T0, level(0.1, 40))
    (over,) = story.tick(T0 + S, level(None, 0))
    assert (over.alert.state, over.alert.reason) == (RESOLVED, "no_cases")


def test_a_key_that_is_gone_ends_its_alert() -> None:
    story = Story(rules(BACKLOG))
    story.tick(T0, key(backlog=30))
    (over,) = story.tick(T0 + S, shop=TenantReading())
    assert (over.alert.state, over.alert.reason) == (RESOLVED, "gone")


def test_a_rule_that_is_gone_ends_its_alerts_at_the_next_tick() -> None:
    story = Story(rules(BACKLOG))
    story.tick(T0, key(backlog=30))
    story.rules = Ruleset(())
    (over,) = story.tick(T0 + S, key(backlog=30))
    assert (over.alert.state, over.alert.reason) == (RESOLVED, "rule_removed")


def test_an_alert_whose_ground_is_restated_away_ends_at_once_and_says_so() -> None:
    story = Story(rules(SL + "  keep_firing_for: 10m"))
    story.tick(T0, level(0.5, 40, restated=[{"minute": T0 - M, "field": "offered", "old": 39, "new": 40}]))
    restated = [
        {"minute": T0 - M, "field": "offered", "old": 39, "new": 40},
        {"minute": T0 - 5 * M, "field": "offered", "old": 40, "new": 20},
    ]
    (over,) = story.tick(T0 + S, level(0.9, 20, restated=restated))
    assert (over.alert.state, over.alert.reason) == (RESOLVED, "restated")


def test_what_was_restated_before_it_fired_or_does_not_concern_it_takes_no_ground_away() -> None:
    story = Story(rules(SL + "  keep_firing_for: 10m"))
    before = {"minute": T0 - M, "field": "offered", "old": 39, "new": 40}
    story.tick(T0, level(0.5, 40, restated=[before]))
    other = {"minute": T0 - M, "field": "customer_messages", "old": 1, "new": 2}
    assert story.tick(T0 + S, level(0.9, 40, restated=[before, other])) == []


def test_a_rule_ends_its_alerts_when_its_hours_are_over() -> None:
    story = Story(
        rules(BACKLOG + "  keep_firing_for: 1h\n  schedule: {zone: UTC, weekly: {mon: [['09:00', '10:01']]}}")
    )
    story.backlog(T0, 30)
    (over,) = story.tick(T0 + M, key(backlog=30))
    assert over.alert.reason == "off_duty"


def test_a_tick_judged_before_changes_nothing() -> None:
    story = Story(rules(BACKLOG))
    story.backlog(T0, 30)
    before = story.state
    assert story.backlog(T0, 0) == []
    assert story.backlog(T0 - S, 0) == []
    assert story.state.alerts == before.alerts


def test_the_clocks_of_replays_do_not_touch_each_other() -> None:
    state, ruleset = State(), rules(BACKLOG)
    state, _ = judge(state, ruleset, "a", T0, readings([key(tenant="a", backlog=30)]))
    state, changes = judge(state, ruleset, REAL, T0 + M, readings([key(tenant="b", backlog=30)]))
    assert [change.alert.slot.tenant for change in changes] == ["b"]
    assert len(state.alerts) == 2
    state, changes = judge(state, ruleset, "a", T0 + 1, readings([key(tenant="a", backlog=0)]))
    assert [(change.alert.slot.tenant, change.alert.state) for change in changes] == [("a", RESOLVED)]


def test_a_tenant_that_leaves_its_replay_keeps_its_alert_and_begins_its_waits_anew() -> None:
    state, ruleset = State(), rules(HELD)
    for at in (T0, T0 + 2 * M):
        state, _ = judge(state, ruleset, "a", at, readings([key("x", tenant="a", backlog=30)]))
    state, _ = judge(state, ruleset, "a", T0 + 2 * M + S, readings([key(q, tenant="a", backlog=30) for q in "xy"]))
    later = T0 + 999 * M
    state, changes = judge(state, ruleset, REAL, later, readings([key(q, tenant="a", backlog=30) for q in "xy"]))
    assert changes == []
    assert {alert.state for alert in state.alerts.values()} == {FIRING, PENDING}
    assert all(alert.clock == REAL for alert in state.alerts.values())
    state, changes = judge(state, ruleset, REAL, later + S, readings([key(q, tenant="a") for q in "xy"]))
    assert changes == []  # keep_firing_for counts on the new clock
    state, changes = judge(state, ruleset, REAL, later + S + 5 * M, readings([key(q, tenant="a") for q in "xy"]))
    assert [change.alert.state for change in changes] == [RESOLVED]


def test_one_alert_per_match_and_the_sum_where_a_dimension_is_not_named() -> None:
    story = Story(rules(BACKLOG + BACKLOG.replace("backlog-high", "all").replace('  scope: {queue: "*"}\n', "")))
    keys = [key(q, c, backlog=30) for q in ("*", "a", "b") for c in ("*", "web")]
    found = {(c.alert.slot.rule, c.alert.slot.queue, c.alert.slot.channel) for c in story.tick(T0, *keys)}
    assert found == {("backlog-high", "a", "*"), ("backlog-high", "b", "*"), ("all", "*", "*")}


FLAGS = "- {name: surge, metric: surge, scope: {queue: '*'}}\n- {name: lull, metric: lull, scope: {queue: '*'}}"


def surging(queue: str, rate: float, expected: float, surge: bool = True, **fields: Any) -> dict[str, Any]:
    volume = {"rate_per_min": rate, "expected": expected, "low": expected - 5, "high": expected + 5, "surge": surge}
    return key(queue, volume={**volume, "lull": False}, **fields)


def test_a_surge_is_the_models_word_and_tells_the_rate_beside_what_is_usual() -> None:
    story = Story(rules(FLAGS))
    assert story.tick(T0, surging("a", 33, 31, surge=False)) == []
    (fired,) = story.tick(T0 + S, surging("a", 96, 31))
    assert (fired.alert.value, fired.alert.unit) == (96, "per_min")
    assert (fired.alert.facts.expected, fired.alert.facts.low, fired.alert.facts.high) == (31, 26, 36)
    assert [c.alert.state for c in story.tick(T0 + 2 * S, surging("a", 33, 31, surge=False))] == [RESOLVED]


LAG = "- {name: lag, metric: ingest_lag, fire: '> 30s'}\n- {name: dead, metric: dead_letters, fire: '> 5', window: 5m}"


def test_ingest_lag_and_no_data_leave_replays_out() -> None:
    lagging = Readings((), {"shop": TenantReading(ingest_lag_ms=99_000, no_data_ms=99_000_000)})
    ruleset = rules(LAG + "\n- {name: quiet, metric: no_data, fire: '> 10m'}")
    _, changes = judge(State(), ruleset, "shop", T0, lagging)
    assert changes == []
    _, changes = judge(State(), ruleset, REAL, T0, lagging)
    assert [change.alert.slot.rule for change in changes] == ["lag", "quiet"]


def test_what_is_told_of_a_tenant_keeps_firing_for_as_long_as_its_rule_says() -> None:
    story = Story(rules("- {name: lag, metric: ingest_lag, fire: '> 30s', keep_firing_for: 1m}"))
    lags: tuple[tuple[int, int, list[str]], ...]
    lags = ((T0, 40 * S, ["firing"]), (T0 + S, 0, []), (T0 + M, 0, []), (T0 + M + S, 0, ["resolved"]))
    for at, lag, expected in lags:
        changes = story.tick(at, shop=TenantReading(ingest_lag_ms=lag))
        assert [str(change.alert.state) for change in changes] == expected


def test_dead_letters_are_counted_over_the_window_from_the_first_total_known() -> None:
    story = Story(rules(LAG))

    def dead(at: int, total: int) -> list[str]:
        reading = TenantReading(dead_letters=total)
        story.state, changes = judge(story.state, story.rules, REAL, at, Readings((), {EVERYWHERE: reading}))
        return [str(change.alert.state) for change in changes]

    assert dead(T0, 1000) == []
    assert dead(T0 + 1 * M, 1005) == []
    assert dead(T0 + 2 * M, 1006) == ["firing"]
    assert dead(T0 + 6 * M, 1006) == ["resolved"]


@given(st.lists(st.tuples(st.integers(1, 30 * S), st.integers(0, 5)), max_size=60))
def test_a_counters_rise_over_a_window_is_what_came_in_it_within_its_grain(steps: list[tuple[int, int]]) -> None:
    counters: Any = {}
    at, total, true = T0, 0, []
    counters = count(counters, at, {"t": TenantReading(dead_letters=0)})
    for pause, more in steps:
        at, total = at + pause, total + more
        true.append((at, more))
        counters = count(counters, at, {"t": TenantReading(dead_letters=total)})
    found = increase(counters["t", "dead_letters"], at - 5 * M)
    least = sum(more for when, more in true if when > at - 5 * M)
    most = sum(more for when, more in true if when > at - 5 * M - 10 * S)
    assert least <= found <= most


def test_a_counter_that_begins_again_at_nothing_has_not_fallen() -> None:
    history = ((T0, 100), (T0 + 20 * S, 103), (T0 + 40 * S, 2))
    assert increase(history, T0) == 5


def test_a_counters_history_is_bounded() -> None:
    counters: Any = {}
    for second in range(3 * 3600):
        counters = count(counters, T0 + second * S, {"t": TenantReading(dead_letters=second)})
    assert len(counters["t", "dead_letters"]) < 200


def test_acknowledging_is_once_and_by_one_person() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    state, changes = acknowledge(story.state, fired.alert.id, "shop", "li", T0 + S)
    assert [(change.alert.state, change.alert.acknowledged_by) for change in changes] == [(ACKNOWLEDGED, "li")]
    assert acknowledge(state, fired.alert.id, "shop", "li", T0 + 2 * S) == (state, [])
    with pytest.raises(Refused, match="li has acknowledged it"):
        acknowledge(state, fired.alert.id, "shop", "wang", T0 + 2 * S)


def test_another_tenants_alert_is_as_unknown_as_one_that_never_was() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    for id_, tenant in ((fired.alert.id, "other"), ("0" * 16, "shop"), ("", "shop")):
        with pytest.raises(Refused, match="there is no such alert"):
            find(story.state, id_, tenant)
    assert find(story.state, fired.alert.id, "*").id == fired.alert.id


def test_a_resolved_alert_can_be_graded_but_not_acknowledged() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    story.tick(T0 + S, key(backlog=0))
    with pytest.raises(Refused, match="resolved"):
        acknowledge(story.state, fired.alert.id, "shop", "li", T0)
    state, (change,) = grade(story.state, fired.alert.id, "shop", "noise")
    assert (change.alert.grade, change.alert.state) == ("noise", RESOLVED)
    assert grade(state, fired.alert.id, "shop", "noise") == (state, [])
    with pytest.raises(Refused, match="useful or noise"):
        grade(state, fired.alert.id, "shop", "meh")


def test_a_resolved_alert_stays_for_half_an_hour_of_its_clock() -> None:
    story = Story(rules(BACKLOG))
    story.backlog(T0, 30)
    story.backlog(T0 + S, 0)
    story.backlog(T0 + S + RECENT_MS - 1, 0)
    assert len(story.state.recent) == 1
    story.backlog(T0 + S + RECENT_MS, 0)
    assert story.state.recent == {}


def test_a_stream_that_stands_still_is_told_outside_ticks_and_ends_with_the_next_one() -> None:
    ruleset = rules(
        "- {name: stopped, metric: stream_age, fire: '> 60s'}\n- {name: quiet, metric: no_data, fire: '> 10m'}"
    )
    state, changes = overdue(State(), ruleset, 60 * S, T0)
    assert changes == []
    state, changes = overdue(state, ruleset, 61 * S, T0 + S)
    assert [(c.alert.slot.rule, c.alert.slot.tenant, c.alert.state) for c in changes] == [("stopped", "*", FIRING)]
    state, changes = judge(state, ruleset, REAL, T0 + 2 * S, readings([key()]))
    assert changes == []  # a tick does not judge it
    state, changes = overdue(state, ruleset, 0, T0 + 2 * S)
    assert [c.alert.state for c in changes] == [RESOLVED]


def test_a_dead_channel_is_one_alert_until_it_works_again() -> None:
    state, changes = channel_down(State(), "ops", "answered 404", T0)
    assert [(c.alert.slot.rule, c.alert.state) for c in changes] == [("channel-down/ops", FIRING)]
    assert channel_down(state, "ops", "answered 403", T0 + S) == (state, [])
    state, changes = judge(state, rules(BACKLOG), REAL, T0 + S, readings([key()]))
    assert changes == []
    state, changes = channel_down(state, "ops", None, T0 + 2 * S)
    assert [c.alert.state for c in changes] == [RESOLVED]
    assert channel_down(state, "ops", None, T0 + 2 * S) == (state, [])


ticks = st.lists(
    st.tuples(st.integers(1, 3 * M), st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=2, max_size=2)),
    max_size=40,
)


def play(state: State, ruleset: Ruleset, series: list[tuple[int, list[int | None]]]) -> tuple[State, list[Change]]:
    """Judge ticks one after another; a None is a queue that is not there."""
    found: list[Change] = []
    for at, values in series:
        keys = [key(q, backlog=v) for q, v in zip("ab", values, strict=True) if v is not None]
        state, changes = judge(state, ruleset, REAL, at, readings(keys, shop=TenantReading()))
        found += changes
    return state, found


def timed(steps: list[tuple[int, list[int | None]]]) -> list[tuple[int, list[int | None]]]:
    at, found = T0, []
    for pause, values in steps:
        at += pause
        found.append((at, values))
    return found


@given(ticks)
def test_the_same_ticks_give_the_same_alerts_with_the_same_ids(steps: list[tuple[int, list[int | None]]]) -> None:
    ruleset = rules(HELD)
    assert play(State(), ruleset, timed(steps)) == play(State(), ruleset, timed(steps))


@given(ticks, st.data())
def test_judging_again_after_a_crash_loses_and_adds_nothing(
    steps: list[tuple[int, list[int | None]]], data: st.DataObject
) -> None:
    ruleset, series = rules(HELD), timed(steps)
    cut = data.draw(st.integers(0, len(series)))
    back = data.draw(st.integers(0, cut))
    whole, expected = play(State(), ruleset, series)
    half, first = play(State(), ruleset, series[:cut])
    again, rest = play(half, ruleset, series[back:])
    assert (again, first + rest) == (whole, expected)


@given(ticks)
@settings(max_examples=60)
def test_the_story_of_every_alert_is_fire_then_resolve_each_once(steps: list[tuple[int, list[int | None]]]) -> None:
    state, changes = play(State(), rules(HELD), timed(steps))
    told: dict[str, list[Phase]] = {}
    for change in changes:
        told.setdefault(change.alert.id, []).append(change.alert.state)
    assert all(story in ([FIRING], [FIRING, RESOLVED]) for story in told.values())
    still = {alert.id for alert in state.alerts.values() if alert.state is FIRING}
    assert still == {id_ for id_, story in told.items() if story == [FIRING]}


@given(ticks)
def test_an_alert_fires_exactly_when_its_bound_held_for_as_long_as_the_rule_says(
    steps: list[tuple[int, list[int | None]]],
) -> None:
    """Against a reference that looks at one queue's values alone."""
    series = timed(steps)
    _, changes = play(State(), rules(HELD), series)
    expected: list[tuple[int, str]] = []
    since = clear = None
    firing = False
    for at, (value, _) in series:
        if not firing:
            since = None if value is None or value <= 20 else (at if since is None else since)
            if since is not None and at - since >= 2 * M:
                firing, clear = True, None
                expected.append((at, "firing"))
        elif value is None:
            firing, since = False, None
            expected.append((at, "resolved"))
        elif value > 10:
            clear = None
        else:
            clear = at if clear is None else clear
            if at - clear >= 5 * M:
                firing, since = False, None
                expected.append((at, "resolved"))
    assert [(c.alert.at, str(c.alert.state)) for c in changes if c.alert.slot.queue == "a"] == expected


def test_an_alert_is_immutable_in_what_names_it() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    assert isinstance(fired.alert, Alert)
    assert replace(fired.alert, value=1).id == fired.alert.id


def test_a_lag_that_is_not_known_begins_no_alert_and_ends_none() -> None:
    story = Story(rules('- {name: ingest-lag, metric: ingest_lag, fire: "> 30s", clear: "<= 10s"}'))

    def tick(second: int, lag: int | None) -> list[str]:
        tenants = {EVERYWHERE: TenantReading(ingest_lag_ms=lag)}
        story.state, changes = judge(story.state, story.rules, REAL, T0 + second * S, Readings((), tenants))
        return [str(change.alert.state) for change in changes]

    assert [tick(0, None), tick(1, 31_000), tick(2, None), tick(3, 0)] == [[], ["firing"], [], ["resolved"]]
