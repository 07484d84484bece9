"""Which words are written more than usual: per key, against the key's own past. Pure and bounded.

    10 min   10 min   10 min  now          what is older goes into the key's usual, which halves every three days
    [──────][──────][──────]▶

A word rises where its share of the last half hour's words is at least twice its usual one, and the log-likelihood ratio
says that is no chance (`models.drivers.keywords`, with its floor on the count). A key without a past has none.

Event time alone moves it, so a replay and a restart come to the same. Words are `Event.keywords`: no stop words, and
nothing that names a person.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from heapq import nlargest
from sys import intern
from typing import NamedTuple, Self

import msgspec

from models.base import Corrupt
from models.drivers import MOST, keywords

Key = tuple[str, str]
"""(queue, channel); either may be `*`."""

SPAN_MS = 600_000
SPANS = 3
"""The last half hour."""
HALF_LIFE = 3 * 144
"""Spans after which what was usual counts half."""
KEYS = 2_000
"""Keys that are followed; of more, those heard of last."""
USUAL = 150
"""Words of a key whose usual count is known; any other is taken to be as usual as the greatest that was left out."""
RECENT = 100
"""Words of a key in one span, the most frequent; twice as many are counted before the others give way. There must be
room for what nobody has said before: a surge's word, in a span that has heard all the usual ones already."""
REST = ""
"""Stands among the counts of a span for all words that gave way."""
TWICE = 2.0
_VERSION = 1


class _Heard(msgspec.Struct, array_like=True):
    """One key: `recent` by span number, `usual` as of the span before the oldest of them could be."""

    recent: dict[int, dict[str, int]] = {}
    usual: dict[str, float] = {}
    total: float = 0.0
    """Of `usual`, with the words that were left out."""
    floor: float = 0.0
    """The usual count of a word that is not in `usual`, at most."""
    newest: int = 0


class Said(NamedTuple):
    """Words of a customer's message in a key, written at `at` (ms)."""

    key: Key
    at: int
    words: Iterable[str] = ()


class RisingWords:
    """One tenant's. `take` what is written, ask `rising`. Keeps the contract of `models.base` with `Said`."""

    def __init__(self, keys: int = KEYS) -> None:
        self.keys = keys
        self._heard: dict[Key, _Heard] = {}

    def __len__(self) -> int:
        """Keys it follows."""
        return len(self._heard)

    def clone(self) -> Self:
        """A fresh one with the same settings."""
        return type(self)(self.keys)

    def learn_one(self, x: Said) -> None:
        """Take one message in."""
        self.take(x.key, x.at, x.words)

    def predict_one(self, x: Said) -> list[str]:
        """The words that have risen in a key by the time of a message; nothing is learned."""
        return self.rising(x.key, x.at)

    def take(self, key: Key, at: int, words: Iterable[str]) -> None:
        """A customer message of this key, written at `at` (ms): counted in the key and in the sums over it."""
        known = [intern(word) for word in words]
        if known:
            for one in _above(key):
                self._take(one, at // SPAN_MS, known)

    def _take(self, key: Key, span: int, words: list[str]) -> None:
        heard = self._heard.pop(key, None)
        if heard is None:
            heard = _Heard(newest=span)
            if len(self._heard) >= self.keys:
                del self._heard[next(iter(self._heard))]
        self._heard[key] = heard  # the last to be forgotten
        if span > heard.newest:
            _roll(heard, span)
        if span <= heard.newest - SPANS:
            _settle(heard, dict.fromkeys(words, 1))
            return
        counts = heard.recent.setdefault(span, {})
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        if len(counts) > 2 * RECENT:
            heard.recent[span] = _frequent(counts)

    def rising(self, key: Key, now: int, most: int = MOST) -> list[str]:
        """The words that rose most in the half hour before `now` (ms), the most surprising first; few, or none."""
        heard = self._heard.get(key)
        if heard is None or not heard.total:
            return []
        last = now // SPAN_MS
        counts = {REST: 0}
        for span, words in heard.recent.items():
            if last - SPANS < span <= last:
                for word, n in words.items():
                    counts[word] = counts.get(word, 0) + n
        if len(counts) == 1:
            return []
        share = heard.total / (total := sum(counts.values()))
        del counts[REST]
        usual = {word: heard.usual.get(word, heard.floor) for word in counts}
        more = {word: n for word, n in counts.items() if n * share >= TWICE * usual[word]}
        rest = total - sum(more.values())
        spare = max(heard.total - sum(usual[word] for word in more), 0.0)
        found = keywords({**more, REST: rest}, {**{word: usual[word] for word in more}, REST: spare}, most + 1)
        return [word for word in found if word != REST][:most]

    # -- keeping -----------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """What was heard: exact, and of bounded size."""
        saved = (_VERSION, [(*key, heard) for key, heard in self._heard.items()])
        return zlib.compress(msgspec.msgpack.encode(saved), 1)

    def restored(self, data: bytes) -> Self:
        """One of these settings that has heard what was saved.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            unzip = zlib.decompressobj()
            plain = unzip.decompress(data, 256 << 20)
            version, rows = msgspec.msgpack.decode(plain, type=tuple[int, list[tuple[str, str, _Heard]]])
        except (zlib.error, msgspec.MsgspecError, ValueError) as error:
            raise Corrupt(f"saved words cannot be read: {type(error).__name__}") from None
        if not unzip.eof or version != _VERSION or len(rows) > self.keys:
            raise Corrupt("saved words are of another form")
        made = self.clone()
        made._heard = {  # noqa: SLF001 - a fresh one of our own
            (queue, channel): heard for queue, channel, heard in rows
        }
        return made


def _above(key: Key) -> set[Key]:
    queue, channel = key
    return {key, (queue, "*"), ("*", channel), ("*", "*")}


def _roll(heard: _Heard, span: int) -> None:
    """Let spans pass: those that are half an hour old become usual."""
    for old in sorted(one for one in heard.recent if one <= span - SPANS):
        _settle(heard, heard.recent.pop(old))
    fade = 0.5 ** ((span - heard.newest) / HALF_LIFE)
    heard.total *= fade
    heard.floor *= fade
    heard.usual = {word: n * fade for word, n in heard.usual.items()}
    heard.newest = span


def _frequent(counts: dict[str, int]) -> dict[str, int]:
    """The most frequent words, and how often all others were said."""
    words = ((word, n) for word, n in counts.items() if word != REST)
    kept = dict(nlargest(RECENT, words, key=lambda pair: (pair[1], pair[0])))
    return kept | {REST: sum(counts.values()) - sum(kept.values())}


def _settle(heard: _Heard, counts: dict[str, int]) -> None:
    usual = heard.usual
    for word, n in counts.items():
        heard.total += n
        if word != REST:
            usual[word] = usual.get(word, heard.floor) + n
    if len(usual) > USUAL:
        kept = nlargest(USUAL, usual.items(), key=lambda pair: (pair[1], pair[0]))
        heard.floor = max(n for word, n in usual.items() if (n, word) < (kept[-1][1], kept[-1][0]))
        heard.usual = dict(kept)
