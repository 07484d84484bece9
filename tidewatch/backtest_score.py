"""What rules would have done, held against what people know: fires, nights, incidents, lead times. Pure.

Instants in ms.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from config.calendar_events import instant

WEEK_MS = 7 * 86_400_000
NIGHT = (22, 8)
"""Hours of the tenant's day from and to which a page wakes somebody."""
EARLY_MS = 15 * 60_000
"""A fire that ended so long before an incident began still belongs to it; before that it is about something else."""
SUM = "*"


@dataclass(frozen=True, slots=True)
class Fire:
    """One alert of the backtest."""

    rule: str
    tenant: str
    queue: str
    channel: str
    since: int
    """When it fired."""
    until: int
    """When it resolved, or the history ended."""
    told: bool = True
    """Somebody would have heard of it: neither silenced nor inhibited."""
    peak: float | None = None
    expected: float | None = None
    drivers: tuple[Mapping[str, Any], ...] = ()
    keywords: tuple[str, ...] = ()
    topic: str = SUM
    id: str = ""
    firing_ms: int = 0
    """Of this, the time that was recorded."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What really was wrong, and when. `*`: all tenants, queues, channels."""

    name: str
    tenant: str
    since: int
    until: int
    queue: str = SUM
    channel: str = SUM

    def of(self, tenant: str) -> bool:
        """Whether it was a tenant's."""
        return self.tenant in (SUM, tenant)


@dataclass(frozen=True, slots=True)
class Graded:
    """An alert of the past, and what people thought of it."""

    rule: str
    tenant: str
    queue: str
    channel: str
    since: int
    until: int
    grade: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """One rule."""

    rule: str
    severity: str
    fires: int
    told: int
    minutes: float
    """Spent firing, summed over keys."""
    per_week: float
    night: int
    """Of the fires: begun at night."""
    right: int | None
    """Of the fires: during an incident. None: no incident is known, so nothing can be said."""
    found: int | None
    """Of the incidents: the rule fired."""
    incidents: int
    lead_ms: float | None
    """Median over the incidents found, from the first fire to the beginning of the incident; negative: after it."""
    useful: int
    noise: int
    """Grades that people gave this rule's alerts in the past."""

    @property
    def useful_rate(self) -> float | None:
        """Share of the graded; None: none was graded."""
        graded = self.useful + self.noise
        return self.useful / graded if graded else None


def touches(fire: Fire, incident: Incident) -> bool:
    """Whether a fire is about an incident: the same place (a sum holds its parts), at the same time or just before."""
    places = ((fire.queue, incident.queue), (fire.channel, incident.channel))
    here = incident.of(fire.tenant) and all(a == b or SUM in (a, b) for a, b in places)
    return here and fire.since < incident.until and fire.until > incident.since - EARLY_MS


def at_night(at: int, zone: ZoneInfo) -> bool:
    """Whether an instant lies in the night of a zone."""
    hour = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).hour
    return hour >= NIGHT[0] or hour < NIGHT[1]


def score(
    rule: tuple[str, str],
    fires: Sequence[Fire],
    judged_ms: int,
    zone_of: Callable[[str], ZoneInfo],
    incidents: Sequence[Incident] = (),
    graded: Iterable[Graded] = (),
) -> Score:
    """How one rule (name, severity) did in the time judged. `fires`: its own; `incidents`: all that lie in it."""
    name, severity = rule
    about = [(incident, [fire for fire in fires if touches(fire, incident)]) for incident in incidents]
    leads = [incident.since - min(fire.since for fire in some) for incident, some in about if some]
    right = sum(any(touches(fire, incident) for incident in incidents) for fire in fires)
    grades = Counter(one.grade for one in graded if one.rule == name)
    return Score(
        rule=name,
        severity=severity,
        fires=len(fires),
        told=sum(fire.told for fire in fires),
        minutes=sum(fire.firing_ms for fire in fires) / 60_000,
        per_week=len(fires) * WEEK_MS / max(judged_ms, 1),
        night=sum(at_night(fire.since, zone_of(fire.tenant)) for fire in fires),
        right=right if incidents else None,
        found=len(leads) if incidents else None,
        incidents=len(incidents),
        lead_ms=median(leads) if leads else None,
        useful=grades["useful"],
        noise=grades["noise"],
    )


def confirmed(graded: Iterable[Graded]) -> list[Incident]:
    """The incidents that alerts graded useful stand for; those of one place that overlap are one."""
    found: list[Incident] = []
    for one in sorted((one for one in graded if one.grade == "useful"), key=lambda one: (_place(one), one.since)):
        last = found[-1] if found else None
        if last is not None and _place(last) == _place(one) and one.since <= last.until:
            until = max(last.until, one.until)
            found[-1] = Incident(last.name, last.tenant, last.since, until, last.queue, last.channel)
        else:
            found.append(Incident(one.rule, one.tenant, one.since, one.until, one.queue, one.channel))
    return sorted(found, key=lambda one: (one.since, _place(one)))


def _place(one: Graded | Incident) -> tuple[str, str, str]:
    return one.tenant, one.queue, one.channel


class IncidentsError(Exception):
    """A file of incidents cannot be used. The message is one line."""


_KEYS = ("name", "tenant", "queue", "channel", "from", "to")


def incidents_in(path: Path) -> list[Incident]:
    """The incidents of a TOML file: `zone`, and `[[incident]]` with name, from, to; tenant, queue, channel as wanted.

    Raises:
        IncidentsError: one line.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IncidentsError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    entries, zone = tree.get("incident", []), tree.get("zone")
    if set(tree) - {"incident", "zone"} or not isinstance(entries, list):
        raise IncidentsError(f"{path}: not a list of incidents (allowed: zone, and [[incident]] for each)")
    if zone is not None and zone not in available_timezones():
        raise IncidentsError(f"{path}: zone: no such time zone: {zone!r} (allowed: IANA names such as Asia/Shanghai)")
    found = [
        _incident(entry, ZoneInfo(zone) if zone else None, f"{path}: incident {n}")
        for n, entry in enumerate(entries, 1)
    ]
    return sorted(found, key=lambda one: one.since)


def _incident(entry: Any, zone: ZoneInfo | None, where: str) -> Incident:
    if not isinstance(entry, dict) or set(entry) - set(_KEYS):
        raise IncidentsError(f"{where}: not known there (allowed: {', '.join(_KEYS)})")
    try:
        since, until = (instant(entry[key], zone) for key in ("from", "to"))
    except KeyError as missing:
        raise IncidentsError(f"{where}: {missing.args[0]} is missing") from None
    except ValueError as error:
        raise IncidentsError(f"{where}: {error}") from None
    if until <= since:
        raise IncidentsError(f"{where}: to does not lie after from")
    texts = {name: str(entry.get(name, default)) for name, default in _DEFAULTS.items()}
    return Incident(texts["name"], texts["tenant"], since, until, texts["queue"], texts["channel"])


_DEFAULTS = {"name": "", "tenant": SUM, "queue": SUM, "channel": SUM}
