"""History through the line of a backtest."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from alerts.notifier import Desk
from alerts.outbox import Store
from alerts.policy import parse
from alerts.rules import load
from alerts.state import everything
from alerts.watch import Watch
from config.settings import Settings
from streams.align import Cut
from streams.insight import Insight
from streams.notifier import Reader
from streams.planned import Plan
from streams.policy import Policies
from streams.present import Present
from streams.saying import Saying
from streams.shelf import Memory
from tests.builders import START, agent, as_text, closed, customer
from tests.streams.line import event_of
from tidewatch.backtest_line import UNRECORDED, Line

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
BACKLOG = """rules:
  - {name: backlog, metric: backlog, scope: {queue: "*"}, fire: "> 2", for: 30s}
  - {name: quiet-twin, metric: backlog, fire: "> 2", for: 30s}
inhibit:
  - {source: {rule: backlog}, target: {rule: quiet-twin}, equal: [tenant]}
"""
BEGINS = START + 120 * MINUTE
NEAR = BEGINS - 5 * MINUTE
COUNTED = '  - {name: many, metric: customer_messages, scope: {queue: "*"}, window: 1m, fire: "> 25"}\n'
SURGE = "rules:\n  - {name: surge, metric: surge, severity: critical}\n"


def run(
    folder: Path,
    wires: Iterable[dict[str, Any]],
    rules: str,
    since: int = START,
    events: str = "",
) -> Line:
    """The line after a history."""
    (folder / "rules.yaml").write_text(rules)
    (folder / "events.toml").write_text(events)
    line = Line(Settings(), folder / "rules.yaml", folder / "events.toml", since, 10 * SECOND)

    async def go() -> None:
        for wire in sorted(wires, key=lambda one: one["at"]):
            event = event_of(wire, "t", wire["at"], replay=False)
            await line.take(event)
        await line.end()

    asyncio.run(go())
    return line


def waiting() -> list[dict[str, Any]]:
    """Three wait from the second minute to the tenth."""
    wires = [customer(START - MINUTE, conversation="c0"), agent(START - MINUTE + 1, conversation="c0")]
    for n in (1, 2, 3):
        wires += [
            customer(START + MINUTE + n, conversation=f"c{n}"),
            agent(START + 10 * MINUTE + n, conversation=f"c{n}"),
        ]
        wires.append(closed(START + 11 * MINUTE + n, conversation=f"c{n}"))
    return wires


def test_a_rule_fires_when_it_would_have_fired_live_and_tells_whom_it_would_have_told(tmp_path: Path) -> None:
    line = run(tmp_path, waiting(), BACKLOG)
    (fire, twin) = sorted(line.fires, key=lambda one: one.rule)
    assert (fire.rule, fire.tenant, fire.queue, fire.channel) == ("backlog", "t", "default", "*")
    assert START + MINUTE + 40 * SECOND <= fire.since <= START + MINUTE + 50 * SECOND
    assert START + 10 * MINUTE <= fire.until <= START + 10 * MINUTE + 10 * SECOND
    assert fire.firing_ms == fire.until - fire.since
    assert fire.told
    assert (twin.since, twin.told) == (fire.since, False)


def test_what_fires_at_the_end_fired_until_then(tmp_path: Path) -> None:
    line = run(tmp_path, [wire for wire in waiting() if wire["at"] < START + 5 * MINUTE], BACKLOG)
    assert {fire.until for fire in line.fires} == {line.until}


def test_before_it_is_to_judge_nothing_is_judged(tmp_path: Path) -> None:
    line = run(tmp_path, waiting(), BACKLOG, since=START + 10 * MINUTE + 30 * SECOND)
    assert line.fires == []
    assert line.judged_ms <= 3 * MINUTE
    assert line.first == START - MINUTE


def test_where_nothing_was_recorded_time_jumps(tmp_path: Path) -> None:
    later = [
        {**wire, "at": wire["at"] + 400 * HOUR, "conversation": f"late-{wire['conversation']}"} for wire in waiting()
    ]
    line = run(tmp_path, [*waiting(), *later], BACKLOG)
    assert len([fire for fire in line.fires if fire.rule == "backlog"]) == 2
    assert line.judged_ms < 2 * UNRECORDED


def flood(factor: float) -> list[dict[str, Any]]:
    """Two hours of about twelve messages a minute, and six minutes of a multiple."""
    rng = random.Random(4)
    wires: list[dict[str, Any]] = []
    at = START
    while at < BEGINS + 6 * MINUTE:
        rate = 12 * (factor if at >= BEGINS else 1.0)
        at += round(rng.expovariate(rate) * MINUTE)
        name = f"c{len(wires)}"
        wires.append(customer(at, "my wifi is broken", name, queue=rng.choice(("home", "office"))))
    return wires


@pytest.mark.slow
def test_a_surge_is_found_by_the_models_of_the_live_path_and_drawn_with_its_band(tmp_path: Path) -> None:
    line = run(tmp_path, flood(6.0), SURGE, since=NEAR)
    (fire,) = line.fires
    assert 0 <= fire.since - BEGINS <= 150 * SECOND
    assert fire.expected is not None
    assert 6 < fire.expected < 20
    assert {driver["dimension"] for driver in fire.drivers} >= {"queue"}
    (panel,) = line.panels()
    assert panel.expected is not None
    known = [value for _, value, _ in panel.expected.points(9)]
    assert len(known) > 8
    assert all(5 < value < 25 for value in known)
    assert max(top for _, _, top in panel.seen.points(9)) > 40


@pytest.mark.slow
def test_a_surge_of_arrivals_is_found_where_a_rule_asks_for_it_and_drawn_as_such(tmp_path: Path) -> None:
    line = run(tmp_path, flood(6.0), SURGE.replace("metric: surge", "metric: arrivals_surge"), since=NEAR)
    (fire,) = line.fires
    assert 0 <= fire.since - BEGINS <= 150 * SECOND
    (panel,) = line.panels()
    assert panel.unit == "arrivals a minute"
    assert panel.expected is not None
    assert all(5 < value < 25 for _, value, _ in panel.expected.points(9))
    assert max(top for _, _, top in panel.seen.points(9)) > 40


@pytest.mark.slow
def test_a_planned_event_is_no_surge(tmp_path: Path) -> None:
    sale = '[[event]]\nname = "sale"\nfrom = 2026-03-02T12:00:00Z\nto = 2026-03-02T12:10:00Z\nfactor = 6\n'
    assert BEGINS == 1_772_452_800_000  # 2026-03-02T12:00Z
    assert run(tmp_path, flood(6.0), SURGE, since=NEAR, events=sale).fires == []


@pytest.mark.slow
def test_the_command_prints_each_rule_and_writes_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(BACKLOG)
    (tmp_path / "chat.jsonl").write_text(
        "\n".join(map(json.dumps, as_text(sorted(waiting(), key=lambda one: one["at"]))))
    )
    (tmp_path / "incidents.toml").write_text("[[incident]]\nfrom = 2026-03-02T10:03:00Z\nto = 2026-03-02T10:09:00Z\n")

    def backtest(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidewatch.cli", "backtest", *words]
        root = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "MPLCONFIGDIR": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=root)

    said = backtest("--rules", "rules.yaml", "--file", "chat.jsonl", "--incidents", "incidents.toml", "--out", "out")
    assert said.returncode == 0, said.stderr
    head, *rows = [line.split("\t") for line in said.stdout.splitlines()]
    backlog = dict(zip(head, rows[0], strict=True))
    assert (backlog["rule"], backlog["fires"], backlog["told"]) == ("backlog", "1", "1")
    assert (backlog["in an incident"], backlog["incidents found"]) == ("1 / 1", "1 / 1")
    assert backlog["median lead"].startswith("+1.")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"backtest.html", "backtest.png", "backtest.json"}
    for words, code, why in (
        (("--file", "chat.jsonl", "--clickhouse", "x"), 2, "not two"),
        (("--file", "chat.jsonl", "--every", "2m"), 2, "1s to 30s"),
        (("--file", "chat.jsonl", "--from", "yesterday"), 2, "--from: 'yesterday' is not an instant"),
        (("--file", "nothing.jsonl"), 2, "nothing.jsonl"),
        (("--data", "."), 1, "no stack runs in"),
        (("--clickhouse", "http://127.0.0.1:9"), 1, "127.0.0.1:9"),
    ):
        wrong = backtest(*words)
        assert (wrong.returncode, why in wrong.stderr) == (code, True), (words, wrong.stderr)
        assert wrong.stderr.count("\n") == 1
        assert "Traceback" not in wrong.stderr


class _Spied(Line):
    """A line whose cuts can be told again."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cuts: list[Cut] = []

    async def _apply(self, cut: Cut) -> None:
        self.cuts.append(cut)
        await super()._apply(cut)


@pytest.mark.slow
def test_the_notifier_itself_fires_the_same_alerts_at_the_same_ticks(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(SURGE + COUNTED)
    line = _Spied(Settings(), rules, None, NEAR, 10 * SECOND)
    policy_of, clock = Policies(Settings()), [0]
    reader = Reader(1, policy_of)

    def insight_of(judged: Present, shown: Present) -> Insight:
        saying = Saying(Memory(), _Nowhere())
        return Insight(judged, shown, Memory(), saying, policy_of, Plan(None, policy_of).days)

    async def go(watch: Watch) -> None:
        reader.lead(Desk(watch, None), insight_of)  # type: ignore[arg-type]  # nothing is told here
        for wire in flood(6.0):
            await line.take(event_of(wire, "t", wire["at"], replay=False))
        await line.end(BEGINS + 6 * MINUTE)
        for cut in line.cuts:
            clock[0] = cut.tick or clock[0]
            await reader._apply(cut)

    with Store(tmp_path / "notifier.db") as store:
        watch = Watch(store, load(rules), parse(rules.read_text(), "", (), ()), now=lambda: clock[0])
        asyncio.run(go(watch))
        live = {alert.id for alert in everything(watch.state) if (alert.fired_at or 0) >= NEAR}
    assert {fire.rule for fire in line.fires} == {"surge", "many"}
    assert {fire.id for fire in line.fires} == live


class _Nowhere:
    """A broker that takes everything."""

    async def send_and_wait(self, topic: str, value: bytes) -> object:
        return None
