"""Has this stream ever looked like this?

Six views of the stream (against its mean of an hour and of a day; its logarithm against a day and a week; against
the usual of this half hour; half an hour against three) each remember the values they have taken. A value is as novel
as its gap to the nearest one seen before, in units of the whole range seen. The loudest view speaks; none weighs more
than another, so no weight here is fitted to labels.

After something novel, only what is more novel still is reported, until a rest has passed: one story, one report.
This finds new shapes, not surges: see `volume.py` for those.
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from bisect import bisect_left
from typing import NamedTuple, Self

from models.base import Corrupt
from models.moments import Moment

VIEWS = ("hour", "day", "log_day", "log_week", "slot", "half_hour")
ROWS = {"hour": 12, "day": 288, "log_day": 288, "log_week": 2016, "short": 6, "long": 36}  # memories, in rows
SLOT_RATE = 0.1
REST_ROWS, REST_SHARE, REST_LEAST = 150, 0.05, 10  # rest: this many rows, fewer on a young stream
LARGEST = 1e15
VERSION = 1
_HEAD = struct.Struct("<BIqdHBB")
_MEANS = (*ROWS,)
_SLOT = struct.Struct("<Bd")


class Seen:
    """The values a view has taken, sorted, thinned where they lie close; at most `CAP`."""

    __slots__ = ("values",)
    CAP = 4000
    CLOSE = 0.01  # of the range: closer than this to a known value is not worth keeping

    def __init__(self) -> None:
        self.values = array("d")

    def gap(self, x: float) -> float:
        """Distance to the nearest value seen, as a share of the range seen; 0 until there is a range."""
        v = self.values
        if len(v) < 2:
            return 0.0
        place = bisect_left(v, x)
        left = x - v[place - 1] if place else math.inf
        right = v[place] - x if place < len(v) else math.inf
        return min(left, right) / (v[-1] - v[0])

    def learn(self, x: float) -> None:
        """Remember a value."""
        v = self.values
        place = bisect_left(v, x)
        if place < len(v) and v[place] == x:
            return
        if len(v) < 2 or place in {0, len(v)} or self.gap(x) > self.CLOSE:
            v.insert(place, x)
        if len(v) > self.CAP:
            del v[1:-1:2]


class Row(NamedTuple):
    """One row of any stream: when, and its value."""

    moment: Moment
    value: float


class Novelty:
    """Novelty of one stream, row by row. Keeps the contract of `models.base`. Scores are 0 to 1."""

    def __init__(self) -> None:
        self.n = 0
        self.seen = {view: Seen() for view in VIEWS}
        self.means: dict[str, float] = {}
        self.slots: dict[int, float] = {}
        self.peak, self.age = 0.0, REST_ROWS

    def clone(self) -> Self:
        """A fresh model."""
        return type(self)()

    def score_one(self, x: Row) -> float:
        """How novel, 0 to 1; 0 while a greater one is being rested from. Learns nothing."""
        if not _is_value(x.value):
            return 0.0
        gap = self._gap(self._views(x))
        return 0.0 if self._rests(gap) else gap / (1.0 + gap)

    def learn_one(self, x: Row) -> float:
        """Take in a row and say how novel it was. What is no number is left out."""
        if not _is_value(x.value):
            return 0.0
        views = self._views(x)
        gap = self._gap(views)
        rests = self._rests(gap)
        self._remember(x, views)
        over = self.age + 1 >= self._rest()
        self.age += 1
        if not rests and (gap >= self.peak or over):
            self.peak, self.age = gap, 0
        return 0.0 if rests else gap / (1.0 + gap)

    def to_bytes(self) -> bytes:
        """All that was learned, exactly; as a rule some 2 KB, at most 190."""
        means = [self.means.get(name, math.nan) for name in _MEANS]
        head = _HEAD.pack(VERSION, self.n, self.age, self.peak, len(self.slots), len(means), len(VIEWS))
        parts = [head, array("d", means).tobytes()]
        parts += [_SLOT.pack(slot, usual) for slot, usual in self.slots.items()]
        parts += [struct.pack("<I", len(seen.values)) + seen.values.tobytes() for seen in self.seen.values()]
        body = zlib.compress(b"".join(parts), 1)
        return struct.pack("<I", zlib.crc32(body)) + body

    def restored(self, data: bytes) -> Self:
        """A model that goes on exactly where the saved one was.

        Raises:
            Corrupt: damaged, or of another version.
        """
        try:
            if struct.unpack_from("<I", data)[0] != zlib.crc32(data[4:]):
                raise Corrupt("the saved novelty model does not match its checksum")
            body = zlib.decompress(data[4:])
            version, n, age, peak, slots, means, views = _HEAD.unpack_from(body)
            if (version, means, views) != (VERSION, len(_MEANS), len(VIEWS)):
                raise Corrupt(f"saved novelty model: version {version} cannot be read")
            model, at = self.clone(), _HEAD.size
            model.n, model.age, model.peak = n, age, peak
            known = zip(_MEANS, _doubles(body, at, means), strict=True)
            model.means = {name: mean for name, mean in known if not math.isnan(mean)}
            at += 8 * means
            model.slots = dict(_SLOT.unpack_from(body, at + i * _SLOT.size) for i in range(slots))
            at += slots * _SLOT.size
            for view in VIEWS:
                (size,) = struct.unpack_from("<I", body, at)
                model.seen[view].values = _doubles(body, at + 4, size)
                at += 4 + 8 * size
        except (struct.error, zlib.error, ValueError) as error:
            raise error if isinstance(error, Corrupt) else Corrupt("the saved novelty model is damaged") from error
        return model

    def _gap(self, views: dict[str, float]) -> float:
        return max(self.seen[view].gap(value) for view, value in views.items())

    def _rest(self) -> float:
        return max(REST_LEAST, min(REST_ROWS, REST_SHARE * (self.n + 1)))

    def _rests(self, gap: float) -> bool:
        return self.age + 1 < self._rest() and gap <= self.peak

    def _views(self, x: Row) -> dict[str, float]:
        value, log = x.value, _log(x.value)
        short, long = self._mean("short", value), self._mean("long", value)
        short += self._pace("short") * (value - short)
        long += self._pace("long") * (value - long)
        return {
            "hour": value - self._mean("hour", value),
            "day": value - self._mean("day", value),
            "log_day": log - self._mean("log_day", log),
            "log_week": log - self._mean("log_week", log),
            "slot": value - self.slots.get(x.moment.second // 1800, value),
            "half_hour": short - long,
        }

    def _mean(self, name: str, default: float) -> float:
        return self.means.get(name, default)

    def _pace(self, name: str) -> float:
        return max(2.0 / (ROWS[name] + 1), 1.0 / (self.n + 1))

    def _remember(self, x: Row, views: dict[str, float]) -> None:
        for view, value in views.items():
            self.seen[view].learn(value)
        log = _log(x.value)
        for name in ROWS:
            value = log if name.startswith("log") else x.value
            old = self._mean(name, value)
            self.means[name] = old + self._pace(name) * (value - old)
        slot = x.moment.second // 1800
        usual = self.slots.get(slot, x.value)
        self.slots[slot] = usual + SLOT_RATE * (x.value - usual)
        self.n += 1


def _doubles(body: bytes, at: int, size: int) -> array[float]:
    if len(body) < at + 8 * size:
        raise Corrupt("the saved novelty model is cut off")
    return array("d", body[at : at + 8 * size])


def _log(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


def _is_value(value: float) -> bool:
    return abs(value) <= LARGEST  # false for NaN, too
