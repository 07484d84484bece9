"""Waits that a window's last pane holds the beginning of, and no longer the end.

What lies after the tick counts at once (METRICS §1), and a wait that touches a window is in its estimate (§3). A pane
holds the waits that ended in it, so of those that ended in panes after the window's the ones that began before them are
to be told from the rest. Most are by their length alone; how many of the others, the panes say: what is counted by
cohort stands in the pane of `d`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.metrics import Window
from streams.windows import MINUTE

Ended = list[tuple[int, int, int]]
"""(the pane it ended in less the wait: no more than a minute before it began, the wait, how many), each in ms."""


def ahead(panes: Iterable[tuple[int, Window]], end: int) -> tuple[dict[int, int], dict[int, int]]:
    """The waits that ended in these panes and began before `end`: answered, censored; ms → how many.

    `panes`: all that follow the window, which ends at `end`, as (start, what happened in it).
    """
    answered: Ended = []
    censored: Ended = []
    young = given_up = 0
    for minute, window in panes:
        answered += _ended(minute, window.answered_waits)
        censored += _ended(minute, window.censored_waits)
        young += window.counts.get("frt_n", 0)
        given_up += window.counts.get("abandoned", 0) + window.counts.get("closed_unanswered", 0)
    return _eldest(answered, young, end), _eldest(censored, given_up, end)


def _ended(minute: int, waits: Mapping[int, int]) -> Ended:
    return [(minute - ms, ms, n) for ms, n in waits.items()]


def _eldest(ended: Ended, left_out: int, end: int) -> dict[int, int]:
    """Those that are sure to have begun before `end`, and the eldest of the others; so many are left out."""
    wanted = sum(n for _, _, n in ended) - left_out
    out: dict[int, int] = {}
    for since, ms, n in sorted(ended):
        some = n if since + MINUTE <= end else min(n, wanted)
        if some <= 0:
            break
        out[ms] = out.get(ms, 0) + some
        wanted -= some
    return out
