"""The detectors in the form the harness of `tests/bench` wants: thin adapters around the classes the stream uses."""

from __future__ import annotations

from datetime import datetime

from models.moments import naive
from models.novelty import Novelty, Row
from models.volume import Pane, Volume
from models.watch import THRESHOLD


class VolumeBench:
    """`Volume`, row by row. The length of a row is that of the first step in time."""

    threshold = THRESHOLD

    def __init__(self) -> None:
        self._first: tuple[datetime, float] | None = None
        self._model: Volume | None = None

    def update(self, ts: datetime, value: float) -> float:
        """−log10 of the tail probability that volume is this high."""
        if self._model is None:
            if self._first is None or ts <= self._first[0]:
                self._first = ts, value
                return 0.0
            self._model = Volume(max(round((ts - self._first[0]).total_seconds()), 1))
            self._model.learn_one(Pane(naive(self._first[0]), self._first[1]))
        return self._model.learn_one(Pane(naive(ts), value)).surge


class NoveltyBench:
    """`Novelty`, row by row."""

    def __init__(self) -> None:
        self._model = Novelty()

    def update(self, ts: datetime, value: float) -> float:
        """How novel, 0 to 1."""
        return self._model.learn_one(Row(naive(ts), value))


def volume() -> VolumeBench:
    """A fresh volume detector."""
    return VolumeBench()


def novelty() -> NoveltyBench:
    """A fresh novelty detector."""
    return NoveltyBench()
