"""Panes and watermarks. Every interval is half open, `[start, end)`; every instant is in ms, UTC.

    ──┬────────┬────────┬────────┬────────┬──▶ event time
      │  pane  │  pane  │  pane  │ in progress
      └────────┴────────┴────────┴── now
               ▲ watermark = greatest `at` − lateness

Panes that end by the watermark are closed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000

LIVE_WINDOWS = {"1m": 1, "5m": 5, "30m": 30}
"""Name → panes: the one in progress and those before it."""
LATE = DAY
"""What is further behind changes no number. Source: METRICS §1."""
NEVER: Final = -1_152_921_504_606_846_976
"""An instant that has not come, a span that is not known: kept as None. An integer, so that the fold boxes none."""
IDLE: Final = 5_000
"""A partition that hears nothing of a tenant for so long follows the tick."""


def known(value: int) -> int | None:
    """As it is kept and said: None where it is `NEVER`."""
    return None if value == NEVER else value


def never(value: int | None) -> int:
    """The way back."""
    return NEVER if value is None else value


def pane_of(at: int) -> int:
    """Start of the pane that contains an instant."""
    return at - at % MINUTE


def rfc3339(at: int) -> str:
    """An instant as the live feed writes it: RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def first_pane(name: str, now: int, zone: ZoneInfo) -> int:
    """Start of the first pane of a live window as of `now`."""
    if name == "today":
        return midnight(now, zone)
    return pane_of(now) - (LIVE_WINDOWS[name] - 1) * MINUTE


def midnight(now: int, zone: ZoneInfo) -> int:
    """The instant at which the day that contains `now` began in a zone."""
    local = datetime.fromtimestamp(now / SECOND, zone)
    start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return int(start.timestamp()) * SECOND
