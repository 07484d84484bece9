"""Spans and instants by the hundred, as they are kept and said: eight bytes each (of the machine's order, which is
little-endian wherever this runs), as they came.

A dict of them took longer to write out, again with every tick, than the event that added one to it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final

Waits = bytes | dict[int, int]
"""What rows hold. Releases before said ms → how often: their rows are read as well."""

_pack: Final = Struct("=q").pack
FEW: Final = 64
"""Bytes of waits up to which to count them one by one is faster than to have them counted."""


def bucket(ms: int) -> int:
    """Lower bound of the histogram bucket that holds `ms`: its eight leading bits, so at most 0.8 % below.

    Below 256 ms exact.
    """
    if ms < 256:
        return ms
    shift = ms.bit_length() - 8
    return (ms >> shift) << shift


def put(waits: bytes, ms: int) -> bytes:
    """With one more."""
    one: bytes = _pack(ms)
    return waits + one


def take(waits: bytes, ms: int) -> bytes:
    """With one less.

    Raises:
        ValueError: there is none of it.
    """
    one: bytes = _pack(ms)
    place = waits.index(one)
    while place % 8:
        place = waits.index(one, place + 1)
    return waits[:place] + waits[place + 8 :]


def packed_waits(waits: Waits) -> bytes:
    """As this release keeps them."""
    if isinstance(waits, bytes):
        return waits
    return b"".join([_pack(ms) * n for ms, n in waits.items()])


def apart(before: Waits, after: Waits) -> tuple[Waits, Waits]:
    """What went and what came. Mostly more has come, at the end."""
    if isinstance(before, bytes) and isinstance(after, bytes) and after.startswith(before):
        return b"", after[len(before) :]
    return before, after


def counted(waits: Waits) -> Mapping[int, int]:
    """Value → how often."""
    if not isinstance(waits, bytes):
        return waits
    if len(waits) > FEW:
        return Counter(array("q", waits))
    found: dict[int, int] = {}
    for ms in array("q", waits):
        found[ms] = found.get(ms, 0) + 1
    return found


def each(waits: Waits) -> Iterable[int]:
    """Every value, as often as it occurs."""
    return array("q", waits) if isinstance(waits, bytes) else Counter(waits).elements()
