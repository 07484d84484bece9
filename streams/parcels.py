"""A reading cut into parcels that a broker takes.

The last parcel carries the position, so none counts before all are there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from streams.events import Reading
from streams.said import LISTS, Part, Told, encoded, pack, segment

LIMIT = 500_000
"""Bytes of rows in a parcel at most, without the commas between them, unless one row has more; brokers take 1 MiB."""


def parcels(reading: Told | Reading, before: int) -> Iterator[bytes]:
    """The reading as encoded records. `before`: the position of the reading before this one."""
    told = reading if isinstance(reading, Told) else encoded(reading)
    done: list[list[bytes]] = []
    size = 0
    for part in told.parts:
        rows: dict[str, list[bytes]] = {}
        for name in LISTS:
            left = part.rows.get(name, [])
            ends = list(accumulate(map(len, left), initial=0))
            start = 0
            while start < len(left):
                stop = _fitting(ends, start, LIMIT - size, bool(size))
                if stop > start:
                    rows[name] = left[start:stop]
                    start, size = stop, size + ends[stop] - ends[start]
                if start < len(left):
                    yield pack(told, before, [*done, segment(rows, Part(part.clock, base=part.base))])
                    done, rows, size = [], {}, 0
        done.append(segment(rows, part))
    yield pack(told, told.pos, done)


def _fitting(ends: list[int], start: int, room: int, full: bool) -> int:
    """Up to which row they go in; at least one where nothing is in yet. `ends`: of each row, in bytes."""
    stop = bisect_right(ends, ends[start] + room) - 1
    return max(stop, start) if full else max(stop, start + 1)
