"""The shipped rules on the shipped conversations, through the real judging: they tell little, and nothing flaps.

`pytest -s` prints how often each rule fires; `tidewatch backtest --file tidewatch/data/…` shows the same with more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from alerts.rules import load
from config.settings import Settings
from tidewatch.backtest_history import from_files
from tidewatch.backtest_line import Line
from tidewatch.backtest_score import Fire

DATA = Path(__file__).parents[2] / "tidewatch" / "data"
EVERY_MS = 30_000
SOON_MS = 1_800_000
"""Alertmanager's own sense of flapping: again within half an hour."""
MOST_AGAIN = 3
"""Firings of one rule in one place within that time; `flap_times` damps from the fourth on."""


async def replayed(name: str, most: int | None) -> Line:
    """A data set, or its beginning, gone through by the shipped rules."""
    line = Line(Settings(), None, None, 0, EVERY_MS)
    for number, event in enumerate(from_files([DATA / name]).events):
        if number == most:
            break
        await line.take(event)
    await line.end()
    return line


def again(fires: list[Fire]) -> Counter[tuple[str, str, str]]:
    """(rule, queue, channel) → the most firings within any half hour."""
    found: Counter[tuple[str, str, str]] = Counter()
    for fire in fires:
        place = fire.rule, fire.queue, fire.channel
        near = sum(
            (one.rule, one.queue, one.channel) == place and fire.since <= one.since < fire.since + SOON_MS
            for one in fires
        )
        found[place] = max(found[place], near)
    return found


def calm(name: str, most: int | None = None) -> None:
    """Go through it, print what fired, and hold it to the bound."""
    began = time.monotonic()
    line = asyncio.run(replayed(name, most))
    days = line.judged_ms / 86_400_000
    counts = Counter(fire.rule for fire in line.fires)
    print(f"\n{name}: {line.events:,} events, {days:.1f} days, in {time.monotonic() - began:.0f} s")
    for rule in load(None).rules:
        print(f"  {rule.name:20} {counts[rule.name]:4}  {counts[rule.name] / max(days, 0.01):.2f} a day")
    assert {place: times for place, times in again(line.fires).items() if times > MOST_AGAIN} == {}


@pytest.mark.slow
def test_the_shipped_rules_do_not_flap_on_real_conversations() -> None:
    calm("irc-helpdesks.jsonl.gz", 250)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", ["irc-helpdesks.jsonl.gz", "crosswoz.jsonl.gz", "irc-ubuntu.jsonl.gz"])
def test_the_shipped_rules_do_not_flap_on_any_data_set(name: str) -> None:
    calm(name)
