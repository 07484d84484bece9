"""The shipped rules on the shipped conversations, through the real judging: they tell little, and nothing flaps.

`pytest -s` prints how often each rule fires; `tidewatch backtest --file tidewatch/data/…` shows the same with more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import chain, islice
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


async def replayed(name: str, most: int | None, every_ms: int) -> Line:
    """A data set, or its beginning, gone through by the shipped rules from its first event on."""
    events = islice(from_files([DATA / name]).events, most)
    first = next(events)
    line = Line(Settings(), None, None, first.at // every_ms * every_ms, every_ms)
    for event in chain((first,), events):
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


def calm(name: str, most: int | None = None, every_ms: int = EVERY_MS) -> Line:
    """Go through it, print what fired, and hold it to the bound."""
    began = time.monotonic()
    line = asyncio.run(replayed(name, most, every_ms))
    days = line.judged_ms / 86_400_000
    counts = Counter(fire.rule for fire in line.fires)
    print(f"\n{name}: {line.events:,} events, {days:.1f} days, in {time.monotonic() - began:.0f} s")
    for rule in load(None).rules:
        print(f"  {rule.name:20} {counts[rule.name]:4}  {counts[rule.name] / max(days, 0.01):.2f} a day")
    often = again(line.fires)
    print(f"  at most {max(often.values(), default=0)} in one place within half an hour")
    assert {place: times for place, times in often.items() if times > MOST_AGAIN} == {}
    return line


@pytest.mark.slow
def test_the_shipped_rules_do_not_flap_on_real_conversations() -> None:
    """One set whole, days of it, with a tick a minute."""
    line = calm("irc-helpdesks.jsonl.gz", every_ms=60_000)
    assert line.events > 1_000
    assert line.fires, "nothing fires: then this shows nothing"


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("name", "every_ms"),
    [("irc-helpdesks.jsonl.gz", EVERY_MS), ("crosswoz.jsonl.gz", EVERY_MS), ("irc-ubuntu.jsonl.gz", 60_000)],
)
def test_the_shipped_rules_do_not_flap_on_any_data_set(name: str, every_ms: int) -> None:
    calm(name, every_ms=every_ms)
