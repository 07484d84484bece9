"""How people are told: sections of `rules.yaml` (`notify`, `inhibit` …), and the settings' channels and routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from alerts.notices import Escalation, Inhibition, Maintenance, Policy, Route
from alerts.rule import SEVERITIES
from alerts.rules import SHIPPED, RulesError, compose, duration_ms, line_of, schedule_of, value_of
from config.settings import Channel
from config.settings import Route as RouteSettings

T = TypeVar("T")

CONSOLE = "console"
"""The channel that is there when none is configured, and for what no route matches."""


def load(path: Path | None, channels: Sequence[Channel], routes: Sequence[RouteSettings]) -> Policy:
    """The policy of a rules file; None: the shipped one.

    Raises:
        RulesError: a line for each mistake.
    """
    path = SHIPPED if path is None else path
    return parse(path.read_text(encoding="utf-8"), path.name, channels, routes)


def parse(text: str, file: str, channels: Sequence[Channel], routes: Sequence[RouteSettings]) -> Policy:
    """The policy of a text; every key may be absent.

    Raises:
        RulesError: a line for each mistake.
    """
    reader = _Reader(compose(text, file), file, tuple(channel.name for channel in channels) or (CONSOLE,))
    notify = reader.notify()
    policy = Policy(
        channels=reader.names,
        routes=tuple(Route(dict(route.match), tuple(route.channels)) for route in routes),
        charted=frozenset(channel.name for channel in channels if channel.type == "email"),
        inhibit=reader.listed("inhibit", _inhibition),
        maintenance=reader.listed("maintenance", _maintenance),
        escalate=tuple(sorted(reader.listed("escalate", reader.escalation), key=lambda step: step.after_ms)),
        **notify,
    )
    if reader.problems:
        raise RulesError(reader.problems)
    return policy


class _Reader:
    def __init__(self, root: yaml.Node | None, file: str, names: tuple[str, ...]) -> None:
        self.file, self.names = file, names
        self.problems: list[str] = []
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        self.sections: dict[str, yaml.Node] = {str(key.value): value for key, value in pairs}

    def wrong(self, node: yaml.Node, key: str, what: str) -> None:
        self.problems.append(f"{self.file}:{line_of(node)}: {key}: {what}")

    def take(self, node: yaml.Node, key: str, form: Callable[[Any], T]) -> T | None:
        """The node's value through `form`; None where it is wrong, which is noted."""
        try:
            return form(value_of(node))
        except (ValueError, TypeError, yaml.YAMLError) as error:
            self.wrong(node, key, str(error).splitlines()[0])
            return None

    def listed(self, section: str, form: Callable[[Any], T]) -> tuple[T, ...]:
        """The entries of a section that is a list."""
        node = self.sections.get(section)
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, section, "not a list")
            return ()
        found = (self.take(entry, section, form) for entry in node.value)
        return tuple(entry for entry in found if entry is not None)

    def notify(self) -> dict[str, Any]:
        """The fields of `Policy` that `notify` names."""
        node = self.sections.get("notify")
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, "notify", f"not a mapping (allowed: {', '.join(_NOTIFY)})")
            return {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            known = _NOTIFY.get(str(key.value))
            if known is None:
                self.wrong(key, f"notify: {key.value}", f"is not known (allowed: {', '.join(_NOTIFY)})")
                continue
            name, form = known
            read = self.take(value, f"notify: {key.value}", form)
            if read is not None:
                found[name] = read
        return found

    def escalation(self, value: Any) -> Escalation:
        entry = _mapping(value, ("after", "channels", "severity"), ("after", "channels"))
        for name in _names(entry["channels"]):
            if name not in self.names:
                raise ValueError(f"there is no channel {name!r} (allowed: {', '.join(self.names)})")
        severity = entry.get("severity", "critical")
        if severity not in SEVERITIES:
            raise ValueError(f"{severity!r} is not a severity (allowed: {', '.join(SEVERITIES)})")
        return Escalation(duration_ms(entry["after"]), _names(entry["channels"]), severity)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count (allowed: whole numbers from 0)")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{value!r} is not a list of names (allowed: [tenant, rule])")
    return tuple(value)


_NOTIFY: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "group_by": ("group_by", _names),
    "group_wait": ("wait_ms", duration_ms),
    "group_interval": ("interval_ms", duration_ms),
    "repeat": ("repeat_ms", duration_ms),
    "ack_expires": ("ack_expires_ms", duration_ms),
    "flap_times": ("flap_times", _whole),
    "flap_interval": ("flap_interval_ms", duration_ms),
}


def _mapping(value: Any, allowed: Sequence[str], needed: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not a mapping (allowed: {', '.join(allowed)})")
    for name in value:
        if name not in allowed:
            raise ValueError(f"{name!r} is not known here (allowed: {', '.join(allowed)})")
    for name in needed:
        if name not in value:
            raise ValueError(f"{name} is missing")
    return value


def _match(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValueError("a match is pairs of a label and a pattern (allowed: {rule: ingest-lag})")
    return dict(value)


def _inhibition(value: Any) -> Inhibition:
    entry = _mapping(value, ("source", "target", "equal"), ("source", "target"))
    return Inhibition(_match(entry["source"]), _match(entry["target"]), _names(entry.get("equal", [])))


def _maintenance(value: Any) -> Maintenance:
    keys = ("match", "reason", "owner", "from", "to", "zone", "weekly")
    entry = _mapping(value, keys, ("match", "reason", "owner"))
    if ("weekly" in entry) == ("from" in entry and "to" in entry):
        raise ValueError("needs either from and to, or weekly with zone")
    match, reason, owner = _match(entry["match"]), str(entry["reason"]), str(entry["owner"])
    if "weekly" not in entry:
        return Maintenance(match, reason, owner, _instant(entry["from"]), _instant(entry["to"]))
    calendar = schedule_of({"zone": entry.get("zone", "UTC"), "weekly": entry["weekly"]})
    weekly = {str(day): tuple(spans) for day, spans in calendar.weekly.items()}
    return Maintenance(match, reason, owner, zone=calendar.zone, weekly=weekly)


def _instant(value: Any) -> int:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not an instant (allowed: 2026-11-21T10:00:00+08:00)") from None
    if at.tzinfo is None:
        raise ValueError(f"{value!s} needs its offset (allowed: 2026-11-21T10:00:00+08:00)")
    return round(at.timestamp() * 1000)
