"""History through the very code of the live path, in one process: fold → align → models → judge → who would be told.

    events, ticks ─► Shard, Learner ─► Aligner ─► Present ─► Insight ─► Watch (judge, plan)
                     └── worker ───┘   └────────────────── notifier ─────────────────────┘

What is left out is what only moves bytes: broker, database, Redis. Time is event time: a tick of the real clock stands
behind every `every_ms` of it, so rules see what they would have seen live, had every event come at once. Where nothing
at all was recorded for hours, nobody was there: time jumps, and the models learn nothing of it.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from alerts import policy, rules
from alerts.facts import Siblings
from alerts.judging import Sample, samples
from alerts.outbox import TOPICS, Deed, Row, Store
from alerts.readings import OF_ARRIVALS, Place, Readings, volume_of
from alerts.rule import Ruleset
from alerts.state import FIRING, OPEN, RESOLVED, Alert, Change, State
from alerts.watch import Watch
from config.settings import Settings
from streams.align import Aligner, Cut
from streams.events import REAL, Event, Record, Tick
from streams.insight import Insight
from streams.learner import Learner
from streams.notifier import Judged, quiet_in
from streams.planned import Plan
from streams.policy import Policies
from streams.present import Present
from streams.saying import Saying
from streams.shard import ALL, Changed, Shard
from streams.shelf import Memory
from streams.usual_row import UsualRow
from streams.windows import HOUR, MINUTE, pane_of
from tidewatch.backtest_result import Minutes, Panel
from tidewatch.backtest_score import Fire

LEARNING_MS = 30_000
"""From tick to tick while nothing is judged. The models take a longer silence of the clock for an absence."""
UNRECORDED = 6 * HOUR
"""Silence of everybody at once for so long is no silence: nothing was recorded."""
AFTER = HOUR
"""So far the clock goes on after the last event before such a gap, so that what was open then has its end."""
KEEP_EVERY = 5_000
"""Events between two looks at what has to be kept, and what can be let go."""
MOST_LINES = 2_000
"""Rules in places whose values are drawn."""
FLAGGED = frozenset({Place.FLAG, Place.VOLUME})
BANDS = ("expected", "low", "high")


class _Kept:
    """What the fold lets go of and may ask for again, in a file that ends with the process."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE kept (kind TEXT, tenant TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, tenant, key))"
        )

    def keep(self, changes: Iterable[Changed]) -> None:
        rows = [(row.kind, row.tenant, row.key, row.value) for row in changes if row.kind == "conversation"]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        sql = "SELECT value FROM kept WHERE kind = ? AND tenant = ? AND key = ?"
        found = self._db.execute(sql, (kind, tenant, key)).fetchone()
        return None if found is None or at else found[0]

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are."""
        return {key: found for key in keys if (found := self.find(kind, tenant, key)) is not None}

    def conversations(self, after: tuple[str, str], n: int) -> list[tuple[str, str, bytes]]:  # noqa: ARG002 - the same
        """Nothing: a backtest is over before anything outlives its time."""
        return []

    def live(self, kind: str) -> Iterator[bytes]:  # noqa: ARG002 - as the protocol has it
        """Nothing: a backtest begins with nothing open."""
        return iter(())

    def panes(self, tenant: str, since: int) -> Iterator[bytes]:  # noqa: ARG002 - as the protocol has it
        """The same."""
        return iter(())


class _Heard(Saying):
    """What the models say of closed minutes, kept for the picture in place of being sent."""

    def __init__(self, present: Present, since: int) -> None:  # it needs no broker
        self._present, self._since = present, since
        self.lines: dict[tuple[str, str, str], tuple[Minutes, ...]] = {}
        """(tenant, queue, channel) → seen, expected, low, high."""

    def recall(self) -> Iterator[UsualRow]:
        """Nothing was said before."""
        return iter(())

    async def say(self, rows: Sequence[UsualRow]) -> None:
        """Note them."""
        for row in rows:
            if row.minute >= self._since:
                self._note(row)

    def _note(self, row: UsualRow) -> None:
        place = (row.tenant, row.queue, row.channel)
        lines = self.lines.get(place)
        if lines is None:
            lines = self.lines[place] = tuple(Minutes(pane_of(self._since)) for _ in range(4))
        pane = self._present.views[row.tenant].keys[row.queue, row.channel].panes.get(row.minute)
        seen = pane.window.counts.get("customer_messages", 0) if pane else 0
        for minutes, value in zip(lines, (seen, row.expected, row.low, row.high), strict=True):
            minutes.put(row.minute, value)


class _Ledger(Store):
    """The notifier's memory for as long as this process lives: who hears of what is noted, nothing is kept."""

    def __init__(self) -> None:  # there is no file
        self.heard_of: set[str] = set()
        """Alerts that people were told to be firing."""

    def load(self) -> State:
        """Nothing is remembered."""
        return State()

    def commit(
        self,
        before: State,  # noqa: ARG002 - as it is called
        after: State,  # noqa: ARG002
        rows: Iterable[Row] = (),
        deeds: Sequence[Deed] = (),  # noqa: ARG002
        now: int = 0,  # noqa: ARG002
    ) -> None:
        """Note who hears of what."""
        self.heard_of.update(row.alert for row in rows if row.channel not in TOPICS and row.state == FIRING)

    def links(self, deeds: Iterable[Deed]) -> list[tuple[int, str]]:  # noqa: ARG002
        """Nobody does anything in a backtest."""
        return []


class Line:
    """One run. `since`: rules are judged from then on (ms); what lies before only teaches the models."""

    def __init__(
        self, settings: Settings, rules_file: Path | None, events_file: Path | None, since: int, every_ms: int
    ) -> None:
        policy_of = Policies(settings)
        self.rules: Ruleset = rules.load(rules_file)
        self.ticks = self.events = self.judged_ms = 0
        self.fires: list[Fire] = []
        self.since, self.until = since, since
        self.first: int | None = None
        """The first event."""
        self._clock: int | None = None
        self._last = 0
        self._kept, self._learner = _Kept(), Learner()
        self._shard = Shard(0, policy_of, self._kept, reader=self._learner)
        self._shard.most_woken = ALL  # what is judged at a tick is as of it, however coarse they are
        self._aligner = Aligner(1)
        self._present = Present(1, policy_of)
        self._heard = _Heard(self._present, since)
        plan = Plan(events_file, policy_of)
        self._insight = Insight(self._present, Present(1, policy_of), Memory(), self._heard, policy_of, plan.days)
        self._insight.save_every_s = math.inf
        self._ledger = _Ledger()
        told_by = policy.load(rules_file, settings.channels, settings.routes)
        self._watch = Watch(self._ledger, self.rules, told_by, settings.labels, now=lambda: self._clock or 0)
        self._watch.plan_events([quiet_in(event) for event in plan.events()])
        self._insight.arrivals_of = self._watch.asks_for_arrivals
        self._judged = Judged(self._present)
        self._judged.explain = self._insight.explain
        self._every = every_ms
        self._open: dict[str, Fire] = {}
        self._arrivals: dict[tuple[str, str, str], tuple[Minutes, ...]] = {}
        self._values: dict[tuple[str, str, str, str, str], Minutes] = {}
        self._position = 0
        self._drawn = -1

    async def take(self, event: Event) -> None:
        """One event; those before it in time have been taken."""
        if self._clock is None:
            self._clock, self.first = _floor(event.at, LEARNING_MS), event.at
        await self._pass(event.at)
        self.events += 1
        self._last = max(self._last, event.at)
        self._step(Record(events=[event]))
        if self.events % KEEP_EVERY == 0:
            self._kept.keep(self._shard.changes())

    async def end(self, until: int | None = None) -> None:
        """The history ends here (ms; None: a minute after the last event); what fires then fired until now."""
        last = self._last + MINUTE
        if self._clock is not None:
            await self._pass(last if until is None else min(until, last + UNRECORDED), whole=True)
        self.until = max(self.since, self._clock or self.since)
        self.fires += [replace(fire, until=max(self.until, fire.since)) for fire in self._open.values()]
        self._open.clear()
        self.fires = [replace(fire, told=fire.id in self._ledger.heard_of) for fire in self.fires]
        self.fires.sort(key=lambda fire: (fire.since, fire.rule, fire.tenant, fire.queue, fire.channel, fire.topic))

    async def _pass(self, at: int, *, whole: bool = False) -> None:
        """Let time pass up to an instant; `whole`: including it."""
        assert self._clock is not None  # noqa: S101 - set by the first event
        gap = at - self._clock > UNRECORDED and not whole
        stop = self._clock + AFTER if gap else at + whole
        while (next_ := self._clock + self._step_ms(self._clock)) < stop:
            self._clock = next_
            await self._tick(next_)
        if gap:
            self._clock = _floor(at, LEARNING_MS)

    def _step_ms(self, at: int) -> int:
        """While nothing is judged, as few ticks as the models take for an unbroken watch."""
        return LEARNING_MS if at + LEARNING_MS < self.since else self._every

    def _step(self, record: Record) -> None:
        self._position += 1
        self._shard.step(self._position, record)

    async def _tick(self, at: int) -> None:
        self.ticks += 1
        self._step(Record(tick=Tick(at)))
        for example in self._shard.examples():
            self._learner.learn(example)
        reading = self._shard.reading()
        for cut in self._aligner.feed(reading) if reading is not None else ():
            await self._apply(cut)

    async def _apply(self, cut: Cut) -> None:
        """As `streams.notifier.Reader` does it."""
        for partition, segment in cut.segments:
            self._present.take(partition, segment)
        await self._insight.hear(cut)
        if cut.tick is None:
            return
        await self._insight.ticked(cut.clock, cut.tick)
        if self.judges(cut.tick):
            self._judge(cut.clock, cut.tick)
        if cut.tick % HOUR < LEARNING_MS:
            self._forget(cut.tick)

    def judges(self, tick: int) -> bool:
        """Whether rules are judged at a tick."""
        return tick >= self.since

    def _judge(self, clock: str, tick: int) -> None:
        self.judged_ms += self._every
        readings = self._judged.readings(clock, tick)
        for change in self._watch.judge(clock, tick, readings):
            self._note(change)
        for id_, fire in self._open.items():
            self._open[id_] = replace(fire, firing_ms=fire.firing_ms + self._every)
        if pane_of(tick) != self._drawn:
            self._drawn = pane_of(tick)
            self._draw(tick, readings)
            self._refresh()

    def _note(self, change: Change) -> None:
        alert = change.alert
        if alert.state is FIRING:
            self._open[alert.id] = _fire(alert)
        elif alert.state is RESOLVED and (fire := self._open.pop(alert.id, None)) is not None:
            end = max(alert.resolved_at or alert.at, fire.since)
            self.fires.append(replace(_with_facts(fire, alert), until=end))

    def _refresh(self) -> None:
        """Keep what an open alert knows by now."""
        for alert in self._watch.state.alerts.values():
            if alert.state in OPEN and alert.id in self._open:
                self._open[alert.id] = _with_facts(self._open[alert.id], alert)

    def _draw(self, tick: int, readings: Readings) -> None:
        siblings = Siblings(readings.keys, readings.agents)
        for sample in samples(self.rules, self._watch.state.counters, REAL, tick, readings, siblings):
            if sample.rule.metric.name in OF_ARRIVALS:
                self._draw_arrivals(tick, sample)
            if sample.rule.metric.place in FLAGGED:
                continue
            place = (sample.rule.name, *sample.slot[1:])
            if place not in self._values and len(self._values) < MOST_LINES:
                self._values[place] = Minutes(pane_of(self.since))
            if place in self._values:
                scale = _shown(sample.rule.metric.unit)[0]
                self._values[place].put(pane_of(tick), None if sample.value is None else sample.value / scale)

    def _draw_arrivals(self, tick: int, sample: Sample) -> None:
        """What is usual of arrivals is in no table: the tick's own is drawn, and what came in the minute before."""
        volume = {} if sample.key is None else volume_of(sample.rule.metric, sample.key)
        place = (sample.tenant, sample.queue, sample.channel)
        if place not in self._arrivals and len(self._arrivals) < MOST_LINES:
            self._arrivals[place] = tuple(Minutes(pane_of(self.since)) for _ in range(4))
        if place in self._arrivals:
            seen, *bands = self._arrivals[place]
            before = pane_of(tick) - MINUTE
            pane = self._present.views[sample.tenant].keys[sample.queue, sample.channel].panes.get(before)
            seen.put(before, pane.window.counts.get("arrivals", 0) if pane else 0)
            for minutes, name in zip(bands, BANDS, strict=True):
                minutes.put(pane_of(tick), volume.get(name))

    def _forget(self, tick: int) -> None:
        for view in self._present.views.values():
            view.forget(min(tick, self._insight.learned(view.name)))

    def panels(self) -> list[Panel]:
        """What to draw: every rule in every place where it fired, most fires first."""
        found: dict[tuple[str, str, str, str, str], Panel] = {}
        for fire in self.fires:
            place = (fire.rule, fire.tenant, fire.queue, fire.channel, fire.topic)
            if place not in found:
                found[place] = self._panel(*place)
            found[place].fires.append(fire)
        return sorted(found.values(), key=lambda panel: (-len(panel.fires), panel.rule, panel.where))

    def _panel(self, name: str, tenant: str, queue: str, channel: str, topic: str) -> Panel:
        rule = self.rules.by_name[name]
        empty = Minutes(pane_of(self.since))
        if rule.metric.place not in FLAGGED:
            seen = self._values.get((name, tenant, queue, channel, topic), empty)
            scale, unit = _shown(rule.metric.unit)
            return Panel(name, tenant, queue, channel, rule.metric.name, unit, seen, bound=rule.fire.value / scale)
        arrivals = rule.metric.name in OF_ARRIVALS
        lines = self._arrivals if arrivals else self._heard.lines
        seen, expected, low, high = lines.get((tenant, queue, channel), (empty, empty, empty, empty))
        unit = "arrivals a minute" if arrivals else "messages a minute"
        return Panel(name, tenant, queue, channel, rule.metric.name, unit, seen, expected, low, high)


def _shown(unit: str) -> tuple[float, str]:
    """How a unit is drawn: by what it is divided, and its name. Nobody reads an hour in milliseconds."""
    return (60_000, "min") if unit == "ms" else (1, unit)


def _floor(at: int, step: int) -> int:
    return at // step * step


def _fire(alert: Alert) -> Fire:
    at = alert.fired_at or alert.at
    return _with_facts(Fire(*alert.slot[:4], at, at, topic=alert.slot.topic, id=alert.id), alert)


def _with_facts(fire: Fire, alert: Alert) -> Fire:
    """What it was said to be about when people heard of it; what was not known then, as soon as it was."""
    facts = alert.facts
    drivers: tuple[Mapping[str, object], ...] = fire.drivers or tuple(facts.drivers)
    words = fire.keywords or tuple(facts.keywords)
    expected = facts.expected if fire.expected is None else fire.expected
    return replace(fire, peak=alert.peak, expected=expected, drivers=drivers, keywords=words)
