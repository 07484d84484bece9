"""Conversations are brought near, into the processor's cache, before they are looked at (`docs/performance.md`).

There are more of them than a cache holds, and an event touches some twenty places of one. Asked for together, these
come together (`near.c`); read one after the other, each is waited for. Only what is compiled does so: as source,
nothing is gained, and nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from streams.conversation import Conversation
from streams.entries import Log
from streams.episode import NO_HINTS, Episode, Mark, Memory
from streams.events import Hold
from streams.native import COMPILED, form
from streams.standing import Cohort, Stance, Standing
from streams.windows import NEVER

AT_ONCE: Final = 32
"""Conversations that are brought by one call."""
INSIDE, LAST = -1, -2
"""What a list or bytearray keeps, and the last of a list: in place of where something stands in its owner."""

Near = Callable[[Sequence[Conversation | None], int], object]
"""Brings `AT_ONCE` conversations of a list, from an index on."""


class _Plan:
    """What is brought: of each thing its owner among those before it, where it stands in that, and what it is."""

    def __init__(self, place: Callable[[object, object], int]) -> None:
        self._place = place
        self.things: list[tuple[int, int, type]] = []

    def add(self, what: type, owner: int = 0, place: int = 0) -> int:
        """One more. Returns its number."""
        self.things.append((owner, place, what))
        return len(self.things) - 1

    def held(self, owner: int, sample: object, value: object) -> int:
        """What an owner holds where the sample holds this value.

        Raises:
            LookupError: it does not stand there once.
        """
        place = self._place(sample, value)
        if place < 0:
            raise LookupError(type(sample).__name__)
        return self.add(type(value), owner, place)


def _sample() -> Conversation:
    """One that has all there is to be found, each thing once."""
    one = Conversation("", "sample conversation", log=Log())
    episode = Episode(1, 0, Memory(), NO_HINTS, "", "", 0, reopen=False, outbound=False)
    episode.mark = Mark("", 0)
    episode.customer, episode.held, episode.reply_agent = "sample customer", "sample holder", "sample agent"
    one.begin(episode)
    one.stance = Stance("", "", "", None, NEVER, NEVER, NEVER, 0, 1)
    one.standings.append(Standing("", Cohort("", "", 0, None, 0, False, False, False, NEVER)))
    return one


def _planned(place: Callable[[object, object], int]) -> list[tuple[int, int, type]]:
    """All that an event or a row touches, owners well before what they hold: it has to have come by then."""
    one, plan = _sample(), _Plan(place)
    episode, standing = one.episodes[0], one.standings[0]
    root = plan.add(Conversation)
    last = plan.held(root, one, episode)
    log = plan.held(root, one, one.log)
    plan.held(root, one, one.stance)
    plan.held(root, one, one.memory)
    standings = plan.held(root, one, one.standings)
    plan.held(root, one, one.id)
    plan.held(last, episode, episode.mark)
    entries = plan.held(log, one.log, one.log.packed)
    replies = plan.held(last, episode, episode.replies)
    holds = plan.held(last, episode, episode.holds)
    marks = plan.held(last, episode, episode.marks)
    stays = plan.held(last, episode, episode.stays)
    for value in (episode.customer, episode.held, episode.reply_agent, episode.before):
        plan.held(last, episode, value)
    for kept in (standings, entries, replies, holds, marks, stays):
        plan.add(object, kept, INSIDE)
    stood = plan.add(Standing, standings, LAST)
    plan.add(Hold, holds, LAST)
    plan.held(stood, standing, standing.cohort)
    return plan.things


def _found() -> Near:
    if form() == COMPILED:
        try:
            native: Any = import_module("streams._near")
            native.lay(_planned(native.place))
        except (ImportError, LookupError):  # a compiler that lays them out otherwise: all is the same, and slower
            return _nothing
        bring: Near = native.near
        return bring
    return _nothing


def _nothing(_conversations: Sequence[Conversation | None], _start: int) -> None:
    """There is nothing to be gained."""


near: Final[Near] = _found()
