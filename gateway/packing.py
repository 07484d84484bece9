"""What was accepted → the records of `chat.events`: 1 to 500 events of one partition, or one tick.

A record costs the worker as much as a hundred events do, so what arrives within the same few milliseconds travels
together. A tick is a wall: it goes to every partition, behind all that came before it and before all that comes after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from streams.events import Event, Tick, encode, partition_of

MAX_EVENTS = 500
MAX_BYTES = 512 * 1024
"""Of one record, so that no broker's limit (1 MiB by default) is met; a single event stays far below."""

Record = tuple[int, bytes]
"""A partition, and the JSON of `streams.events.Record` without its position."""


@dataclass(slots=True)
class Load:
    """What one frame, or one tick, adds to the stream."""

    events: dict[int, list[bytes]] = field(default_factory=dict)
    """By partition, in order, each encoded."""
    tick: bytes | None = None
    size: int = 0
    """Bytes."""


def load_events(events: Iterable[Event], partitions: int) -> Load:
    """The events of one frame."""
    load = Load()
    for event in events:
        key = event.agent if event.kind == "agent_status" else event.conversation
        encoded = encode(event)
        load.events.setdefault(partition_of(event.tenant, key or "", partitions), []).append(encoded)
        load.size += len(encoded) + 1
    return load


def load_tick(tick: Tick, partitions: int) -> Load:
    """A tick for every partition."""
    encoded = b'{"tick":' + encode(tick) + b"}"
    return Load(tick=encoded, size=len(encoded) * partitions)


def pack(loads: Iterable[Load], partitions: int) -> list[Record]:
    """The records for these loads, in order."""
    records: list[Record] = []
    waiting: dict[int, list[bytes]] = {}
    for load in loads:
        for partition, events in load.events.items():
            waiting.setdefault(partition, []).extend(events)
        if load.tick is not None:
            records += _records(waiting)
            records += [(partition, load.tick) for partition in range(partitions)]
            waiting = {}
    return records + list(_records(waiting))


def _records(waiting: dict[int, list[bytes]]) -> Iterator[Record]:
    for partition, events in waiting.items():
        for some in _portions(events):
            yield partition, b'{"events":[' + b",".join(some) + b"]}"


def _portions(events: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for index, event in enumerate(events):
        if index > start and (index - start == MAX_EVENTS or size + len(event) > MAX_BYTES):
            yield events[start:index]
            start, size = index, 0
        size += len(event) + 1
    if start < len(events):
        yield events[start:]


def with_position(payload: bytes, position: int) -> bytes:
    """The record as it travels on the embedded stack: with its place in the journal."""
    return b'{"pos":%d,' % position + payload[1:]
