"""The present of all partitions: totals added up, windows cut, what CONTRACT §2 says of each key. Pure.

Partitions say absolute totals; here they are added. A row that comes again, or an older one, changes nothing. Every
number is as of its tenant's clock: the oldest tick that all partitions have applied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from streams.ahead import ahead
from streams.events import REAL, AgentRow, GaugeRow, PaneRow, Segment
from streams.metrics import FORMULA, Window, described, sentiment, service_level, shown
from streams.parts import Parts, packed, unpacked
from streams.policy import Policy
from streams.spans import Span
from streams.survival import Shared, waiting
from streams.track import Said
from streams.windows import HOUR, LIVE_WINDOWS, MINUTE, SECOND, first_pane, midnight, pane_of, rfc3339

ALL, TODAY = "*", "today"
PANES = 180
"""Panes of a `series`."""
KEPT = 27 * HOUR
WARM = 45 * MINUTE
"""Older panes are packed: nothing that is reckoned again and again reads them."""
AT_ONCE = 500
"""Panes of leaves that are packed at once: some ten milliseconds."""
MOST_LOOSE = (WARM + HOUR) // MINUTE
"""With more minutes than this unpacked some are packed before more is taken: a worker that begins says a whole day."""
RESTATED = 20
"""Restatements a key remembers."""
REACH = 33 * MINUTE
"""So far back from the end of the pane in progress may a pane lie whose passing changes numbers other than `today`."""
FELT = 20
"""Messages with a sentiment that it takes, lately and before, to say how it changed."""
TOPICS = 10
"""Topics that a key shows, those with most messages."""
MODELLED = ("expected", "low", "high", "surge")
"""Columns of `minutes` that a model fills; null until one has."""
UNKNOWN: Mapping[str, Any] = {
    "expected": None, "low": None, "high": None, "surge": False, "lull": False, "since": None, "novelty": False,
    "learning": True, "learned_days": 0.0, "arrivals_surge": False, "arrivals_lull": False, "arrivals": None,
}  # fmt: skip
"""What is said of a key's volume where no model knows it."""

LeafKey = tuple[str, str]
"""(queue, channel); either may be `*`."""
ThresholdsOf = Callable[[str, str, str], Mapping[str, Mapping[str, float | int | None]]]
"""(tenant, queue, channel) → metric → near, warning, critical, min_n: what stands in place of the defaults."""


Bands = tuple[list[float | None], list[float | None], list[float | None]]
"""Expected, low and high, minute by minute."""


class Outlook(Protocol):
    """What a tenant's models say of its keys."""

    def volume(self, key: LeafKey, now: int) -> dict[str, Any]:
        """`volume` of the live feed but for the rate; `since` in ms."""

    def bands(self, key: LeafKey, first: int, end: int) -> Bands:
        """What is usual in the minutes of `[first, end)`: expected, low and high; not to be changed."""

    def window(self, key: LeafKey, first: int, end: int) -> Said | None:
        """Summed over the minutes of `[first, end)` of which something is known."""

    def today(self, key: LeafKey, first: int, end: int) -> Said | None:
        """The same for the day that begins at `first`."""

    def keywords(self, key: LeafKey, now: int, /) -> list[str]:
        """The words that rose in a key."""

    def change(self, queue: str, topic: str, n: int, first: int, now: int) -> float | None:
        """How many times the usual `n` messages of a topic are since `first`."""


OutlookOf = Callable[[str], Outlook | None]


class _Pane:
    """One minute of one key, all partitions together."""

    __slots__ = ("_kept", "arrivals", "customer_messages", "version")

    def __init__(self) -> None:
        self._kept: Window | bytes = Window()
        self.version = 0
        self.customer_messages = self.arrivals = 0

    @property
    def window(self) -> Window:
        """What it counts. Not to be changed."""
        return unpacked(self._kept) if isinstance(self._kept, bytes) else self._kept

    def add(self, by: Window, version: int) -> None:
        """Count so much more, and be so many versions further."""
        self._kept = self.window
        self._kept.add(by)
        self.version += version
        self.customer_messages = self._kept.counts.get("customer_messages", 0)
        self.arrivals = self._kept.counts.get("arrivals", 0)

    def pack(self) -> None:
        """Take little memory until something is added."""
        if not isinstance(self._kept, bytes):
            self._kept = packed(self._kept)


class _Key:
    """One key of one tenant."""

    __slots__ = ("_changes", "_held", "latest", "panes", "restated", "spans")

    def __init__(self) -> None:
        self.panes: dict[int, _Pane] = {}
        self.spans = {name: Span() for name in (*LIVE_WINDOWS, TODAY)}
        """The live windows, as of the last `roll`."""
        self._changes: dict[int, _Pane] = {}
        """What came since of the minutes that they hold."""
        self._held = (0, 0)
        """These: from, until."""
        self.latest = 0
        """No pane begins after this."""
        self.restated: deque[dict[str, Any]] = deque(maxlen=RESTATED)

    def change(self, minute: int, by: Window, version: int) -> None:
        """Let a pane count so much more, and its version rise by so much."""
        pane = self.panes.get(minute)
        if pane is None:
            pane = self.panes[minute] = _Pane()
            self.latest = max(self.latest, minute)
        pane.add(by, version)
        if not self._held[0] <= minute < self._held[1]:
            return
        change = self._changes.get(minute)
        if change is None:
            change = self._changes[minute] = _Pane()
        change.add(by, version)

    def roll(self, now: int, zone: ZoneInfo) -> None:
        """Let the live windows be those of `now`."""
        changes, self._changes = self._changes, {}
        end = pane_of(now) + MINUTE
        for name, span in self.spans.items():
            for minute, change in changes.items():
                span.change(minute, change.window, change.version)
            span.roll(first_pane(name, now, zone), end, self.panes)
        self._held = min(span.since for span in self.spans.values()), end

    def touches(self, end: int) -> bool:
        """Whether there is a pane in what ends here: the longest window but `today`, and a little more."""
        return any(minute in self.panes for minute in range(end - REACH, end, MINUTE))

    def last(self, panes: int, end: int) -> Window:
        """The merge of the `panes` panes before `end`."""
        window = Window()
        for minute in range(end - panes * MINUTE, end, MINUTE):
            if minute in self.panes:
                window.add(self.panes[minute].window)
        return window

    def ahead(self, end: int) -> tuple[dict[int, int], dict[int, int]]:
        """The waits that began before `end` and ended in a pane after it: answered, censored; ms → how many."""
        if self.latest < end:
            return {}, {}
        return ahead(((minute, pane.window) for minute, pane in self.panes.items() if minute >= end), end)


class View:
    """One tenant in all partitions."""

    def __init__(self, name: str, policy: Policy, outlook_of: OutlookOf = lambda _: None) -> None:
        self.name = name
        self.policy = policy
        self._outlook_of = outlook_of
        self.thresholds_of: ThresholdsOf = _no_thresholds
        self.replaying = False
        self.panes = Parts(name)
        self._newest = 0
        """No pane begins after this."""
        self.gauges: dict[LeafKey, dict[int, GaugeRow]] = {}
        self._below: dict[LeafKey, dict[LeafKey, None]] = {}
        """Key → the leaves whose gauges add up to it, in their order: to look through all for each key is quadratic."""
        self.agents: dict[str, dict[int, AgentRow]] = {}
        self.late: dict[int, int] = {}
        self.heard_at: int | None = None
        """When an event of it was last received."""
        self.keys: dict[LeafKey, _Key] = {(ALL, ALL): _Key()}
        self.dirty: set[LeafKey] = set()
        self.changed_panes: dict[LeafKey, set[int]] = {}
        self.agents_changed = False
        self._told_agents: dict[str, dict[str, Any]] = {}
        self._agents_to_tell: set[str] = set()

    # -- rows in -----------------------------------------------------------------------------------------------------

    def take_pane(self, partition: int, row: PaneRow, base: bool = False) -> None:
        """One partition's part of a pane. `base`: as it stands, said again, so no restatement begins here."""
        old = self.panes.of(row.queue, row.channel, row.minute).get(partition)
        if old is not None and (old.version > row.version or old == row):
            return
        self.panes.put(partition, row)
        if self.heard_at is None and row.counts.get("messages"):
            self.heard_at = row.minute
        restated = not base and row.restated > (0 if old is None else old.restated)
        by, rise = Window.between(old, row), row.version - (0 if old is None else old.version)
        for key in _above(row.queue, row.channel):
            one = self._key(key)
            before = _glance(one, row.minute) if restated else None
            one.change(row.minute, by, rise)
            if before is not None:
                self._note(one, row.minute, before)
            self.changed_panes.setdefault(key, set()).add(row.minute)
            self.dirty.add(key)
        self._newest = max(self._newest, row.minute)
        if self.panes.loose() > MOST_LOOSE:
            self._pack(self._newest)

    def _note(self, key: _Key, minute: int, before: dict[str, Any]) -> None:
        now = _glance(key, minute)
        for name, old in before.items():
            if now[name] != old:
                key.restated.append({"minute": minute, "field": name, "old": old, "new": now[name]})

    def take_gauge(self, partition: int, row: GaugeRow) -> None:
        """One partition's part of what stands open."""
        leaf = row.queue, row.channel
        parts = self.gauges.setdefault(leaf, {})
        old = parts.get(partition)
        if old is not None and old.version > row.version:
            return
        parts[partition] = row
        self.dirty.update(_above(*leaf))
        for key in _above(*leaf):
            self._key(key)
            self._below.setdefault(key, {})[leaf] = None

    def take_agent(self, partition: int, row: AgentRow) -> None:
        """One partition's part of an agent."""
        parts = self.agents.setdefault(row.agent, {})
        old = parts.get(partition)
        if old is None or old.version <= row.version:
            parts[partition] = row
            self.agents_changed = True
            self._agents_to_tell.add(row.agent)

    def stir(self, keys: Iterable[LeafKey], since: int | None = None) -> None:
        """Have keys shown anew: what their models say has changed, of the minutes from `since` on (None: of now)."""
        for key in keys:
            if key in self.keys:
                self.dirty.add(key)
                if since is not None:
                    self.changed_panes.setdefault(key, set()).add(since)

    def _key(self, key: LeafKey) -> _Key:
        one = self.keys.get(key)
        if one is None:
            one = self.keys[key] = _Key()
        return one

    # -- numbers out -------------------------------------------------------------------------------------------------

    def key(self, key: LeafKey, now: int) -> dict[str, Any]:
        """The key object of CONTRACT §2 as of `now`, without its `series`."""
        one, policy = self.keys[key], self.policy
        queue, channel = key
        gauges = [row for leaf in self._leaves(key) for row in self.gauges.get(leaf, {}).values()]
        oldest = min((row.oldest_since for row in gauges if row.oldest_since is not None), default=None)
        end = pane_of(now) + MINUTE
        answered, ended = one.ahead(end)
        shared = Shared(waiting((row.waiting for row in gauges), now, end), answered, ended)
        one.roll(now, policy.zone)
        windows = {name: self._window(span, shared) for name, span in one.spans.items()}
        lately = one.spans["30m"].window
        half_hour = lately.counts
        backlog = _total(gauges, "awaiting_first") + _total(gauges, "awaiting_reply")
        oldest_ms = None if oldest is None else max(0, now - oldest)
        self._judge(key, windows, now)
        for window in windows.values():  # every one ends with the pane in progress, and a merge keeps the latest
            window |= {"backlog": backlog, "oldest_ms": oldest_ms}
        excess = half_hour.get("closed", 0) - half_hour.get("offered", 0)
        return {
            "tenant": self.name,
            "queue": queue,
            "channel": channel,
            **{name: _total(gauges, name) for name in _STATES},
            "backlog": backlog,
            "unassigned": _total(gauges, "unassigned"),
            "over_target": _total(gauges, "over_target"),
            "oldest_ms": oldest_ms,
            "ages": [sum(row.ages[band] for row in gauges) for band in range(6)],
            "drain_s": backlog / (excess / 1_800) if excess > 0 else None,
            "targets": {"target_ms": policy.target(queue), "service_level": policy.service_level(queue)},
            "thresholds": {**_thresholds(policy, queue), **self.thresholds_of(self.name, queue, channel)},
            "windows": windows,
            "volume": self._volume(key, one, now),
            "restated": [
                item | {"minute": rfc3339(item["minute"])}
                for item in one.restated
                if item["minute"] >= first_pane("today", now, policy.zone)
            ],
            "topics": self._topics(queue, lately, now),
            "keywords": [] if (outlook := self._outlook_of(self.name)) is None else outlook.keywords(key, now),
            "sentiment": sentiment(half_hour),
            "sentiment_n": half_hour.get("sentiment_n", 0),
            "sentiment_change": self._mood(one, half_hour, now),
        }

    def _mood(self, one: _Key, half_hour: Mapping[str, int], now: int) -> float | None:
        """The sentiment less that of the day before this half hour; None where either is of too few messages."""
        before = {
            name: one.spans[TODAY].window.counts.get(name, 0) - half_hour.get(name, 0)
            for name in ("sentiment_sum", "sentiment_n")
        }
        young = first_pane("30m", now, self.policy.zone) < first_pane("today", now, self.policy.zone)
        if young or min(before["sentiment_n"], half_hour.get("sentiment_n", 0)) < FELT:
            return None
        return (sentiment(half_hour) or 0.0) - (sentiment(before) or 0.0)

    def _topics(self, queue: str, window: Window, now: int) -> list[dict[str, Any]]:
        """What customers write about; `change`: how many times what is usual for it now."""
        outlook, first = self._outlook_of(self.name), first_pane("30m", now, self.policy.zone)
        of = window.counts.get("customer_messages", 0)
        most = sorted(window.topics.items(), key=lambda pair: (-pair[1], pair[0]))[:TOPICS]
        return [
            {
                "topic": topic,
                "count": n,
                "share": n / of if of else None,
                "change": None if outlook is None else outlook.change(queue, topic, n, first, now),
            }
            for topic, n in most
        ]

    def topic_counts(self, key: LeafKey, minutes: int, now: int) -> dict[str, int]:
        """Customer messages by topic in the pane in progress and the `minutes` − 1 before it."""
        one = self.keys.get(key)
        return one.last(minutes, pane_of(now) + MINUTE).topics if one is not None else {}

    def pane_topics(self, key: LeafKey, minute: int) -> Mapping[str, int]:
        """Customer messages by topic in one pane. Not to be changed."""
        one = self.keys.get(key)
        pane = one.panes.get(minute) if one is not None else None
        return pane.window.topics if pane is not None else {}

    def _window(self, span: Span, shared: Shared) -> dict[str, Any]:
        """What is shown of a window but for its gauges; versions add up."""
        window, own = span.window, span.waits()
        return {
            **shown(window.counts),
            "frt_hist": {_NAMES[lower]: n for lower, n in span.histogram().items()},
            **described(window, shared.curve(own), shared.n + own.n),
            **dict.fromkeys(MODELLED),
            "formula_id": FORMULA,
            "version": span.version,
        }

    def _judge(self, key: LeafKey, windows: dict[str, dict[str, Any]], now: int) -> None:
        """What the models say of each window: sums over its panes; a surge, where one of them has one."""
        outlook, end = self._outlook_of(self.name), pane_of(now) + MINUTE
        if outlook is None:
            return
        for name, values in windows.items():
            first = first_pane(name, now, self.policy.zone)
            said = outlook.today(key, first, end) if name == "today" else outlook.window(key, first, end)
            values.update({} if said is None else said._asdict())

    def _volume(self, key: LeafKey, one: _Key, now: int) -> dict[str, Any]:
        outlook = self._outlook_of(self.name)
        said = UNKNOWN if outlook is None else outlook.volume(key, now)
        arrivals = said["arrivals"] and _flowing(one, "arrivals", said["arrivals"], now)
        return {**_flowing(one, "customer_messages", said, now), "arrivals": arrivals}

    def series(self, key: LeafKey, now: int, only: set[int] | None = None) -> dict[str, Any]:
        """The last 180 panes of a key; `only`: from the first changed one on."""
        end = pane_of(now) + MINUTE
        start = end - PANES * MINUTE
        if only is not None:
            start = max(start, min(only, default=end - MINUTE))
        one = self.keys[key]
        panes = [one.panes.get(minute) for minute in range(start, end, MINUTE)]
        outlook = self._outlook_of(self.name)
        empty: list[float | None] = [None] * len(panes)
        expected, low, high = (empty,) * 3 if outlook is None else outlook.bands(key, start, end)
        return {
            "from": start,
            "step_s": MINUTE // SECOND,
            "customer_messages": [pane.customer_messages if pane else 0 for pane in panes],
            "arrivals": [pane.arrivals if pane else 0 for pane in panes],
            "expected": expected,
            "low": low,
            "high": high,
            "version": [pane.version if pane else 0 for pane in panes],
        }

    def agent_rows(self) -> list[dict[str, Any]]:
        """The `agents` of CONTRACT §2, by name; `since` in ms. Not to be changed."""
        told, fresh = self._told_agents, self._agents_to_tell
        unordered = not fresh <= told.keys()
        told.update({agent: self._agent(agent, list(self.agents[agent].values())) for agent in fresh})
        fresh.clear()
        if unordered:
            self._told_agents = told = dict(sorted(told.items()))
        return list(told.values())

    def _agent(self, agent: str, parts: list[AgentRow]) -> dict[str, Any]:
        known = next((part for part in parts if part.status is not None), None)
        return {
            "tenant": self.name,
            "agent": agent,
            "queues": sorted({queue for part in parts for queue, n in part.queues.items() if n}),
            "status": known.status if known else None,
            "open": sum(part.open for part in parts),
            "capacity": known.capacity if known else None,
            "since": known.since if known else None,
        }

    def active(self, now: int) -> set[LeafKey]:
        """Keys whose numbers may change as time passes."""
        day = midnight(now, self.policy.zone)
        turned = {key for key, one in self.keys.items() if one.spans[TODAY].since != day}
        return turned | {
            key
            for key, one in self.keys.items()
            if one.touches(pane_of(now) + MINUTE)
            or one.touches(one.spans[TODAY].until)  # what was shown last must go, however far the tick has jumped
            or any(row.open for leaf in self._leaves(key) for row in self.gauges.get(leaf, {}).values())
        }

    def forget(self, now: int) -> None:
        """Drop panes that no window shows any more, and pack some of those that only the longest does: to be called
        about once a second.
        """
        for leaf, minute in self.panes.drop(pane_of(now) - KEPT):
            for key in _above(*leaf):
                self.keys[key].panes.pop(minute, None)
        self._pack(now)

    def _pack(self, now: int) -> None:
        for leaf, minute in self.panes.pack(pane_of(now) - WARM, AT_ONCE):
            for key in _above(*leaf):
                self.keys[key].panes[minute].pack()

    def unseen(self) -> None:
        """Keep no list of what has changed since anybody looked: whoever looks next looks at everything."""
        self.changed_panes.clear()

    def _leaves(self, key: LeafKey) -> Iterable[LeafKey]:
        return self._below.get(key, ())


class _Names(dict[int, str]):
    """Buckets as the feed names them: some thousand, and every one told of again with each write."""

    def __missing__(self, lower: int) -> str:
        name = self[lower] = str(lower)
        return name


_NAMES = _Names()
_STATES = ("open", "with_bot", "awaiting_first", "awaiting_reply", "waiting_on_customer")


def _flowing(one: _Key, name: str, said: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What models say of a count, with its rate."""
    minutes = (pane_of(now) - MINUTE, pane_of(now))
    seen = sum(one.panes[minute].window.counts.get(name, 0) for minute in minutes if minute in one.panes)
    return {"rate_per_min": rate(seen, now), **said, "since": said["since"] and rfc3339(said["since"])}


def rate(seen: int, now: int) -> float:
    """Messages a minute, of those seen in the pane in progress and the one before it."""
    return seen * MINUTE / (MINUTE + max(now - pane_of(now), 1))


def _above(queue: str, channel: str) -> tuple[LeafKey, ...]:
    """The keys a row counts in: its own, and the sums."""
    return (queue, channel), (queue, ALL), (ALL, channel), (ALL, ALL)


def _total(rows: list[GaugeRow], name: str) -> int:
    return sum(getattr(row, name) for row in rows)


def _no_thresholds(_tenant: str, _queue: str, _channel: str) -> Mapping[str, Mapping[str, float | int | None]]:
    return {}


def _glance(key: _Key, minute: int) -> dict[str, Any]:
    pane = key.panes.get(minute)
    counts = pane.window.counts if pane else {}
    level = service_level(counts)
    return {
        "customer_messages": counts.get("customer_messages", 0),
        "offered": counts.get("offered", 0),
        "service_level": level,
    }


def _thresholds(policy: Policy, queue: str) -> dict[str, dict[str, float]]:
    """Where a tile takes colour, where no rule says so. Source: BOARD §3."""
    target, level = policy.target(queue), policy.service_level(queue)
    return {
        "oldest_ms": {"near": 5 * MINUTE, "warning": 10 * MINUTE, "critical": 20 * MINUTE, "min_n": 0},
        "frt_p90_km_ms": {"near": target, "warning": 2 * target, "critical": 3 * target, "min_n": 20},
        "service_level": {
            "near": min(1.0, level + 0.05),
            "warning": level,
            "critical": max(0.0, level - 0.2),
            "min_n": 20,
        },
        "abandon_rate": {"near": 0.03, "warning": 0.05, "critical": 0.1, "min_n": 20},
    }


class Present:
    """All tenants. `take` a segment of a partition; ask `as_of` and the views."""

    def __init__(self, partitions: int, policy_of: Callable[[str], Policy]) -> None:
        self.partitions = partitions
        self.views: dict[str, View] = {}
        self.ticks: dict[str, dict[int, int]] = {REAL: {}}
        """Clock → partition → the last tick it has applied."""
        self.dead_letters: dict[str, int] = {}
        self.outlook_of: OutlookOf = lambda _: None
        """Tenant → what its models say; whoever has models sets it."""
        self.thresholds_of: ThresholdsOf = _no_thresholds
        """What rules say of a key; whoever has rules sets it."""
        self._policy_of = policy_of

    def view(self, tenant: str) -> View:
        """One tenant; made on first sight."""
        view = self.views.get(tenant)
        if view is None:
            view = self.views[tenant] = View(tenant, self._policy_of(tenant), self._outlook)
            view.thresholds_of = self._thresholds
        return view

    def take(self, partition: int, segment: Segment) -> None:
        """Add what one partition says."""
        for row in segment.events:
            view = self._of(row.event.tenant, segment)
            view.heard_at = max(view.heard_at or 0, row.event.received_at)
        for pane in segment.panes:
            self._of(pane.tenant, segment).take_pane(partition, pane, segment.base)
        for gauge in segment.gauges:
            self._of(gauge.tenant, segment).take_gauge(partition, gauge)
        for agent in segment.agents:
            self._of(agent.tenant, segment).take_agent(partition, agent)
        for tenant, late in segment.late.items():
            self._of(tenant, segment).late[partition] = late
        for letter in segment.dead_letters:
            self.dead_letters[letter.topic] = self.dead_letters.get(letter.topic, 0) + 1
        if segment.tick is not None:
            ticks = self.ticks.setdefault(segment.clock, {})
            ticks[partition] = max(ticks.get(partition, segment.tick), segment.tick)
            if segment.clock != REAL and segment.live is None:
                self.view(segment.clock).replaying = True
        if segment.live is not None:
            self.ticks.pop(segment.live, None)
            self.view(segment.live).replaying = False

    def _of(self, tenant: str, segment: Segment) -> View:
        view = self.view(tenant)
        if segment.clock == tenant:
            view.replaying = segment.live is None
        return view

    def _thresholds(self, tenant: str, queue: str, channel: str) -> Mapping[str, Mapping[str, float | int | None]]:
        return self.thresholds_of(tenant, queue, channel)

    def _outlook(self, tenant: str) -> Outlook | None:
        return self.outlook_of(tenant)

    def as_of(self, tenant: str | None) -> int | None:
        """The clock of a tenant (None: the real one): the oldest tick that all partitions have applied."""
        clock = REAL
        if tenant is not None and tenant in self.views and self.views[tenant].replaying:
            clock = tenant
        ticks = self.ticks.get(clock, {})
        return min(ticks.values()) if len(ticks) == self.partitions else None
