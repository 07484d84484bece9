"""The fields of an event are copied at once into what compiled code reads (`docs/performance.md`).

Where each stands in memory is found out by looking: two events that differ in one field differ in one place. As source,
or where that is not so, they are copied one by one, and nothing else differs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from msgspec.structs import replace

from streams.events import Event
from streams.heard import NUMBERS, OTHERS, TEXTS, TRUTHS, Heard
from streams.native import COMPILED, form

OBJECT, NUMBER, TRUTH = 0, 1, 2
"""What a field is, in `heard.c`."""
WORD = 8
"""Bytes of a place; what is true or not takes one of them."""
_KINDS: dict[str, int] = {
    **dict.fromkeys((*TEXTS, *OTHERS), OBJECT),
    **dict.fromkeys(NUMBERS, NUMBER),
    **dict.fromkeys(TRUTHS, TRUTH),
}
_SAMPLES: dict[str, tuple[Any, Any]] = {
    **{name: (f"one {name}", f"another {name}") for name in TEXTS},
    **dict.fromkeys(NUMBERS, (5, 9)),
    **dict.fromkeys((*TRUTHS, "resolved"), (False, True)),
    "score": (5, 9),
    "sentiment": (0.25, 0.5),
    "keywords": (("one",), ("another",)),
    "gains": ({"one": 1}, {"another": 1}),
}
"""Two values that each field may have."""


def _places(apart: Callable[[object, object], int]) -> list[tuple[int, int, int]]:
    """Of each field where it stands in an event, where in what it is copied to, and what it is.

    Raises:
        LookupError: one does not stand in a place of its own.
    """
    event = Event("sample", "message", 0)
    places = []
    for name, kind in _KINDS.items():
        one, another = _SAMPLES[name]
        heard, other = Heard(), Heard()
        setattr(heard, name, one)
        setattr(other, name, another)
        found = apart(replace(event, **{name: one}), replace(event, **{name: another})), apart(heard, other)
        if min(found) < 0:
            raise LookupError(name)
        places.append((found[0] // WORD * WORD, found[1] if kind == TRUTH else found[1] // WORD * WORD, kind))
    return places


def _found() -> Callable[[Event, Heard], bool]:
    if form() == COMPILED:
        try:
            native: Any = import_module("streams._heard")
            native.lay(Event, Heard, _places(native.apart))
        except (ImportError, LookupError):  # a compiler that lays them out otherwise: all is the same, and slower
            return _one_by_one
        copy: Callable[[Event, Heard], bool] = native.copy
        return copy
    return _one_by_one


def _one_by_one(_event: Event, _heard: Heard) -> bool:
    """Nothing was copied."""
    return False


copy: Final = _found()
"""Copy an event. False: not all of it was, and `Heard.take` is to do it."""
