"""What is usual, for every key of one clock: the registry the stream asks. Panes are one minute, UTC.

    close_minute(minute, counts)   once per minute, when its numbers are final: learns, for every key (absent: 0)
    look(key, at, counts)          in between, at ticks: judges the panes not yet learned, the last one filling
    expect(key, minute)            the curve, for any minute past or to come

A minute that is never closed was not seen (an outage, not silence), and teaches nothing. Closing a minute again does
nothing, so after a restart: load what was saved, close again every minute since, and all goes on as if
uninterrupted.
Bounded: at most `limit` keys. Where there is no room, those under a day old make it, the youngest first, and those
silent for a week; else a new key has to wait: a flood of new ones never drives out what was learned.

Two watches judge a key. The one that pages looks every few seconds, at panes that are still filling. The other is asked
only about whole minutes, so what it says of a minute (`Reading.in_surge`) does not depend on how often anybody looked.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import msgspec

from models.base import Corrupt
from models.lifts import Lifts
from models.moments import Days, Moment
from models.volume import UNKNOWN, Pane, Verdict, Volume
from models.watch import CALM, EXCESS, Watch, lulled, surging, watched

Key = tuple[str, ...]
MINUTE_MS = 60_000
DAY_MS = 86_400_000
LIMIT = 10_000
FORGET_MS = 60 * DAY_MS  # a key silent for so long is gone
AHEAD = 60  # panes that may wait to be learned
SILENT_MS = 7 * DAY_MS  # a key silent for so long gives way to a new one


class Band(NamedTuple):
    """Messages expected in one minute, and where 98 minutes of 100 lie."""

    expected: float
    low: float
    high: float


class Counted(NamedTuple):
    """What a key had in one whole minute."""

    key: Key
    minute_ms: int
    messages: float


class Reading(NamedTuple):
    """The volume of one key now, as CONTRACT §2 `volume` wants it (but for the rate, which is the stream's)."""

    expected: float
    low: float
    high: float
    surge: bool
    lull: bool
    score: float
    """−log10 of the tail probability of the more unusual side; 3.5 pages."""
    since: int | None
    """The surge or lull stands since, ms."""
    learning: bool
    learned_days: float
    known: bool
    """False in a key's first half hour: there is no expectation yet."""
    in_surge: bool = False
    """A surge was on in the last minute learned, judged on whole minutes alone."""


class _Saved(msgspec.Struct, array_like=True):
    key: list[str]
    heard: int
    surge: list[int | None]
    lull: list[int | None]
    model: bytes
    minutes: list[int | None] = msgspec.field(default_factory=lambda: list(CALM))


@dataclass(slots=True)
class _Entry:
    model: Volume
    heard: int
    """The last minute with a message, ms."""
    surge: Watch = CALM
    lull: Watch = CALM
    minutes: Watch = CALM
    """Of surges, on whole minutes."""
    peak: float | None = None
    """The most messages, seen or expected, in a minute the model still looks back on; None: to be reckoned."""

    def most(self) -> float:
        """`peak`, reckoned where it is not yet known."""
        if self.peak is None:
            self.peak = max((max(row.seen, row.due) for row in self.model.recent), default=0.0)
        return self.peak


class Usual:
    """The usual volume of every key. Keep one per clock: the live tenants' zone and days, and each replay's own.

    Keeps the contract of `models.base` with `Counted`; the stream, which has a minute of all keys at once and saves
    only what changed, calls `closing`, `look` and `save`.
    """

    def __init__(self, days: Days | None = None, limit: int = LIMIT) -> None:
        self.days = days or Days()
        self.limit = limit
        self._entries: dict[Key, _Entry] = {}
        self._dirty: set[Key] = set()
        self._gone: set[Key] = set()
        self._lifts: dict[int, Lifts] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def clone(self) -> Self:
        """A fresh one with the same settings."""
        return type(self)(self.days, self.limit)

    def learn_one(self, x: Counted) -> None:
        """Take in one whole minute of one key."""
        self.observe(x.key, x.minute_ms, x.messages)

    def score_one(self, x: Counted) -> float:
        """How far above its usual a key's next minute would be, as −log10 of a tail probability. Learns nothing."""
        entry = self._entries.get(x.key)
        if entry is None:
            return 0.0
        return entry.model.score_one(Pane(self._at(x.minute_ms - x.minute_ms % MINUTE_MS, x.key), x.messages))

    def predict_one(self, x: Counted) -> Band | None:
        """What is usual for a key in a minute. Learns nothing."""
        return self.expect(x.key, x.minute_ms)

    def close_minute(self, minute_ms: int, counts: Mapping[Key, int]) -> dict[Key, Reading]:
        """Learn a whole minute for every key known or counted; a key that is absent had no message."""
        return dict(self.closing(minute_ms, counts))

    def closing(self, minute_ms: int, counts: Mapping[Key, int]) -> Iterator[tuple[Key, Reading]]:
        """The same, key by key: whoever has other things to do may do them in between, but must go to the end."""
        minute_ms -= minute_ms % MINUTE_MS
        self._sweep(minute_ms)
        for key, count in counts.items():
            if key not in self._entries and count > 0:
                self._make(key, minute_ms)
        self._lifts.clear()
        moment = {key: self._at(minute_ms, key) for key in self._entries}  # before one learns: no order must matter
        for key, at in moment.items():
            yield key, self._observe(key, at, counts.get(key, 0))
        self._lifts.clear()

    def observe(self, key: Key, minute_ms: int, count: float) -> Reading:
        """Learn one whole minute of one key. A minute already learned changes nothing."""
        self._lifts.clear()
        minute_ms -= minute_ms % MINUTE_MS
        return self._observe(key, self._at(minute_ms, key), count)

    def _observe(self, key: Key, at: Moment, count: float) -> Reading:
        entry = self._entries.get(key) or self._make(key, at.at * 1000)
        last = entry.model.last
        verdict = entry.model.learn_one(Pane(at, count))
        if entry.model.last == last:
            return self._reading(entry, self._band(entry, at, verdict))
        if count > 0:
            entry.heard = at.at * 1000
        self._dirty.add(key)
        entry.peak = None
        end = at.at * 1000 + MINUTE_MS - 1
        up, holds = self._watch(entry, verdict, end)
        entry.minutes = watched(entry.minutes, end, breach=up, holds=holds, begin=1)  # a minute is many steps
        return self._reading(entry, verdict)

    def look(self, key: Key, at_ms: int, counts: Sequence[int]) -> Reading | None:
        """Judge now. `counts`: the minutes not yet learned, in order; the last is that of `at_ms`, still filling.

        The model learns nothing; only whether a surge stands moves on. None for a key not known.
        """
        entry = self._entries.get(key)
        if entry is None:
            return None
        minute = at_ms - at_ms % MINUTE_MS
        first = minute - (len(counts) - 1) * MINUTE_MS
        panes = [Pane(self._at(first + i * MINUTE_MS, key), count) for i, count in enumerate(counts)][-AHEAD:]
        part = (at_ms - minute) / MINUTE_MS
        panes = [*panes[:-1], panes[-1]._replace(part=part)] if panes and part else panes[:-1]
        verdict = entry.model.judge(panes)
        if verdict.known:
            self._watch(entry, verdict, at_ms)
            self._dirty.add(key)
        return self._reading(entry, self._band(entry, self._at(minute, key), verdict))

    def quiet(self, key: Key, newest: int) -> bool:
        """Whether looking can bring nothing: nothing stands, and there are too few messages for anything to begin.

        `newest`: the most messages in one of the panes not yet learned, or in two that lie side by side.
        """
        entry = self._entries.get(key)
        if entry is None:
            return True
        stands = entry.surge.since is not None or entry.lull.since is not None
        waits = entry.surge.breaches or entry.lull.breaches
        return not (stands or waits or max(newest, entry.most()) >= EXCESS or self.days.planned)

    def standing(self, key: Key) -> tuple[int | None, int | None]:
        """Since when (ms) a surge and a lull stand, as of the last look."""
        entry = self._entries.get(key)
        return (None, None) if entry is None else (entry.surge.since, entry.lull.since)

    def age(self, key: Key) -> tuple[bool, float]:
        """Whether a key is still learning, and the days it has learned."""
        entry = self._entries.get(key)
        return (True, 0.0) if entry is None else (entry.model.youth > 0, entry.model.learned_days)

    def expect(self, key: Key, minute_ms: int) -> Band | None:
        """What is usual for a key in a minute; None where nothing is known of it yet."""
        entry = self._entries.get(key)
        if entry is None or not entry.model.usual.begun:
            return None
        return Band(*entry.model.band(self._at(minute_ms - minute_ms % MINUTE_MS, key)))

    def save(self) -> list[tuple[Key, bytes]]:
        """The keys that changed since the last `save`, each as bytes (about 3 KB, at most 6)."""
        dirty, self._dirty = self._dirty, set()
        return [(key, self._pack(key, self._entries[key])) for key in sorted(dirty) if key in self._entries]

    def gone(self) -> list[Key]:
        """The keys forgotten since this was last asked."""
        gone, self._gone = self._gone, set()
        return sorted(gone)

    def load(self, saved: Iterable[bytes]) -> int:
        """Take over saved keys. Returns how many could not be read and start afresh."""
        lost = 0
        for data in saved:
            try:
                key, entry = self._unpack(data)
            except Corrupt:
                lost += 1
                continue
            if len(self._entries) < self.limit:
                self._entries[key] = entry
        return lost

    def to_bytes(self) -> bytes:
        """All keys, exactly; about 3 KB each."""
        rows = [self._pack(key, self._entries[key]) for key in sorted(self._entries)]
        body = msgspec.msgpack.encode((self._swept, rows))
        return zlib.crc32(body).to_bytes(4, "big") + body

    def restored(self, data: bytes) -> Self:
        """One of these settings that goes on exactly where the saved one was.

        Raises:
            Corrupt: it cannot be read, or has more keys than there is room for.
        """
        if int.from_bytes(data[:4], "big") != zlib.crc32(data[4:]):
            raise Corrupt("the saved registry does not match its checksum")
        try:
            swept, rows = msgspec.msgpack.decode(data[4:], type=tuple[int, list[bytes]])
        except msgspec.DecodeError as error:
            raise Corrupt("the saved registry is damaged") from error
        made = self.clone()
        if made.load(rows) or len(made) != len(rows):
            raise Corrupt("the saved registry has keys that cannot be taken up")
        made._swept = swept  # noqa: SLF001 - a fresh one of our own
        return made

    def forget(self, key: Key) -> None:
        """Drop a key and all that was learned of it."""
        if self._entries.pop(key, None) is not None:
            self._gone.add(key)
        self._dirty.discard(key)

    def _make(self, key: Key, minute_ms: int) -> _Entry:
        """A new entry. Where there is no room for it, it is not kept."""
        entry = _Entry(Volume(60), minute_ms)
        if len(self._entries) >= self.limit:
            self.make_room(max(self.limit // 100, 1), minute_ms)
        if len(self._entries) < self.limit:
            self._entries[key] = entry
            self._gone.discard(key)
        return entry

    def make_room(self, n: int, minute_ms: int) -> int:
        """Forget up to `n` keys: the youngest first, among them those longest silent. Returns how many went.

        Among equals the name decides, that a restart, which may take keys up in another order, forgets the same.
        """
        rank = {
            key: (min(int(24 * entry.model.learned_days), 24), entry.heard, key)
            for key, entry in self._entries.items()
            if entry.model.learned_days < 1.0 or entry.heard < minute_ms - SILENT_MS
        }
        found = heapq.nsmallest(n, rank, key=rank.__getitem__)
        for key in found:
            self.forget(key)
        return len(found)

    def _sweep(self, minute_ms: int) -> None:
        if minute_ms // DAY_MS == self._swept:
            return
        self._swept = minute_ms // DAY_MS
        for key in [key for key, entry in self._entries.items() if entry.heard < minute_ms - FORGET_MS]:
            self.forget(key)

    def _at(self, ms: int, key: Key) -> Moment:
        lifts = self._lifts.get(ms)
        if lifts is None or lifts.days is not self.days:
            if len(self._lifts) > 2 * AHEAD:
                self._lifts.clear()
            lifts = self._lifts[ms] = Lifts(self.days, ms)
        return lifts.moment(key, self._rates)

    def _rates(self, moment: Moment) -> list[tuple[Key, float]]:
        entries = self._entries.items()
        return [(key, entry.model.usual.rate(moment)) for key, entry in entries if entry.model.usual.begun]

    @staticmethod
    def _band(entry: _Entry, moment: Moment, verdict: Verdict) -> Verdict:
        if verdict.known or not entry.model.usual.begun:
            return verdict
        expected, low, high = entry.model.band(moment)
        return UNKNOWN._replace(known=True, expected=expected, low=low, high=high)

    @staticmethod
    def _watch(entry: _Entry, verdict: Verdict, at_ms: int) -> tuple[bool, bool]:
        """Move both watches on. Returns whether volume could begin a surge, and whether it could hold one."""
        up_holds, down_holds = surging(verdict, 1.0, lower=True), lulled(verdict, 1.0, lower=True)
        up = up_holds and surging(verdict, 1.0)
        down = down_holds and lulled(verdict, 1.0)
        entry.surge = watched(entry.surge, at_ms, breach=up, holds=up_holds)
        entry.lull = watched(entry.lull, at_ms, breach=down, holds=down_holds)
        return up, up_holds

    @staticmethod
    def _reading(entry: _Entry, verdict: Verdict) -> Reading:
        model = entry.model
        return Reading(
            expected=verdict.expected,
            low=verdict.low,
            high=verdict.high,
            surge=entry.surge.since is not None,
            lull=entry.lull.since is not None,
            score=max(verdict.surge, verdict.lull),
            since=entry.surge.since if entry.surge.since is not None else entry.lull.since,
            learning=model.youth > 0,
            learned_days=model.learned_days,
            known=verdict.known,
            in_surge=entry.minutes.since is not None,
        )

    @staticmethod
    def _pack(key: Key, entry: _Entry) -> bytes:
        watches = list(entry.surge), list(entry.lull)
        saved = _Saved(list(key), entry.heard, *watches, entry.model.to_bytes(), list(entry.minutes))
        return msgspec.msgpack.encode(saved)

    @staticmethod
    def _unpack(data: bytes) -> tuple[Key, _Entry]:
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            surge, lull, minutes = map(_unpack_watch, (saved.surge, saved.lull, saved.minutes))
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise Corrupt("a saved key is damaged") from error
        return tuple(saved.key), _Entry(Volume(60).restored(saved.model), saved.heard, surge, lull, minutes)


def _unpack_watch(numbers: list[int | None]) -> Watch:
    step, breaches, calm, since = numbers
    return Watch(step or 0, breaches or 0, calm, since)
