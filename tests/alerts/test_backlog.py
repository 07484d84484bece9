"""A backlog read at full speed through fold, alignment and judging: the alerts of the live run, and no old news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alerts.notices import FRESH_MS
from alerts.outbox import TOPIC, TOPICS, Deed, Row
from alerts.state import CATCHING_UP, State
from config.settings import Settings
from tests.builders import START, agent, closed, customer
from tests.streams.line import event_of
from tidewatch.backtest_line import Line

SECOND, MINUTE = 1_000, 60_000
BACK = START + 10 * MINUTE
"""When whoever was away is there again."""
RULES = 'rules:\n  - {name: backlog, metric: backlog, scope: {queue: "*"}, fire: "> 2", for: 30s}\n'
WAITS = {"over": (1, 3), "stands": (4, 13), "fresh": (8, 12)}
"""Queue → the minutes from which, and until which, three wait there."""


def wires() -> list[dict[str, Any]]:
    """A conversation that is at rest from the start, and those that wait."""
    found = [customer(START, conversation="c0"), agent(START + 1, conversation="c0")]
    for queue, (since, until) in WAITS.items():
        for n in range(3):
            name = f"{queue}{n}"
            found += [
                customer(START + since * MINUTE + n, conversation=name, queue=queue),
                agent(START + until * MINUTE + n, conversation=name),
                closed(START + until * MINUTE + SECOND + n, conversation=name),
            ]
    return sorted(found, key=lambda wire: wire["at"])


def lived(folder: Path, away_until: int) -> tuple[set[tuple[str, str]], list[tuple[str, str, int]]]:
    """What changed: (id, state); and what people were told: (rule or queue, state, how old its tick was, in ms)."""
    (folder / "rules.yaml").write_text(RULES)
    line = Line(Settings(), folder / "rules.yaml", None, START, SECOND)
    changed: set[tuple[str, str]] = set()
    told: list[tuple[str, str, int]] = []

    def now() -> int:
        return max(line._clock or 0, away_until)

    def commit(_b: State, _a: State, rows: Iterable[Row] = (), _d: Sequence[Deed] = (), at: int = 0) -> None:
        for row in rows:
            body = msgspec.json.decode(row.body)
            if body["rule"] == CATCHING_UP:
                told.extend([(CATCHING_UP, row.state, 0)] if row.channel not in TOPICS else [])
            elif row.channel == TOPIC:
                changed.add((row.alert, row.state))
            else:
                told.append((body["queue"], row.state, now() - (line._clock or 0)))

    line._ledger.commit = commit  # type: ignore[method-assign, assignment]  # to see the rows
    line._watch._now = now

    async def go() -> None:
        for wire in wires():
            await line.take(event_of(wire, "shop", wire["at"], replay=False))
        await line.end()

    asyncio.run(go())
    return changed, told


@pytest.mark.slow
def test_a_backlog_of_ten_minutes_gives_the_alerts_of_the_live_run_and_tells_nothing_old(tmp_path: Path) -> None:
    live, heard = lived(tmp_path, 0)
    assert {state for _, state in live} == {"firing", "resolved"}
    assert [(queue, state) for queue, state, _ in heard if state == "firing"] == [
        ("over", "firing"), ("stands", "firing"), ("fresh", "firing"),
    ]  # fmt: skip
    late, told = lived(tmp_path, BACK)
    assert late == live, "the same ids, the same states"
    assert [state for name, state, _ in told if name == CATCHING_UP].count("firing") == 1
    assert "over" not in {name for name, _, _ in told}
    assert [name for name, state, _ in told if state == "firing"] == [CATCHING_UP, "stands", "fresh"]
    assert all(age <= FRESH_MS for _, _, age in told)
    assert [name for name, state, _ in told if state == "resolved" and name != CATCHING_UP] == ["fresh", "stands"]
