"""Which customers write: the messages of each queue and channel by `attrs.segment`, lately and as a rule. Pure.

A segment is whatever the source calls a kind of customer ("vip", "reseller", "0-30 days"). It may stand on any event of
a conversation and holds for the messages after it; who has none counts, but is never named. What is usual of a segment
is its share of the key's messages, which halves every day, of what is usual of the key.

Bounded: a segment that few wrote from is not named, so a source that puts customers' ids there names nobody.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import msgspec

from models.base import Corrupt
from models.drivers import drivers
from streams.events import Event
from streams.present import ALL, LeafKey
from streams.windows import DAY, MINUTE, pane_of

ATTR = "segment"
LONGEST = 40
"""Characters of a segment."""
NONE = ""
"""Stands for messages without a segment, and for all segments that gave way."""
LATELY = 12 * MINUTE
"""What is younger is not yet part of what is usual: it may be the surge."""
EACH = 50
"""Segments of one queue and channel: of what is usual, the commonest; of one minute, twice as many."""
LEAVES = 1_000
"""Queues and channels that are followed; of more, those heard of last."""
CONVERSATIONS = 10_000
"""Conversations whose segment is known; of more, those that spoke last."""
LEAST = 5
"""Messages, seen or usual in the span judged, with which a segment is named."""
LEAST_USUAL = 30.0
"""Messages of a key, below which nobody knows what is usual of its segments."""

LARGEST = 64 << 20
"""Bytes of what is saved, unpacked; more is nothing of ours."""

Counts = dict[str, float]


class _Leaf(msgspec.Struct, array_like=True):
    recent: dict[int, Counts] = {}
    """By minute (ms)."""
    usual: Counts = {}
    at: int = 0
    """`usual` has faded up to here, ms."""


class Wrote(NamedTuple):
    """A customer's message of a queue and channel, written at `at` (ms) by one of a segment."""

    leaf: LeafKey
    at: int
    segment: str = NONE


class Segments:
    """One tenant's. `take` every event that came, in order of time; ask `parts`.

    Keeps the contract of `models.base` with `Wrote`.
    """

    def __init__(self, leaves: int = LEAVES, conversations: int = CONVERSATIONS) -> None:
        self.leaves, self.conversations = leaves, conversations
        self._of: dict[str, str] = {}
        self._leaves: dict[LeafKey, _Leaf] = {}

    def clone(self) -> Self:
        """A fresh one with the same settings."""
        return type(self)(self.leaves, self.conversations)

    def learn_one(self, x: Wrote) -> None:
        """Count one message."""
        self.take(x.leaf, x.at, x.segment)

    def predict_one(self, x: Wrote) -> dict[str, float]:
        """What part of a key's messages is usual of each of its segments by the time of a message. Learns nothing."""
        _, usual = self._counts(x.leaf, x.at)
        return _rates(usual, 1.0)

    def note(self, event: Event) -> str:
        """The segment of an event's conversation, as of this event; `NONE` where it has none."""
        name = event.conversation or ""
        given = (event.attrs or {}).get(ATTR)
        segment = self._of.pop(name, NONE) if given is None else " ".join(given.split())[:LONGEST]
        if segment:
            self._of[name] = segment  # the last to be forgotten
            if len(self._of) > self.conversations:
                del self._of[next(iter(self._of))]
        return segment

    def take(self, leaf: LeafKey, at: int, segment: str) -> None:
        """Count a customer's message of a queue and channel, written at `at` (ms), once any has had a segment."""
        if not (segment or self._leaves):
            return
        kept = self._leaves.pop(leaf, None)
        if kept is None:
            kept = _Leaf(at=at)
            if len(self._leaves) >= self.leaves:
                del self._leaves[next(iter(self._leaves))]
        self._leaves[leaf] = kept  # the last to be forgotten
        minute = pane_of(at)
        if minute not in kept.recent:
            _settle(kept, minute - LATELY)
        counts = kept.recent.setdefault(minute, {})
        _add(counts, segment if segment in counts or len(counts) < 2 * EACH else NONE, 1)

    def parts(self, key: LeafKey, volume: Mapping[str, Any], now: int) -> list[dict[str, Any]]:
        """The excess of a key's `volume`, in its own rate, split over segments; nothing where none is known."""
        seen, usual = self._counts(key, now)
        if sum(usual.values()) < LEAST_USUAL:
            return []
        span = 1 + (now - pane_of(now)) / MINUTE
        found, due = _rates(seen, volume["rate_per_min"]), _rates(usual, volume["expected"])
        for one in found.keys() | due.keys():
            if one == NONE or max(seen.get(one, 0.0), due.get(one, 0.0) * span) < LEAST:
                found.pop(one, None)
                due.pop(one, None)
        if not (found or due):
            return []
        parts = drivers(found, due, volume["rate_per_min"], volume["expected"])
        return [{"dimension": ATTR, "value": one.value, "excess": one.excess, "share": one.share} for one in parts]

    def _counts(self, key: LeafKey, now: int) -> tuple[Counts, Counts]:
        """Messages of a key by segment: in the pane in progress and the one before it, and as a rule."""
        seen: Counts = {}
        usual: Counts = {}
        for (queue, channel), kept in self._leaves.items():
            if key[0] in (ALL, queue) and key[1] in (ALL, channel):
                for minute in (pane_of(now) - MINUTE, pane_of(now)):
                    _merge(seen, kept.recent.get(minute, {}), 1)
                _merge(usual, kept.usual, _fade(now - kept.at))
        return seen, usual

    # -- keeping -----------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """What was counted: exact, and of bounded size."""
        leaves = [(*leaf, kept) for leaf, kept in self._leaves.items()]
        return zlib.compress(msgspec.msgpack.encode((list(self._of.items()), leaves)), 1)

    def restored(self, data: bytes) -> Self:
        """One of these settings that has counted what was saved.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            unzip = zlib.decompressobj()
            plain = unzip.decompress(data, LARGEST)
            if not unzip.eof:
                raise Corrupt("saved segments are cut off")
            of, leaves = msgspec.msgpack.decode(plain, type=_Saved)
        except (zlib.error, msgspec.MsgspecError, ValueError) as error:
            raise error if isinstance(error, Corrupt) else Corrupt("saved segments are damaged") from None
        made = self.clone()
        made._of = dict(of)  # noqa: SLF001 - a fresh one of our own
        made._leaves = {(queue, channel): kept for queue, channel, kept in leaves}  # noqa: SLF001 - as above
        return made


_Saved = tuple[list[tuple[str, str]], list[tuple[str, str, _Leaf]]]


def _add(counts: Counts, name: str, n: float) -> None:
    counts[name] = counts.get(name, 0.0) + n


def _merge(into: Counts, counts: Mapping[str, float], part: float) -> None:
    for name, n in counts.items():
        _add(into, name, n * part)


def _fade(span: int) -> float:
    return float(0.5 ** (max(span, 0) / DAY))


def _settle(kept: _Leaf, until: int) -> None:
    """The minutes up to this one become usual; what came late, as if it had come in time for the last."""
    for minute in sorted(one for one in kept.recent if one <= until):
        usual: Counts = {}
        _merge(usual, kept.usual, _fade(minute - kept.at))
        _merge(usual, kept.recent.pop(minute), 1)
        kept.usual, kept.at = usual, max(minute, kept.at)
    named = sorted((name for name in kept.usual if name), key=lambda name: (-kept.usual[name], name))
    for name in named[EACH:]:
        _add(kept.usual, NONE, kept.usual.pop(name))


def _rates(counts: Mapping[str, float], rate: float) -> dict[str, float]:
    """A key's rate split as its counts are."""
    total = sum(counts.values())
    return {name: rate * n / total for name, n in counts.items()} if total else {}
