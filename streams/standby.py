"""What a stand-by keeps of the stream: the cuts that whoever leads may not have judged yet, and a little before them.

Nothing is applied here before the leader has judged it: so the heir's present is as of a tick that was judged, and all
that comes after is judged by the heir, once. A little before, for the models are kept less often than ticks are judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from streams.align import Cut
from streams.events import REAL

BEFORE_MS = 120_000
"""How far behind the leader's last tick cuts are kept: models are kept at least once for each minute that closes."""
MOST = 50_000
"""Cuts kept of one clock: with no leader for so long, what is oldest is past being told."""


class Standby:
    """Cuts by clock, oldest first."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Cut]] = {}

    def hold(self, cut: Cut) -> None:
        """Keep a cut. A tenant that goes live is on the real clock from here on, and what it said before goes first."""
        line = self._kept.setdefault(cut.clock, deque())
        line.append(cut)
        if cut.clock != REAL and any(segment.live is not None for _, segment in cut.segments):
            self._kept.setdefault(REAL, deque()).extend(self._kept.pop(cut.clock))

    def standing(self) -> Iterator[Cut]:
        """What a base says, where nothing is kept before it: no tick is judged by it, and it is large."""
        line = self._kept.get(REAL)
        while line and line[0].clock == REAL and line[0].tick is None:
            yield line.popleft()

    def judged(self, ticks: Mapping[str, int]) -> Iterator[Cut]:
        """What need not be kept any longer, in order, given the last tick that the leader judged of each clock."""
        for line in list(self._kept.values()):
            while line and (len(line) > MOST or _settled(line[0], ticks)):
                yield line.popleft()

    def rest(self) -> Iterator[Cut]:
        """All that is kept, in order: it is the heir's to judge."""
        for clock in list(self._kept):
            yield from self._kept.pop(clock)


def _settled(cut: Cut, ticks: Mapping[str, int]) -> bool:
    return cut.tick is None or cut.tick <= ticks.get(cut.clock, 0) - BEFORE_MS
