"""Judges each tick, and writes down what is to be told, before anybody is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import structlog

from alerts.courses import Courses
from alerts.facts import Siblings
from alerts.judging import Sample, judge, samples
from alerts.notices import FRESH_MS, Maintenance, Notice, Policy, plan
from alerts.orders import Refused, obey
from alerts.ourselves import Unread, catching_up, channel_down, expired, overdue, rules_refused, unread
from alerts.outbox import DEEDS, TOPIC, Deed, Row, Store, Unwritable
from alerts.readings import OF_ARRIVALS, Readings
from alerts.render import instant, to_object
from alerts.rule import Ruleset, thresholds
from alerts.state import CHANNEL_DOWN, RECENT_MS, RESOLVED, Alert, Change, State, everything, latest
from alerts.tell import DOWN_MS, now_ms
from config.settings import Labels
from streams.events import REAL
from streams.mistakes import OURS, left_out

log = structlog.get_logger()

WRITE_MS = 5_000
"""How long numbers that changed nobody's state may stay unwritten: judging the same ticks again brings them back."""
AHEAD_MS = 60_000
"""A tick judged so far in the future was one of a wrong clock; less is two machines that differ a little."""
MANY_OLD = 30
"""So many old ticks in a row are an absence that is caught up with; the one or two after any restart are not."""


class Watch:
    """The alerts in memory, and their file. What it decides is on disk before it returns."""

    def __init__(
        self,
        store: Store,
        rules: Ruleset,
        policy: Policy,
        labels: Labels | None = None,
        board_base: str = "",
        now: Callable[[], int] = now_ms,
        zone_of: Callable[[str], str] = lambda _: "UTC",
        steady: Callable[[], int] | None = None,
    ) -> None:
        """`steady`: by what silence is measured, a clock that nobody sets; None: by `now`."""
        self._store, self._rules, self._policy = store, rules, policy
        self._labels, self._board_base, self._now, self._zone_of = labels or Labels(), board_base, now, zone_of
        self._state = self._written = store.load()
        self._steady = steady or now
        self._written_at = self._heard_at = self._steady()
        self.judged: int | None = None
        """The last tick of the real clock since the start, in ms."""
        self.on_written: Callable[[], None] = lambda: None
        """Called when something new stands in the outbox."""
        self.chart_of: Callable[[Alert], Mapping[str, Any] | None] = lambda _: None
        """How many messages came lately where an alert is: for the letters about surges, and those of whose own
        number too little is known."""
        self._courses = Courses()
        self._mistakes: dict[str, str | None] = {}
        self._old = 0

    def thresholds(self, tenant: str, queue: str, channel: str) -> dict[str, dict[str, float | int | None]]:
        """Where the rules in force would alert on a key: metric → near, warning, critical and the least n."""
        return thresholds(self._rules, tenant, queue, channel)

    def asks_for_arrivals(self) -> bool:
        """Whether a rule in force is about what is usual of arrivals."""
        return any(rule.metric.name in OF_ARRIVALS for rule in self._rules.rules)

    def reload(self, rules: Ruleset, policy: Policy) -> None:
        """Judge and tell by other rules from the next tick on. What fires goes on while its rule is there."""
        self._rules, self._policy = rules, replace(policy, events=self._policy.events)

    def refuse(self, mistake: str | None, of: str = "rules") -> None:
        """A file (`of`: rules, or settings) has a mistake, and what was before stays in force; None: it is right."""
        self._mistakes[of] = mistake
        found = "; ".join(mistake for mistake in self._mistakes.values() if mistake) or None
        state, changes = rules_refused(self._state, found, self._now())
        if changes:
            self._settle(state, changes)

    def plan_events(self, events: Sequence[Maintenance]) -> None:
        """The planned events from now on, for the rules that are quiet in them."""
        self._policy = replace(self._policy, events=tuple(events))

    @property
    def state(self) -> State:
        """What stands now."""
        return self._state

    def judge(self, clock: str, as_of: int, readings: Readings) -> list[Change]:
        """Judge one tick; nothing happens for one that is not after the last of its clock. Returns what changed.

        Where it cannot be written down (a full disk), it has not happened: the next tick is judged in its place. So it
        is where a mistake of ours breaks it: the board and all that stands go on, `overdue` tells of the silence, and
        the heartbeat ends.
        """
        if clock == REAL:
            self._mend_clock(as_of)
        try:
            state, changes = judge(self._state, self._rules, clock, as_of, readings)
        except OURS as error:
            left_out("tick_not_judged", error)
            return []
        if clock == REAL:
            self._heard_at, self.judged = self._steady(), as_of
        if state is self._state:
            return []
        if self._policy.charted:
            self._courses.note(clock, as_of, lambda: self._seen(state, clock, as_of, readings))
        if clock == REAL:
            state, more = self._far_behind(state, self._now() - as_of)
            changes = [*changes, *more]
        return self._settle(state, changes) or []

    def known(self, clock: str, as_of: int) -> bool:
        """Whether a tick was judged before, by us or by whoever led: then it is heard, but not reckoned. One that is
        still to be judged is not heard by this: a mistake may break it.
        """
        if clock == REAL:
            self._mend_clock(as_of)
        known = as_of <= self._state.judged.get(clock, 0)
        if known and clock == REAL:
            self._heard_at, self.judged = self._steady(), as_of
        return known

    def _seen(self, state: State, clock: str, as_of: int, readings: Readings) -> Iterator[Sample]:
        siblings = Siblings(readings.keys, readings.agents)
        return samples(self._rules, state.counters, clock, as_of, readings, siblings)

    def _mend_clock(self, as_of: int) -> None:
        """Where ticks of the future were judged, the clock was ahead and went back: judge on from here, and say so."""
        last = self._state.judged.get(REAL, 0)
        if as_of <= last and last - self._now() > AHEAD_MS:
            log.error("clock_went_back", by_ms=last - as_of, mend="see that the gateway's machine keeps its time")
            self._state = replace(self._state, judged={**self._state.judged, REAL: as_of - 1})

    def _far_behind(self, state: State, behind_ms: int) -> tuple[State, list[Change]]:
        """Say once that an absence is caught up with, when that is what is going on; and end it when it is done."""
        self._old = self._old + 1 if behind_ms > FRESH_MS else 0
        if 0 < self._old < MANY_OLD:
            return state, []
        return catching_up(state, behind_ms if self._old else None, self._now())

    def beat(self) -> list[Change]:
        """Once a second: what time alone brings (a silence ends, no tick came). Returns what changed."""
        now = self._now()
        state, changes = overdue(self._state, self._rules, self._steady() - self._heard_at, now)
        state, over = expired(state, self._policy.ack_expires_ms, now)
        return self._settle(state, [*changes, *over]) or []

    def trouble(self, name: str, reason: str | None) -> None:
        """A channel is dead, for a reason; or works again (None). It is told with or without a rule about channels."""
        rule = next(iter(self._rules.of_channels), None)
        state, changes = channel_down(self._state, name, reason, self._now(), rule)
        if changes:
            self._settle(state, changes)

    def unread(self, found: Unread) -> None:
        """What a role has not read is so near to being deleted, or was."""
        state, changes = unread(self._state, found, self._now())
        if state is not self._state:
            self._settle(state, changes)

    def dead_after(self) -> int:
        """How long a channel may fail before it is dead, in ms: what the rule about it says."""
        rule = next(iter(self._rules.of_channels), None)
        return DOWN_MS if rule is None else round(rule.fire.value)

    def forget_channels(self, known: Collection[str]) -> None:
        """End what is told of channels that are no longer configured: nothing could end it ever after."""
        for slot in list(self._state.alerts):
            name = slot.rule.removeprefix(CHANNEL_DOWN)
            if slot.rule.startswith(CHANNEL_DOWN) and name not in known:
                self.trouble(name, None)

    def command(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out what a viewer asked for (`{"do", "tenant", "by", …}`), and answer. Every attempt is audited.

        `tenant` is the one the viewer may speak for, `*`: any. What somebody else refused before it came here
        (`refused`: why) is only audited.
        """
        now = self._now()
        what, by, tenant = str(order.get("do")), str(order.get("by")), str(order.get("tenant"))
        try:
            if order.get("refused"):
                raise Refused(str(order["refused"]))
            state, changes = obey(self._state, order, now)
            result = "ok"
        except Refused as error:
            state, changes, result = self._state, [], str(error)
        detail = {key: value for key, value in order.items() if key not in ("do", "by", "tenant", "refused")}
        if self._settle(state, changes, [Deed(now, by, tenant, what, detail, result)]) is None:
            result = "it cannot be kept now; try again"
        log.info("alert_command", what=what, by=by, tenant=tenant, result=result)
        return {"kind": "reply", "ok": True} if result == "ok" else {"kind": "reply", "ok": False, "error": result}

    def find(self, id_: str) -> Alert | None:
        """The open or recent alert with this id."""
        return next((alert for alert in everything(self._state) if alert.id == id_), None)

    def open_alerts(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """The alert objects of the feed: those not resolved, and those resolved in the last 30 min of their clock.

        Of one tenant (`*`: what concerns the stack as a whole), or all.
        """
        judged = self._state.judged
        return [
            self._object(alert)
            for alert in everything(self._state)
            if tenant in (None, alert.slot.tenant)
            and (alert.state is not RESOLVED or judged.get(alert.clock, 0) - (alert.resolved_at or 0) < RECENT_MS)
        ]

    def silences(self, tenant: str | None = None) -> list[dict[str, Any]]:
        """`silences` of the feed: of one tenant (`*`: those over all of them), or all."""
        return [
            {
                "tenant": silence.tenant,
                "id": silence.id,
                "match": dict(silence.match),
                "since": instant(silence.since),
                "until": instant(silence.until),
                "by": silence.by,
                "reason": silence.reason,
            }
            for silence in self._state.silences.values()
            if tenant in (None, silence.tenant)
        ]

    def _object(self, alert: Alert) -> dict[str, Any]:
        return to_object(alert, self._labels, self._board_base, self._zone_of(alert.slot.tenant))

    def _settle(self, state: State, changes: Sequence[Change], deeds: Sequence[Deed] = ()) -> list[Change] | None:
        """Settle who hears of it, write it all down in one go, and only then believe it. None: it cannot be written."""
        now, steady = self._now(), self._steady()
        state, notices = plan(state, self._policy, now)
        told = latest(changes, state)
        rows = [self._row(TOPIC, change, now) for change in told] + [self._notice(notice, now) for notice in notices]
        rows += [_deed_row(deed, *link) for deed, link in zip(deeds, self._store.links(deeds), strict=True)]
        if rows or deeds or self._differs(state) or steady - self._written_at >= WRITE_MS:
            try:
                self._store.commit(self._written, state, rows, deeds, now)
            except Unwritable as error:
                log.error("alerts_not_kept", reason=str(error), mend="free space on the disk of the data directory")
                return None
            self._written, self._written_at = state, steady
        self._state = state
        if rows:
            self.on_written()
        for change in told:
            log.info("alert_changed", alert=change.alert.id, rule=change.alert.slot.rule, state=str(change.alert.state))
        return told

    def _differs(self, state: State) -> bool:
        """Whether more than numbers changed since the last writing."""
        before = self._written
        return before.silences is not state.silences or before.alerts.keys() != state.alerts.keys()

    def _row(self, channel: str, change: Change, now: int) -> Row:
        body = msgspec.json.encode(self._object(change.alert))
        return Row(channel, change.alert.id, str(change.alert.state), body, now)

    def _notice(self, notice: Notice, now: int) -> Row:
        told = self._object(notice.alert)
        if notice.kind != "change":
            told["notice"] = {"kind": notice.kind, "waited_ms": now - (notice.alert.heard_at or now)}
        if notice.channel in self._policy.charted:
            told["chart"] = self._courses.chart(notice.alert) or self.chart_of(notice.alert)
        return Row(
            notice.channel, notice.alert.id, str(notice.alert.state), msgspec.json.encode(told), now, notice.kind
        )


def _deed_row(deed: Deed, number: int, digest: str) -> Row:
    """What a person did, for the history. Its id is its link in the chain, so the history can be checked too."""
    id_, detail = digest[:32], dict(deed.detail)
    told = {
        "v": 1,
        "id": id_,
        "at": instant(deed.at),
        "tenant": deed.tenant,
        "actor": deed.who,
        "action": deed.what,
        "object": str(detail.get("alert") or detail.get("id") or ""),
        "detail": {**detail, "result": deed.result, "n": number},
    }
    return Row(DEEDS, id_, deed.what, msgspec.json.encode(told), deed.at)
