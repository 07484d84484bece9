"""Rules: what a file may say, and what is told of one that says something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.readings import METRICS, Place
from alerts.rule import Bound, in_scope, matches, on_duty, opposite, overlap
from alerts.rules import SHIPPED, RulesError, bound, duration_ms, load, parse
from tests.alerts.build import BACKLOG, T0, rules

CONTRACT = """
rules:
  - name: backlog-high
    metric: backlog
    scope: {queue: "*", channel: "*"}
    window: 5m
    fire: "> 20"
    clear: "<= 10"
    for: 2m
    keep_firing_for: 5m
    severity: warning
    runbook: https://example.invalid/backlog
"""


def test_the_contracts_example_is_read_as_it_stands() -> None:
    (rule,) = parse(CONTRACT)
    assert (rule.name, rule.metric.name, rule.severity) == ("backlog-high", "backlog", "warning")
    assert (rule.fire, rule.clear) == (Bound(">", 20), Bound("<=", 10))
    assert (rule.hold_ms, rule.keep_ms) == (120_000, 300_000)
    assert rule.runbook == "https://example.invalid/backlog"


def test_the_shipped_rules_are_right_and_cover_what_goes_wrong() -> None:
    metrics = {rule.metric.name for rule in load(None).rules}
    assert metrics >= {
        "backlog", "oldest_ms", "service_level", "frt_p90_km_ms", "abandon_rate", "surge", "lull", "ingest_lag",
        "no_data", "dead_letters",
    }  # fmt: skip


def test_every_metric_of_the_catalogue_has_words_and_a_place() -> None:
    for metric in METRICS.values():
        assert metric.zh, metric.name
        assert metric.en, metric.name
        assert metric.place in Place


PLAIN = "rules:\n  - name: a\n    metric: backlog\n    fire: '> 1'\n    "


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("rules:\n  - name: a\n    metric: backlogg\n    fire: '> 1'", 3, "'backlogg' is not a metric (allowed: "),
        ("rules:\n  - name: a\n    metric: backlog", 2, "fire: is missing"),
        ("rules:\n  - metric: backlog\n    fire: '> 1'", 2, "name: is missing"),
        ("rules:\n  - name: a\n    fire: '> 1'", 2, "metric: is missing"),
        ("rules:\n  - name: a\n    metric: backlog\n    fire: '20'", 4, "is not a bound (allowed: "),
        ("rules:\n  - name: a\n    metric: backlog\n    fire: '> 20 %'", 4, "no unit '%' (allowed: none)"),
        ("rules:\n  - name: a\n    metric: service_level\n    fire: '< 80'", 4, "is a share (allowed: 0 to 1"),
        ("rules:\n  - name: a\n    metric: backlog\n    fire: '> 20'\n    clear: '<= 30'", 5, "holds where fire does"),
        ("rules:\n  - name: a\n    metric: backlog\n    fire: '> 20'\n    clear: '> 30'", 5, "holds where fire does"),
        (PLAIN + "for: 2", 5, "not a length of time (allowed: "),
        (PLAIN + "for: 2 min", 5, "not a length of time"),
        (PLAIN + "severity: high", 5, "(allowed: info, warning, "),
        ("rules:\n  - name: a\n    metric: closed\n    window: 7m\n    fire: '> 1'", 4, "(allowed: 1m, 5m, 30m, "),
        (PLAIN + "scope: {que: x}", 5, "not a dimension (allowed: "),
        ("rules:\n  - name: a\n    metric: no_data\n    fire: '> 1m'\n    scope: {queue: x}", 5, "told per tenant"),
        (PLAIN + "min_n: 3", 5, "has no number of cases"),
        ("rules:\n  - name: a\n    metric: csat\n    fire: '< 0.5'\n    min_n: -3", 5, "is not a count"),
        (PLAIN + "severity: !!timestamp x", 5, "is not what its tag says (timestamp)"),
        (PLAIN + "severity: !!bool x", 5, "is not what its tag says (bool)"),
        (PLAIN + "for: !!int ''", 5, "is not what its tag says (int)"),
        (PLAIN + "fires: '> 1'", 5, "not a key of a rule (allowed: "),
        (PLAIN + "fire: '> 2'", 5, "given twice"),
        ("rules:\n  - name: a b\n    metric: backlog\n    fire: '> 1'", 2, "is not a name (allowed: "),
        (PLAIN + "labels: {queue: x}", 5, "every alert has"),
        (PLAIN + "schedule: {zone: Mars}", 5, "no such time zone"),
        ("rules:\n  - 7", 2, "not a mapping"),
        ("rules:\n  - name: a\n    metric: backlog\n    fire: > 20", 4, "a bound needs quotes"),
        ("rules: {a: b}", 1, "not one list"),
        ("rule: []", 1, "is not known here (allowed: rules, "),
        ("[]", 1, "not a list of rules"),
        ("", 1, "not a list of rules"),
        ("rules:\n  - [\n", 3, "not YAML"),
        ("rules:\n  - {? [a] : b}", 2, "not a key of a rule"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line_with_its_place_and_what_is_allowed(text: str, line: int, says: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse(text, "rules.yaml")
    told = [problem for problem in refused.value.problems if says in problem]
    assert told, refused.value.problems
    assert told[0].startswith(f"rules.yaml:{line}: ")
    assert "\n" not in told[0]


def test_a_name_given_twice_is_refused_with_both_places() -> None:
    with pytest.raises(RulesError, match=r"rules.yaml:8: .*already on line 2"):
        rules(BACKLOG + BACKLOG)


def test_every_mistake_of_a_file_is_told_at_once() -> None:
    first = "  - name: a\n    metric: x\n    severity: y\n    for: z\n"
    text = f"rules:\n{first}  - name: b\n    metric: backlog\n    fire: '20'"
    with pytest.raises(RulesError) as refused:
        parse(text)
    assert len(refused.value.problems) == 4


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"absent\.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")


def test_a_rule_that_is_switched_off_is_checked_but_not_judged() -> None:
    assert rules(BACKLOG + "  enabled: false\n").rules == ()


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("> 20", "backlog", 20), ("<= 10m", "oldest_ms", 600_000), ("> 90s", "oldest_ms", 90_000),
        ("> 500", "oldest_ms", 500), ("< 80%", "service_level", 0.8), ("<0.8", "service_level", 0.8),
        (">= -0.5", "sentiment", -0.5), ("> 2h", "drain_s", 7200),
    ],
)  # fmt: skip
def test_a_bound_is_in_the_metrics_unit(text: str, metric: str, value: float) -> None:
    assert bound(text, METRICS[metric]).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "ms"), [("30s", 30_000), ("2m", 120_000), ("1h30m", 5_400_000), ("1d", 86_400_000), ("0s", 0), (0, 0)]
)
def test_lengths_of_time_are_read(text: object, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "m", "-2m", "2 m", "1.5m", 2, True, None, "1s1m"])
def test_what_is_no_length_of_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="allowed: 30s, 2m"):
        duration_ms(text)


bounds = st.builds(Bound, st.sampled_from((">", ">=", "<", "<=")), st.integers(-5, 5).map(float))


@given(bounds, st.integers(-6, 6))
def test_a_bound_and_its_opposite_share_no_value_and_leave_none_out(one: Bound, value: int) -> None:
    assert one.holds(value) is not opposite(one).holds(value)
    assert not overlap(one, opposite(one))


@given(bounds, bounds)
def test_two_bounds_overlap_where_some_value_holds_for_both(one: Bound, other: Bound) -> None:
    both = any(one.holds(value / 2) and other.holds(value / 2) for value in range(-16, 17))
    assert overlap(one, other) is (both or one.upward == other.upward)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "billing", True), ("bill*", "billing", True), ("*ing", "billing", True), ("b*l*g", "billing", True),
        ("billing", "billing", True), ("bill", "billing", False), ("*x*", "billing", False), ("b*g*g", "big", False),
        ("a.c", "abc", False), ("[ab]", "a", False), ("?", "a", False), ("ab*ba", "aba", False), ("**", "", True),
    ],
)  # fmt: skip
def test_only_the_star_is_special_in_a_pattern(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


@pytest.mark.parametrize(
    ("scope", "where", "fits"),
    [
        ("{queue: '*'}", ("shop", "returns", "*"), True),
        ("{queue: '*'}", ("shop", "*", "*"), False),
        ("{queue: '*'}", ("shop", "returns", "web"), False),
        ("{}", ("shop", "*", "*"), True),
        ("{channel: 'w*'}", ("shop", "*", "web"), True),
        ("{channel: 'w*'}", ("shop", "*", "app"), False),
        ("{queue: '*', channel: '*'}", ("shop", "returns", "web"), True),
        ("{tenant: 'a*', queue: '*'}", ("shop", "returns", "*"), False),
    ],
)
def test_a_named_dimension_matches_each_and_an_unnamed_one_is_summed_over(
    scope: str, where: tuple[str, str, str], fits: bool
) -> None:
    (rule,) = rules(f"- {{name: a, metric: backlog, fire: '> 1', scope: {scope}}}").rules
    assert in_scope(rule.scope, *where) is fits


def test_a_schedule_says_when_a_rule_is_judged() -> None:
    (rule,) = rules(
        BACKLOG + "  schedule: {zone: Asia/Shanghai, weekly: {mon: [['09:00', '18:00']]}, holidays: ['2026-03-09']}\n"
    ).rules
    assert not on_duty(rule, T0)  # Monday, 18:00 in Shanghai
    assert on_duty(rule, T0 - 1)
    assert not on_duty(rule, T0 - 1 + 7 * 86_400_000)


@given(st.text(max_size=200))
def test_no_text_brings_anything_but_rules_or_lines_of_mistakes(text: str) -> None:
    assert all("\n" not in problem for problem in mistakes(text))


SAMPLE = CONTRACT.strip().splitlines()


@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 40), st.characters(codec="utf-8"))
def test_a_file_with_one_character_changed_is_read_or_refused_with_a_line(line: int, at: int, char: str) -> None:
    lines = list(SAMPLE)
    lines[line] = lines[line][:at] + char + lines[line][at + 1 :]
    assert all("\n" not in one and one.startswith("rules.yaml:") for one in mistakes("\n".join(lines)))


def mistakes(text: str) -> tuple[str, ...]:
    """What is wrong with a text."""
    try:
        parse(text)
    except RulesError as refused:
        return refused.problems
    return ()


_BOUND = re.compile(r"    (?:fire|clear|for|keep_firing_for|min_n|ladder):")


def test_every_shipped_bound_has_its_reason_beside_it() -> None:
    bounds = [line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if _BOUND.match(line)]
    assert len(bounds) > 40
    assert [line for line in bounds if " # " not in line] == []
