"""What a tenant's settings and plans make of its days."""

from __future__ import annotations

from datetime import date
from typing import Any

from config.calendar_events import Planned
from config.settings import TenantSettings
from models.moments import NO_WEEKDAY, Days
from models.moments import Planned as Lift
from streams.days import days_of
from streams.policy import Policy

NOON = 1_791_172_800_000
"""2026-10-05T04:00Z, noon in Shanghai."""
DAY = 86_400_000


def days(settings: dict[str, Any], *events: Planned) -> Days:
    return days_of("acme", Policy(TenantSettings.model_validate(settings)), events)


def calendar(**more: Any) -> dict[str, Any]:
    return {"calendar": {"zone": "Asia/Shanghai", **more}}


def test_without_a_calendar_days_are_those_of_the_tenants_zone() -> None:
    assert days({"zone": "America/New_York"}) == Days("America/New_York")


def test_holidays_are_off_and_make_up_days_are_work() -> None:
    found = days(calendar(holidays=["2026-10-05", "2026-10-10"], workdays={"2026-10-10": [["09:00", "18:00"]]}))
    monday, saturday = found.moment(NOON), found.moment(NOON + 5 * DAY)
    assert (monday.weekday, monday.off, monday.second) == (NO_WEEKDAY, True, 12 * 3600)
    assert (saturday.weekday, saturday.off) == (NO_WEEKDAY, False)


def test_a_make_up_day_on_which_nobody_works_is_none() -> None:
    assert days(calendar(workdays={"2026-10-10": []})).workdays == frozenset()


def test_a_holiday_counts_while_the_version_that_names_it_is_in_force() -> None:
    versions = [
        {"holidays": ["2026-10-05", "2026-10-07"]},
        {"from": "2026-10-06T00:00:00+08:00", "holidays": ["2026-10-05", "2026-10-08"]},
    ]
    assert days(calendar(versions=versions)).holidays == {date(2026, 10, 5), date(2026, 10, 8)}


def test_events_of_other_tenants_lift_nothing() -> None:
    mine = Planned("a", 0, 10, 2.0, "ac*", {"queue": "sales*"})
    assert days({}, mine, Planned("b", 0, 10, 2.0, "other")).planned == (Lift(0, 10, 2.0, "sales*"),)
