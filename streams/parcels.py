"""A reading cut into parcels that a broker takes.

The last parcel carries the position, so none counts before all are there.
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.events import Reading, Segment, encode

LIMIT = 500_000
"""Bytes of rows in a parcel at most, unless one row alone has more; brokers take 1 MiB."""
_LISTS = ("events", "amendments", "episodes", "panes", "runs", "gauges", "agents", "statuses", "dead_letters")


def parcels(reading: Reading, before: int) -> Iterator[bytes]:
    """The reading as encoded records. `before`: the position of the reading before this one."""
    segments: list[Segment] = []
    size = 0
    for segment in reading.segments:
        part = Segment(clock=segment.clock, base=segment.base)
        for name in _LISTS:
            for row in getattr(segment, name):
                weight = len(encode(row)) + 1
                if size + weight > LIMIT and size:
                    yield _pack(reading, before, [*segments, part])
                    segments, part, size = [], Segment(clock=segment.clock, base=segment.base), 0
                getattr(part, name).append(row)
                size += weight
        part.late, part.tick, part.live = segment.late, segment.tick, segment.live
        segments.append(part)
    yield _pack(reading, reading.pos, segments)


def _pack(reading: Reading, position: int, segments: list[Segment]) -> bytes:
    return encode(Reading(reading.partition, position, segments, base=reading.base))
