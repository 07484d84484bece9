"""A reading cut into parcels that a broker takes.

The last parcel carries the position, so none counts before all are there.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.events import Reading
from streams.said import LISTS, Part, Told, encoded, pack, segment

LIMIT = 500_000
"""Bytes of rows in a parcel at most, unless one row alone has more; brokers take 1 MiB."""


def parcels(reading: Told | Reading, before: int) -> Iterator[bytes]:
    """The reading as encoded records. `before`: the position of the reading before this one."""
    told = reading if isinstance(reading, Told) else encoded(reading)
    done: list[bytes] = []
    size = 0
    for part in told.parts:
        rows: dict[str, list[bytes]] = {}
        for name in LISTS:
            left = part.rows.get(name, [])
            while left:
                n, weight = _fitting(left, LIMIT - size, bool(size))
                if n:
                    rows[name], left, size = left[:n], left[n:], size + weight
                if left:
                    yield pack(told, before, [*done, segment(rows, Part(part.clock, base=part.base))])
                    done, rows, size = [], {}, 0
        done.append(segment(rows, part))
    yield pack(told, told.pos, done)


def _fitting(rows: list[bytes], room: int, full: bool) -> tuple[int, int]:
    """How many rows go in, and their bytes; at least one where nothing is in yet."""
    weight = sum(map(len, rows)) + len(rows)
    if weight <= room:
        return len(rows), weight
    weight = 0
    for n, row in enumerate(rows):
        if weight + len(row) + 1 > room and (full or n):
            return n, weight
        weight += len(row) + 1
    return len(rows), weight
