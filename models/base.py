"""The small contract every online model keeps. It is River's: one item at a time, and looking never teaches.

- `learn_one(x)` takes one item in; `score_one(x)` says how unusual it is and changes nothing.
- `clone()` is a fresh model with the same settings that has learned nothing.
- `to_bytes()` / `restored(data)` carry what was learned over a restart exactly: the same scores as if never stopped.
- Models pickle, and their memory is bounded: it depends on settings, never on how long they have run.

No model reads a clock: the time is part of what it is given.
"""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

Item_contra = TypeVar("Item_contra", contravariant=True)


class Corrupt(ValueError):
    """Saved state that cannot be read; the model that was asked to is unchanged. Start afresh."""


class Scorer(Protocol[Item_contra]):
    """A model that says how unusual an item is, from 0 (usual) upwards."""

    def learn_one(self, x: Item_contra) -> None:
        """Take one item in."""

    def score_one(self, x: Item_contra) -> float:
        """How unusual the item is; nothing is learned."""

    def clone(self) -> Self:
        """A fresh model with the same settings."""


class Kept(Protocol):
    """A model whose state can be saved."""

    def to_bytes(self) -> bytes:
        """What was learned; exact, and of bounded size."""

    def restored(self, data: bytes) -> Self:
        """A model of these settings that knows what was saved. Raises `Corrupt`."""
