"""What alerts learnt later: topics, people needed, acknowledgements that end, planned events, notes about ourselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.judging import judge
from alerts.notices import Maintenance, Policy, about, labels_of
from alerts.orders import acknowledge
from alerts.ourselves import Unread, catching_up, channel_down, expired, rules_refused, unread
from alerts.outbox import TOPIC, Store
from alerts.policy import parse as policy_of
from alerts.readings import EVERYWHERE, TenantReading
from alerts.render import to_object
from alerts.rule import Ruleset
from alerts.rules import SHIPPED, RulesError, load, parse
from alerts.state import ACKNOWLEDGED, FIRING, RESOLVED, State
from alerts.tell import DOWN_MS
from alerts.watch import MANY_OLD, Watch
from config.settings import Channel, Label, Labels
from streams.events import REAL
from tests.alerts.build import BACKLOG, T0, M, S, Story, key, readings, rules

HOUR = 60 * M
REFUNDS = """
- name: refunds
  metric: topic_change
  scope: {queue: "*", topic: "ref*"}
  fire: "> 3"
  min_n: 10
"""


def about_topics(*entries: tuple[str, int, float, float]) -> dict[str, Any]:
    """A key with topics: (topic, count, share, change)."""
    names = ("topic", "count", "share", "change")
    return key(topics=[dict(zip(names, entry, strict=True)) for entry in entries])


def test_a_rule_on_topics_is_one_alert_a_topic_that_fits() -> None:
    story = Story(rules(REFUNDS))
    changes = story.tick(T0, about_topics(("refund", 12, 0.4, 3.5), ("reform", 50, 0.4, 9.0), ("login", 99, 0.2, 9.0)))
    assert [change.alert.slot.topic for change in changes] == ["refund", "reform"]
    assert len({change.alert.id for change in changes}) == 2
    assert {labels_of(change.alert)["topic"] for change in changes} == {"refund", "reform"}
    found = to_object(changes[0].alert, Labels(topic={"refund": Label(zh="退款", en="Refunds")}))
    assert found["topic"] == "refund"
    assert found["summary"]["zh"] == "shop · returns · 退款：话题激增 3.5 倍（阈值 3.0 倍）"
    (over,) = story.tick(T0 + M, about_topics(("reform", 50, 0.4, 9.0)))
    assert (over.alert.slot.topic, over.alert.state, over.alert.reason) == ("refund", RESOLVED, "gone")


def test_a_topic_nobody_wrote_of_is_too_few_cases() -> None:
    story = Story(rules(REFUNDS))
    assert story.tick(T0, about_topics(("refund", 9, 0.9, 9.0))) == []


@pytest.mark.parametrize(("metric", "fire"), [("topic_count", "> 10"), ("topic_share", "> 30%")])
def test_counts_and_shares_of_topics_can_be_judged(metric: str, fire: str) -> None:
    story = Story(rules(f"- {{name: t, metric: {metric}, scope: {{queue: '*'}}, fire: '{fire}'}}"))
    (change,) = story.tick(T0, about_topics(("refund", 12, 0.4, 1.0), ("login", 8, 0.2, 1.0)))
    assert change.alert.slot.topic == "refund"


def test_how_many_people_are_needed_can_be_judged() -> None:
    short = rules("- {name: short, metric: agents_needed, scope: {queue: '*'}, fire: '>= 2'}")
    at_work = [{"tenant": "shop", "agent": "a", "queues": ["returns"], "status": "online"}]
    state = State()
    calm, busy = key(), key(backlog=60, w30m={"closed": 30, "offered": 60})
    state, changes = judge(state, short, REAL, T0, replace(readings([calm]), agents=at_work))
    assert changes == []
    _, (change,) = judge(state, short, REAL, T0 + M, replace(readings([busy]), agents=at_work))
    assert change.alert.value == change.alert.facts.impact["agents_needed"]


def test_an_acknowledgement_ends_and_the_alert_is_told_and_escalated_anew() -> None:
    story = Story(rules(BACKLOG))
    (fired,) = story.tick(T0, key(backlog=30))
    story.state, _ = acknowledge(story.state, fired.alert.id, "shop", "li", T0 + S)
    story.plan(T0 + S)
    assert expired(story.state, HOUR, T0 + S + HOUR - 1) == (story.state, [])
    assert expired(story.state, 0, T0 + 99 * HOUR)[1] == []
    story.state, (change,) = expired(story.state, HOUR, T0 + S + HOUR)
    assert (change.was, change.alert.state, change.alert.id) == (ACKNOWLEDGED, FIRING, fired.alert.id)
    assert story.plan(T0 + S + HOUR) == ["firing"]
    story.state, (again,) = acknowledge(story.state, fired.alert.id, "shop", "wang", T0 + 2 * HOUR)
    assert again.alert.acknowledged_by == "wang"


EVENT = Maintenance({"tenant": "shop", "queue": "ret*"}, "sale", "event sale", T0 - M, T0 + HOUR)


def test_a_rule_may_be_quiet_in_a_planned_event_and_tells_after_it_what_still_stands() -> None:
    policy = Policy(("ops",), events=(EVENT,))
    quiet = Story(rules(BACKLOG + "  planned: quiet\n"), policy)
    loud = Story(rules(BACKLOG), policy)
    for story in (quiet, loud):
        story.backlog(T0, 30)
    assert (quiet.told, len(loud.told)) == ([], 1)
    (alert,) = quiet.state.alerts.values()
    assert alert.silenced_by == "event sale"
    quiet.backlog(T0 + HOUR, 30)
    assert quiet.told == loud.told


def test_the_shipped_surges_are_quiet_in_planned_events_and_nothing_else_is() -> None:
    assert {rule.name for rule in load(None).rules if rule.planned == "quiet"} == {"surge", "surge-all"}


def test_a_dead_channel_is_told_as_its_rule_says() -> None:
    (rule,) = load(None).of_channels
    assert rule.metric.name == "channel_failing"
    _, (change,) = channel_down(State(), "ops", "answered 404", T0, replace(rule, severity="info", runbook="x"))
    assert (change.alert.severity, change.alert.runbook, about(change.alert)) == ("info", "x", "stack")
    assert to_object(change.alert, Labels())["advice"]["en"].startswith("Try the channel")


def test_without_a_rule_about_channels_a_dead_one_is_told_all_the_same() -> None:
    with Store(":memory:") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops", "other")))
        assert watch.dead_after() == DOWN_MS
        watch.trouble("ops", "answered 404")
        assert set(store.unsettled()) == {"other", TOPIC}
        watch.reload(load(None), Policy(("ops", "other")))
        assert watch.dead_after() == 25_000
        watch.trouble("ops", None)
        assert watch.state.alerts == {}


def test_a_refused_file_of_rules_is_one_alert_until_it_is_right() -> None:
    state, (told,) = rules_refused(State(), "r.yaml:3: fire: is missing", T0)
    assert rules_refused(state, "r.yaml:4: another", T0 + S) == (state, [])
    found = to_object(told.alert, Labels())
    assert (found["reason"], found["summary"]["en"]) == (
        "r.yaml:3: fire: is missing", "The settings of alerts have a mistake; the old ones stay",
    )  # fmt: skip
    state, (over,) = rules_refused(state, None, T0 + M)
    assert over.alert.state is RESOLVED
    assert rules_refused(state, None, T0 + M) == (state, [])


def test_what_a_role_has_not_read_is_told_at_half_and_at_four_fifths_and_what_was_lost_by_count() -> None:
    state, told = State(), []
    for number, (used, lost) in enumerate([(0.49, 0), (0.5, 0), (0.7, 0), (0.9, 2), (0.1, 7), (0.1, 0), (0.0, 0)]):
        state, changes = unread(state, Unread("sink", "chat.readings", used, lost), T0 + number * S)
        told.append([to_object(change.alert, Labels())["summary"]["en"] for change in changes])
    assert told == [
        [],
        ["sink is behind: the oldest record it has not read is 50% of the way to being deleted"],
        [],
        ["sink is behind: the oldest record it has not read is 90% of the way to being deleted",
         "2 records that sink has not read were deleted"],
        ["What sink has not read is far from being deleted again"] * 2,
        ["sink reads again; 7 records were deleted unread"],
        [],
    ]  # fmt: skip
    assert state.alerts == {}


def test_how_far_behind_the_stream_was_at_the_most_is_kept_without_another_word() -> None:
    state, (told,) = catching_up(State(), 60_000, T0)
    for number, behind_ms in enumerate((90_000, 30_000)):
        state, changes = catching_up(state, behind_ms, T0 + number * S)
        assert changes == []
    stands = state.alerts[told.alert.slot]
    assert (told.alert.peak, stands.value, stands.peak) == (60_000, 90_000, 90_000)


def behind(watch: Watch, at: int, ticks: int, backlog: int = 0) -> None:
    """Judge that many ticks from `at` on, a second each."""
    for number in range(ticks):
        watch.judge(REAL, at + number * S, readings([key(backlog=backlog)], **{EVERYWHERE: TenantReading()}))


def told_of(store: Store) -> list[tuple[str, str]]:
    rows = store.due("ops", 1 << 60, 1_000)
    return [(json.loads(row.body)["rule"], row.state) for row in rows]


def test_an_absence_that_is_caught_up_with_is_one_note_and_old_alerts_are_not_told() -> None:
    with Store(":memory:") as store:
        now = T0 + HOUR
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: now)
        behind(watch, T0, MANY_OLD - 1)
        assert told_of(store) == []
        behind(watch, T0 + MANY_OLD * S, 60, backlog=30)
        assert told_of(store) == [("catching-up/", "firing")]
        assert {alert.slot.rule for alert in watch.state.alerts.values()} == {"backlog-high", "catching-up/"}
        behind(watch, T0 + 10 * M, 5, backlog=0)
        behind(watch, now - 10 * S, 5)
        assert told_of(store) == [("catching-up/", "firing")], "over by the time it has caught up, and so no news"
        assert watch.state.alerts == {}


def test_what_still_stands_when_it_has_caught_up_is_told_once_with_the_id_it_has_live() -> None:
    with Store(":memory:") as store, Store(":memory:") as other:
        now = [T0 + HOUR]
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: now[0])
        behind(watch, T0, 3_600, backlog=30)
        assert told_of(store) == [("catching-up/", "firing"), ("backlog-high", "firing")]
        live = [T0]
        alongside = Watch(other, rules(BACKLOG), Policy(("ops",)), now=lambda: live[0])
        behind(alongside, T0, 1, backlog=30)
        (mine,) = (alert for alert in watch.state.alerts.values())
        (theirs,) = (alert for alert in alongside.state.alerts.values())
        assert mine.id == theirs.id


def test_the_one_or_two_old_ticks_after_a_restart_are_no_absence() -> None:
    with Store(":memory:") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: T0 + HOUR)
        behind(watch, T0, 3)
        behind(watch, T0 + HOUR - S, 2)
        assert told_of(store) == []


def test_an_end_of_catching_up_says_nothing_without_a_beginning() -> None:
    assert catching_up(State(), None, T0) == (State(), [])


# Rules exchanged while alerts fire


def test_rules_can_be_exchanged_while_alerts_fire() -> None:
    with Store(":memory:") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: T0)
        behind(watch, T0, 1, backlog=30)
        (before,) = watch.state.alerts.values()
        watch.reload(rules(BACKLOG.replace("> 20", "> 25") + "  severity: critical\n"), Policy(("ops",)))
        behind(watch, T0 + S, 1, backlog=22)
        (after,) = watch.state.alerts.values()
        assert (after.id, after.state, after.severity) == (before.id, FIRING, "critical")
        watch.reload(rules(BACKLOG.replace("backlog-high", "other")), Policy(("ops",)))
        behind(watch, T0 + 2 * S, 1, backlog=22)
        assert [(alert.id, alert.reason) for alert in watch.state.recent.values()] == [(before.id, "rule_removed")]
        assert {alert.slot.rule for alert in watch.state.alerts.values()} == {"other"}


# Words with fields

WORDS = """
- name: backlog-high
  metric: backlog
  scope: {queue: "*"}
  fire: "> 20"
  summary: {zh: "{where} 排了 {value} 人，超过 {limit}", en: "{value} wait in {queue} (limit {limit}, since {since})"}
  advice: {zh: "叫人", en: "Call somebody for {queue}"}
"""


def test_a_rules_words_may_name_what_the_alert_knows_and_say_the_whole_sentence() -> None:
    (change,) = Story(rules(WORDS)).tick(T0, key(backlog=30))
    found = to_object(change.alert, Labels(queue={"returns": Label(zh="退货", en="Returns")}), zone="Asia/Shanghai")
    assert found["summary"] == {
        "zh": "shop · 退货 排了 30 人，超过 20",
        "en": "30 wait in Returns (limit 20, since 2026-03-02 18:00:00 UTC+8)",
    }
    assert found["advice"] == {"zh": "叫人", "en": "Call somebody for Returns"}


def test_what_is_filled_in_is_not_read_as_a_template_again() -> None:
    (change,) = Story(rules(WORDS)).tick(T0, key("{tenant}{0.__class__}", backlog=30))
    assert to_object(change.alert, Labels())["summary"]["en"].startswith("30 wait in {tenant}{0.__class__} (limit")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{valu}", "there is no field 'valu' (allowed: where, tenant, "),
        ("{value.real}", "there is no field 'value.real'"),
        ("{value[0]}", "there is no field 'value[0]'"),
        ("{0}", "there is no field '0'"),
        ("{}", "there is no field ''"),
        ("{value:>9999999}", "takes no format"),
        ("{value!r}", "takes no format"),
        ("{value", "a brace too many or too few"),
        ("value}", "a brace too many or too few"),
    ],
)
@pytest.mark.parametrize("which", ["summary", "advice"])
def test_a_template_with_an_unknown_field_is_refused_with_its_place(which: str, text: str, says: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse(f"rules:\n  - name: a\n    metric: backlog\n    fire: '> 1'\n    {which}: {{zh: x, en: '{text}'}}")
    (line,) = refused.value.problems
    assert line.startswith(f"rules.yaml:5: rule a: {which}: en: ")
    assert says in line


def test_a_topic_is_no_dimension_of_what_is_not_told_per_topic() -> None:
    with pytest.raises(RulesError, match=r"backlog is not told per topic \(allowed: topic_count, "):
        Ruleset(parse("rules:\n  - {name: a, metric: backlog, fire: '> 1', scope: {topic: 'x*'}}"))


def test_the_shipped_rules_are_all_that_is_promised_and_each_says_what_to_do(tmp_path: Path) -> None:
    shipped = load(None).rules
    assert {rule.metric.name for rule in shipped} >= {
        "surge", "lull", "backlog", "oldest_ms", "service_level", "frt_p90_km_ms", "abandon_rate", "sentiment",
        "agents_needed", "ingest_lag", "no_data", "dead_letters", "channel_failing", "stream_age",
    }  # fmt: skip
    for rule in shipped:
        assert rule.advice is not None, rule.name
        assert rule.advice["zh"], rule.name
        assert rule.advice["en"], rule.name


def test_only_letters_with_a_picture_carry_the_last_hours() -> None:
    with Store(":memory:") as store:
        policy = policy_of("rules: []", "r.yaml", [_channel("mail", "email"), _channel("hook", "webhook")], [])
        watch = Watch(store, rules(BACKLOG), policy, now=lambda: T0)
        watch.chart_of = lambda alert: {"from": 0, "customer_messages": [1, 2], "of": alert.slot.queue}
        behind(watch, T0, 1, backlog=30)
        bodies = {name: json.loads(store.due(name, 1 << 60)[0].body) for name in ("mail", "hook")}
        assert bodies["mail"]["chart"]["of"] == "returns", "of its own number too little is known: messages"
        assert "chart" not in bodies["hook"]


def _channel(name: str, kind: Any) -> Channel:
    return Channel(name=name, type=kind)


def test_a_line_of_people_is_one_incident_and_what_outlives_it_is_told_then() -> None:
    ruleset = load(None)
    told = policy_of(SHIPPED.read_text(encoding="utf-8"), "rules.yaml", [], [])
    story = Story(ruleset, told)
    busy: dict[str, Any] = {"backlog": 30, "oldest_ms": 20 * M, "w30m": {"service_level": 0.4, "offered": 90}}
    for minute in range(8):
        story.tick(T0 + minute * M, key(**busy))
    assert {slot.rule for slot in story.state.alerts} >= {"backlog-high", "oldest-wait", "service-level"}
    assert [rule for _, rule, state in story.told if state == "firing"] == ["oldest-wait", "backlog-high"]
    before = len(story.told)
    for minute in range(8, 12):
        story.tick(T0 + minute * M, key(**{**busy, "backlog": 5}))
    later = {(rule, state) for _, rule, state in story.told[before:]}
    assert {("backlog-high", "resolved"), ("service-level", "firing")} <= later
