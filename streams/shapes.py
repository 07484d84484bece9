"""Novelty of one key: whether five minutes of it ever looked like these. Pure.

Two weeks of one-minute panes are sampled too finely to have a shape, so rows are sums of five minutes, as those on
which the model was measured.
"""

from __future__ import annotations

from typing import Self

import msgspec

from models.base import Corrupt
from models.moments import Days
from models.novelty import Novelty, Row
from streams.windows import MINUTE

ROW = 5 * MINUTE
NOVEL = 0.5
"""The score of a gap to everything seen that is as wide as everything seen."""
STANDS = 15 * MINUTE
"""So long a novel shape is shown: the model reports it once."""
YOUNG_ROWS = 7 * 288
"""Rows of a week: before, everything is new."""


class _Saved(msgspec.Struct, array_like=True):
    until: int
    since: int
    total: int
    n: int
    model: bytes


class Shape:
    """One key."""

    __slots__ = ("_model", "_n", "_since", "_total", "until")

    def __init__(self, model: Novelty | None = None) -> None:
        self._model = model or Novelty()
        self._since = self._total = self._n = 0
        self.until = 0
        """A novel shape is on until here, ms."""

    def add(self, minute: int, count: int, days: Days) -> None:
        """Take a closed minute (ms). Rows of which a minute was not seen are left out."""
        start = minute - minute % ROW
        if start != self._since:
            self._since, self._total, self._n = start, 0, 0
        self._total += count
        self._n += 1
        if self._n == ROW // MINUTE:
            score = self._model.learn_one(Row(days.moment(start), self._total))
            if score >= NOVEL and self._model.n > YOUNG_ROWS:
                self.until = start + ROW + STANDS

    def to_bytes(self) -> bytes:
        """All of it, exactly."""
        saved = _Saved(self.until, self._since, self._total, self._n, self._model.to_bytes())
        return msgspec.msgpack.encode(saved)

    @classmethod
    def restored(cls, data: bytes) -> Self:
        """As it was.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            was = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise Corrupt("what was kept of a shape is damaged") from error
        shape = cls(Novelty().restored(was.model))
        shape.until, shape._since, shape._total, shape._n = was.until, was.since, was.total, was.n
        return shape
