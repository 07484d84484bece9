"""What the panes of a key come to, over spans that move with the clock. Pure.

A window is the merge of its panes. To merge the half hour's anew with every write took longer the longer a busy key had
been busy; here what changed is added, and what the clock leaves behind is taken out. All of it is integers, so it is
the same merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from streams.metrics import EXACT_WAITS, Window
from streams.survival import Own, tally
from streams.windows import MINUTE

MOST_EXACT = 4 * EXACT_WAITS
"""With more waits than this, a span keeps them by bucket only: the curve is of buckets from `EXACT_WAITS` on."""


class Pane(Protocol):
    """One minute."""

    version: int

    @property
    def window(self) -> Window:
        """What it counts."""


class Span:
    """The merge of the panes of `[since, until)`, as of the last `roll` and every `change` since."""

    __slots__ = ("_answered", "_censored", "_exact", "_waits", "since", "until", "version", "window")

    def __init__(self) -> None:
        self.since = self.until = 0
        self._empty()

    def _empty(self) -> None:
        self.window = Window()
        self.version = 0
        self._answered: dict[int, int] = {}
        self._censored: dict[int, int] = {}
        self._waits = 0
        self._exact = True

    def change(self, minute: int, by: Window, version: int) -> None:
        """A pane counts so much more, and its version rose by so much."""
        if self.since <= minute < self.until:
            self._add(by, version)

    def roll(self, since: int, until: int, panes: Mapping[int, Pane]) -> None:
        """Move to `[since, until)`."""
        ahead = self.since <= since <= self.until <= until
        if not ahead or since - self.since > until - since:  # far away: nothing of it is of use
            self._empty()
            self.since = self.until = since
        for minute in range(self.since, since, MINUTE):
            if minute in panes:
                self._add(panes[minute].window, panes[minute].version, -1)
        for minute in range(self.until, until, MINUTE):
            if minute in panes:
                self._add(panes[minute].window, panes[minute].version)
        self.since, self.until = since, until
        if not self._exact and self._waits <= EXACT_WAITS:
            self._recount(panes)

    def histogram(self) -> Mapping[int, int]:
        """First responses by bucket, in order. It stays in order, so whoever sorts it again has little to do."""
        self.window.frt_hist = dict(sorted(self.window.frt_hist.items()))
        return self.window.frt_hist

    def waits(self) -> Own:
        """The waits that ended in it: of more than `EXACT_WAITS`, maybe only by bucket. Not to be changed."""
        buckets = self._answered, self._censored
        return Own(self.window.answered_waits, self.window.censored_waits, buckets, self._waits)

    def _add(self, by: Window, version: int, sign: int = 1) -> None:
        self.window.add(by if self._exact else Window(by.counts, by.frt_hist, topics=by.topics), sign)
        self.version += sign * version
        self._waits += tally(self._answered, by.answered_waits, sign)
        self._waits += tally(self._censored, by.censored_waits, sign)
        if self._exact and self._waits > MOST_EXACT:
            self._exact, self.window.answered_waits, self.window.censored_waits = False, {}, {}

    def _recount(self, panes: Mapping[int, Pane]) -> None:
        """Know each wait again."""
        self._exact = True
        for minute in range(self.since, self.until, MINUTE):
            if minute in panes:
                one = panes[minute].window
                self.window.add(Window(answered_waits=one.answered_waits, censored_waits=one.censored_waits))
