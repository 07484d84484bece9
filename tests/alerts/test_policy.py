"""How people are told: what a file may say of it, and what is told of one that says something else."""

from __future__ import annotations

import pytest

from alerts.notices import Escalation, Inhibition, Maintenance, Policy, Route
from alerts.policy import load, parse
from alerts.rules import RulesError
from config.settings import Channel
from config.settings import Route as RouteSettings

OPS = [Channel(name="ops", type="console"), Channel(name="boss", type="console")]

WHOLE = """
rules: []
notify:
  group_by: [tenant]
  group_wait: 30s
  group_interval: 5m
  repeat: 1h
  flap_times: 3
  flap_interval: 10m
inhibit:
  - source: {rule: a}
    target: {rule: b}
    equal: [queue]
maintenance:
  - match: {queue: "ret*"}
    reason: 系统升级
    owner: ops
    from: 2026-03-02T10:00:00+08:00
    to: 2026-03-02T12:00:00+08:00
  - match: {}
    reason: stock-taking
    owner: ops
    zone: Asia/Shanghai
    weekly: {sun: [["02:00", "04:00"]]}
escalate:
  - {after: 10m, channels: [boss]}
"""


def test_a_whole_file_is_read() -> None:
    assert parse(WHOLE, "r.yaml", OPS, [RouteSettings(match={"severity": "critical"}, channels=["ops"])]) == Policy(
        channels=("ops", "boss"),
        routes=(Route({"severity": "critical"}, ("ops",)),),
        group_by=("tenant",),
        wait_ms=30_000,
        interval_ms=300_000,
        repeat_ms=3_600_000,
        flap_times=3,
        flap_interval_ms=600_000,
        inhibit=(Inhibition({"rule": "a"}, {"rule": "b"}, ("queue",)),),
        maintenance=(
            Maintenance({"queue": "ret*"}, "系统升级", "ops", 1_772_416_800_000, 1_772_424_000_000),
            Maintenance({}, "stock-taking", "ops", zone="Asia/Shanghai", weekly={"sun": (("02:00", "04:00"),)}),
        ),
        escalate=(Escalation(600_000, ("boss",), "critical"),),
    )


def test_without_anything_alerts_go_to_the_console_at_once() -> None:
    told = parse("rules: []", "r.yaml", [], [])
    assert (told.channels, told.wait_ms, told.interval_ms) == (("console",), 0, 0)


def test_the_shipped_file_keeps_one_cause_to_one_alert() -> None:
    told = load(None, [], [])
    pairs = {(i.source.get("rule"), i.target.get("rule") or i.target.get("metric")) for i in told.inhibit}
    assert ("surge-all", "surge") in pairs
    assert Inhibition({"rule": "ingest-lag"}, {"about": "chat"}, ("tenant",)) in told.inhibit
    assert (told.wait_ms, told.interval_ms) == (0, 0)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("notify: 7", 1, "not a mapping"),
        ("notify:\n  grup_wait: 1m", 2, "is not known (allowed: group_by, "),
        ("notify:\n  group_wait: soon", 2, "not a length of time"),
        ("notify:\n  flap_times: -1", 2, "not a count"),
        ("notify:\n  group_by: rule", 2, "not a list of names"),
        ("inhibit: 7", 1, "not a list"),
        ("inhibit:\n  - source: {rule: a}", 2, "target is missing"),
        ("inhibit:\n  - {source: {rule: 7}, target: {rule: b}}", 2, "pairs of a label and a pattern"),
        ("inhibit:\n  - {source: {rule: a}, target: {rule: b}, equals: [x]}", 2, "'equals' is not known here"),
        ("maintenance:\n  - {match: {}, reason: x}", 2, "owner is missing"),
        ("maintenance:\n  - {match: {}, reason: x, owner: y}", 2, "either from and to, or weekly"),
        ("maintenance:\n  - {match: {}, reason: x, owner: y, from: noon, to: night}", 2, "not an instant (allowed: "),
        ("maintenance:\n  - {match: {}, reason: x, owner: y, from: 2026-03-02, to: 2026-03-03}", 2, "needs its offset"),
        ("maintenance:\n  - {match: {}, reason: x, owner: y, weekly: {sun: 7}}", 2, "weekly"),
        ("escalate:\n  - {after: 10m, channels: [nobody]}", 2, "there is no channel 'nobody' (allowed: ops, boss)"),
        ("escalate:\n  - {after: 10m, channels: [ops], severity: bad}", 2, "not a severity"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line_with_its_place_and_what_is_allowed(text: str, line: int, says: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse(text, "r.yaml", OPS, [])
    (told,) = refused.value.problems
    assert told.startswith(f"r.yaml:{line}: ")
    assert says in told
    assert "\n" not in told
