"""Is this volume unusual for this key and this hour?

For several lengths of time, ending now, the messages seen are compared with those expected (`expected.py`): the
negative binomial gives a tail probability, and the `Tail` of that length turns it into how often such a figure has
been seen. The most unusual length speaks. Short lengths
pay a handicap, since a week has more of them: without it, single odd
minutes use up the budget of false pages.

Single panes are drawn in before they are added up (beyond three deviations only their logarithm counts): a queue's own
bursts are short and high, a surge lasts. Not so in the minute that ends now: there it would hold up what is clear, and
how often a queue has such minutes by itself is what that length's own tail knows. The score is −log10 of a tail
probability: one threshold for every queue.

A pane may be partial: then the lengths still end now, and the oldest pane counts for the part that still lies within.
So a clear surge shows while its first pane fills.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple, Self

from models.base import Corrupt
from models.expected import LEAST, Expected
from models.moments import Moment
from models.tails import Tail, quantile, tails

MINUTES = (1, 2, 5, 10, 20, 40)
HANDICAP = {1: 0.7, 2: 0.5, 5: 0.5, 10: 0.05}  # in the score's unit; there are five minutes for each row of five
AS_THEY_ARE_S = 60  # lengths up to this are not drawn in
STILL_MINUTES = 5  # lengths up to this say whether something goes on; the longer ones remember what is over
STILL_RATIO = 1.2
SOFT = 3.0  # deviations of one pane that count in full
REMEMBERED_S = 70 * 86_400  # what a tail remembers
YOUNG_DAYS = 14.0
YOUNG_HANDICAP = 0.3  # of the score, on the first day
YOUNG_BAND = 0.5  # so much wider, on the first day
BAND_Z = 2.326  # 98 of 100
VERSION = 1
_HEAD = struct.Struct("<BIB")
_ROW = struct.Struct("<qddd")
LARGEST = 1e9  # messages in a pane; more is no count


class Pane(NamedTuple):
    """A pane's count. `part` below 1: it is still filling, and so much of it has passed."""

    moment: Moment
    messages: float
    part: float = 1.0


class Verdict(NamedTuple):
    """What the model makes of the volume now. Scores: 0 is usual, 3 is once in a thousand panes."""

    expected: float
    """Messages in a whole pane, now."""
    low: float
    high: float
    """Where 98 panes of 100 lie (wider while learning)."""
    surge: float
    lull: float
    seen: float
    due: float
    """Messages per pane over the most unusual length of time, and what was expected of it."""
    still_up: float = 0.0
    still_down: float = 0.0
    """The scores of the last minutes alone, where they lie off by `STILL_RATIO`: whether it still goes on."""
    known: bool = True
    """False in the first half hour: there is nothing to compare with."""


UNKNOWN = Verdict(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, known=False)


class _Row(NamedTuple):
    at: int
    seen: float
    softened: float
    due: float


class _Sum(NamedTuple):
    """One length of time: how many panes, what they hold, and −log10 of its tail probability (one side is 0)."""

    panes: float
    seen: float
    due: float
    above: float
    below: float


class Volume:
    """Volume against the usual, for one key, in panes of `pane_s` seconds. Keeps the contract of `models.base`."""

    def __init__(self, pane_s: int = 60) -> None:
        self.pane_s = pane_s
        minutes = [float(length) for length in MINUTES if length * 60 >= pane_s] or [pane_s / 60]
        self.lengths = tuple(max(round(length * 60 / pane_s), 1) for length in minutes)
        self.handicaps = tuple(HANDICAP.get(int(length), 0.0) for length in minutes)
        self.usual = Expected()
        self.recent: deque[_Row] = deque(maxlen=max(self.lengths))  # oldest first
        span = max(REMEMBERED_S // pane_s, 2 * Tail.PRIOR_ROWS)
        self.highs = tuple(Tail(span) for _ in self.lengths)
        self.lows = tuple(Tail(span) for _ in self.lengths)

    @property
    def last(self) -> int | None:
        """When the last pane learned began, in seconds since the epoch."""
        return self.recent[-1].at if self.recent else None

    @property
    def learned_days(self) -> float:
        """Days of panes seen."""
        return self.usual.blocks / 48

    @property
    def youth(self) -> float:
        """1 for a new key, 0 once it has two weeks of history."""
        return max(1.0 - self.learned_days / YOUNG_DAYS, 0.0)

    def clone(self) -> Self:
        """A fresh model with the same settings."""
        return type(self)(self.pane_s)

    def score_one(self, x: Pane) -> float:
        """How far above the usual, as −log10 of a tail probability. Learns nothing."""
        return self.judge([x]).surge

    def judge(self, panes: Sequence[Pane]) -> Verdict:
        """What to make of the panes since the last one learned; only the last may be partial. Learns nothing."""
        panes = [pane for pane in panes if self._is_next(pane)]
        if not self.usual.begun or not panes:
            return UNKNOWN
        now = panes[-1].moment
        rows = [self._row(pane) for pane in reversed(panes)]
        return self._verdict(now, self._sums(rows, panes[-1].part, self.usual.doubt(now)))

    def learn_one(self, x: Pane) -> Verdict:
        """Take in one whole pane, and say what it was judged to be. What is no count, or no later pane, is left out.

        Only a clock set back by over a day starts again from where it now is, with all that was learned.
        """
        if self.last is not None and x.moment.at < self.last - 86_400:
            self.recent.clear()
            self.usual.rewind()
        if not self._is_next(x):
            return UNKNOWN
        verdict, row = UNKNOWN, self._row(x)
        if self.usual.begun:
            sums = self._sums([row], 1.0, self.usual.doubt(x.moment))
            verdict = self._verdict(x.moment, sums)
            for (_, _, _, above, below), high, low in zip(sums, self.highs, self.lows, strict=True):
                high.learn(above) if above else high.learn_none()
                low.learn(below) if below else low.learn_none()
        self.recent.append(row)
        self.usual.learn(x.moment, x.messages, self.pane_s, verdict.surge)
        return verdict

    def band(self, moment: Moment) -> tuple[float, float, float]:
        """Expected, low and high for a whole pane at any moment, past or to come."""
        due = self.usual.rate(moment) * self.pane_s
        variance = due + (self.usual.kappa + self.usual.doubt(moment)) * due * due
        z = BAND_Z * (1.0 + YOUNG_BAND * self.youth)
        return due, quantile(due, variance, -z), quantile(due, variance, z)

    def to_bytes(self) -> bytes:
        """All that was learned, exactly; under 6 KB."""
        rows = b"".join(_ROW.pack(*row) for row in self.recent)
        parts = [_HEAD.pack(VERSION, self.pane_s, len(self.recent)), rows, self.usual.to_bytes()]
        parts += [tail.to_bytes() for tail in (*self.highs, *self.lows)]
        body = zlib.compress(b"".join(parts), 1)
        return struct.pack("<I", zlib.crc32(body)) + body

    def restored(self, data: bytes) -> Self:
        """A model that goes on exactly where the saved one was.

        Raises:
            Corrupt: damaged, or of another version or pane length.
        """
        try:
            if struct.unpack_from("<I", data)[0] != zlib.crc32(data[4:]):
                raise Corrupt("the saved volume model does not match its checksum")
            body = zlib.decompress(data[4:])
            version, pane_s, rows = _HEAD.unpack_from(body)
            if (version, pane_s) != (VERSION, self.pane_s):
                raise Corrupt(f"saved volume model: version {version} with panes of {pane_s} s cannot be read")
            model, at = self.clone(), _HEAD.size
            model.recent.extend(_Row(*_ROW.unpack_from(body, at + i * _ROW.size)) for i in range(rows))
            at = model.usual.restore(body, at + rows * _ROW.size)
            for tail in (*model.highs, *model.lows):
                at = tail.restore(body, at)
        except (struct.error, zlib.error, ValueError, TypeError) as error:
            raise error if isinstance(error, Corrupt) else Corrupt("the saved volume model is damaged") from error
        return model

    def _is_next(self, pane: Pane) -> bool:
        later = self.last is None or pane.moment.at > self.last
        return later and 0.0 <= pane.messages <= LARGEST and 0.0 < pane.part <= 1.0

    def _row(self, pane: Pane) -> _Row:
        if not self.usual.begun:  # nothing to compare with: it was as expected
            return _Row(pane.moment.at, pane.messages, pane.messages, max(pane.messages, LEAST * self.pane_s))
        due = self.usual.rate(pane.moment) * self.pane_s * pane.part
        sd = math.sqrt(due + (self.usual.kappa + self.usual.doubt(pane.moment)) * due * due)
        z = (pane.messages - due) / sd
        softened = pane.messages if z <= SOFT else due + sd * SOFT * (1.0 + math.log(z / SOFT))
        return _Row(pane.moment.at, pane.messages, softened, due)

    def _sums(self, newest: Sequence[_Row], part: float, doubt: float) -> list[_Sum]:
        """One sum for each length, shortest first. `newest`: the rows since the last learned, newest first."""
        rows = [*newest, *reversed(self.recent)]
        now, kappa, sums = rows[0].at, self.usual.kappa, []
        _, counts, softs, dues = zip(*rows, strict=True)
        counted, softened, due = (list(accumulate(column, initial=0.0)) for column in (counts, softs, dues))
        squares = list(accumulate(map(mul, dues, dues), initial=0.0))
        gapless = now - rows[-1].at == (len(rows) - 1) * self.pane_s
        place, cases = 0, []
        for length in self.lengths:
            oldest = now - length * self.pane_s
            if gapless:
                place = min(length, len(rows))
            while place < len(rows) and rows[place].at > oldest:
                place += 1
            panes, seen, drawn = place - 1 + part, counted[place], softened[place]
            mean, spread = due[place], kappa * squares[place]
            if part < 1.0 and place < len(rows) and rows[place].at == oldest:  # the rest of the oldest pane
                rest = 1.0 - part
                _, a, b, c = rows[place]
                panes, seen, drawn, mean = panes + rest, seen + rest * a, drawn + rest * b, mean + rest * c
                spread += kappa * rest * c * c
            spread += doubt * mean * mean
            above = seen >= mean
            counts_as = drawn if above and length * self.pane_s > AS_THEY_ARE_S else seen
            cases.append((above, counts_as, mean, spread))
            sums.append((panes, seen, mean))
        told = zip(sums, cases, tails(cases), strict=True)
        return [_Sum(*row, x, 0.0) if case[0] else _Sum(*row, 0.0, x) for row, case, x in told]

    def _verdict(self, now: Moment, sums: Sequence[_Sum]) -> Verdict:
        best, surge, lull, still_up, still_down = sums[0], 0.0, 0.0, 0.0, 0.0
        young, pane_s = YOUNG_HANDICAP * self.youth, self.pane_s
        for length, high, low, handicap in zip(sums, self.highs, self.lows, self.handicaps, strict=True):
            panes, seen, due, above, below = length
            score = (high.score(above) if above else low.score(below)) - handicap - young
            if score > surge and score > lull:
                best = length
            short = length is sums[0] or panes * pane_s <= STILL_MINUTES * 60
            if above:
                surge = max(surge, score)
                if short and seen >= STILL_RATIO * due:
                    still_up = max(still_up, score)
            else:
                lull = max(lull, score)
                if short and seen * STILL_RATIO <= due:
                    still_down = max(still_down, score)
        seen, due = best.seen / best.panes, best.due / best.panes
        return Verdict(*self.band(now), surge, lull, seen, due, still_up, still_down)
