"""Where a rule asks for it, the models also say what is usual of arrivals: more may come than usual, and write less."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from alerts.rule import Ruleset
from alerts.rules import parse
from streams.events import REAL, PaneRow, Segment
from streams.lookout import ARRIVALS
from streams.notifier import Judged
from streams.windows import MINUTE
from tests.alerts.build import Story
from tests.models.streams import counts
from tests.streams.watching import MONDAY, Stage

MINUTES = 8 * 60
NOW = MONDAY + MINUTES * MINUTE
WEB, QUEUE, ALL = ("billing", "web"), ("billing", "*"), ("*", "*")
ARRIVING, WRITTEN = counts(MINUTES, 20.0, seed=3), 120
RULES = Ruleset(parse("rules:\n  - {name: crowd, metric: arrivals_surge, scope: {queue: '*'}, severity: warning}\n"))


def pane(stage: Stage, minute: int, arrivals: int, part: float = 1.0) -> PaneRow:
    stage.version += 1
    said = round(WRITTEN * part)
    found = {"messages": said, "customer_messages": said, "arrivals": round(arrivals * part)}
    return PaneRow("shop", *WEB, minute, stage.version, found)


def usual(stage: Stage) -> Iterator[Segment]:
    for minute, n in zip(range(MONDAY, NOW, MINUTE), ARRIVING, strict=True):
        yield Segment(tick=minute + MINUTE // 2)
        yield Segment(panes=[pane(stage, minute, n)], tick=minute + MINUTE)


def filling(stage: Stage, minute: int, arrivals: int) -> Iterator[Segment]:
    for second in range(10, 61, 10):
        yield Segment(panes=[pane(stage, minute, arrivals, second / 60)], tick=minute + second * 1_000)


def asking(stage: Stage) -> Stage:
    stage.insight.arrivals_of = lambda: True
    return stage


@pytest.fixture
def stage() -> Stage:
    """A working morning, with a rule that asks for arrivals."""
    made = asking(Stage())
    made.hear(usual(made))
    return made


def test_more_who_come_are_a_surge_of_arrivals_and_none_of_messages(stage: Stage) -> None:
    story, judged = Story(RULES), Judged(stage.judged)
    judged.explain = stage.insight.explain
    assert not story.tick(NOW, *judged.readings(REAL, NOW).keys)
    fired = []
    for minute in (NOW, NOW + MINUTE):
        for segment in filling(stage, minute, 100):
            stage.hear([segment])
            assert segment.tick is not None
            fired += story.tick(segment.tick, *judged.readings(REAL, segment.tick).keys)
    (change,) = fired
    alert = change.alert
    assert (alert.slot.rule, alert.slot.queue) == ("crowd", "billing")
    assert alert.since - NOW <= 90_000
    volume = stage.key(*QUEUE)["volume"]
    assert (volume["surge"], volume["arrivals_surge"], volume["arrivals_lull"]) == (False, True, False)
    assert volume["rate_per_min"] == pytest.approx(WRITTEN, rel=0.1)
    assert volume["arrivals"]["rate_per_min"] == pytest.approx(100, rel=0.1)
    told = story.state.alerts[alert.slot]
    assert told.value == volume["arrivals"]["rate_per_min"]
    assert told.value is not None
    assert told.facts.expected is not None
    assert told.facts.expected == pytest.approx(20, rel=0.4)
    parts = [one["excess"] for one in told.facts.drivers if one["dimension"] == "channel"]
    assert math.fsum(parts) == pytest.approx(told.value - told.facts.expected)


def test_when_nobody_comes_though_those_who_are_there_write_it_is_a_lull_of_arrivals(stage: Stage) -> None:
    for n in range(6):
        stage.hear(filling(stage, NOW + n * MINUTE, 0))
    volume = stage.key(*QUEUE)["volume"]
    assert (volume["lull"], volume["arrivals_lull"], volume["arrivals_surge"]) == (False, True, False)


def test_a_restart_changes_nothing(stage: Stage) -> None:
    whole = list(filling(stage, NOW, 100)) + list(filling(stage, NOW + MINUTE, 100))
    stage.hear(whole[:5])
    again = asking(Stage(stage.shelf, stage.broker))
    again.hear(stage.told)
    for one in (stage, again):
        one.hear(whole[5:])
    assert again.key(*QUEUE)["volume"] == stage.key(*QUEUE)["volume"]
    assert again.key(*QUEUE)["volume"]["arrivals_surge"]


def test_while_no_rule_asks_nothing_is_learned_of_arrivals_and_what_was_is_forgotten(stage: Stage) -> None:
    def learned(one: Stage) -> list[object]:
        return [key for lookout in one.insight._lookouts.values() for key in lookout.usual if key[2:] == ARRIVALS]

    assert len(learned(stage)) == 4
    assert stage.key(*ALL)["volume"]["arrivals"] is not None
    stage.insight.arrivals_of = lambda: False
    for n in range(3):
        stage.hear(filling(stage, NOW + n * MINUTE, 100))
    assert learned(stage) == []
    assert stage.key(*ALL)["volume"]["arrivals"] is None
    assert learned(stage.again()) == []
