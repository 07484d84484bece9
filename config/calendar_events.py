"""Planned events, `events.toml`: what will lift (or lower) the volume, known in advance.

```toml
zone = "Asia/Shanghai"               # of times without an offset

[[event]]
name = "Double 11"
from = 2026-11-11T00:00:00           # or with an offset, or a date; [from, to)
to = 2026-11-12
factor = 3                           # times the usual
match = { tenant = "acme", queue = "sales*", channel = "*" }   # a dimension not named: all of it
```

A mistake is told in one line: file, line, what is wrong, what is allowed. `config.calendar_file` changes the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from config.lines import key_lines
from config.settings import Settings

FILE = "events.toml"
"""In the data directory."""
FACTORS = (0.01, 1000.0)
DIMENSIONS = ("tenant", "queue", "channel")
KEYS = ("name", "from", "to", "factor", "zone", "match")
_LONGEST = timedelta(days=400)
_MOST = 10_000
_UNTOLD = re.compile(r"[\x00-\x1f\x7f]")


class EventsError(Exception):
    """The file cannot be used. The message is one line: file, line, what is wrong, what is allowed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned event. Instants in ms, half open."""

    name: str
    since: int
    until: int
    factor: float
    tenant: str = "*"
    """A pattern, as those of `match`."""
    match: Mapping[str, str] = field(default_factory=dict)
    """`queue` and `channel` → pattern with `*` for anything; not named: all of it."""

    def of(self, tenant: str) -> bool:
        """Whether a tenant is meant."""
        return re.fullmatch(".*".join(map(re.escape, self.tenant.split("*"))), tenant, re.DOTALL) is not None


def file_of(settings: Settings) -> Path | None:
    """Where planned events stand: as set, else in the data directory; None: nowhere."""
    if settings.events is not None:
        return settings.events
    return None if settings.data is None else settings.data / FILE


def planned(path: Path | None) -> list[Planned]:
    """The events of a file, in its order. No file (or None): none.

    Raises:
        EventsError: one line.
    """
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise EventsError(f"{path}: cannot be read: {why}") from None
    return parse(text, str(path))


def parse(text: str, file: str = "events.toml") -> list[Planned]:
    """The events of a text.

    Raises:
        EventsError: one line.
    """
    tree = _tree(text, file)
    lines = key_lines(text.replace("\r\n", "\n"))

    def wrong(loc: tuple[str | int, ...], what: str) -> EventsError:
        line = next((lines[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in lines), 1)
        return EventsError(f"{file}:{line}: {what}")

    for key in tree:
        if key not in ("zone", "event"):
            raise wrong((key,), f"{key}: not known here (allowed: zone, [[event]])")
    zone = _checked(lambda: _zone(tree.get("zone")), "zone", lambda what: wrong(("zone",), what))
    found: dict[str, Planned] = {}
    entries = tree.get("event", [])
    if not isinstance(entries, list):
        raise wrong(("event",), "event: not a list (allowed: [[event]], once for each)")
    if len(entries) > _MOST:
        raise wrong(("event", _MOST), f"event: too many (allowed: {_MOST:,})")
    for index, entry in enumerate(entries):
        event = _event(entry, zone, lambda key, what, at=index: wrong(("event", at, *key.split(".")), what))  # type: ignore[misc]
        if event.name in found:
            raise wrong(("event", index, "name"), f"name: {event.name!r} is given twice (allowed: each name once)")
        found[event.name] = event
    return list(found.values())


def _tree(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise EventsError(f"{file}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
        line = int(said[2]) if said and said[2] else text.count("\n") + 1
        raise EventsError(f"{file}:{line}: not valid TOML: {said[1] if said else 'a number is too long'}") from None


def zone_of(text: str, file: str = "events.toml") -> ZoneInfo | None:
    """The zone of a whole text that parses."""
    return _zone(_tree(text, file).get("zone"))


def event_of(entry: Mapping[str, Any], zone: ZoneInfo | None) -> Planned:
    """One event, as given by a command.

    Raises:
        EventsError: what is wrong with it.
    """
    return _event(dict(entry), zone, lambda _, what: EventsError(what))


_Wrong = Callable[[str, str], EventsError]


def _event(entry: Any, zone: ZoneInfo | None, wrong: _Wrong) -> Planned:
    if not isinstance(entry, dict):
        raise wrong("", "event: not a table (allowed: [[event]], then name, from, to, factor)")
    for key in entry:
        if key not in KEYS:
            raise wrong(key, f"{key}: not a key of an event (allowed: {', '.join(KEYS)})")
    for key in ("name", "from", "to", "factor"):
        if key not in entry:
            raise wrong("", f"{key} is missing")

    def read(key: str, take: Callable[[Any], Any], default: Any = None) -> Any:
        return _checked(lambda: take(entry.get(key, default)), key, lambda what: wrong(key, what))

    own = read("zone", _zone) or zone
    since, until = (read(key, lambda value: instant(value, own)) for key in ("from", "to"))
    if until <= since:
        raise wrong("to", f"to: {entry['to']} does not lie after from ({entry['from']})")
    if until - since > _LONGEST / timedelta(milliseconds=1):
        raise wrong(
            "to", f"to: over {_LONGEST.days} days after from (allowed: less; what lasts becomes usual by itself)"
        )
    match = read("match", _match, {})
    tenant = match.pop("tenant", "*")
    return Planned(read("name", _name), since, until, read("factor", _factor), tenant, match)


def _checked(take: Callable[[], Any], key: str, wrong: Callable[[str], EventsError]) -> Any:
    try:
        return take()
    except ValueError as error:
        raise wrong(f"{key}: {error}") from None


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 100 or _UNTOLD.search(value):
        raise ValueError(f"{value!r} is not a name (allowed: 1 to 100 characters on one line)")
    return value.strip()


def _factor(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not FACTORS[0] <= value <= FACTORS[1]:
        raise ValueError(f"{value!r} is not a factor (allowed: {FACTORS[0]:g} to {FACTORS[1]:g}; 2 is twice the usual)")
    return float(value)


def _zone(value: Any) -> ZoneInfo | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in available_timezones():
        raise ValueError(f"no such time zone: {value!r} (allowed: IANA names such as Asia/Shanghai or UTC)")
    return ZoneInfo(value)


def _match(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('not a table (allowed: {tenant = "acme", queue = "sales*", channel = "web"})')
    for name, pattern in value.items():
        if name not in DIMENSIONS:
            raise ValueError(f"{name!r} is not a dimension (allowed: {', '.join(DIMENSIONS)})")
        if not isinstance(pattern, str) or not 0 < len(pattern) <= 200 or _UNTOLD.search(pattern):
            raise ValueError(f"{name}: {pattern!r} is not a pattern (allowed: text, with * for anything)")
    return dict(value)


def instant(value: object, zone: ZoneInfo | None) -> int:
    """An instant, a local time or a date of TOML (or the same as text) → ms.

    Raises:
        ValueError: with what is allowed.
    """
    local = local_time(value)
    if local.tzinfo is None and zone is None:
        raise ValueError(f"{local.isoformat()} has no offset (allowed: one such as +08:00, or a zone beside it)")
    known = local if local.tzinfo is not None else local.replace(tzinfo=zone)
    return (known.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def local_time(value: object) -> datetime:
    """The same, as it was given; a date is its first instant.

    Raises:
        ValueError: with what is allowed.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an instant (allowed: {_FORMS})") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"{value!r} is not an instant (allowed: {_FORMS})")
    if not 2000 <= value.year < 2100:
        raise ValueError(f"the year {value.year} is out of range (allowed: 2000 to 2099)")
    return value


_FORMS = "2026-11-11, 2026-11-11T20:00:00 or 2026-11-11T20:00:00+08:00"

# As others see them


def listed(events: Sequence[Planned], tenant: str, now: int) -> list[dict[str, Any]]:
    """`events` of the live feed: a tenant's, under way or within 24 h of `now` (ms)."""
    return [
        {
            "tenant": tenant,
            "name": event.name,
            "from": _rfc3339(event.since),
            "to": _rfc3339(event.until),
            "factor": event.factor,
            "match": {name: event.match.get(name, "*") for name in ("queue", "channel")},
        }
        for event in sorted(events, key=lambda event: (event.since, event.name))
        if event.of(tenant) and event.since - 86_400_000 <= now < event.until
    ]


def _rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
