"""What the partitions said of a tenant's minutes: young ones as rows, older ones packed. Pure.

An old row is wanted again when a later version of it comes, and when the board is compared with what is stored: seldom
enough to be read back each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from streams.events import PaneRow
from streams.metrics import COUNTS, Window
from streams.waits import Waits

Leaf = tuple[str, str]
"""(queue, channel)."""
Rows = Mapping[int, PaneRow]
"""Partition → what it said. Not to be changed."""

_NAMES: Final = frozenset(COUNTS)


class _Counts(msgspec.Struct, array_like=True, gc=False):
    """Counts by place, for their names are longer than they are."""

    known: list[int]
    """In the order of `COUNTS`."""
    others: dict[str, int]
    """Those that only another release knows."""

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> _Counts:
        return cls([counts.get(name, 0) for name in COUNTS], {name: counts[name] for name in counts.keys() - _NAMES})

    def named(self) -> dict[str, int]:
        """By name; what is 0 is left out."""
        return {name: n for name, n in zip(COUNTS, self.known, strict=True) if n} | self.others


class _Row(msgspec.Struct, array_like=True, gc=False):
    """One partition's part of a minute, but for what it is filed under."""

    partition: int
    version: int
    restated: int
    counts: _Counts
    frt_hist: Waits
    answered_waits: Waits
    censored_waits: Waits
    topics: dict[str, int]


class _Total(msgspec.Struct, array_like=True, gc=False):
    """A minute of a key, all partitions together."""

    counts: _Counts
    frt_hist: dict[int, int]
    answered_waits: dict[int, int]
    censored_waits: dict[int, int]
    topics: dict[str, int]


_encode: Final = msgspec.msgpack.Encoder().encode
_rows: Final = msgspec.msgpack.Decoder(list[_Row]).decode
_total: Final = msgspec.msgpack.Decoder(_Total).decode


def packed(window: Window) -> bytes:
    """A window as bytes; `unpacked` makes an equal one of them."""
    waits = window.frt_hist, window.answered_waits, window.censored_waits
    return _encode(_Total(_Counts.of(window.counts), *waits, window.topics))


def unpacked(blob: bytes) -> Window:
    """The window."""
    total = _total(blob)
    waits = total.frt_hist, total.answered_waits, total.censored_waits
    return Window(total.counts.named(), *waits, total.topics)


class Parts:
    """One tenant's rows, by minute and leaf."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._minutes: dict[int, dict[Leaf, dict[int, PaneRow] | bytes]] = {}
        self._loose: dict[int, set[Leaf]] = {}
        """The minutes of which not everything is packed, in the order in which they were touched last, and what."""
        self._leaves: dict[Leaf, Leaf] = {}
        """Every row brings names of its own; these stay."""

    def of(self, queue: str, channel: str, minute: int) -> Rows:
        """What the partitions said of a minute."""
        kept = self._minutes.get(minute, {}).get((queue, channel), {})
        return self._read(kept, queue, channel, minute) if isinstance(kept, bytes) else kept

    def put(self, partition: int, row: PaneRow) -> None:
        """Let a partition have said this, in place of what it said before."""
        leaf = row.queue, row.channel
        leaf = self._leaves.setdefault(leaf, leaf)
        minute = self._minutes.setdefault(row.minute, {})
        kept = minute.get(leaf)
        if kept is None or isinstance(kept, bytes):
            kept = minute[leaf] = {} if kept is None else self._read(kept, *leaf, row.minute)
        kept[partition] = row
        loose = self._loose.pop(row.minute, None) or set()
        loose.add(leaf)
        self._loose[row.minute] = loose

    def between(self, since: int, until: int) -> Iterator[tuple[str, str, int, Rows]]:
        """(queue, channel, minute, rows) of `[since, until)`."""
        for minute in sorted(minute for minute in self._minutes if since <= minute < until):
            for queue, channel in self._minutes[minute]:
                yield queue, channel, minute, self.of(queue, channel, minute)

    def first(self) -> int | None:
        """The oldest minute."""
        return min(self._minutes, default=None)

    def loose(self) -> int:
        """How many minutes are not all packed."""
        return len(self._loose)

    def pack(self, before: int, most: int) -> Iterator[tuple[Leaf, int]]:
        """Pack what is older, no more than so many at once, what was not touched for longest first; yields the leaf and
        minute of each.
        """
        for minute in [minute for minute in self._loose if minute < before]:
            leaves, loose = self._minutes[minute], self._loose[minute]
            while loose:
                if not most:
                    return
                most -= 1
                leaf = loose.pop()
                leaves[leaf] = _bytes(leaves[leaf])
                yield leaf, minute
            del self._loose[minute]

    def drop(self, before: int) -> Iterator[tuple[Leaf, int]]:
        """Forget what is older; yields the leaf and minute of each."""
        for minute in [minute for minute in self._minutes if minute < before]:
            self._loose.pop(minute, None)
            for leaf in self._minutes.pop(minute):
                yield leaf, minute

    def _read(self, blob: bytes, queue: str, channel: str, minute: int) -> dict[int, PaneRow]:
        where = self._tenant, queue, channel, minute
        return {
            row.partition: PaneRow(
                *where, row.version, row.counts.named(), row.frt_hist, row.answered_waits, row.censored_waits,
                row.restated, row.topics,
            )
            for row in _rows(blob)
        }  # fmt: skip


def _bytes(kept: dict[int, PaneRow] | bytes) -> bytes:
    if isinstance(kept, bytes):
        return kept
    return _encode([
        _Row(
            partition, row.version, row.restated, _Counts.of(row.counts),
            row.frt_hist, row.answered_waits, row.censored_waits, row.topics,
        )
        for partition, row in kept.items()
    ])  # fmt: skip
