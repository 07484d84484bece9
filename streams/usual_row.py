"""What travels on `chat.usual`: what the model of volume said about minutes, as each was closed. Pure.

Only rows of keys (queue, channel) and of their sums (`*`); a row said again, or later, replaces itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

MOST_ROWS = 1_000
"""Rows of one record: some 100 kB."""


class UsualRow(msgspec.Struct, array_like=True, frozen=True):
    """One minute of one key: messages of customers that were usual, and whether a surge was on."""

    tenant: str
    queue: str
    channel: str
    minute: int
    """Its start, ms."""
    expected: float
    low: float
    high: float
    surge: bool


class UsualRows(msgspec.Struct, frozen=True):
    """One record."""

    version: int
    """When it was said, ms: of two rows of one minute the later stands."""
    rows: list[UsualRow]
    v: int = 1


def records(rows: Sequence[UsualRow], version: int) -> Iterator[bytes]:
    """The records that say these rows."""
    for start in range(0, len(rows), MOST_ROWS):
        yield msgspec.json.encode(UsualRows(version, list(rows[start : start + MOST_ROWS])))


read = msgspec.json.Decoder(UsualRows).decode
