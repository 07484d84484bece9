"""A ladder: one alert, one thread, that gets graver; who its new severity concerns is told, and nothing twice."""

from __future__ import annotations

import pytest

from alerts.notices import Escalation, Policy, Route
from alerts.orders import obey
from alerts.rule import thresholds
from alerts.rules import RulesError
from alerts.state import ACKNOWLEDGED, FIRING
from tests.alerts.build import BACKLOG, T0, M, S, Story, rules

STEPS = BACKLOG + '  severity: warning\n  ladder: {critical: "> 60"}\n'
HELD = STEPS + "  for: 2m\n"
POLICY = Policy(
    ("ops", "pager"), routes=(Route({}, ("ops",)), Route({"severity": "critical"}, ("pager",))),
    escalate=(Escalation(10 * M, ("boss",), "critical"),),
)  # fmt: skip


def severity(story: Story) -> str:
    """Of the one open alert."""
    (alert,) = story.state.alerts.values()
    return alert.severity


def test_an_alert_that_gets_graver_is_the_same_one_told_again_to_whom_it_now_concerns() -> None:
    story = Story(rules(STEPS), POLICY)
    story.backlog(T0, 30)
    (before,) = story.state.alerts.values()
    story.backlog(T0 + M, 61)
    (after,) = story.state.alerts.values()
    assert (before.id, before.severity, after.severity) == (after.id, "warning", "critical")
    assert story.told == [
        ("ops", "backlog-high", "firing"), ("ops", "backlog-high", "firing"), ("pager", "backlog-high", "firing"),
    ]  # fmt: skip
    story.backlog(T0 + 2 * M, 99)
    assert len(story.told) == 3, "nothing twice"


def test_it_does_not_get_milder_and_its_end_is_told_to_all_who_heard() -> None:
    story = Story(rules(STEPS), POLICY)
    for minute, backlog in enumerate((30, 70, 30, 80, 5)):
        story.backlog(T0 + minute * M, backlog)
    assert [(channel, state) for channel, _, state in story.told] == [
        ("ops", "firing"), ("ops", "firing"), ("pager", "firing"), ("ops", "resolved"), ("pager", "resolved"),
    ]  # fmt: skip
    story.backlog(T0 + 5 * M, 30)
    assert severity(story) == "warning", "the next one begins below"


def test_a_step_must_hold_as_long_as_firing_takes_and_may_begin_to_before_it_fires() -> None:
    story = Story(rules(HELD), POLICY)
    for second in range(0, 240, 30):
        story.backlog(T0 + second * S, 70)
        if second >= 120:
            assert severity(story) == "critical", "two minutes far beyond both bounds"
    story = Story(rules(HELD), POLICY)
    story.backlog(T0, 30)
    story.backlog(T0 + 2 * M, 30)
    for second, backlog in ((150, 70), (180, 50), (210, 70), (300, 70)):
        story.backlog(T0 + second * S, backlog)
        assert severity(story) == "warning", "a moment's peak"
    story.backlog(T0 + 330 * S, 70)
    assert severity(story) == "critical"


def test_whoever_has_acknowledged_it_hears_that_it_got_graver() -> None:
    story = Story(rules(STEPS), POLICY)
    story.backlog(T0, 30)
    (alert,) = story.state.alerts.values()
    story.state, _ = obey(story.state, {"do": "ack", "alert": alert.id, "by": "li", "tenant": "shop"}, T0)
    story.plan(T0)
    story.told.clear()
    story.backlog(T0 + M, 70)
    (alert,) = story.state.alerts.values()
    assert (alert.state, alert.severity, alert.acknowledged_by) == (ACKNOWLEDGED, "critical", "li")
    assert [channel for channel, _, _ in story.told] == ["ops", "pager"]


def test_what_got_graver_escalates_as_its_new_severity_says() -> None:
    story = Story(rules(STEPS), POLICY)
    for minute in range(30):
        story.backlog(T0 + minute * M, 30)
    assert "boss" not in {channel for channel, _, _ in story.told}
    story.backlog(T0 + 30 * M, 70)
    story.backlog(T0 + 31 * M, 70)
    assert "boss" in {channel for channel, _, _ in story.told}


def test_a_rule_that_is_read_again_keeps_how_grave_an_alert_is_and_one_without_the_step_does_not() -> None:
    story = Story(rules(STEPS), POLICY)
    story.backlog(T0, 70)
    story.rules = rules(STEPS + "  labels: {team: a}\n")
    story.backlog(T0 + M, 30)
    assert severity(story) == "critical"
    story.rules = rules(BACKLOG)
    story.backlog(T0 + 2 * M, 30)
    (alert,) = story.state.alerts.values()
    assert (alert.state, alert.severity) == (FIRING, "warning")


def test_below_a_bound_the_steps_go_down_and_the_board_has_them() -> None:
    ladder = (
        "- {name: level, metric: service_level, scope: {queue: '*'}, fire: '< 80%', severity: info,"
        " ladder: {warning: '< 60%', critical: '< 30%'}}"
    )
    (rule,) = rules(ladder).rules
    assert [rule.severity_of(value) for value in (0.7, 0.6, 0.5, 0.2)] == ["info", "info", "warning", "critical"]
    shown = thresholds(rules(STEPS), "shop", "returns", "*")["backlog"]
    assert (shown["warning"], shown["critical"]) == (20, 60)


@pytest.mark.parametrize(
    "ladder",
    ['{critical: "> 10"}', '{critical: "< 60"}', '{info: "> 60"}', '{warning: "> 60"}', "{awful: '> 60'}", "7", "{}"],
)
def test_a_ladder_that_does_not_go_up_is_a_mistake_with_its_line(ladder: str) -> None:
    with pytest.raises(RulesError, match=r":\d+: rule backlog-high: ladder: .*\(allowed: "):
        rules(BACKLOG + f"  severity: warning\n  ladder: {ladder}\n")
