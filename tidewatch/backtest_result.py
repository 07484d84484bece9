"""What a backtest found, ready to be printed, drawn and read by a machine. Shapes without behaviour."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tidewatch.backtest_score import Fire, Incident, Score

MINUTE_MS = 60_000
MISSING = float("nan")
POINTS = 1_500
"""Points of a line that is drawn: more than a screen is wide tell nothing."""


class Minutes:
    """One number a minute, from a first minute on (ms); NaN where there is none."""

    __slots__ = ("first", "values")

    def __init__(self, first: int) -> None:
        self.first = first
        self.values = array("f")

    def put(self, minute: int, value: float | None) -> None:
        """Note a minute's number; one from before the first is none of ours."""
        place = (minute - self.first) // MINUTE_MS
        if place < 0:
            return
        if place >= len(self.values):
            self.values.extend([MISSING] * (place + 1 - len(self.values)))
        self.values[place] = MISSING if value is None else value

    def points(self, least: int) -> Iterator[tuple[int, float, float]]:
        """(start of a bin, its least, its greatest) in at most `POINTS` bins; `least`: how many minutes there are."""
        size = max(-(-max(least, len(self.values)) // POINTS), 1)
        for place in range(0, len(self.values), size):
            known = [value for value in self.values[place : place + size] if value == value]  # noqa: PLR0124 - NaN
            if known:
                yield self.first + place * MINUTE_MS, min(known), max(known)


@dataclass(slots=True)
class Panel:
    """One rule in one place, drawn over time."""

    rule: str
    tenant: str
    queue: str
    channel: str
    metric: str
    unit: str
    seen: Minutes
    expected: Minutes | None = None
    low: Minutes | None = None
    high: Minutes | None = None
    """The band, of what is judged against the usual."""
    bound: float | None = None
    """Where the rule fires, of what is judged against a number."""
    fires: list[Fire] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The place, for a person."""
        return f"{self.tenant} · {self.queue} · {self.channel}"


@dataclass(slots=True)
class Result:
    """All of it."""

    since: int
    until: int
    """ms; rules were judged from the first to the second."""
    learned_from: int
    """The first event; what lies before `since` only taught the models."""
    events: int
    ticks: int
    took_s: float
    scores: Sequence[Score]
    fires: Sequence[Fire]
    incidents: Sequence[Incident]
    panels: Sequence[Panel]
    zone: str
    rules: str
    """The file they came from."""
