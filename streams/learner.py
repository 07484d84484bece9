"""All tenants' models of topics, taught by the examples of `chat.labels`. Pure.

The seam for a stronger model: `model` makes one for a tenant. It learns by `learn_one(words, topic)`, takes back what
somebody has corrected by `unlearn_one(words, topic)` (which may do nothing), answers by `rank(words)`, and is kept by
`to_bytes` and `restored` (`models.base`); nothing else here knows what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self

from models.base import Corrupt
from models.topics import Topics
from streams.hashing import WORD
from streams.labels import MOST_WORDS, Example

MOST_TENANTS = 1_000
"""Tenants with a model; further ones are not learned."""
LONGEST = 128
"""Characters of a topic at most. Source: CONTRACT §3."""
REMEMBERED = 100_000
"""Examples whose ids are known: a worker that was killed says again what it said in its last moments."""


class Model(Protocol):
    """One tenant's model."""

    def learn_one(self, x: bytes, y: str) -> None:
        """Learn that hashed words are about a topic."""

    def unlearn_one(self, x: bytes, y: str) -> None:
        """Take that back."""

    def rank(self, x: bytes) -> list[tuple[str, int]]:
        """`streams.labels.Reader.rank`, of this tenant."""

    def to_bytes(self) -> bytes:
        """What was learned; exact, and of bounded size."""

    def restored(self, data: bytes) -> Self:
        """A model of these settings that knows what was saved. Raises `Corrupt`."""


class Learner:
    """A `streams.labels.Reader` that learns."""

    def __init__(self, model: Callable[[], Model] = Topics) -> None:
        self.learned = 0
        """Embedded stack: the number of the last example learned."""
        self._model = model
        self._models: dict[str, Model] = {}
        self._changed: set[str] = set()
        self._seen: dict[tuple[str, str], None] = {}

    def rank(self, tenant: str, words: bytes) -> Sequence[tuple[str, int]]:
        """What the tenant's model says; nothing where it has learned nothing."""
        model = self._models.get(tenant)
        return () if model is None else model.rank(words)

    def learn(self, example: Example) -> bool:
        """Learn an example. False: it was learned before, or is none."""
        if example.n is not None:
            if example.n <= self.learned:
                return False
            self.learned = example.n
        name = example.tenant, example.id
        if name in self._seen or not 0 < len(example.topic) <= LONGEST:
            return False
        if example.tenant not in self._models and len(self._models) >= MOST_TENANTS:
            return False
        self._remember(name)
        model = self._models.setdefault(example.tenant, self._model())
        words = example.words[: WORD * MOST_WORDS]
        if example.instead and example.known > 0:
            model.unlearn_one(words[: WORD * example.known], example.instead)
        model.learn_one(words, example.topic)
        self._changed.add(example.tenant)
        return True

    def _remember(self, name: tuple[str, str]) -> None:
        self._seen[name] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def changed(self) -> dict[str, bytes]:
        """The models that have learned since the last call, as they are kept."""
        changed, self._changed = self._changed, set()
        return {tenant: self._models[tenant].to_bytes() for tenant in changed}

    def unkept(self, tenants: Iterable[str]) -> None:
        """What `changed` gave out for these could not be kept: give it out again."""
        self._changed.update(tenants)

    def restore(self, kept: Iterable[tuple[str, bytes]], learned: int) -> list[str]:
        """Take up what was kept. Returns the tenants whose model cannot be read and begins anew."""
        lost = []
        self.learned = learned
        for tenant, data in kept:
            try:
                self._models[tenant] = self._model().restored(data)
            except Corrupt:
                lost.append(tenant)
        return lost
