"""From panes to an alert of the shipped rules: in time, with its cause first, and quiet while the stream lags."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from alerts import policy as policies
from alerts.letters import letter
from alerts.readings import TenantReading
from alerts.render import to_object
from alerts.rule import Ruleset
from alerts.rules import load, parse
from alerts.state import FIRING
from config.settings import Labels
from streams.align import Cut
from streams.events import REAL, EpisodeRow, Event, EventRow, PaneRow, Segment
from streams.notifier import Judged
from streams.windows import MINUTE
from tests.alerts.build import Story, key
from tests.models.streams import counts
from tests.streams.watching import MONDAY, Stage

HOURS = 20
NOW = MONDAY + HOURS * 60 * MINUTE
TOPICS = {"delivery": 0.5, "refund": 0.2, "login": 0.3}
WORDS = {"delivery": ["parcel", "late"], "refund": ["refund", "money"], "login": ["password", "account"]}
CHANNELS = {"web": 0.7, "app": 0.3}


class Shop(Stage):
    """Two channels of one queue, messages with topics and words, and what rules make of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.chance = random.Random(5)
        told = policies.load(None, [], [])
        self.story = Story(load(None), told)
        self.judge = Judged(self.judged)
        self.judge.explain = self.insight.explain
        self.fired: list[tuple[int, Any]] = []
        self.n = 0

    def say(self, minute: int, n: int, tick: int | None, extra: int = 0, events: bool = True) -> Segment:
        """A minute with `n` messages of the usual mix so far, and `extra` of them about refunds on the web."""
        self.version += 1
        panes, rows = [], []
        for channel, part in CHANNELS.items():
            topics = {topic: round(n * part * share) for topic, share in TOPICS.items()}
            if channel == "web":
                topics["refund"] += extra
            total = sum(topics.values())
            pane_counts = {"messages": total, "customer_messages": total, "arrivals": total // 3}
            panes.append(PaneRow("shop", "billing", channel, minute, self.version, pane_counts, topics=topics))
            for topic in topics if events and total else ():
                rows += [self.message(minute, channel, topic) for _ in range(topics[topic] // 2)]
        return Segment(panes=panes, events=rows, tick=tick)

    def message(self, at: int, channel: str, topic: str) -> EventRow:
        self.n += 1
        words = [*WORDS[topic], self.chance.choice(["today", "order", "please"])]
        event = Event(
            f"m{self.n}", "message", at, "shop", conversation=f"c{self.n}", author="customer",
            text=" ".join(words), keywords=tuple(words), received_at=at,
        )  # fmt: skip
        return EventRow(event, 1, False, self.version, topic, queue="billing", channel=channel)

    async def _hear(self, segments: Iterable[Segment]) -> None:
        for segment in segments:
            await self.insight.hear(Cut([(0, segment)], segment.clock, segment.tick))
            await super()._hear([segment])
            if segment.tick is not None:
                lag = self.lag(segment.tick)
                readings = self.judge.readings(REAL, segment.tick)
                told = {"*": lag} if lag is not None else {}
                for change in self.story.tick(segment.tick, *readings.keys, **told):
                    if change.alert.state is FIRING:
                        self.fired.append((segment.tick, change.alert))

    def lag(self, tick: int) -> Any:
        """What is known of the stack; nothing."""
        return None


def filling(shop: Shop, minute: int, usual: int, extra: int) -> list[Segment]:
    """A minute as it fills."""
    return [
        shop.say(minute, usual * s // 60, minute + s * 1000, extra * s // 60, events=s % 30 == 0)
        for s in range(10, 61, 10)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twenty usual hours, then six minutes of refunds."""
    made = Shop(tmp_path_factory.mktemp("shop"))
    for n, count in enumerate(counts(HOURS * 60, 30.0, seed=9)):
        minute = MONDAY + n * MINUTE
        tick = minute + MINUTE if n % 5 == 4 or n > HOURS * 60 - 120 else None
        if tick is not None:
            made.hear([made.say(minute, 0, minute + 30_000, events=False)] if n > HOURS * 60 - 120 else [])
        segment = made.say(minute, count, tick, events=n % 5 == 0)
        segment.clock = "shop" if n <= HOURS * 60 - 120 else REAL
        made.hear([segment])
        if n == HOURS * 60 - 120:
            made.hear([Segment(clock="shop", live="shop")])
    assert not made.fired
    usual = round(made.key("billing", "*")["volume"]["expected"])
    for n in range(4):
        made.hear(filling(made, NOW + n * MINUTE, usual, 4 * usual))
    return made


def test_the_shipped_rules_fire_within_ninety_seconds(shop: Shop) -> None:
    rules = {alert.slot.rule: at for at, alert in reversed(shop.fired) if alert.slot.rule.startswith("surge")}
    assert set(rules) == {"surge", "surge-all"}
    assert max(rules.values()) - NOW <= 90_000


def test_the_alert_says_what_was_usual_and_names_the_cause_first(shop: Shop) -> None:
    alert = next(a for slot, a in shop.story.state.alerts.items() if slot.rule == "surge")
    facts = alert.facts
    assert facts.expected is not None
    assert facts.low is not None
    assert facts.high is not None
    assert facts.low < facts.expected < facts.high < (alert.value or 0)
    first: dict[str, str] = {}
    for driver in facts.drivers:
        first.setdefault(driver["dimension"], driver["value"])
    assert first == {"topic": "refund", "channel": "web"}
    assert facts.keywords[0] in WORDS["refund"]
    assert len(facts.samples) == 3
    assert all("refund" in sample for sample in facts.samples)


def test_the_drivers_of_each_dimension_sum_to_the_excess(shop: Shop) -> None:
    for alert in shop.story.state.alerts.values():
        if not alert.slot.rule.startswith("surge"):
            continue
        excess = (alert.value or 0) - (alert.facts.expected or 0)
        dimensions = {driver["dimension"] for driver in alert.facts.drivers}
        assert dimensions == ({"topic", "channel"} if alert.slot.rule == "surge" else {"topic", "channel", "queue"})
        for dimension in dimensions:
            parts = [driver["excess"] for driver in alert.facts.drivers if driver["dimension"] == dimension]
            assert math.fsum(parts) == pytest.approx(excess, abs=1e-9)


def test_topics_say_how_many_times_the_usual_they_are(shop: Shop) -> None:
    topics = {one["topic"]: one["change"] for one in shop.key("billing", "*")["topics"]}
    assert topics["refund"] > 2
    assert topics["login"] == pytest.approx(1, abs=0.5)


def test_the_work_is_known_from_episodes_as_they_close(shop: Shop) -> None:
    episodes = [
        EpisodeRow("shop", f"c{n}", 1, 1, queue="billing", credit_queue="billing", demand_at=NOW, closed_at=NOW + 1,
                   frt_ms=20_000, handle_ms=240_000)
        for n in range(20)
    ]  # fmt: skip
    segment = Segment(episodes=[*episodes, *episodes])
    asyncio.run(shop.insight.hear(Cut([(0, segment)], REAL, NOW + 60 * MINUTE)))
    key = shop.insight.explain(shop.judged.views["shop"], shop.key("billing", "*", shown=False), NOW + 4 * MINUTE)
    assert key["work"]["handle_s"] == pytest.approx(240)
    assert key["work"]["patience_s"] == pytest.approx(600 + 20 * 20, rel=0.02)
    assert key["work"]["arrivals_per_min"] > 20


def flagged(queue: str, channel: str, **volume: Any) -> dict[str, Any]:
    usual = {"rate_per_min": 90.0, "expected": 20.0, "low": 9.0, "high": 33.0, "surge": False, "lull": False}
    return key(queue, channel, volume={**usual, **volume})


def test_while_the_stream_lags_one_alert_stands_in_for_all_surges_and_lulls() -> None:
    late, well = (TenantReading(ingest_lag_ms=lag) for lag in (45_000, 200))
    odd = [flagged(f"q{n}", "*", surge=True) for n in range(5)]
    odd += [flagged("*", "web", lull=True), flagged("*", "*", surge=True)]
    story = Story(load(None), policies.load(None, [], []))
    calm = [flagged(one["queue"], one["channel"]) for one in odd]
    for second in range(0, 400, 10):
        keys = odd if second > 20 else calm
        story.tick(NOW + second * 1_000, *keys, **{"*": late})  # type: ignore[arg-type]  # a tenant, no other argument
    assert {rule for _, rule, _ in story.told} == {"ingest-lag"}
    for second in range(400, 600, 10):
        story.tick(NOW + second * 1_000, *odd, **{"*": well})  # type: ignore[arg-type]  # as above
    rules = {rule for _, rule, state in story.told if state == "firing"}
    assert rules >= {"ingest-lag", "surge-all", "lull"}, "what still stands once it is over is told then"
    assert "surge" not in rules, "one cause, one alert"


def test_a_rule_on_novelty_is_off_until_somebody_wants_it_and_then_fires() -> None:
    shipped = Path("config/rules.yaml").read_text()
    rules = load(None)
    assert "novelty" not in rules.by_name
    wanted = Ruleset(
        parse(shipped.replace("    enabled: false      # no calibrated", "    enabled: true       # no calibrated"))
    )
    assert "novelty" in wanted.by_name
    story = Story(wanted)
    assert [change.alert.slot.rule for change in story.tick(NOW, flagged("billing", "*", novelty=True))] == ["novelty"]


def test_a_surge_that_is_over_still_says_what_it_was(shop: Shop) -> None:
    """Its last numbers are usual ones: what drove it then is no cause of anything."""
    usual = round(shop.key("billing", "*")["volume"]["expected"])
    alerts = shop.story.state.alerts
    slot = next(slot for slot in alerts if slot.rule == "surge")
    for n in range(4, 24):
        shop.hear(filling(shop, NOW + n * MINUTE, usual, 0))
        if slot not in alerts:
            break
        alerts = shop.story.state.alerts
    over = next(alert for alert in shop.story.state.recent.values() if alert.slot == slot)
    told = to_object(over, Labels())
    parts = [one for one in told["at_peak"]["drivers"] if one["dimension"] == "topic"]
    assert parts[0]["value"] == "refund"
    assert math.fsum(one["excess"] for one in parts) == pytest.approx(told["peak"] - told["at_peak"]["expected"])
    assert {*told["at_peak"]["keywords"], *told["keywords"]} <= set(WORDS["refund"]) | {"today", "order", "please"}
    assert told["keywords"]
    assert told["samples"]
    ending = letter([{**told, "state": "resolved"}], "en")
    assert "Topics: refund +" in "\n".join(ending.lines)
