"""Rules rehearsed on made-up numbers: a file says what is to happen, and is told where something else did.

```yaml
tests:
  - name: a short peak is no news
    every: 30s                     # between ticks; default 1m
    at: 2026-03-02T10:00:00Z       # of the first tick
    key: {queue: returns}          # tenant: default; queue and channel: *
    values:                        # field → values, tick by tick; the last one stays. 30*4 is 30 four times
      backlog: [0, 30*4, 0]
      30m.service_level: [0.9]     # of a window; volume.surge: of the volume; topic.refund.change: of a topic
      agents: [2]                  # how many people are at work
    expect:                        # every change of state, no more and no less
      - {after: 2m30s, rule: backlog-high, state: firing}
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from alerts.judging import judge
from alerts.readings import SUM, WINDOWS, Readings, TenantReading
from alerts.rule import Ruleset
from alerts.rules import RulesError, duration_ms
from alerts.state import State
from streams.events import REAL

_START = datetime(2026, 3, 2, 10, tzinfo=UTC)
_KNOWN = ("name", "every", "at", "key", "values", "expect")
_TENANT = {
    "ingest_lag": "ingest_lag_ms",
    "no_data": "no_data_ms",
    "parity_faults": "parity_faults",
    "dead_letters": "dead_letters",
    "late_total": "late_total",
}


def rehearse(rules: Ruleset, text: str, file: str = "tests.yaml") -> list[str]:
    """A line for each test that came out otherwise; none: all is as expected.

    Raises:
        RulesError: the file cannot be read.
    """
    try:
        found = yaml.safe_load(text)
        tests = found["tests"]
        lines = [(test["name"], *_differences(rules, test)) for test in tests]
    except yaml.YAMLError as error:
        raise RulesError([f"{file}: not YAML: {str(error).splitlines()[0]}"]) from None
    except KeyError as error:
        raise RulesError([f"{file}: {error.args[0]} is missing (allowed: tests with {', '.join(_KNOWN)})"]) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RulesError([f"{file}: {str(error).splitlines()[0]}"]) from None
    return [f"{file}: {name}: {line}" for name, *told in lines for line in told]


def _differences(rules: Ruleset, test: Mapping[str, Any]) -> Iterator[str]:
    for key in test:
        if key not in _KNOWN:
            raise ValueError(f"{key!r} is not known in a test (allowed: {', '.join(_KNOWN)})")
    happened = set(_happened(rules, test))
    expected = {(duration_ms(e["after"]), str(e["rule"]), str(e["state"])) for e in test.get("expect") or ()}
    for after, rule, state in sorted(happened | expected):
        if (after, rule, state) not in happened:
            yield f"after {after / 1000:g}s: {rule} should be {state}, and is not"
        elif (after, rule, state) not in expected:
            yield f"after {after / 1000:g}s: {rule} is {state}, which was not expected"


def _happened(rules: Ruleset, test: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """(ms after the first tick, rule, state) of every change."""
    start = test.get("at", _START)
    begin = start if isinstance(start, datetime) else datetime.fromisoformat(str(start))
    first = round(begin.replace(tzinfo=begin.tzinfo or UTC).timestamp() * 1000)
    every, state = duration_ms(test.get("every", "1m")), State()
    series = {name: _spread(values) for name, values in test["values"].items()}
    for tick in range(max(len(values) for values in series.values())):
        now = {name: values[min(tick, len(values) - 1)] for name, values in series.items()}
        at = first + tick * every
        state, changes = judge(state, rules, REAL, at, _readings(test.get("key") or {}, now))
        for change in changes:
            yield at - first, change.alert.slot.rule, str(change.alert.state)


def _spread(values: Sequence[Any]) -> list[Any]:
    """`30*4` → 30 four times."""
    found: list[Any] = []
    for value in values:
        number, times, count = str(value).partition("*")
        repeated = isinstance(value, str) and bool(times)
        found += [float(number)] * int(count) if repeated else [value]
    return found


def _readings(names: Mapping[str, Any], now: Mapping[str, Any]) -> Readings:
    tenant = str(names.get("tenant", "default"))
    key: dict[str, Any] = {"tenant": tenant, "queue": names.get("queue", SUM), "channel": names.get("channel", SUM)}
    windows: dict[str, dict[str, Any]] = {name: {} for name in WINDOWS}
    volume: dict[str, Any] = {}
    about: dict[str, Any] = {}
    topics: dict[str, dict[str, Any]] = {}
    for name, value in now.items():
        place, dot, metric = name.partition(".")
        if name in _TENANT:
            about[_TENANT[name]] = value
        elif dot and place in windows:
            windows[place][metric] = value
        elif dot and place == "volume":
            volume[metric] = value
        elif dot and place == "topic" and "." in metric:
            topic, _, field = metric.rpartition(".")
            topics.setdefault(topic, {"topic": topic})[field] = value
        elif not dot:
            key[name] = value
        else:
            raise ValueError(
                f"values: {name!r} is nowhere (allowed: a field, 30m.FIELD, volume.FIELD, topic.NAME.FIELD)"
            )
    work = {"tenant": tenant, "status": "online", "queues": [key["queue"]]}
    agents = [{**work, "agent": f"a{number}"} for number in range(int(key.pop("agents", 0)))]
    whole = {**key, "windows": windows, "volume": volume, "topics": list(topics.values())}
    return Readings([whole], {tenant: TenantReading(**about)}, agents)
