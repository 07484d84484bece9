"""What one partition has to say, as the bytes that go out: rows are encoded once, as of the tick they belong to."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.events import REAL, EventRow, Reading, Segment, StatusRow, decode_reading, encode
from streams.standing import Key

LISTS = ("events", "amendments", "episodes", "panes", "runs", "gauges", "agents", "statuses", "dead_letters")
"""The rows of a segment."""
SHEET: Final = 16_384
"""Bytes of a sheet at most, unless one row has more."""
COMMA: Final = ord(",")


class Part:
    """A segment with its rows encoded: each by itself, or some of them as a sheet, with the commas between them."""

    __slots__ = ("base", "clock", "late", "live", "rows", "tick")

    def __init__(self, clock: str = REAL, tick: int | None = None, live: str | None = None, base: bool = False) -> None:
        self.clock, self.tick, self.live, self.base = clock, tick, live, base
        self.rows: dict[str, list[bytes]] = {}
        self.late: dict[str, int] = {}

    def add(self, name: str, rows: list[bytes]) -> None:
        """Further rows of one kind."""
        if rows:
            self.rows.setdefault(name, []).extend(rows)

    def ends(self) -> bytes:
        """The fields that end a segment, as they stand behind its rows."""
        told = encode(Segment(clock=self.clock, late=self.late, tick=self.tick, live=self.live, base=self.base))
        return told[1:]


class Told:
    """A reading with its rows encoded."""

    __slots__ = ("base", "partition", "parts", "pos")

    def __init__(self, partition: int, pos: int, parts: list[Part], base: bool = False) -> None:
        self.partition, self.pos, self.parts, self.base = partition, pos, parts, base

    def packed(self) -> bytes:
        """As one record, however large."""
        return pack(self, self.pos, [segment(part.rows, part) for part in self.parts])

    def decoded(self) -> Reading:
        """As its readers get it."""
        return decode_reading(self.packed())


def segment(rows: dict[str, list[bytes]], part: Part) -> list[bytes]:
    """These rows as a segment that ends as `part` does: its bytes in pieces, for they are copied once."""
    pieces = [b"{"]
    for name, some in rows.items():
        pieces += (b'"%b":[' % name.encode(), b",".join(some), b"],")
    ends = part.ends()
    if rows and ends == b"}":
        pieces[-1] = b"]"
    pieces.append(ends)
    return pieces


def pack(told: Told, position: int, segments: list[list[bytes]]) -> bytes:
    """Segments as a record of this position."""
    pieces = [b'{"partition":%d,"pos":%d,"segments":[' % (told.partition, position)]
    for index, one in enumerate(segments):
        if index:
            pieces.append(b",")
        pieces += one
    pieces.append(b'],"base":true}' if told.base else b"]}")
    return b"".join(pieces)


def encoded(reading: Reading) -> Told:
    """A reading made of structs."""
    parts = []
    for segment in reading.segments:
        part = Part(segment.clock, segment.tick, segment.live, segment.base)
        part.late = segment.late
        for name in LISTS:
            rows: list[Any] = getattr(segment, name)
            part.add(name, [encode(row) for row in rows])
        parts.append(part)
    return Told(reading.partition, reading.pos, parts, reading.base)


class Sheets:
    """Rows as they are encoded, put together as they come: few of them are objects of their own, and not for long."""

    __slots__ = ("_end", "_full", "_room")

    def __init__(self) -> None:
        self._full: list[bytes] = []
        self._room = bytearray()
        """The sheet that is being filled: each row with a comma behind it. It need not grow each time."""
        self._end = 0
        """Behind the last row's comma."""

    def add(self, row: EventRow) -> None:
        """One more row."""
        room, end = self._room, self._end
        _encode(row, room, end)
        if end and len(room) > SHEET:
            self._full.append(bytes(memoryview(room)[: end - 1]))
            del room[:end]
        room.append(COMMA)
        self._end = len(room)

    def anything(self) -> bool:
        """Whether there is a row."""
        return self._end > 0 or bool(self._full)

    def taken(self) -> list[bytes]:
        """All of it, as sheets. They are taken once."""
        if self._end:
            self._full.append(bytes(memoryview(self._room)[: self._end - 1]))
        return self._full


class Changes:
    """What of one tenant has changed since it was last said."""

    __slots__ = ("agents", "amendments", "events", "gauges", "late", "panes", "runs", "statuses")

    def __init__(self) -> None:
        self.events = Sheets()
        self.amendments: list[bytes] = []
        self.panes: set[Key] = set()
        self.runs: list[bytes] = []
        self.gauges: set[tuple[str, str]] = set()
        self.agents: set[str] = set()
        self.statuses: dict[tuple[str, int], StatusRow] = {}
        self.late = False

    def anything(self) -> bool:
        """Whether there is something to say."""
        return bool(
            self.events.anything() or self.panes or self.gauges or self.agents or self.runs
            or self.amendments or self.statuses or self.late
        )  # fmt: skip


_encode: Final = msgspec.json.Encoder().encode_into
