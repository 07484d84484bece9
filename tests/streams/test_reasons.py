"""What an alert says of words is as of the tick at which it fires."""

from __future__ import annotations

from typing import Any

from models.moments import Days
from models.rising import SPAN_MS
from streams.events import Event, EventRow
from streams.lookout import Lookout
from streams.present import View
from streams.reasons import WORDS_STAND, Reasons
from tests.streams.watching import MONDAY, POLICY

KEY = ("billing", "web")


def message(at: int, words: list[str]) -> EventRow:
    event = Event(
        f"m{at}",
        "message",
        at,
        "shop",
        conversation="c",
        author="customer",
        text=" ".join(words),
        keywords=tuple(words),
    )
    return EventRow(event, 1, False, 1, None, queue="billing", channel="web")


def test_words_that_rose_since_somebody_last_looked_are_in_the_alert() -> None:
    """Words are sought anew every ten seconds only; what fires in between names the cause all the same."""
    view, reasons = View("shop", POLICY), Reasons()
    lookout, onset = Lookout(view, Days()), MONDAY + 12 * SPAN_MS
    for n, at in enumerate(range(MONDAY, onset, 2_000)):
        reasons.message(message(at, ["order", f"usual{n % 40}"]), again=False)
    assert reasons.keywords(KEY, onset) == [], "a board looks as the first second begins"
    for at in range(onset, onset + WORDS_STAND - 1_000, 100):
        reasons.message(message(at, ["order", "upgrade"]), again=False)
    now = onset + WORDS_STAND - 1_000
    obj: dict[str, Any] = {
        "queue": "billing",
        "channel": "web",
        "keywords": reasons.keywords(KEY, now),
        "volume": {"surge": True, "lull": False, "expected": 30.0, "rate_per_min": 300.0},
    }
    assert obj["keywords"] == [], "the board's"
    reasons.explain(obj, view, lookout, now)
    assert obj["keywords"] == ["upgrade"]
    assert all("upgrade" in sample for sample in obj["samples"])
