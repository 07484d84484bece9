"""How long the work takes is said where it is known, and only there."""

from __future__ import annotations

import pytest

from streams.events import EpisodeRow
from streams.work import LEAST, PRIOR_S, Work


def closed(number: int, handle_ms: int) -> EpisodeRow:
    """An episode that was answered at once."""
    return EpisodeRow(
        "shop", f"c-{number}", 1, number, demand_at=1_000, closed_at=1_000 + handle_ms, frt_ms=0, handle_ms=handle_ms
    )


def test_what_took_no_time_says_nothing_of_how_long_work_takes() -> None:
    work = Work()
    for number in range(20):
        work.take(closed(number, 0))
    assert work.of("default") is None
    work.take(closed(20, 60_000))
    known = work.of("default")
    assert known is not None
    assert 0 < known["handle_s"] <= 60
    assert known["patience_s"] == PRIOR_S
    for number in range(21, 12_000):
        work.take(closed(number, 0))
    assert work.of("default") is None, "what was has faded to next to nothing"


def test_a_handful_says_nothing_yet() -> None:
    work = Work()
    for number in range(int(LEAST)):
        work.take(closed(number, 60_000))
    assert work.of("default") is None
    work.take(closed(int(LEAST), 60_000))
    known = work.of("default")
    assert known is not None
    assert known["handle_s"] == pytest.approx(60.0)
