"""A tenant's days as the models see them: its zone, the exceptional days of its calendar, what is planned. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from config.calendar_events import Planned
from config.settings import CalendarSettings
from models.moments import ANY, Days
from models.moments import Planned as Lift
from streams.calendars import in_force
from streams.policy import Policy


def days_of(tenant: str, policy: Policy, events: Iterable[Planned] = ()) -> Days:
    """The tenant's days. Where it has a calendar, days are those of the calendar's zone."""
    calendar = policy.calendar("")
    lifts = tuple(lift(event) for event in events if event.of(tenant))
    if calendar is None:
        return Days(policy.zone.key, planned=lifts)
    holidays, workdays = _exceptional(calendar)
    return Days(calendar.zone, holidays, workdays, lifts)


def lift(event: Planned) -> Lift:
    """A planned event, for the models of a tenant it is about."""
    queue, channel = (event.match.get(name, ANY) for name in ("queue", "channel"))
    return Lift(event.since, event.until, event.factor, queue, channel)


def _exceptional(calendar: CalendarSettings) -> tuple[frozenset[date], frozenset[date]]:
    """Holidays, and make-up days on which there is work at all, each while the version that names it is in force."""
    holidays: set[date] = set()
    workdays: set[date] = set()
    for week, covers in in_force(calendar):
        holidays |= {day for day in week.holidays if covers(day)}
        workdays |= {day for day, spans in week.workdays.items() if spans and covers(day)}
    return frozenset(holidays), frozenset(workdays)
