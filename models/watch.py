"""From scores to a surge or a lull that stands: sustained before it begins, and over for good before it ends.

step          : one evaluation each 10 s of event time, or as often as somebody looks; within a step a breach sticks
begins        : BEGIN of the last OF steps breach
breach        : tail probability, and at least RATIO, and at least EXCESS messages a minute, and still so in the last
                minutes, all at once
ends          : in every step of CLEAR_MS the last minutes alone are below the lower bound
"""

from __future__ import annotations

from typing import NamedTuple

from models.volume import Verdict

THRESHOLD = 3.5
"""−log10 of the tail probability that pages: about one false page per queue and week."""
LULL_THRESHOLD = 4.5
"""For lulls: one hour's dip in a large queue is common, and silence is far beyond this within minutes."""
LOWER = 1.5
"""The score of the last minutes that still holds a surge or a lull."""
RATIO = 1.5
EXCESS = 10.0  # messages a minute
STEP_MS = 10_000
BEGIN, OF = 2, 3
CLEAR_MS = 300_000
STALE = 30  # steps without an evaluation after which those before say nothing


class Watch(NamedTuple):
    """One direction (surge or lull) of one key."""

    step: int = -1
    """The latest step, since the epoch."""
    breaches: int = 0
    """The last `OF` steps as bits, the latest lowest."""
    calm: int | None = None
    """Below the lower bound since this instant, ms, while it stands."""
    since: int | None = None
    """It stands since this instant, ms; None: it does not."""


CALM = Watch()


def watched(watch: Watch, at_ms: int, *, breach: bool, holds: bool, begin: int = BEGIN) -> Watch:
    """The watch after one more evaluation. Within a step a breach sticks; time never goes back."""
    step = at_ms // STEP_MS
    if step < watch.step:
        return watch
    if watch.since is None and not (breach or watch.breaches):
        return Watch(step)
    kept = watch.breaches if step - watch.step < STALE else 0
    breaches = (kept << (step > watch.step) | breach) & ((1 << OF) - 1)
    calm = None if breach or holds else at_ms if watch.calm is None else watch.calm
    if watch.since is None:
        begins = breaches.bit_count() >= begin
        return Watch(step, breaches, None, at_ms if begins else None)
    if calm is not None and at_ms - calm >= CLEAR_MS:
        return Watch(step)
    return Watch(step, breaches, calm, watch.since)


def surging(verdict: Verdict, per_minute: float, *, lower: bool = False) -> bool:
    """Whether volume is high enough to begin a surge, or (`lower`) to hold one. `per_minute`: panes in a minute."""
    if lower or not _still(verdict.still_up, verdict):
        return _still(verdict.still_up, verdict)
    enough = (verdict.seen - verdict.due) * per_minute >= EXCESS
    return verdict.surge >= THRESHOLD and verdict.seen >= RATIO * verdict.due and enough


def lulled(verdict: Verdict, per_minute: float, *, lower: bool = False) -> bool:
    """The mirror image: whether a channel has fallen silent."""
    if lower or not _still(verdict.still_down, verdict):
        return _still(verdict.still_down, verdict)
    enough = (verdict.due - verdict.seen) * per_minute >= EXCESS
    return verdict.lull >= LULL_THRESHOLD and verdict.seen * RATIO <= verdict.due and enough


def _still(score: float, verdict: Verdict) -> bool:
    """Whether the last minutes alone say so, too: an hour's sum is high long after the surge."""
    return verdict.known and score >= LOWER
