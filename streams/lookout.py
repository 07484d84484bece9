"""One tenant's models of volume, fed with its aligned present. Pure: time comes in as ticks.

    due(tick)      which minutes the tick closes, in order; each is then closed:
    close(minute)  every key learns what the minute had; what the model says of it is told, and stands
    look(tick)     what a person would see: are there surges or lulls, with the minutes still filling

A minute is closed once the tick is a whole `lateness` past its end; what comes later is counted, but teaches nothing. A
minute in which the stack was not there to see is not closed: it says nothing of what is usual. A tenant in replay has
no such minutes: whatever lies between its ticks is history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from models.base import Corrupt
from models.moments import Days
from models.usual import DAY_MS, Key, Usual
from models.watch import STEP_MS
from streams.present import ALL, Bands, LeafKey, View
from streams.shapes import Shape
from streams.track import Said, Track, rounded, total
from streams.usual_row import UsualRow
from streams.windows import MINUTE, SECOND, midnight, pane_of

UNSEEN = 30 * SECOND
"""A longer gap between two ticks of the real clock: nobody was there, and clients may still hold what was said."""
QUIET = 3 * DAY_MS
"""A tenant silent for longer is not there: its silence teaches nothing, and a jump of its clock costs nothing."""
LOUD = 0.5
"""Messages a minute: keys that usually have fewer are shown anew only when something of theirs changes."""
MOST_RECKONED = 20
"""Sums of one key that are remembered until they may change."""
MOST_RECKONED_KEYS = 1_000
LEAST_DUE = 0.5
"""Messages usual in half an hour; with fewer, a quotient says nothing."""
MOST_NOVEL = 1_000
"""Keys that novelty is asked for."""
ARRIVALS = ("", "arrivals")
"""Behind a queue and channel: the key of its arrivals. (A topic is the one name behind them.)"""


class Saved(msgspec.Struct, array_like=True):
    """What is kept of a tenant but for its keys."""

    real: bool
    tick: int | None
    """The last one judged."""
    next: int
    heard: int


class _SavedKey(msgspec.Struct, array_like=True):
    usual: bytes
    day: int
    today: list[float]
    shape: bytes


class Lookout:
    """One tenant."""

    def __init__(self, view: View, days: Days) -> None:
        self.view = view
        self.usual = Usual(days)
        self.rows: list[UsualRow] = []
        """What was said of closed minutes and nobody has taken yet."""
        self.closed: set[Key] = set()
        """Keys of which closed minutes said something since this was last emptied."""
        self.stirred: set[Key] = set()
        """Keys that were looked at since this was last emptied."""
        self.flipped = False
        """A surge or lull began or ended since this was last set back."""
        self.arrivals = False
        """Whether arrivals are judged beside customers' messages: somebody's rule asks for it."""
        self.tick: int | None = None
        self.keywords: Callable[[LeafKey, int], list[str]] = _no_words
        """(key, now) → the words that rose in it; whoever reads words sets it."""
        self._real = False
        self._next: int | None = None
        self._heard = 0
        self._tracks: dict[Key, Track] = {}
        self._shapes: dict[Key, Shape] = {}
        self._phases: dict[Key, int] = {}
        self._topics: dict[str, set[str]] = {}
        self._reckoned: dict[Key, tuple[object, dict[object, Any]]] = {}
        self._before: int | None = None
        self._dropped: set[Key] = set()

    @property
    def live(self) -> bool:
        """Whether it is on the real clock."""
        return self._real

    @property
    def learned(self) -> int:
        """The first minute (ms) that is not closed yet; 0 before any is."""
        return self._next or 0

    # -- time --------------------------------------------------------------------------------------------------------

    def due(self, tick: int, *, real: bool) -> Iterator[int] | None:
        """The minutes a tick closes; each must be closed before the next is asked for. None: it was judged before."""
        if self._real and not real:
            return None  # what it said while in replay, heard again
        if real and not self._real and self.tick is not None and tick < self.tick:
            self.tick, self._next = None, pane_of(tick) + MINUTE  # its replay was ahead of the real clock
        self._real = real
        if self.tick is not None and tick <= self.tick:
            return None
        self._before, self.tick = self.tick, tick
        return self._closable(tick, real)

    def _closable(self, tick: int, real: bool) -> Iterator[int]:
        panes, until = self._panes(), pane_of(tick - self.view.policy.lateness)
        if self._next is None:
            if not panes:
                return
            self._next = self._heard = min(panes)
        missed = real and self._before is not None and tick - self._before > UNSEEN
        seen = until if not missed else min(until, pane_of(self._before or 0))
        while self._next < seen:
            if self._next in panes:
                self._heard = self._next
            if self._next - self._heard > QUIET:
                self._next = min((minute for minute in panes if self._next < minute < seen), default=seen)
                continue
            yield self._next
            self._next += MINUTE
        if missed:
            self._next = max(self._next, pane_of(tick) + MINUTE)

    def _panes(self) -> Mapping[int, object]:
        return self.view.keys[ALL, ALL].panes

    def close(self, minute: int) -> Iterator[None]:
        """Every key learns the minute. Pauses after each key, so that whoever calls can do other things."""
        for key in [key for key in self.usual if key[2:] == ARRIVALS and not self.arrivals]:
            self.usual.forget(key)
        counts = self._counts(minute)
        day = midnight(minute, self.view.policy.zone)
        for key, reading in self.usual.closing(minute, counts):
            if reading.known:
                said = rounded(reading.expected, reading.low, reading.high, surge=reading.in_surge)
                self._say(key, minute, said, day)
                if reading.expected >= LOUD or key in counts:
                    self.closed.add(key)
            self._shape(key, minute, counts.get(key, 0))
            yield
        self._drop()

    def _drop(self) -> None:
        for key in self.usual.gone():
            self._forget(key)
            self._dropped.add(key)

    def _say(self, key: Key, minute: int, said: Said, day: int) -> None:
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Track()
        track.put(minute, said)
        track.count(said, day)
        if len(key) == 2:
            self.rows.append(UsualRow(self.view.name, key[0], key[1], minute, *said))

    def _shape(self, key: Key, minute: int, count: int) -> None:
        if len(key) != 2 or key[1] != ALL:
            return
        shape = self._shapes.get(key)
        if shape is None and len(self._shapes) < MOST_NOVEL:
            shape = self._shapes[key] = Shape()
        if shape is not None:
            shape.add(minute, count, self.usual.days)

    def _counts(self, minute: int) -> dict[Key, int]:
        """What a minute had, by key; a topic is a key of its own, per queue and in all; so are arrivals, if asked."""
        counts: dict[Key, int] = {}
        for key, one in self.view.keys.items():
            pane = one.panes.get(minute)
            if pane is not None:
                counts[key] = pane.window.counts.get("customer_messages", 0)
                if self.arrivals:
                    counts[*key, *ARRIVALS] = pane.window.counts.get("arrivals", 0)
                if key[1] == ALL:
                    for topic, n in pane.window.topics.items():
                        counts[*key, topic] = n
                        self._topics.setdefault(key[0], set()).add(topic)
        return counts

    def _forget(self, key: Key) -> None:
        for kept in (self._tracks, self._shapes, self._phases, self._reckoned):
            kept.pop(key, None)
        if len(key) == 3:
            self._topics.get(key[0], set()).discard(key[2])

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self) -> Iterator[None]:
        """Judge, as of the last tick, the keys whose turn it is: each one every ten seconds. Pauses after each."""
        tick, before = self.tick, self._before
        if tick is None or self._next is None or self._next > pane_of(tick):
            return
        minutes = range(self._next, pane_of(tick) + MINUTE, MINUTE)
        for key in list(self.usual):
            phase = self._phases.get(key)
            if phase is None:
                phase = self._phases[key] = crc32("\x1f".join(key).encode()) % STEP_MS
            if before is not None and (tick + phase) // STEP_MS == (before + phase) // STEP_MS:
                continue
            counts = [self._count(key, minute) for minute in minutes]
            if self.usual.quiet(key, _largest(counts)):
                continue
            stood = self.usual.standing(key)
            self.usual.look(key, tick, counts)
            self.flipped |= self.usual.standing(key) != stood
            self.stirred.add(key)
            yield

    def _count(self, key: Key, minute: int) -> int:
        one = self.view.keys.get((key[0], key[1]))
        pane = None if one is None else one.panes.get(minute)
        if pane is None:
            return 0
        if len(key) == 3:
            return pane.window.topics.get(key[2], 0)
        return pane.window.counts.get("arrivals" if key[2:] == ARRIVALS else "customer_messages", 0)

    # -- what the present says of it ---------------------------------------------------------------------------------

    def volume(self, key: Key, now: int) -> dict[str, Any]:
        """`volume` of the live feed but for the rate."""
        band = self.at(key, pane_of(now))
        surge, lull = self.usual.standing(key)
        learning, days = self.usual.age(key)
        shape = self._shapes.get(key)
        return {
            "expected": band and band.expected,
            "low": band and band.low,
            "high": band and band.high,
            "surge": surge is not None,
            "lull": lull is not None,
            "since": surge if surge is not None else lull,
            "novelty": shape is not None and now < shape.until,
            "learning": learning,
            "learned_days": round(days, 2),
            **self._arriving(key, now),
        }

    def _arriving(self, key: Key, now: int) -> dict[str, Any]:
        """The same of a key's arrivals; nothing while no rule asks for them."""
        band = self.at((*key, *ARRIVALS), pane_of(now)) if self.arrivals else None
        if band is None:
            return {"arrivals_surge": False, "arrivals_lull": False, "arrivals": None}
        surge, lull = self.usual.standing((*key, *ARRIVALS))
        since = surge if surge is not None else lull
        usual = {"expected": band.expected, "low": band.low, "high": band.high, "since": since}
        return {"arrivals_surge": surge is not None, "arrivals_lull": lull is not None, "arrivals": usual}

    def at(self, key: Key, minute: int) -> Said | None:
        """What is usual in one minute: what was said, where it is closed; else what is thought now."""
        track = self._tracks.get(key)
        said = None if track is None else track.at(minute)
        if said is not None or self._next is None or minute < self._next:
            return said
        band = self.usual.expect(key, minute)
        if band is None:
            return None
        since, _ = self.usual.standing(key)
        return rounded(*band, surge=since is not None and since < minute + MINUTE)

    def window(self, key: Key, first: int, end: int) -> Said | None:
        """The sum over the minutes of `[first, end)` of which something is known."""
        known = self._told(key)
        found = known.get((first, end), self)
        if found is self:
            parts = (self.at(key, minute) for minute in range(first, end, MINUTE))
            found = known[first, end] = total(said for said in parts if said is not None)
        return found  # type: ignore[no-any-return]  # what was put in

    def bands(self, key: Key, first: int, end: int) -> Bands:
        """What is usual in the minutes of `[first, end)`: expected, low and high, None where nothing is known."""
        known = self._told(key)
        found = known.get((first, end, "bands"))
        if found is None:
            said = [self.at(key, minute) for minute in range(first, end, MINUTE)]
            found = known[first, end, "bands"] = (
                [one and one.expected for one in said],
                [one and one.low for one in said],
                [one and one.high for one in said],
            )
        return found

    def _told(self, key: Key) -> dict[object, Any]:
        """What was reckoned of a key since the last minute closed, or a surge began or ended."""
        stamp = self._next, self.usual.standing(key)[0], id(self.usual.days)
        known = self._reckoned.get(key)
        if known is None or known[0] != stamp or len(known[1]) > MOST_RECKONED:
            if len(self._reckoned) >= MOST_RECKONED_KEYS:
                self._reckoned.clear()
            known = self._reckoned[key] = stamp, {}
        return known[1]

    def today(self, key: Key, first: int, end: int) -> Said | None:
        """The same for the day that begins at `first`."""
        track = self._tracks.get(key)
        closed = track.today if track is not None and track.day == first else None
        begin = end if self._next is None else max(first, self._next)
        open_ = self.window(key, begin, end)
        return total(part for part in (closed, open_) if part is not None)

    def change(self, queue: str, topic: str, n: int, first: int, now: int) -> float | None:
        """How many times the usual `n` messages of a topic are since `first`; None: that is not known, or next to none.

        Of the pane in progress, as much is expected as has passed of it.
        """
        current = pane_of(now)
        key = (queue, ALL, topic)
        whole, filling = self.window(key, first, current), self.at(key, current)
        if whole is None or filling is None:
            return None
        due = whole.expected + filling.expected * (now - current) / MINUTE
        return round(n / due, 2) if due >= LEAST_DUE else None

    def newcomers(self, minute: int) -> int:
        """How many keys have their first message in a minute."""
        return sum(n > 0 and key not in self.usual for key, n in self._counts(minute).items())

    def topics(self, queue: str) -> Sequence[str]:
        """The topics known of a queue."""
        return sorted(self._topics.get(queue, ()))

    # -- kept --------------------------------------------------------------------------------------------------------

    def saved(self, *, partly: bool = False) -> bytes | None:
        """What is kept of the tenant but for its keys.

        `partly`: as of the next minute that is due, before it is closed. The tick is then not judged yet: whoever takes
        this up hears it again, and goes on with that minute.
        """
        if self.tick is None or self._next is None:
            return None
        tick = self._before if partly else self.tick
        return msgspec.msgpack.encode(Saved(self._real, tick, self._next, self._heard))

    def saved_keys(self) -> Iterator[tuple[Key, bytes | None]]:
        """The keys that changed since this was last asked; None: gone."""
        self._drop()
        dropped, self._dropped = self._dropped, set()
        for key in dropped:
            yield key, None
        for key, usual in self.usual.save():
            track, shape = self._tracks.get(key), self._shapes.get(key)
            today = track.today if track is not None else None
            yield (
                key,
                msgspec.msgpack.encode(
                    _SavedKey(
                        usual,
                        -1 if track is None else track.day,
                        [] if today is None else list(map(float, today)),
                        b"" if shape is None else shape.to_bytes(),
                    )
                ),
            )

    def load(self, saved: bytes) -> None:
        """Take up what was kept of the tenant.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            was = msgspec.msgpack.decode(saved, type=Saved)
        except msgspec.DecodeError as error:
            raise Corrupt("what was kept of a tenant is damaged") from error
        self._real, self.tick, self._next, self._heard = was.real, was.tick, was.next, was.heard

    def load_key(self, key: Key, saved: bytes) -> None:
        """Take up one key.

        Raises:
            Corrupt: it cannot be read; it starts afresh.
        """
        try:
            was = msgspec.msgpack.decode(saved, type=_SavedKey)
        except msgspec.DecodeError as error:
            raise Corrupt("what was kept of a key is damaged") from error
        if self.usual.load([was.usual]):
            raise Corrupt("the model of a key is damaged")
        if was.today:
            expected, low, high, surge = was.today
            track = self._tracks.setdefault(key, Track())
            track.day, track.today = was.day, Said(expected, low, high, bool(surge))
        if was.shape:
            self._shapes[key] = Shape.restored(was.shape)
        if len(key) == 3:
            self._topics.setdefault(key[0], set()).add(key[2])

    def recall(self, row: UsualRow) -> None:
        """Take up what was said of a minute."""
        said = Said(row.expected, row.low, row.high, row.surge)
        self._tracks.setdefault((row.queue, row.channel), Track()).put(row.minute, said)


def _no_words(_: LeafKey, __: int) -> list[str]:
    return []


def _largest(counts: Sequence[int]) -> int:
    """The most messages in two panes that lie side by side."""
    return max(map(sum, zip(counts, [*counts[1:], 0], strict=True)), default=0)
