"""Numbers of ticks, rules and policies for stories about alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alerts.judging import judge
from alerts.notices import Policy, plan
from alerts.readings import Readings, TenantReading
from alerts.rule import Ruleset
from alerts.rules import parse
from alerts.state import Change, State
from streams.events import REAL

T0 = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""
S, M = 1_000, 60_000


def key(queue: str = "returns", channel: str = "*", tenant: str = "shop", **fields: Any) -> dict[str, Any]:
    """One entry of the feed's `keys`; windows as `w30m={…}`, volume as `volume={…}`."""
    windows = {name[1:]: fields.pop(name) for name in list(fields) if name in ("w1m", "w5m", "w30m", "wtoday")}
    made = {"tenant": tenant, "queue": queue, "channel": channel, "backlog": 0, "oldest_ms": None, "restated": []}
    return {**made, "windows": windows, "volume": {"surge": False, "lull": False}, **fields}


def rules(text: str) -> Ruleset:
    """The rules of a YAML list, indented or not."""
    lines = "\n".join(f"  {line}" for line in text.strip("\n").splitlines())
    return Ruleset(parse(f"rules:\n{lines}\n"))


BACKLOG = """
- name: backlog-high
  metric: backlog
  scope: {queue: "*"}
  fire: "> 20"
  clear: "<= 10"
"""
"""Without any hold."""
HELD = BACKLOG + "  for: 2m\n  keep_firing_for: 5m\n"


def readings(keys: Iterable[Mapping[str, Any]] = (), **tenants: TenantReading) -> Readings:
    """The numbers of a tick; every tenant of the keys is there."""
    keys = tuple(keys)
    return Readings(keys, {**{str(one["tenant"]): TenantReading() for one in keys}, **tenants})


class Story:
    """Ticks one after another, with what changed and who was told."""

    def __init__(
        self, ruleset: Ruleset, policy: Policy | None = None, state: State | None = None, clock: str = REAL
    ) -> None:
        self.rules, self.policy, self.clock = ruleset, policy or Policy(("ops",)), clock
        self.state = state or State()
        self.told: list[tuple[str, str, str]] = []
        """(channel, rule, state) of every notice."""

    def tick(self, at: int, *keys: Mapping[str, Any], now: int | None = None, **tenants: TenantReading) -> list[Change]:
        """Judge a tick; then plan as of `now` (the tick)."""
        self.state, changes = judge(self.state, self.rules, self.clock, at, readings(keys, **tenants))
        self.plan(at if now is None else now)
        return changes

    def backlog(self, at: int, value: int, now: int | None = None) -> list[str]:
        """Judge a tick at which the queue's backlog is so; what states changed to."""
        return [str(change.alert.state) for change in self.tick(at, key(backlog=value), now=now)]

    def plan(self, now: int) -> list[str]:
        """Plan; the states told."""
        self.state, notices = plan(self.state, self.policy, now)
        self.told += [(n.channel, n.alert.slot.rule, str(n.alert.state)) for n in notices]
        return [str(notice.alert.state) for notice in notices]
