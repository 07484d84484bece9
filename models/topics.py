"""What a message is about: multinomial naive Bayes over hashed words, learned one example at a time.

Classes are the topics that people gave. A message of words w scores each class c by
log P(c) + Σ log (n(w, c) + α) / (N(c) + αV), which over all classes is normed to a log-probability. Words that no
example had say nothing, and a message of only such words is about nothing we know.

Why this one: what was learned is counts, so it is exact over restarts and needs no care about the order of additions;
a message costs microseconds; and on real chat, learned in one pass, it is as good as softmax regression or complement
naive Bayes or better (`docs/topics.md` has the table). Whatever takes its place keeps `streams.labels.Reader`.

Bounded: at most `classes` topics (a new one takes the place of the one with the fewest examples), `vocabulary` words.
When words or examples get too many, all counts are halved and what comes to nothing is forgotten, so it also follows
what people write about as that changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from math import log
from struct import unpack
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.base import Corrupt

CLASSES = 200
VOCABULARY = 50_000
EXAMPLES = 200_000
"""So many, and the older half of what was learned counts half."""
NAMED = 5
"""Classes that `rank` names."""
SMOOTHING = 0.1
MOST_GAIN = 65_535
_CACHED = 2_000
_VERSION = 1
_WORD = np.dtype("<u4")

Vector = NDArray[np.float64]
_Change = Callable[[int, int], tuple[int, int]]
"""Class and count → what they are from now on; a count of 0 is forgotten."""


class _Saved(msgspec.Struct, array_like=True):
    version: int
    topics: list[str]
    examples: list[int]
    totals: list[int]
    words: bytes
    """Four bytes each, ascending."""
    sizes: list[int]
    """Classes of each word."""
    rows: list[int]
    """Class and count, of all words one after another."""


class Topics:
    """One tenant's. `learn_one(words, topic)`; `predict_proba_one`, `predict_one` and `rank` change nothing."""

    def __init__(self, classes: int = CLASSES, vocabulary: int = VOCABULARY, smoothing: float = SMOOTHING) -> None:
        self.classes, self.vocabulary, self.smoothing = classes, vocabulary, smoothing
        self._topics: list[str] = []
        self._examples: list[int] = []
        self._totals: list[int] = []
        self._words: dict[int, dict[int, int]] = {}
        self._vectors: dict[int, Vector] = {}
        self._base: tuple[Vector, Vector] | None = None

    def __len__(self) -> int:
        """Words it knows."""
        return len(self._words)

    @property
    def topics(self) -> list[str]:
        """The classes, in the order in which they came."""
        return list(self._topics)

    # -- learning ----------------------------------------------------------------------------------------------------

    def learn_one(self, x: bytes, y: str) -> None:
        """Learn that hashed words are about a topic."""
        words = _unpacked(x)
        if not words:
            return
        topic = self._class(y)
        self._examples[topic] += 1
        self._totals[topic] += len(words)
        for word in words:
            row = self._words.setdefault(word, {})
            row[topic] = row.get(topic, 0) + 1
            self._vectors.pop(word, None)
        self._base = None
        if len(self._words) > self.vocabulary or sum(self._examples) > EXAMPLES:
            self._halve()

    def unlearn_one(self, x: bytes, y: str) -> None:
        """Take an example back. Exact, unless counts were halved in between: then as much of it as is left."""
        words = _unpacked(x)
        if not words or y not in self._topics:
            return
        topic = self._topics.index(y)
        self._examples[topic] -= 1
        for word in words:
            row = self._words.get(word, {})
            if topic in row:
                self._totals[topic] -= 1
                row[topic] -= 1
                if not row[topic]:
                    del row[topic]
                if not row:
                    del self._words[word]
                self._vectors.pop(word, None)
        self._base = None
        self._empty()

    def _empty(self) -> None:
        """Drop the topics of which nothing is left."""
        for one in reversed(range(len(self._topics))):
            if not (self._examples[one] > 0 and self._totals[one] > 0):
                self._drop(one)

    def _class(self, topic: str) -> int:
        if topic in self._topics:
            return self._topics.index(topic)
        if len(self._topics) >= self.classes:
            self._drop(min(range(len(self._topics)), key=lambda one: (self._examples[one], self._topics[one])))
        self._topics.append(topic)
        self._examples.append(0)
        self._totals.append(0)
        self._vectors.clear()
        return len(self._topics) - 1

    def _drop(self, gone: int) -> None:
        del self._topics[gone], self._examples[gone], self._totals[gone]
        self._keep(lambda topic, n: (topic - (topic > gone), 0 if topic == gone else n))

    def _halve(self) -> None:
        self._examples = [max(n // 2, 1) for n in self._examples]
        self._keep(lambda topic, n: (topic, n // 2))
        self._totals = [0] * len(self._topics)
        for row in self._words.values():
            for topic, n in row.items():
                self._totals[topic] += n
        self._empty()

    def _keep(self, change: _Change) -> None:
        kept = {}
        for word, row in self._words.items():
            changed = {topic: n for topic, n in (change(topic, n) for topic, n in row.items()) if n}
            if changed:
                kept[word] = changed
        self._words, self._base = kept, None
        self._vectors.clear()

    # -- asking ------------------------------------------------------------------------------------------------------

    def predict_proba_one(self, x: bytes) -> dict[str, float]:
        """Topic → probability; empty where no word is known."""
        scores = self._scores(x)
        if scores is None:
            return {}
        chances = np.exp(scores - scores.max())
        return dict(zip(self._topics, (chances / chances.sum()).tolist(), strict=True))

    def predict_one(self, x: bytes) -> str | None:
        """The likeliest topic, of equals the first by name."""
        chances = self.predict_proba_one(x)
        return min(chances, key=lambda topic: (-chances[topic], topic), default=None)

    def rank(self, x: bytes) -> list[tuple[str, int]]:
        """The likeliest topics and their gains (`streams.labels.Reader`), best first; empty where no word is known.

        A gain is against the best of the topics that are not named: they all count as if they were as likely as that.
        """
        scores = self._scores(x)
        if scores is None:
            return []
        count = len(scores)
        if count == 1:
            return [(self._topics[0], 1_000)]
        shown = (
            range(count) if count <= NAMED + 1 else np.argpartition(scores, count - NAMED - 1)[-NAMED - 1 :].tolist()
        )
        best = [(float(scores[one]), self._topics[one]) for one in shown]
        floor = min(best)[0]
        gains = [(min(round(1_000 * (score - floor)), MOST_GAIN), topic) for score, topic in best]
        ranked = sorted((-gain, topic) for gain, topic in gains if gain > 0)
        return [(topic, -gain) for gain, topic in ranked]

    def _scores(self, x: bytes) -> Vector | None:
        """Log-probability of each class, but for a constant; None where no word is known."""
        known = [vector for word in _unpacked(x) if (vector := self._vector(word)) is not None]
        if not known:
            return None
        prior, length = self._bases()
        scores = prior - len(known) * length
        for vector in known:
            scores += vector
        return scores

    def _bases(self) -> tuple[Vector, Vector]:
        """log P(c), and log((N(c) + αV) / α)."""
        if self._base is None:
            examples = np.array(self._examples, dtype=np.float64)
            totals = np.array(self._totals, dtype=np.float64)
            a = self.smoothing
            self._base = np.log(examples / examples.sum()), np.log((totals + a * len(self._words)) / a)
        return self._base

    def _vector(self, word: int) -> Vector | None:
        """log((n(w, c) + α) / α) over the classes: 0 where the word was never seen."""
        vector = self._vectors.get(word)
        if vector is None and (row := self._words.get(word)) is not None:
            vector = np.zeros(len(self._topics))
            for topic, n in row.items():
                vector[topic] = log(n / self.smoothing + 1)
            if len(self._vectors) >= _CACHED:
                self._vectors.clear()
            self._vectors[word] = vector
        return vector

    # -- keeping -----------------------------------------------------------------------------------------------------

    def clone(self) -> Self:
        """A fresh model with the same settings."""
        return type(self)(self.classes, self.vocabulary, self.smoothing)

    def to_bytes(self) -> bytes:
        """What was learned: exact, under 1 MiB at the bounds."""
        words = sorted(self._words)
        rows = [self._words[word] for word in words]
        flat = [value for row in rows for pair in sorted(row.items()) for value in pair]
        packed = np.array(words, dtype=_WORD).tobytes()
        saved = _Saved(
            _VERSION, self._topics, self._examples, self._totals, packed, [len(row) for row in rows], flat
        )  # fmt: skip
        return zlib.compress(msgspec.msgpack.encode(saved), 1)

    def restored(self, data: bytes) -> Self:
        """A model of these settings that knows what was saved.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            unzip = zlib.decompressobj()
            saved = msgspec.msgpack.decode(unzip.decompress(data, 64 << 20), type=_Saved)
            if not unzip.eof:
                raise ValueError("cut short")
            model = self.clone()
            model._take(saved)  # noqa: SLF001 - a fresh one of our own
        except (zlib.error, msgspec.MsgspecError, ValueError, IndexError) as error:
            raise Corrupt(f"saved topics cannot be read: {type(error).__name__}") from None
        return model

    def _take(self, saved: _Saved) -> None:
        count = len(saved.topics)
        words = np.frombuffer(saved.words, dtype=_WORD).tolist()
        sound = (
            saved.version == _VERSION
            and count == len(saved.examples) == len(saved.totals) == len(set(saved.topics)) <= self.classes
            and len(words) == len(saved.sizes)
            and 2 * sum(saved.sizes) == len(saved.rows)
            and min(saved.examples + saved.totals + saved.sizes, default=1) > 0
            and all(0 <= topic < count for topic in saved.rows[::2])
            and min(saved.rows[1::2], default=1) > 0
        )
        if not sound:
            raise ValueError("not sound")
        self._topics, self._examples, self._totals = saved.topics, saved.examples, saved.totals
        pairs = iter(zip(saved.rows[::2], saved.rows[1::2], strict=True))
        self._words = {
            word: dict(next(pairs) for _ in range(size)) for word, size in zip(words, saved.sizes, strict=True)
        }

    def __getstate__(self) -> tuple[int, int, float, bytes]:
        return self.classes, self.vocabulary, self.smoothing, self.to_bytes()

    def __setstate__(self, state: tuple[int, int, float, bytes]) -> None:
        Topics.__init__(self, *state[:3])
        self.__dict__ |= self.restored(state[3]).__dict__


def _unpacked(x: bytes) -> tuple[int, ...]:
    return unpack(f"<{len(x) // 4}I", x[: len(x) // 4 * 4])
