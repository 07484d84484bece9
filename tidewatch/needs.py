"""What must be right about alerting before anything is started: rules, channels, routes, and where the heart beats.

The notifier would find the same, but only once broker and Redis run, and once for each time that it is started again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerts.rule import SEVERITIES, Rule, matches
from alerts.rules import RulesError
from alerts.rules import load as load_rules
from config.settings import Channel, Heartbeat, Route, Settings, SettingsError

LABELS = ("about", "alert", "channel", "metric", "queue", "rule", "severity", "tenant", "topic")
"""What every alert has for a route to match (`alerts.notices.labels_of`); rules add their own."""


class CannotAlert(Exception):
    """Nobody would be told as the settings want it. The message is one line with the place and what is allowed."""


def need_alerting(settings: Settings) -> None:
    """Check it all; nothing is opened and nobody is told.

    Raises:
        CannotAlert: the first thing that is wrong.
    """
    try:
        rules = load_rules(settings.rules)
        _need_policy(settings)
        _need_channels(settings.channels, settings.heartbeat)
    except (RulesError, SettingsError, OSError) as error:
        raise CannotAlert(str(error)) from None
    wrong = wrong_match(settings.routes, rules.rules)
    if wrong:
        raise CannotAlert(wrong)


def _need_policy(settings: Settings) -> None:
    from alerts import policy

    policy.load(settings.rules, settings.channels, settings.routes)


def _need_channels(channels: Sequence[Channel], heartbeat: Heartbeat) -> None:
    """What posts is loaded only where somebody is posted to: the supervisor stays small without."""
    if channels:
        from alerts.notifier import doors

        doors(channels, _Nothing())
    if heartbeat.url:
        from alerts.heartbeat import Heart

        Heart(heartbeat, lambda: None)


class _Nothing:
    """Notes that a door may ask for; it is only looked at, never used."""

    def note(self, *_: str) -> str | None:
        return None

    def take_note(self, *_: str | None) -> None:
        return None


def wrong_match(routes: Sequence[Route], rules: Iterable[Rule]) -> str | None:
    """The first route that could never match as it is written, and why; None: each could."""
    known = {*LABELS, *(label for rule in rules for label in rule.labels)}
    for index, route in enumerate(routes):
        for name, pattern in route.match.items():
            if name not in known:
                return f"routes[{index}].match: no alert has a label {name!r} (allowed: {', '.join(sorted(known))})"
            if name == "severity" and not any(matches(pattern, severity) for severity in SEVERITIES):
                return f"routes[{index}].match.severity: {pattern!r} fits none (allowed: {', '.join(SEVERITIES)})"
    return None
