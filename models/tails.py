"""How unlikely a count is: first by the negative binomial, then by what such figures have been before.

The parametric tail assumes a model that is never quite right. So its figure x = −log10 P is itself looked up among
the figures seen so far (a histogram), and beyond the few largest an exponential tail is fitted. A right model has
P(X > x) = 10^−x, which is where the histogram begins and what the slope is drawn to: fitted alone, the slope's own
noise costs a tenth of the ×2 surges. A threshold then means the same page rate for every queue.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence

from scipy.special import betainc  # type: ignore[import-untyped]  # scipy ships no types

LN10 = math.log(10.0)
SMALLEST = 1e-300


def tails(cases: Sequence[tuple[bool, float, float, float]]) -> list[float]:
    """−log10 of a mid-p tail for each (above, count, mean, spread); variance = mean + spread.

    Above: P(X > count) + P(X = count)/2. Else below: P(X < count) + P(X = count)/2. One call, for each costs its own.
    """
    a: list[float] = []
    b: list[float] = []
    x: list[float] = []
    for above, count, mean, spread in cases:
        size = mean * mean / spread
        both = mean + size
        edge = count or 1.0  # at 0 the function has no value: what stands there is put in below
        if above:
            a += (count + 1.0, edge)
            b += (size, size)
            part = mean / both
        else:
            a += (size, size)
            b += (count + 1.0, edge)
            part = size / both
        x += (part, part)
    found = betainc(a, b, x).tolist()
    rows = zip(cases, found[::2], found[1::2], strict=True)
    chances = (first + (second if count > 0 else float(above)) for (above, count, _, _), first, second in rows)
    return [-math.log10(max(0.5 * chance, SMALLEST)) for chance in chances]


def quantile(mean: float, variance: float, z: float) -> float:
    """The count that lies `z` normal deviations out (Wilson–Hilferty for a gamma of this mean and variance)."""
    ninth = variance / (9.0 * mean * mean)
    root = 1.0 - ninth + z * math.sqrt(ninth)
    return mean * root**3 if root > 0 else 0.0


_SAVED = struct.Struct("<QQddd64H")


class Tail:
    """Turns x = −log10 P as computed into −log10 P as it has been. 0 is usual; grows without bound."""

    __slots__ = ("base", "beyond", "bins", "counts", "n", "since", "slope", "span")

    LOW, STEP, BINS = 0.3, math.log(1.085), 64  # bins of equal ratio, from 0.3 to 55: bursty queues need the far ones
    TOP = 400  # at most so many of the largest figures, and at most a twentieth of all, decide
    PRIOR_ROWS = 400  # rows of a right model it is born with
    PRIOR_TOP = 300  # what the right model's slope weighs against the fitted one's
    REFIT = 16  # learned rows between two fits
    HOLD = 4.0  # a figure beyond this is learned one time in four: a surge must not teach that surges are usual

    def __init__(self, span: int) -> None:
        self.span = span
        edges = [self.PRIOR_ROWS * 10.0 ** -self._edge(i) for i in range(self.BINS)] + [0.0]
        self.counts = array("H", (round(edges[i] - edges[i + 1]) for i in range(self.BINS)))
        self.n = self.PRIOR_ROWS
        self.since = 0
        self.base = self.beyond = self.slope = 1.0
        self._fit()

    def score(self, x: float) -> float:
        """−log10 of how often a figure as large as `x` has been seen."""
        if x <= self.base:
            return max(x, 0.0) * self.beyond / self.base
        return self.beyond + (x - self.base) / (self.slope * LN10)

    def learn(self, x: float) -> None:
        """Count one figure. Forgets by halving once `span` rows are reached."""
        self.since += 1
        if x >= self.LOW:
            if x > self.base and self.score(x) > self.HOLD and self.since % 4:
                return
            place = min(int(math.log(x / self.LOW) / self.STEP), self.BINS - 1)
            self.counts[place] = min(self.counts[place] + 1, 65_535)
        self.n += 1
        if self.n >= self.span or self.since % self.REFIT == 0:
            self._keep_up()

    def learn_none(self) -> None:
        """Count a figure of 0: the same, and half of all are."""
        self.since += 1
        self.n += 1
        if self.n >= self.span or self.since % self.REFIT == 0:
            self._keep_up()

    def _keep_up(self) -> None:
        if self.n >= self.span:
            self.n //= 2
            self.counts = array("H", (count // 2 for count in self.counts))
        if self.since % self.REFIT == 0:
            self._fit()

    def to_bytes(self) -> bytes:
        """All that was learned, of fixed size."""
        return _SAVED.pack(self.n, self.since, self.base, self.beyond, self.slope, *self.counts)

    def restore(self, data: bytes, at: int) -> int:
        """Take over what was saved at this place in `data`; returns the place behind it."""
        self.n, self.since, self.base, self.beyond, self.slope, *counts = _SAVED.unpack_from(data, at)
        self.counts = array("H", counts)
        return at + _SAVED.size

    def _fit(self) -> None:
        seen = sum(self.counts)
        top = max(10, min(self.TOP, self.n // 20, seen))
        middle, base = self._reached(top / 2, top)
        fitted = (middle - base) / math.log(2.0)  # the median, not the mean: real surges among them must not count more
        self.slope = max((top * fitted + self.PRIOR_TOP / LN10) / (top + self.PRIOR_TOP), 0.1)
        self.base, self.beyond = base, math.log10(self.n / top)

    def _edge(self, place: float) -> float:
        return float(self.LOW * math.exp(place * self.STEP))

    def _reached(self, half: float, top: float) -> tuple[float, float]:
        """The figures that `half` and `top` of those seen lie beyond; `half` is the smaller one."""
        above, middle = 0.0, None
        for place, count in zip(range(self.BINS - 1, -1, -1), reversed(self.counts), strict=True):
            if not count:
                continue
            if middle is None and above + count >= half:
                middle = self._edge(place + 1 - (half - above) / count)
            if above + count >= top:
                return middle or self.LOW, self._edge(place + 1 - (top - above) / count)
            above += count
        return middle or self.LOW, self.LOW
