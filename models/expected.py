"""What is usual for this key at this moment: a rate, and how sure of it we are.

    log rate = level + day off + weekday + curve of the day (+ its change on days off)
               + what is left of this half hour + a wander that fades within the hour

All terms but one are one Kalman filter on the logarithm of the rate, fed with half hours: the level walks, the curve
(five harmonics) and the days drift slowly, and what is not yet known widens the uncertainty instead of looking like a
surge. One filter, because learned apart (an average here, a profile there) the terms chase each other: a level averaged
over half a day is wrong for half of every Saturday. What five harmonics cannot follow (doors that open at nine) goes to
a small correction per half hour, kept as a diagonal filter of its own.

Counts are clipped before they teach, half hours inside a surge teach at a quarter, and only when the same miss has
lasted for hours is it taken for a new level, which is then learned within hours.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.moments import Moment

Vector = npt.NDArray[np.float64]
Key = tuple[int, int, int, bool]
"""A half hour: its number since the epoch, its slot of the local day, the weekday, whether people are off."""

BLOCK_S = 1800
SLOTS = 86_400 // BLOCK_S
HARMONICS, OFF_HARMONICS = 5, 2
DAYS = slice(2, 10)  # weekdays, and the day that is none
CURVE = slice(10, 10 + 2 * HARMONICS)
OFF_CURVE = slice(CURVE.stop, CURVE.stop + 2 * OFF_HARMONICS)
WANDER = OFF_CURVE.stop
SIZE = WANDER + 1
DIAGONAL = np.diag_indices(SIZE)
UPPER = np.triu_indices(SIZE)
_SAVED = struct.Struct("<dddddQQqQqBB?")

# Standard deviations, of the logarithm of the rate. None was found to matter within a factor of two.
WANDER_SD, WANDER_S = 0.12, 3600.0  # departures from the plan fade with this time constant
LEVEL_WALK = 0.2  # per root day
CURVE_WALK, DAY_WALK, OFF_CURVE_WALK, REST_WALK = 0.02, 0.02, 0.01, 0.01
REST_SD = 0.05  # before anything is known
CLIP = 2.5  # deviations of a count, or of a half hour, that still teach
SURPRISED = 2.5  # −log10 P beyond which a half hour holds a surge or a lull
DAMPED = 0.25  # the weight of a half hour inside a surge
SHIFT_AFTER, SHIFT_SD = 10, 0.35  # half hours that missed the same way before the level is let loose, and by how much
LEAST = 0.02 / 300  # messages a second
KAPPA = (0.005, 5.0)  # bounds of the over-dispersion
LARGEST = 1e9
LOG_BOUNDS = (math.log(LEAST), math.log(LARGEST))


def _key(moment: Moment) -> Key:
    return moment.at // BLOCK_S, moment.second // BLOCK_S, moment.weekday, moment.off


@lru_cache(maxsize=2 * 8 * (SLOTS + 1))
def _features(slot: int, weekday: int, off: bool) -> Vector:
    """The terms in force at the start of a half hour (`SLOTS`: at the end of the day)."""
    turn = 2.0 * math.pi * slot / SLOTS
    h = np.zeros(SIZE)
    h[0] = h[WANDER] = 1.0
    h[1] = float(off)
    h[DAYS.start + weekday] = 1.0
    curve = [f(k * turn) for k in range(1, HARMONICS + 1) for f in (math.cos, math.sin)]
    h[CURVE] = curve
    if off:
        h[OFF_CURVE] = curve[: 2 * OFF_HARMONICS]
    h.flags.writeable = False
    return h


def _per_harmonic(sd: float, harmonics: int, power: float) -> list[float]:
    return [sd / k**power for k in range(1, harmonics + 1) for _ in "cs"]


PRIOR_SD = np.array(
    [1.0, 0.6] + [0.08] * 8 + _per_harmonic(1.0, HARMONICS, 1.2) + _per_harmonic(0.15, OFF_HARMONICS, 1.0) + [WANDER_SD]
)
WALK_SD = np.array(
    [LEVEL_WALK, DAY_WALK]
    + [DAY_WALK / 2] * 8
    + _per_harmonic(CURVE_WALK, HARMONICS, 1.0)
    + [OFF_CURVE_WALK] * (2 * OFF_HARMONICS)
    + [0.0]
)
WALK = np.square(WALK_SD) * (BLOCK_S / 86_400)
OFF_PRIOR = -0.3  # days off are quieter, before we know


class _Line(NamedTuple):
    """A half hour as the filter sees it: the logarithm of the rate at both ends, its variance, the terms in force."""

    key: Key
    start: float
    end: float
    doubt: float
    terms: Vector


@dataclass(slots=True)
class _Gathered:
    """What one half hour has brought so far."""

    key: Key = (-1, 0, 0, False)
    panes: int = 0
    due: float = 0.0
    clipped: float = 0.0
    raw: float = 0.0
    surprise: float = 0.0


class Expected:
    """The expected rate of messages, learned online. Rates inside are per second, so panes may have any length."""

    __slots__ = (
        "_line", "_moment", "blocks", "cov", "gathered", "kappa", "mean", "one_way", "panes", "rest", "rest_var",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mean = np.zeros(SIZE)
        self.mean[1] = OFF_PRIOR
        self.cov = np.diag(np.square(PRIOR_SD)).astype(np.float32)  # rounded after every step, so that saving is exact
        self.rest = np.zeros((2, SLOTS), np.float32)
        self.rest_var = np.full((2, SLOTS), REST_SD**2, np.float32)
        self.kappa = 0.1  # variance of a pane = mean + kappa · mean²
        self.panes = 0
        self.blocks = 0
        self.one_way = 0  # half hours in a row that missed the same way, with its sign
        self.gathered = _Gathered()
        self._line: _Line | None = None
        self._moment: Moment | None = None  # the last that was asked about: a pane asks many times about its own

    def rate(self, moment: Moment) -> float:
        """Messages per second, planned events included."""
        line = self._line_of(moment)
        log = line.start + (line.end - line.start) * ((moment.second % BLOCK_S) / BLOCK_S)
        return math.exp(min(max(log, LOG_BOUNDS[0]), LOG_BOUNDS[1])) * moment.factor

    def doubt(self, moment: Moment) -> float:
        """Variance of the logarithm of the rate: the wander, and what is not known yet."""
        return self._line_of(moment).doubt

    @property
    def begun(self) -> bool:
        """Whether there is anything to expect yet: half an hour has been seen."""
        return self.blocks > 0

    def learn(self, moment: Moment, count: float, pane_s: float, surprise: float) -> None:
        """Take in one pane's count; `surprise`: how unusual it was, so that a surge teaches less."""
        key = _key(moment)
        if key != self.gathered.key:
            self._close(key)
        self._gather(moment, count, pane_s, surprise)
        if (moment.at + int(pane_s)) // BLOCK_S > key[0]:
            self._close((key[0] + 1, 0, 0, False))

    def rewind(self) -> None:
        """The clock was set back: what was learned stays, the half hour under way does not."""
        self.gathered = _Gathered()
        self._line = None

    def to_bytes(self) -> bytes:
        """All that was learned, of fixed size."""
        seen = self.gathered
        numbers = (self.kappa, seen.due, seen.clipped, seen.raw, seen.surprise)
        head = _SAVED.pack(*numbers, self.panes, self.blocks, self.one_way, seen.panes, *seen.key)
        half = self.cov[UPPER]
        return b"".join([head, self.mean.tobytes(), half.tobytes(), self.rest.tobytes(), self.rest_var.tobytes()])

    def restore(self, data: bytes, at: int) -> int:
        """Take over what was saved at this place in `data`; returns the place behind it."""
        numbers = _SAVED.unpack_from(data, at)
        self.kappa, due, clipped, raw, surprise, self.panes, self.blocks, self.one_way, panes, *key = numbers
        self.gathered = _Gathered((key[0], key[1], key[2], key[3]), panes, due, clipped, raw, surprise)
        self._line = None
        at += _SAVED.size
        self.mean = np.frombuffer(data, "<f8", SIZE, at).copy()
        at += self.mean.nbytes
        half = np.frombuffer(data, "<f4", len(UPPER[0]), at)
        self.cov[UPPER] = half
        self.cov.T[UPPER] = half
        at += half.nbytes
        self.rest = np.frombuffer(data, "<f4", 2 * SLOTS, at).reshape(2, SLOTS).copy()
        at += self.rest.nbytes
        self.rest_var = np.frombuffer(data, "<f4", 2 * SLOTS, at).reshape(2, SLOTS).copy()
        return at + self.rest_var.nbytes

    def _gather(self, moment: Moment, count: float, pane_s: float, surprise: float) -> None:
        mean = self.rate(moment) * pane_s
        wander = self.doubt(moment) * mean * mean
        sd = math.sqrt(mean + self.kappa * mean * mean + wander)
        miss = min(max(count - mean, -CLIP * sd), CLIP * sd)
        seen = self.gathered
        seen.panes += 1
        seen.due += mean
        seen.clipped += mean + miss
        seen.raw += count
        seen.surprise = max(seen.surprise, surprise)
        if self.blocks:
            self.panes += 1
            spread = (miss * miss - mean - 0.8 * wander) / (mean * mean + 1.0)
            kappa = self.kappa + max(0.6 * pane_s / 86_400, 1.0 / (self.panes + 6)) * (spread - self.kappa)
            self.kappa = min(max(kappa, KAPPA[0]), KAPPA[1])

    def _close(self, key: Key) -> None:
        """End the half hour gathered so far and go on to the one of `key`."""
        seen = self.gathered
        if seen.panes:
            self._update(self._make_line(seen.key), seen)
        if seen.key[0] >= 0:
            self._pass(min(key[0] - seen.key[0], 60 * SLOTS))
        self.gathered = _Gathered(key)
        self._line = None

    def _update(self, line: _Line, seen: _Gathered) -> None:
        spread = self.kappa / seen.panes
        if not self.blocks:  # nothing was known: begin where the first half hour is
            self.mean[0] += math.log((seen.raw + 0.3) / seen.due)
            self._step(line, 0.0, 1.0 / (seen.raw + 0.3) + spread, 1.0)
        elif abs(self.one_way) >= SHIFT_AFTER:  # no passing surge: let the level loose, and believe what is seen
            self.cov[0, 0] += SHIFT_SD**2
            self._step(line, math.log((seen.raw + 0.5) / (seen.due + 0.5)), 1.0 / (seen.raw + 0.5) + spread, 1.0)
        else:
            surging = seen.surprise > SURPRISED
            self._step(line, (seen.clipped - seen.due) / seen.due, 1.0 / seen.due + spread, DAMPED if surging else 1.0)
        self.blocks += 1

    def _step(self, line: _Line, miss: float, noise: float, weight: float) -> None:
        """One step of the filter. `miss` is relative to what was due, `noise` its variance."""
        _, slot, _, off = line.key
        towards = self.cov.astype(np.float64) @ line.terms
        rest_var = float(self.rest_var[int(off), slot]) + REST_WALK**2
        total = float(line.terms @ towards) + rest_var + noise
        sd = math.sqrt(total)
        self._count_ways(miss / sd)
        step = weight * min(max(miss, -CLIP * sd), CLIP * sd) / total
        shrink = weight * (2.0 - weight) / total
        self.mean += towards * step
        self.cov = (self.cov - np.outer(towards, towards) * shrink).astype(np.float32)
        self.rest[int(off), slot] += np.float32(rest_var * step)
        self.rest_var[int(off), slot] = rest_var - rest_var * rest_var * shrink

    def _count_ways(self, z: float) -> None:
        way = 0 if abs(z) < 1.5 else (1 if z > 0 else -1)
        self.one_way = self.one_way + way if way * self.one_way > 0 else way

    def _pass(self, blocks: int) -> None:
        """Let time pass: the wander fades, the rest may have drifted."""
        fade = math.exp(-blocks * BLOCK_S / WANDER_S)
        self.mean[WANDER] *= fade
        cov = self.cov.astype(np.float64)
        cov[WANDER, :] *= fade
        cov[:, WANDER] *= fade
        cov[DIAGONAL] += WALK * blocks
        cov[WANDER, WANDER] += WANDER_SD**2 * (1.0 - fade * fade)
        self.cov = cov.astype(np.float32)

    def _line_of(self, moment: Moment) -> _Line:
        if self._line is not None and moment is self._moment:
            return self._line
        key, self._moment = _key(moment), moment
        if self._line is None or self._line.key != key:
            self._line = self._make_line(key)  # good until the next half hour closes: only that changes what is known
        return self._line

    def _make_line(self, key: Key) -> _Line:
        """Within a half hour the logarithm runs straight between what the terms say at its ends."""
        block, slot, weekday, off = key
        ends = _features(slot, weekday, off), _features(slot + 1, weekday, off)
        ahead = max(block - self.gathered.key[0], 0) if self.gathered.key[0] >= 0 else 0
        faded = (math.exp(-ahead * BLOCK_S / WANDER_S) - 1.0) * float(self.mean[WANDER])
        rest = float(self.rest[int(off), slot]) + faded
        terms = 0.5 * (ends[0] + ends[1])
        doubt = float(terms @ self.cov @ terms) + float(self.rest_var[int(off), slot])
        return _Line(key, float(ends[0] @ self.mean) + rest, float(ends[1] @ self.mean) + rest, max(doubt, 1e-4), terms)
