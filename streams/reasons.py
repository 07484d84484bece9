"""Why a tenant's volume is what it is: topics, segments, rising words, messages to quote, and the work. Pure.

What is split is the alert's own value: messages a minute, in the pane in progress and the one before it. A topic's
expectation is its own model's; where that is too young, the topic's share of the last hours of what is usual for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from models.base import Corrupt
from models.drivers import drivers
from models.rising import RisingWords
from streams.events import EventRow
from streams.lookout import Lookout
from streams.present import ALL, LeafKey, View, rate
from streams.samples import Samples
from streams.segments import NONE, Segments
from streams.windows import MINUTE, pane_of
from streams.work import Work

WORDS_STAND = 10_000
"""Rising words are sought again after so many ms of event time."""
SHARES_OVER = 180
"""Panes over which a topic's share is taken, where its model is too young."""
JUST_NOW = 10
"""Of these the last are left out: they hold the surge."""


class _Saved(msgspec.Struct, array_like=True):
    tick: int
    words: bytes
    work: Any
    segments: Any = None


class Reasons:
    """One tenant's."""

    def __init__(self) -> None:
        self.tick = -1
        """What was said up to this tick is counted."""
        self.samples = Samples()
        self.work = Work()
        self.segments = Segments()
        self._words = RisingWords()
        self._risen: dict[LeafKey, tuple[int, list[str]]] = {}
        self._shares: tuple[tuple[str, int], Mapping[str, float]] = (("", -1), {})

    def message(self, row: EventRow, *, again: bool) -> None:
        """Hear a customer's message, or who writes; `again`: it was counted before."""
        segment = NONE if again else self.segments.note(row.event)
        if row.queue is None or row.channel is None:
            return
        self.samples.take(row)
        if not again:
            self._words.take((row.queue, row.channel), row.event.at, row.event.keywords)
            self.segments.take((row.queue, row.channel), row.event.at, segment)

    def keywords(self, key: LeafKey, now: int) -> list[str]:
        """The words that rose in a key."""
        at, words = self._risen.get(key, (-1, []))
        if at != now // WORDS_STAND:
            words = self._words.rising(key, now)
            self._risen[key] = now // WORDS_STAND, words
        return words

    def explain(self, obj: dict[str, Any], view: View, lookout: Lookout, now: int) -> None:
        """Say in a key's object, while a surge or lull stands in it, what drives it, and quote what people write."""
        key, volume = (obj["queue"], obj["channel"]), obj["volume"]
        odd = volume["surge"] or volume["lull"]
        if not (odd or volume["arrivals_surge"] or volume["arrivals_lull"]) or volume["expected"] is None:
            return
        obj["keywords"] = self._words.rising(key, now)  # those found seconds ago may lack the surge's own
        volume["drivers"] = self._topics(key, volume, view, lookout, now)
        named = [driver["value"] for driver in volume["drivers"] if driver["value"] != "other"]
        topic = named[0] if named and volume["surge"] else None
        volume["drivers"] += self.segments.parts(key, volume, now)
        obj["samples"] = self.samples.typical(key, now, obj["keywords"], topic)

    def _topics(
        self, key: LeafKey, volume: Mapping[str, Any], view: View, lookout: Lookout, now: int
    ) -> list[dict[str, Any]]:
        counts = view.topic_counts(key, 2, now)
        seen = {topic: rate(n, now) for topic, n in counts.items()}
        expected = self._expected(key, volume["expected"], view, lookout, now)
        if not seen and not expected:
            return []
        found = drivers(seen, expected, volume["rate_per_min"], volume["expected"])
        return [{"dimension": "topic", "value": one.value, "excess": one.excess, "share": one.share} for one in found]

    def _expected(self, key: LeafKey, usual: float, view: View, lookout: Lookout, now: int) -> dict[str, float]:
        """Messages a minute that are usual of each topic in a key. Of one channel: in proportion to the queue's."""
        queue, minute = key[0], pane_of(now)
        whole = lookout.at((queue, ALL), minute)
        if whole is None or whole.expected <= 0:
            return {}
        part = usual / whole.expected
        shares = self._usual_shares(queue, view, minute)
        found = {}
        for topic in {*lookout.topics(queue), *shares}:
            said = lookout.at((queue, ALL, topic), minute)
            found[topic] = part * (said.expected if said is not None else whole.expected * shares.get(topic, 0.0))
        return found

    def _usual_shares(self, queue: str, view: View, minute: int) -> Mapping[str, float]:
        """Topic → its share of a queue's messages in the hours before."""
        if self._shares[0] != (queue, minute):
            before = minute - JUST_NOW * MINUTE
            one = view.keys.get((queue, ALL))
            window = None if one is None else one.last(SHARES_OVER, before)
            of = 0 if window is None else window.counts.get("customer_messages", 0)
            shares = {} if window is None or not of else {topic: n / of for topic, n in window.topics.items()}
            self._shares = (queue, minute), shares
        return self._shares[1]

    # -- kept --------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """What was counted; the messages to quote are not kept."""
        return msgspec.msgpack.encode(
            _Saved(self.tick, self._words.to_bytes(), self.work.saved(), self.segments.to_bytes())
        )

    def load(self, saved: bytes) -> None:
        """Take up what was counted.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            was = msgspec.msgpack.decode(saved, type=_Saved)
            self.work.load(was.work)
        except msgspec.MsgspecError as error:
            raise Corrupt("what was kept of words is damaged") from error
        words, segments = self._words.restored(was.words), self.segments
        if isinstance(was.segments, bytes):  # an older form had them otherwise; they are learned anew within a day
            segments = segments.restored(was.segments)
        self._words, self.segments, self.tick = words, segments, was.tick
