"""Rules: when an alert goes off, read from `rules.yaml` and checked against the metric catalogue.

A mistake stops the start. It is told in one line: file, line, what is wrong, what is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from alerts.readings import METRICS, WINDOWS, Metric, Place
from alerts.rule import SEVERITIES, Bound, Rule, Ruleset, Scope, Severity, opposite, overlap
from alerts.words import checked
from config.settings import CalendarSettings

SHIPPED = Path(__file__).parent.parent / "config" / "rules.yaml"
DEFAULT_WINDOW = "5m"
"""Of a windowed metric whose rule names none: long enough for a handful of cases, short enough to act on."""


class RulesError(Exception):
    """The rules cannot be used. `problems`: one line each, in the order of the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems[0])
        self.problems = tuple(problems)


_KEYS = (
    "name", "metric", "scope", "window", "fire", "clear", "for", "keep_firing_for", "severity", "ladder", "runbook",
    "min_n", "labels", "schedule", "summary", "advice", "planned", "enabled",
)  # fmt: skip
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_SCALES = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_BOUND = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*(%|[a-z]*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(value: object) -> int:
    """`30s`, `2m`, `1h30m`, `0` → ms.

    Raises:
        ValueError: with what is allowed.
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise ValueError(f"{value!r} is not a length of time (allowed: 30s, 2m, 1h30m, 0s)")
    return sum(int(part) * scale for part, scale in zip(found.groups(), _SCALES, strict=True) if part)


def bound(text: object, metric: Metric) -> Bound:
    """`"> 20"`, `"<= 10m"`, `"< 80%"` → a bound in the metric's unit.

    Raises:
        ValueError: with what is allowed.
    """
    found = _BOUND.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is not a bound (allowed: ">", ">=", "<" or "<=" and a number, such as "> 20")')
    op, number, unit = found.groups()
    value = _in_unit(float(number), unit, metric)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large a number")
    return Bound(op, value)  # type: ignore[arg-type]  # the pattern lets only the four through


def _in_unit(value: float, unit: str, metric: Metric) -> float:
    match metric.unit:
        case "ms" | "s" if unit in _MS:
            return value * _MS[unit] / (1 if metric.unit == "ms" else 1_000)
        case "ratio" if unit == "%":
            value /= 100
        case _ if unit:
            allowed = {"ms": "ms, s, m, h, d", "s": "ms, s, m, h, d", "ratio": "%"}.get(metric.unit, "none")
            raise ValueError(f"{metric.name} has no unit {unit!r} (allowed: {allowed})")
    if metric.unit == "ratio" and not 0 <= value <= 1:
        raise ValueError(f"{metric.name} is a share (allowed: 0 to 1, or 0% to 100%)")
    return value


def load(path: Path | None) -> Ruleset:
    """The rules of a file; None: the shipped ones.

    Raises:
        RulesError: a line for each mistake.
    """
    path = SHIPPED if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError([f"{path.name}: cannot be read: {type(error).__name__}"]) from None
    return Ruleset(parse(text, path.name))


def parse(text: str, file: str = "rules.yaml") -> list[Rule]:
    """The rules of a text.

    Raises:
        RulesError: a line for each mistake.
    """
    root = compose(text, file)
    problems: list[str] = []
    rules: list[Rule] = []
    names: dict[str, int] = {}
    for node in _rule_nodes(root, file):
        reader = _Reader(node, file, problems)
        rule = reader.rule()
        if reader.name and reader.name in names:
            reader.wrong(
                node, "name", f"{reader.name!r} is already on line {names[reader.name]} (allowed: each name once)"
            )
        elif reader.name:
            names[reader.name] = line_of(node)
        if rule is not None:
            rules.append(rule)
    if problems:
        raise RulesError(problems)
    return rules


def compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        hint = '; a bound needs quotes: fire: "> 20"' if "block scalar" in str(error) else ""
        raise RulesError([f"{file}:{line}: not YAML: {error.problem}{hint}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RulesError([f"{file}:1: not YAML: {type(error).__name__}"]) from None


def value_of(node: yaml.Node) -> Any:
    """What a node holds.

    Raises:
        ValueError, yaml.YAMLError: it is not what a tag written before it says; PyYAML takes such a tag at its word.
    """
    try:
        return yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except (LookupError, AttributeError, TypeError):
        raise ValueError(f"is not what its tag says ({node.tag.rpartition(':')[2]})") from None


def _rule_nodes(root: yaml.Node | None, file: str) -> list[yaml.Node]:
    if not isinstance(root, yaml.MappingNode):
        raise RulesError([f"{file}:1: not a list of rules (allowed: rules: followed by a list)"])
    found: list[yaml.Node] | None = None
    for name, value in root.value:
        if name.value == "rules" and found is None and isinstance(value, yaml.SequenceNode):
            found = list(value.value)
        elif name.value == "rules":
            raise RulesError([f"{file}:{line_of(name)}: rules: not one list (allowed: one list of rules)"])
        elif str(name.value) not in EXTRAS:
            allowed = ", ".join(("rules", *EXTRAS))
            raise RulesError([f"{file}:{line_of(name)}: {name.value!r} is not known here (allowed: {allowed})"])
    if found is None:
        raise RulesError([f"{file}:1: rules: is missing (allowed: a list, possibly empty: rules: [])"])
    return found


EXTRAS = ("notify", "inhibit", "maintenance", "escalate")
"""Other top-level keys of the file: how people are told (`alerts.policy`)."""


def line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Reader:
    """Reads one rule's node; every mistake goes to `problems`."""

    def __init__(self, node: yaml.Node, file: str, problems: list[str]) -> None:
        self.node, self.file, self.problems = node, file, problems
        self.name = ""
        self.fields: dict[str, yaml.Node] = {}
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = str(key.value)
                if name in self.fields:
                    self.wrong(key, name, "given twice (allowed: once)")
                elif name not in _KEYS:
                    self.wrong(key, name, f"not a key of a rule (allowed: {', '.join(_KEYS)})")
                self.fields[name] = value
        else:
            self.wrong(node, "rule", "not a mapping (allowed: name, metric, fire …)")

    def wrong(self, node: yaml.Node, key: str, what: str) -> None:
        rule = f"rule {self.name}: " if self.name else ""
        self.problems.append(f"{self.file}:{line_of(node)}: {rule}{key}: {what}")

    def read(self, key: str, take: Callable[[Any], Any], default: Any) -> Any:
        """The field's value through `take`; its default where it is absent or wrong."""
        node = self.fields.get(key)
        if node is None:
            return default
        try:
            return take(value_of(node))
        except (ValueError, yaml.YAMLError) as error:
            self.wrong(node, key, str(error).splitlines()[0])
            return default

    def rule(self) -> Rule | None:
        before = len(self.problems)
        self.name = self.read("name", _name, "")
        metric = self.read("metric", _metric, None)
        for key, value in (("name", self.name), ("metric", metric)):
            if key not in self.fields and isinstance(self.node, yaml.MappingNode):
                self.wrong(self.node, key, "is missing")
            elif not value:
                break
        if not isinstance(metric, Metric):
            self._others()
            return None
        rule = self._with(metric)
        return rule if len(self.problems) == before and self.read("enabled", _bool, True) else None

    def _others(self) -> None:
        """Find further mistakes where the metric itself is unknown."""
        for key, take in _PLAIN.items():
            self.read(key, take, None)

    def _with(self, metric: Metric) -> Rule:
        fire = self.read("fire", lambda value: bound(value, metric), None)
        if fire is None:
            fire = Bound(">=", 1)
            if metric.place is not Place.FLAG and "fire" not in self.fields:
                self.wrong(self.node, "fire", 'is missing (allowed: a bound such as "> 20")')
        clear = self.read("clear", lambda value: bound(value, metric), opposite(fire))
        if overlap(fire, clear):
            self.wrong(
                self.fields.get("clear", self.node), "clear", "holds where fire does (allowed: values that do not fire)"
            )
        window = self.read("window", _window, None)
        if metric.place is Place.COUNTER and window == "today":
            self.wrong(self.fields["window"], "window", f"{metric.name} is counted by length (allowed: 1m, 5m, 30m)")
        return Rule(
            name=self.name,
            metric=metric,
            fire=fire,
            clear=clear,
            window=(window or DEFAULT_WINDOW) if metric.place in (Place.WINDOW, Place.COUNTER) else None,
            scope=self._scope(metric),
            hold_ms=self.read("for", duration_ms, 0),
            keep_ms=self.read("keep_firing_for", duration_ms, 0),
            severity=self.read("severity", _severity, "warning"),
            ladder=self._ladder(metric, fire),
            runbook=self.read("runbook", _text, None),
            min_n=self._min_n(metric),
            labels=self.read("labels", _labels, {}),
            schedule=self.read("schedule", schedule_of, None),
            summary=self.read("summary", _summary, None),
            advice=self.read("advice", _summary, None),
            planned=self.read("planned", _planned, "judge"),
        )

    def _scope(self, metric: Metric) -> Scope:
        scope: Scope = self.read("scope", _scope, Scope())
        if metric.place in (Place.TENANT, Place.COUNTER) and (scope.queue or scope.channel):
            self.wrong(self.fields["scope"], "scope", f"{metric.name} is told per tenant (allowed: tenant)")
        if scope.topic != "*" and metric.place is not Place.TOPIC:
            allowed = ", ".join(one.name for one in METRICS.values() if one.place is Place.TOPIC)
            self.wrong(self.fields["scope"], "scope", f"{metric.name} is not told per topic (allowed: {allowed})")
        return scope

    def _ladder(self, metric: Metric, fire: Bound) -> tuple[tuple[Severity, Bound], ...]:
        """The steps, each graver than the one before, and farther out."""
        node = self.fields.get("ladder")
        if node is None:
            return ()
        if metric.place is Place.FLAG:
            self.wrong(node, "ladder", f"{metric.name} has no bounds (allowed: leave it out)")
            return ()
        steps: dict[Severity, Bound] = self.read("ladder", lambda value: _steps(value, metric), {})
        before, last = SEVERITIES.index(self.read("severity", _severity, "warning")), fire
        for severity, step in sorted(steps.items(), key=lambda pair: SEVERITIES.index(pair[0])):
            farther = step.value > last.value if fire.upward else step.value < last.value
            if SEVERITIES.index(severity) <= before or step.upward != fire.upward or not farther:
                self.wrong(node, "ladder", f"{severity}: is no step up (allowed: graver, and beyond what fires before)")
                return ()
            before, last = SEVERITIES.index(severity), step
        return tuple(sorted(steps.items(), key=lambda pair: SEVERITIES.index(pair[0])))

    def _min_n(self, metric: Metric) -> int:
        least: int = self.read("min_n", _count, 0)
        if least and not metric.cases:
            self.wrong(self.fields["min_n"], "min_n", f"{metric.name} has no number of cases (allowed: leave it out)")
        return least


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name (allowed: 1 to 64 letters, digits, - _ .)")
    return value


def _metric(value: Any) -> Metric:
    found = METRICS.get(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a metric (allowed: {', '.join(sorted(METRICS))})")
    return found


def _window(value: Any) -> str:
    if value not in WINDOWS:
        raise ValueError(f"{value!r} is not a window (allowed: {', '.join(WINDOWS)})")
    return str(value)


def _severity(value: Any) -> str:
    if value not in SEVERITIES:
        raise ValueError(f"{value!r} is not a severity (allowed: {', '.join(SEVERITIES)})")
    return str(value)


def _steps(value: Any, metric: Metric) -> dict[Severity, Bound]:
    if not isinstance(value, dict) or not value or not set(value) <= set(SEVERITIES):
        raise ValueError('not severities with bounds (allowed: {critical: "> 60"})')
    return {severity: bound(text, metric) for severity, text in value.items()}


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false (allowed: true, false)")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count (allowed: whole numbers from 0)")
    return value


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValueError("not pairs of text (allowed: {team: billing})")
    taken = sorted({"rule", "metric", "severity", "tenant", "queue", "channel", "topic", "about", "alert"} & set(value))
    if taken:
        raise ValueError(f"{taken[0]!r} is a label every alert has (allowed: other names)")
    return dict(value)


def _scope(value: Any) -> Scope:
    if not isinstance(value, dict):
        raise ValueError('not a mapping (allowed: {queue: "*", channel: "web"})')
    for name, pattern in value.items():
        if name not in ("tenant", "queue", "channel", "topic"):
            raise ValueError(f"{name!r} is not a dimension (allowed: tenant, queue, channel, topic)")
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"{name}: {pattern!r} is not a pattern (allowed: text, with * for anything)")
    return Scope(**value)


def schedule_of(value: Any) -> CalendarSettings:
    """Hours of the week, in a zone.

    Raises:
        ValueError: with what is allowed.
    """
    try:
        schedule = CalendarSettings.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']} (allowed: zone, weekly, holidays, workdays)") from None
    if schedule.versions is not None:
        raise ValueError("versions are not known here (allowed: zone, weekly, holidays, workdays)")
    return schedule


def _summary(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) != {"zh", "en"} or not all(isinstance(v, str) for v in value.values()):
        raise ValueError("not a text in both languages (allowed: {zh: …, en: …})")
    for language, text in value.items():
        try:
            checked(text)
        except ValueError as error:
            raise ValueError(f"{language}: {error}") from None
    return dict(value)


def _planned(value: Any) -> str:
    if value not in ("judge", "quiet"):
        raise ValueError(f"{value!r} is not known (allowed: judge, quiet)")
    return str(value)


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "window": _window, "severity": _severity, "for": duration_ms, "keep_firing_for": duration_ms, "labels": _labels,
    "scope": _scope, "min_n": _count, "schedule": schedule_of, "runbook": _text, "summary": _summary,
    "advice": _summary, "planned": _planned, "enabled": _bool,
}  # fmt: skip
