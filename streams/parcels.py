"""A reading cut into parcels that a broker takes.

The last parcel carries the position, so none counts before all are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streams.events import EpisodeRow, EventRow, GaugeRow, PaneRow, Reading, Segment, encode

LIMIT = 500_000
"""Bytes a parcel comes to at most, by a cautious guess per row; brokers take 1 MiB."""
_LISTS = ("events", "amendments", "episodes", "panes", "runs", "gauges", "agents", "statuses", "dead_letters")


def parcels(reading: Reading, before: int) -> Iterator[bytes]:
    """The reading as encoded records. `before`: the position of the reading before this one."""
    segments: list[Segment] = []
    size = 0
    for segment in reading.segments:
        part = Segment(clock=segment.clock)
        for name in _LISTS:
            for row in getattr(segment, name):
                weight = _weight(row)
                if size + weight > LIMIT and size:
                    yield _pack(reading, before, [*segments, part])
                    segments, part, size = [], Segment(clock=segment.clock), 0
                getattr(part, name).append(row)
                size += weight
        part.late, part.tick, part.live = segment.late, segment.tick, segment.live
        segments.append(part)
    yield _pack(reading, reading.pos, segments)


def _pack(reading: Reading, position: int, segments: list[Segment]) -> bytes:
    return encode(Reading(reading.partition, position, segments, base=reading.base))


def _weight(row: Any) -> int:
    weigh = _WEIGHTS.get(type(row))
    return weigh(row) if weigh else 300


def _event_weight(row: EventRow) -> int:
    event = row.event
    attrs = sum(len(key) + len(value) for key, value in (event.attrs or {}).items())
    return 700 + 6 * (len(event.text or "") + len(event.comment or "") + attrs)


_WEIGHTS: dict[type[msgspec.Struct], Callable[[Any], int]] = {
    EventRow: _event_weight,
    EpisodeRow: lambda row: 1_200 + 12 * len(row.reply_times_ms) + 60 * (len(row.queue_waits) + len(row.holds)),
    PaneRow: lambda row: 700 + 20 * (len(row.frt_hist) + len(row.answered_waits) + len(row.censored_waits)),
    GaugeRow: lambda row: 400 + 24 * len(row.waiting),
}
