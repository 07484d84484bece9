"""What counts as flowing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidewatch.flow import all_moved, behind

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("written", "real", "late", "said"),
    [
        (0, 1, 0, ""),
        (4, 5, 0, ""),
        (6, 6, 0, "notifier (shows nothing new)"),
        (0, None, 0, "worker (partitions behind: 0)"),
        (0, 1, 2, "worker (partitions behind: 2)"),
        (0, 6, 0, "worker (its clock stands)"),
    ],
)
def test_who_is_late_is_named(written: float, real: float | None, late: int, said: str) -> None:
    meta = {
        "written_at": ago(written),
        "real": None if real is None else ago(real),
        "partitions": {"total": 4, "behind": late},
    }
    assert behind(meta, NOW) == said


def test_nothing_shown_is_the_notifiers_fault() -> None:
    assert behind(None, NOW) == "notifier (has shown nothing yet)"


def test_every_partition_must_get_further() -> None:
    assert all_moved({0: 5}, {0: 6, 1: 0}, 2)
    assert not all_moved({0: 5}, {0: 6}, 2)
    assert not all_moved({0: 5, 1: 5}, {0: 6, 1: 5}, 2)
