"""What the command line asks: is a file right, does it do what was meant, what is open, does a channel work."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.commands import alert_test, rules_check, rules_test
from alerts.notifiers import Unavailable
from alerts.rehearsal import rehearse
from alerts.rules import SHIPPED, RulesError, load
from alerts.webhook import Webhook
from config.settings import Channel, Settings
from tests.alerts.build import rules
from tests.alerts.receiver import receiver, run
from tests.alerts.test_tell import Fake

SHORT_PEAK = """
tests:
  - name: a short peak is no news
    every: 30s
    key: {queue: returns}
    values: {backlog: [0, 30*4, 0]}
  - name: a long one is
    every: 30s
    key: {queue: returns}
    values: {backlog: [0, 30*6, 0*4]}
    expect:
      - {after: 2m30s, rule: backlog-high, state: firing}
      - {after: 4m30s, rule: backlog-high, state: resolved}
  - name: of all queues together nothing is told
    values: {backlog: [300*9]}
"""


def test_the_shipped_rules_are_right() -> None:
    assert rules_check(None, Settings()) == []


def test_every_mistake_of_rules_and_of_telling_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "rules:\n  - {name: a, metric: b, fire: '> 1'}\nnotify: {group_wait: soon}\nescalate: [{after: 1m}]\n"
    )
    problems = rules_check(path, Settings())
    assert [line.split(": ")[0] for line in problems] == ["r.yaml:2", "r.yaml:3", "r.yaml:4"]


def test_a_rehearsal_of_the_shipped_rules_goes_as_written() -> None:
    assert rehearse(load(None), SHORT_PEAK) == []


def test_a_rehearsal_that_goes_otherwise_says_where_and_how() -> None:
    text = SHORT_PEAK.replace("after: 2m30s", "after: 3m")
    assert rehearse(load(None), text) == [
        "tests.yaml: a long one is: after 150s: backlog-high is firing, which was not expected",
        "tests.yaml: a long one is: after 180s: backlog-high should be firing, and is not",
    ]


def test_windows_volumes_and_tenants_can_be_rehearsed_too() -> None:
    text = """
tests:
  - name: all of them
    every: 1m
    key: {queue: billing}
    values:
      30m.service_level: [0.5]
      30m.offered: [40*7]
      volume.surge: [false, true, false]
      volume.rate_per_min: [10, 96, 12]
      ingest_lag: [0, 0, 0, 45000, 45000, 0]
      dead_letters: [0, 0, 0, 0, 9]
    expect:
      - {after: 1m, rule: surge, state: firing}
      - {after: 2m, rule: surge, state: resolved}
      - {after: 4m, rule: ingest-lag, state: firing}
      - {after: 4m, rule: dead-letters, state: firing}
      - {after: 5m, rule: service-level, state: firing}
      - {after: 6m, rule: ingest-lag, state: resolved}
"""
    assert rehearse(load(None), text) == []


def test_topics_and_people_can_be_rehearsed() -> None:
    ruleset = rules("""
- {name: refunds, metric: topic_change, scope: {queue: "*", topic: "ref*"}, fire: "> 3", min_n: 10}
- {name: short, metric: agents_needed, scope: {queue: "*"}, fire: ">= 1"}
""")
    text = """
tests:
  - name: a topic rises
    key: {queue: q}
    values: {topic.refund.count: [5, 20], topic.refund.change: [9], topic.login.change: [9], topic.login.count: [99]}
    expect: [{after: 1m, rule: refunds, state: firing}]
  - name: two people cannot empty it
    key: {queue: q}
    values: {backlog: [0, 60], agents: [2], 30m.closed: [30], 30m.offered: [30]}
    expect: [{after: 1m, rule: short, state: firing}]
"""
    assert rehearse(ruleset, text) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "not YAML"), ("{}", "tests is missing"), ("tests: 7", "not iterable"), ("7", "not subscriptable"),
        ("tests: [{name: a}]", "values is"), ("tests: [{nome: a}]", "name is missing"),
        ("tests: [{name: a, values: {x.y.z: [1]}}]", "is nowhere"),
        ("tests: [{name: a, values: {backlog: [1]}, evry: 1m}]", "not known in a test"),
        ("tests: [{name: a, values: {backlog: [1]}, every: 1 min}]", "not a length of time"),
    ],
)  # fmt: skip
def test_a_file_of_tests_that_cannot_be_read_is_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(RulesError, match=says):
        rehearse(load(None), text)


def test_tests_are_read_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(SHORT_PEAK)
    assert rules_test(SHIPPED, tmp_path / "t.yaml") == []
    with pytest.raises(RulesError, match="cannot be read"):
        rules_test(None, tmp_path / "absent.yaml")


def test_a_test_alert_goes_through_each_channel_and_says_what_became_of_it() -> None:
    async def story() -> None:
        async with receiver() as there:
            hook = Webhook(Channel(name="ops", type="webhook", url=there.url, allow_private=True))
            told = await alert_test({"ops": hook, "dead": Fake(Unavailable("answered 500"))}, 1_772_445_600_000)
            assert told == {"ops": "sent", "dead": "answered 500"}
            assert [(p.json["rule"], p.json["state"]) for p in there.posts] == [
                ("test", "firing"),
                ("test", "resolved"),
            ]
            assert len({post.json["alert"] for post in there.posts}) == 1

    run(story())
