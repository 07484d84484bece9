"""One partition: its conversations, and the totals they come to. State + record → state + reading.

No clock, no network: time comes in as ticks. `step` applies a record, `reading` says what changed since it was last
asked, `changes` what has to be kept. All three are deterministic, so a replay from an older snapshot says the same
again.

A tick ends a segment of the reading, and the rows of that segment are as of the tick: readers that judge at ticks see
the numbers of every tick, however many records were folded in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from struct import pack
from typing import NamedTuple, Protocol

import msgspec

from streams.agents_log import AgentLog
from streams.conversation import (
    FORGET,
    GAIN,
    NOTHING,
    TOPIC,
    Conversation,
    Entry,
    Fold,
    Key,
    Stance,
    Standing,
    entry,
    frt_bucket,
    next_change,
    row,
    standing,
)
from streams.events import (
    REAL,
    AgentRow,
    Amendment,
    DeadLetter,
    EpisodeRow,
    Event,
    EventRow,
    GaugeRow,
    PaneRow,
    Reading,
    Record,
    Run,
    Segment,
    StatusRow,
    Tick,
)
from streams.labels import Example, Reader, bounded
from streams.policy import Policy
from streams.stamps import stamp
from streams.windows import DAY, HOUR, IDLE, MINUTE, pane_of

PaneKey = tuple[str, str, int]
KEPT_PANES = 26 * HOUR
"""Panes so young are kept in memory and said again at a start: `today` in any zone, and a little more."""
KEPT_CLOSED = 20_000
"""Closed conversations that stay in memory, the latest touched."""
MOST_MINUTES = 40 * 24 * 60
"""A jump of the watermark says gauges of so many panes at most."""
MOST_TOPICS = 2_000
"""Topics that a partition tells apart for a tenant, ever; a model has 200 at a time."""


class Changed(NamedTuple):
    """One row of durable state. `live` rows are loaded at a start, the others when they are asked for."""

    kind: str
    """`conversation` `pane` `agent` `tenant`."""
    tenant: str
    key: str
    at: int
    """A pane's minute, else 0."""
    live: bool
    value: bytes


class Kept(Protocol):
    """Where durable state is found again."""

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        ...

    def live(self, kind: str) -> Iterator[bytes]:
        """The rows of a kind (not `pane`) that a start needs: of the conversations the open ones."""
        ...

    def panes(self, tenant: str, since: int) -> Iterator[bytes]:
        """The panes of a tenant from a minute on."""
        ...


class Tenant(msgspec.Struct):
    """One tenant in this partition."""

    name: str
    replaying: bool = False
    clock: int = -1
    """Its last tick, while in replay."""
    greatest_at: int = -1
    active_at: int = -1
    """When it was last heard of, by tick or event time."""
    closed_until: int = -1
    """Panes that end by here are closed."""
    late: int = 0
    topics: list[str] = []
    """Topic by its number in this partition: entries and episodes keep numbers."""


class Gauge:
    """What stands open for one queue and channel."""

    __slots__ = ("ages", "counts", "heap", "opened", "over", "past", "since", "unassigned", "waiting")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.ages = [0] * 6
        self.over = 0
        self.unassigned = 0
        self.opened: dict[int, int] = {}
        """When those that are open opened."""
        self.since: dict[int, int] = {}
        self.past: list[tuple[int, int | None]] = []
        """Who went since the last pane that closed: when, and from when they had waited."""
        self.heap: list[int] = []
        self.waiting: dict[int, int] = {}

    @property
    def open(self) -> int:
        """Open episodes."""
        return sum(self.counts.values())

    @property
    def backlog(self) -> int:
        """Those that wait for a person."""
        return self.counts.get("awaiting_first", 0) + self.counts.get("awaiting_reply", 0)

    @property
    def oldest_since(self) -> int | None:
        """The smallest `waiting_since`."""
        while self.heap and self.heap[0] not in self.since:
            heappop(self.heap)
        return self.heap[0] if self.heap else None

    def leave(self, at: int, since: int | None) -> None:
        """Remember that an episode that waited from `since` (None: did not) was here until `at`."""
        self.past.append((at, since))

    def spans(self, first: int, until: int) -> Iterator[tuple[int, int, int, int | None]]:
        """The panes of `[first, until)` in which anything was open, as (since, until, backlog, oldest since).

        The backlog is that of a pane's end: who began to wait later is not in it, who went later still is.
        """
        later = [(since, n) for since, n in self.since.items() if since >= first + MINUTE]
        begun = {pane_of(since) for since, _ in later} | {pane_of(since) for _, since in self.past if since is not None}
        begun |= {pane_of(at) for at in self.opened}
        ended = {edge for at, _ in self.past for edge in (pane_of(at), pane_of(at) + MINUTE)}
        starts = [first, *sorted(edge for edge in begun | ended if first < edge < until)]
        for start, stop in zip(starts, [*starts[1:], until], strict=True):
            if any(at < start + MINUTE for at in self.opened) or any(at > start for at, _ in self.past):
                yield start, stop, *self._at_end(start + MINUTE, later)

    def _at_end(self, end: int, later: list[tuple[int, int]]) -> tuple[int, int | None]:
        gone = [since for at, since in self.past if since is not None and since < end <= at]
        oldest = [since for since in (self.oldest_since, *gone) if since is not None and since < end]
        backlog = self.backlog - sum(n for since, n in later if since >= end) + len(gone)
        return backlog, min(oldest, default=None)

    def close(self, until: int) -> None:
        """The panes that end by here are told."""
        self.past = [one for one in self.past if one[0] > until]

    def add(self, stance: Stance, n: int) -> None:
        """Add an episode as it stands (n = 1), or withdraw it (n = −1)."""
        _add(self.counts, stance.state, n)
        _add(self.opened, stance.opened, n)
        if stance.since is None:
            return
        self.ages[stance.band] += n
        self.over += n * stance.over
        self.unassigned += n * (stance.agent is None)
        if n > 0 and stance.since not in self.since:
            heappush(self.heap, stance.since)
        _add(self.since, stance.since, n)
        if stance.waits_from is not None:
            _add(self.waiting, stance.waits_from, n)

    def row(self, tenant: str, queue: str, channel: str, version: int) -> GaugeRow:
        """As it goes out."""
        get = self.counts.get
        return GaugeRow(
            tenant=tenant,
            queue=queue,
            channel=channel,
            version=version,
            open=self.open,
            with_bot=get("with_bot", 0),
            awaiting_first=get("awaiting_first", 0),
            awaiting_reply=get("awaiting_reply", 0),
            waiting_on_customer=get("waiting_on_customer", 0),
            unassigned=self.unassigned,
            over_target=self.over,
            ages=list(self.ages),
            oldest_since=self.oldest_since,
            waiting=dict(self.waiting),
        )


def _add(counts: dict, key: object, n: int) -> None:  # type: ignore[type-arg]  # str or int keys alike
    total = counts.get(key, 0) + n
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)


class _Said:
    """What of one tenant has changed since the last reading."""

    __slots__ = ("agents", "amendments", "built", "episodes", "events", "gauges", "late", "panes", "runs", "statuses")

    def __init__(self) -> None:
        self.events: list[EventRow] = []
        self.amendments: list[Amendment] = []
        self.episodes: set[tuple[str, int]] = set()
        self.built: dict[tuple[str, int], EpisodeRow] = {}
        """Rows of episodes that are not there any more: withdrawn, or forgotten."""
        self.panes: set[PaneKey] = set()
        self.runs: list[Run] = []
        self.gauges: set[tuple[str, str]] = set()
        self.agents: set[str] = set()
        self.statuses: dict[tuple[str, int], StatusRow] = {}
        self.late = False

    def anything(self) -> bool:
        """Whether there is something to say."""
        return any(getattr(self, name) for name in self.__slots__)


class _Line:
    """All that one tenant has in this partition."""

    def __init__(self, tenant: Tenant, policy: Policy) -> None:
        self.tenant = tenant
        self.policy = policy
        self.name = tenant.name
        self.conversations: dict[str, Conversation] = {}
        self.closed: dict[str, None] = {}
        self.panes: dict[PaneKey, PaneRow] = {}
        self.gauges: dict[tuple[str, str], Gauge] = {}
        self.logs: dict[str, AgentLog] = {}
        self.held: dict[str, dict[str, int]] = {}
        self.deadlines: list[tuple[int, str]] = []
        self.wakes: dict[str, int] = {}
        self.touched: dict[str, Fold] = {}
        self.late_touched: set[str] = set()
        self.said = _Said()
        self.changed: set[tuple[str, str, int]] = set()
        self.horizon = -KEPT_PANES
        self.numbers = {name: number for number, name in enumerate(tenant.topics)}

    def number(self, topic: str) -> int | None:
        """The number of a topic, given at first sight; None where there are too many."""
        number = self.numbers.get(topic)
        if number is None and len(self.numbers) < MOST_TOPICS:
            number = self.numbers[topic] = len(self.numbers)
            self.tenant.topics.append(topic)
            self.changed.add(("tenant", "", 0))
        return number


class Shard:
    """One partition's state. Not safe for two threads at once."""

    def __init__(
        self,
        partition: int,
        policy_of: Callable[[str], Policy],
        kept: Kept,
        position: int = -1,
        reader: Reader | None = None,
    ) -> None:
        """`reader`: says what messages are about; None: nothing does."""
        self.partition = partition
        self.position = position
        """The last record applied."""
        self.stirred = False
        """Something came since the last reading."""
        self.real = -1
        """The last tick of the real clock."""
        self._policy_of = policy_of
        self._kept = kept
        self._reader = reader
        self._labelled: list[tuple[_Line, Conversation, Entry]] = []
        self._examples: list[Example] = []
        self._lines: dict[str, _Line] = {}
        self._heard: dict[str, _Line] = {}
        self._segments: list[Segment] = []
        self._dead: list[DeadLetter] = []
        self._changed_real = False

    # -- records in --------------------------------------------------------------------------------------------------

    def step(self, position: int | None, record: Record) -> bool:
        """Apply one record. False: it was applied before, and nothing happens.

        A foreign record on the embedded stack has no position: its events' ids alone say whether they were here before.
        """
        if position is not None:
            if position <= self.position:
                return False
            self.position = position
        self.stirred = True
        if record.tick is not None:
            self._tick(record.tick)
        for event in record.events:
            self._event(event)
        for line in self._heard.values():
            self._settle_all(line)
        self._heard.clear()
        if self._labelled:
            self._teach()
        return True

    def examples(self) -> list[Example]:
        """What people said conversations were about, since the last call."""
        examples, self._examples = self._examples, []
        return examples

    def _teach(self) -> None:
        labelled, self._labelled = self._labelled, []
        for line, conversation, told in labelled:
            said = [one for one in conversation.entries if one.episode == told.episode and one.words]
            if told.episode is not None and told.topic and said:
                words = bounded(one.words for one in said)
                self._examples.append(Example(line.name, f"{conversation.id}\x1f{told.id}", told.topic, words))

    def dead(self, letter: DeadLetter) -> None:
        """Note a record that cannot be read."""
        self._dead.append(letter)
        self.stirred = True

    def _event(self, event: Event) -> None:
        line = self._heard[event.tenant] = self._line(event.tenant, replaying=event.replay)
        take = self._status if event.kind == "agent_status" else self._conversation_event
        take(line, event)

    def _hear(self, line: _Line, event: Event) -> None:
        """The watermark follows an event that counts. Panes it closes are told as known before it."""
        tenant = line.tenant
        tenant.greatest_at = max(tenant.greatest_at, event.at)
        tenant.active_at = max(tenant.active_at, self._now(line), event.at if tenant.replaying else -1)
        self._close_panes(line, tenant.greatest_at - line.policy.lateness)

    def _conversation_event(self, line: _Line, event: Event) -> None:
        conversation = self._conversation(line, event.conversation or "")
        if event.id in conversation.ids:
            return
        self._forget(line, conversation, event)
        stamp(event)
        late = _late(conversation, event)
        line.changed.add(("conversation", conversation.id, 0))
        if late:
            conversation.ids.add(event.id)
            self._count_late(line)
            line.said.events.append(EventRow(event, None, True, self.position))
            return
        self._hear(line, event)
        fold = line.touched.get(conversation.id)
        if fold is None:
            fold = line.touched[conversation.id] = Fold(conversation, line.policy)
        if event.at < line.tenant.closed_until:
            line.late_touched.add(conversation.id)
        new = entry(event, line.policy)
        topic = self._read(line, new) if new.words and self._reader is not None else None
        fold.insert(new)
        if new.topic and new.what in ("closed", "label"):
            self._labelled.append((line, conversation, new))
        said = EventRow(event, new.episode, False, self.position, topic)
        if new.sentiment is not None and new.episode is not None:
            episode = conversation.episodes[new.episode - conversation.forgotten - 1]
            said.queue, said.channel = episode.queue, episode.channel
        line.said.events.append(said)

    def _read(self, line: _Line, new: Entry) -> str | None:
        """Let the model say what a customer's message is about; what it says stays with the message."""
        ranked = self._reader.rank(line.name, new.words) if self._reader is not None else ()
        known = [(number, gain) for topic, gain in ranked if (number := line.number(topic)) is not None]
        new.topics = b"".join(pack(GAIN, number, gain) for number, gain in known)
        return line.tenant.topics[known[0][0]] if known else None

    def _forget(self, line: _Line, conversation: Conversation, event: Event) -> None:
        last = conversation.last
        if (
            last is not None
            and last.closed_at is not None
            and max(event.at, self._now(line)) - last.closed_at >= FORGET
        ):
            if conversation.id in line.touched:
                self._settle_all(line)
            for name in [name for name in line.said.episodes if name[0] == conversation.id]:
                line.said.episodes.discard(name)
                line.said.built[name] = self._episode_row(line, *name)
            Fold(conversation, line.policy).forget()

    def _count_late(self, line: _Line) -> None:
        line.tenant.late += 1
        line.said.late = True
        line.changed.add(("tenant", "", 0))

    def _status(self, line: _Line, event: Event) -> None:
        agent = event.agent or ""
        log = line.logs.get(agent)
        if log is None:
            log = line.logs[agent] = AgentLog(line.name, agent)
        if event.id in log.ids:
            return
        late = log.late(event)
        line.said.events.append(EventRow(event, None, late, self.position))
        line.changed.add(("agent", agent, 0))
        if late:
            log.ids[event.id] = event.at
            self._count_late(line)
            return
        self._hear(line, event)
        before = {(span.since): span for span in log.rows()}
        log.version = self.position
        log.insert(event)
        for span in log.rows():
            line.said.statuses[agent, span.since] = span
            before.pop(span.since, None)
        for since in before:
            line.said.statuses[agent, since] = StatusRow(line.name, agent, since, self.position, deleted=True)
        log.forget()
        line.said.agents.add(agent)

    # -- time --------------------------------------------------------------------------------------------------------

    def _tick(self, tick: Tick) -> None:
        if tick.tenant is None:
            if tick.at is not None and tick.at > self.real:
                self.real = tick.at
                self._changed_real = True
                for line in self._lines.values():
                    if not line.tenant.replaying:
                        self._advance(line, tick.at)
                self._say(REAL, tick.at)
        elif tick.at is None:
            self._go_live(tick.tenant)
        else:
            line = self._line(tick.tenant, replaying=True)
            if line.tenant.replaying and tick.at >= line.tenant.clock:
                line.tenant.clock = tick.at
                line.changed.add(("tenant", "", 0))
                self._advance(line, tick.at)
                self._say(line.name, tick.at)

    def _go_live(self, name: str) -> None:
        line = self._line(name, replaying=True)
        if not line.tenant.replaying:
            return
        self._say(name, None)
        self._segments.append(Segment(clock=name, live=name))
        line.tenant.replaying = False
        line.changed.add(("tenant", "", 0))
        if self.real >= 0:
            self._advance(line, self.real)

    def _advance(self, line: _Line, tick: int) -> None:
        """Let time pass for one tenant: closings, ages and targets in their order, and the panes between them."""
        tenant = line.tenant
        watermark = tenant.greatest_at - line.policy.lateness
        if tick - tenant.active_at >= IDLE:
            watermark = max(watermark, tick - line.policy.lateness)
        while line.deadlines and line.deadlines[0][0] <= tick:
            at, name = heappop(line.deadlines)
            if line.wakes.get(name) != at:
                continue
            del line.wakes[name]
            self._close_panes(line, min(at, watermark))
            fold = Fold(line.conversations[name], line.policy)
            fold.advance(at)  # not the tick: what closes it may come hours after this, and it is open until then
            self._settle(line, fold, at)
        self._close_panes(line, watermark)

    def _close_panes(self, line: _Line, watermark: int) -> None:
        """Say the gauges of the panes that the watermark has passed."""
        until = pane_of(watermark)
        since = line.tenant.closed_until
        if until <= since:
            return
        self._settle_all(line)
        line.tenant.closed_until = until
        line.changed.add(("tenant", "", 0))
        if since < 0:
            return
        first = max(since, until - MOST_MINUTES * MINUTE)
        for (queue, channel), gauge in line.gauges.items():
            if gauge.open or gauge.past:
                line.said.runs += [
                    Run(line.name, queue, channel, since, end, self.position, backlog, oldest)
                    for since, end, backlog, oldest in gauge.spans(first, until)
                ]
                gauge.close(until)

    def _now(self, line: _Line) -> int:
        return line.tenant.clock if line.tenant.replaying else self.real

    # -- settling: from the fold to the totals -----------------------------------------------------------------------

    def _settle_all(self, line: _Line) -> None:
        touched, line.touched = line.touched, {}
        now = self._now(line)
        for fold in touched.values():
            fold.advance(now)
            self._settle(line, fold, now)
        line.late_touched.clear()

    def _settle(self, line: _Line, fold: Fold, now: int) -> None:
        conversation = fold.conversation
        conversation.version = self.position
        restated = conversation.id in line.late_touched
        for (queue, channel, minute, field), n in fold.deltas.items():
            pane = self._change_pane(line, (queue, channel, minute), restated)
            if field[0] == TOPIC:
                _add(pane.topics, line.tenant.topics[int(field[1:])], n)
            else:
                _add(pane.counts, field, n)
        for name, episode in fold.amended:
            line.said.amendments.append(Amendment(line.name, conversation.id, name, self.position, episode))
        self._restand(line, fold, now, restated)
        self._schedule(line, conversation, now)
        line.changed.add(("conversation", conversation.id, 0))

    def _restand(self, line: _Line, fold: Fold, now: int, restated: bool) -> None:
        conversation = fold.conversation
        episodes, standings = conversation.episodes, conversation.standings
        first = 0 if fold.refolded else max(0, min(len(standings), len(episodes)) - 2)
        for index in range(first, max(len(episodes), len(standings))):
            new = standing(episodes[index], now) if index < len(episodes) else NOTHING
            old = standings[index] if index < len(standings) else NOTHING
            if old != new:
                self._apply(line, old, -1, restated)
                self._apply(line, new, 1, restated)
                if old.stance is not None and index < len(episodes):
                    at = episodes[index].closed_at
                    self._leave(line, old.stance, new.stance, conversation.entries[-1].at if at is None else at)
            number = conversation.forgotten + index + 1
            if old != new or fold.refolded or index == len(episodes) - 1:
                line.said.episodes.add((conversation.id, number))
            if index < len(standings):
                standings[index] = new
            else:
                standings.append(new)
        del standings[len(episodes) :]

    def _apply(self, line: _Line, what: Standing, n: int, restated: bool) -> None:
        for key, field, amount in what.counts:
            _add(self._change_pane(line, key, restated).counts, field, n * amount)
        if what.frt is not None:
            _add(self._change_pane(line, what.frt[0], restated).frt_hist, frt_bucket(what.frt), n)
        if what.wait is not None:
            key, wait, answered = what.wait
            pane = self._change_pane(line, key, restated)
            _add(pane.answered_waits if answered else pane.censored_waits, wait, n)
        if what.stance is not None:
            self._apply_stance(line, what.stance, n)

    def _leave(self, line: _Line, old: Stance, new: Stance | None, at: int) -> None:
        """Let the gauge remember what was there until now, for the panes that are not closed yet."""
        key = (old.queue, old.channel)
        if new is not None and key == (new.queue, new.channel):
            if old.since is None or (new.since is not None and new.since <= old.since):
                return
            at = at if new.since is None else min(at, new.since)
        if at > line.tenant.closed_until:
            line.gauges[key].leave(at, old.since)

    def _apply_stance(self, line: _Line, stance: Stance, n: int) -> None:
        key = (stance.queue, stance.channel)
        gauge = line.gauges.get(key)
        if gauge is None:
            gauge = line.gauges[key] = Gauge()
        gauge.add(stance, n)
        line.said.gauges.add(key)
        if stance.agent:
            queues = line.held.setdefault(stance.agent, {})
            _add(queues, stance.queue, n)
            if not queues:
                del line.held[stance.agent]
            line.said.agents.add(stance.agent)

    def _schedule(self, line: _Line, conversation: Conversation, now: int) -> None:
        episode = conversation.open
        if episode is None:
            line.wakes.pop(conversation.id, None)
            line.closed.pop(conversation.id, None)
            line.closed[conversation.id] = None
            return
        line.closed.pop(conversation.id, None)
        at = next_change(episode, now, line.policy)
        known = line.wakes.get(conversation.id)
        if known is None or at < known:
            line.wakes[conversation.id] = at
            heappush(line.deadlines, (at, conversation.id))

    def _change_pane(self, line: _Line, key: Key, restated: bool) -> PaneRow:
        pane = self._pane(line, key)
        if pane.version != self.position:
            pane.version = self.position
            if restated and key[2] < line.tenant.closed_until:
                pane.restated += 1
        line.said.panes.add(key)
        line.changed.add(("pane", f"{key[0]}\x1f{key[1]}", key[2]))
        return pane

    # -- what is known -----------------------------------------------------------------------------------------------

    def _line(self, name: str, replaying: bool = False) -> _Line:
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(Tenant(name, replaying=replaying), self._policy_of(name))
            line.changed.add(("tenant", "", 0))
        return line

    def _conversation(self, line: _Line, name: str) -> Conversation:
        found = line.conversations.get(name)
        if found is None:
            blob = self._kept.find("conversation", line.name, name)
            found = Conversation(line.name, name) if blob is None else _conversation_from(blob)
            line.conversations[name] = found
            if found.open is None:
                line.closed[name] = None
        return found

    def _pane(self, line: _Line, key: PaneKey) -> PaneRow:
        pane = line.panes.get(key)
        if pane is None:
            blob = self._kept.find("pane", line.name, f"{key[0]}\x1f{key[1]}", key[2])
            pane = PaneRow(line.name, *key, version=-1) if blob is None else _pane_from(blob)
            line.panes[key] = pane
        return pane

    # -- readings out ------------------------------------------------------------------------------------------------

    def reading(self) -> Reading | None:
        """What changed since the last reading; None where nothing did."""
        self.stirred = False
        for clock in {self._clock(line) for line in self._lines.values() if line.said.anything()}:
            self._say(clock, None)
        if self._dead:
            self._segments.append(Segment(dead_letters=self._dead))
            self._dead = []
        segments, self._segments = self._segments, []
        return Reading(self.partition, self.position, segments) if segments else None

    def _clock(self, line: _Line) -> str:
        return line.name if line.tenant.replaying else REAL

    def _say(self, clock: str, tick: int | None) -> None:
        segment = Segment(clock=clock, tick=tick)
        for line in self._lines.values():
            if self._clock(line) == clock and line.said.anything():
                said, line.said = line.said, _Said()
                self._fill(segment, line, said)
        self._segments.append(segment)

    def _fill(self, segment: Segment, line: _Line, said: _Said) -> None:
        segment.events += said.events
        segment.amendments += said.amendments
        segment.episodes += said.built.values()
        segment.episodes += [self._episode_row(line, *name) for name in said.episodes]
        segment.panes += [_copy(line.panes[key]) for key in said.panes]
        segment.runs += said.runs
        segment.gauges += [line.gauges[key].row(line.name, *key, self.position) for key in said.gauges]
        segment.agents += [self._agent_row(line, agent) for agent in said.agents]
        segment.statuses += said.statuses.values()
        if said.late:
            segment.late[line.name] = line.tenant.late

    def _episode_row(self, line: _Line, name: str, number: int) -> EpisodeRow:
        conversation = line.conversations[name]
        index = number - conversation.forgotten - 1
        if index >= len(conversation.episodes):
            return EpisodeRow(line.name, name, number, conversation.version, deleted=True)
        return row(conversation, conversation.episodes[index], line.policy, line.tenant.topics)

    def _agent_row(self, line: _Line, agent: str) -> AgentRow:
        queues = dict(line.held.get(agent, {}))
        log = line.logs.get(agent)
        now = log.now() if log else None
        status, capacity, since = now or (None, None, None)
        return AgentRow(line.name, agent, self.position, sum(queues.values()), queues, status, capacity, since)

    # -- durable state -----------------------------------------------------------------------------------------------

    def changes(self) -> list[Changed]:
        """The rows of durable state that changed since the last call."""
        out: list[Changed] = []
        if self._changed_real:
            self._changed_real = False
            out.append(Changed("clock", "", "", 0, True, msgspec.msgpack.encode(self.real)))
        for line in self._lines.values():
            if line.changed:
                changed, line.changed = line.changed, set()
                out += [self._changed(line, *what) for what in changed]
                self._let_go(line)
        return out

    def _changed(self, line: _Line, kind: str, key: str, at: int) -> Changed:
        encode = msgspec.msgpack.encode
        if kind == "conversation":
            conversation = line.conversations[key]
            return Changed(kind, line.name, key, 0, conversation.open is not None, encode(conversation))
        if kind == "pane":
            queue, channel = key.split("\x1f")
            return Changed(kind, line.name, key, at, True, encode(line.panes[queue, channel, at]))
        if kind == "agent":
            return Changed(kind, line.name, key, 0, True, encode(line.logs[key]))
        return Changed(kind, line.name, "", 0, True, encode(line.tenant))

    def _let_go(self, line: _Line) -> None:
        """Keep in memory what is open, young or lately touched."""
        while len(line.closed) > KEPT_CLOSED:
            name = next(iter(line.closed))
            del line.closed[name]
            del line.conversations[name]
        horizon = line.tenant.closed_until - KEPT_PANES
        if horizon > line.horizon:
            line.horizon = horizon
            for key in [key for key in line.panes if key[2] < horizon]:
                del line.panes[key]

    def load(self) -> None:
        """Take up the state that was kept, and mark all that stands to be said again."""
        for blob in self._kept.live("clock"):
            self.real = msgspec.msgpack.decode(blob, type=int)
        for blob in self._kept.live("tenant"):
            tenant = msgspec.msgpack.decode(blob, type=Tenant)
            self._lines[tenant.name] = _Line(tenant, self._policy_of(tenant.name))
        for blob in self._kept.live("agent"):
            log = msgspec.msgpack.decode(blob, type=AgentLog)
            self._line(log.tenant).logs[log.agent] = log
        for blob in self._kept.live("conversation"):
            self._take_up(_conversation_from(blob))
        for line in self._lines.values():
            self._take_up_panes(line)

    def _take_up_panes(self, line: _Line) -> None:
        for blob in self._kept.panes(line.name, line.tenant.closed_until - KEPT_PANES):
            pane = _pane_from(blob)
            line.panes[pane.queue, pane.channel, pane.minute] = pane

    def _take_up(self, conversation: Conversation) -> None:
        line = self._line(conversation.tenant)
        line.conversations[conversation.id] = conversation
        for one in conversation.standings:
            if one.stance is not None:
                self._apply_stance(line, one.stance, 1)
        line.said = _Said()
        self._schedule(line, conversation, self._now(line))

    def base(self) -> Reading:
        """All that stands, as a new reader needs it: gauges, young panes, agents, clocks."""
        segments = [self._base_of(line) for line in self._lines.values()]
        segments.append(Segment(clock=REAL, tick=self.real if self.real >= 0 else None))
        return Reading(self.partition, self.position, segments, base=True)

    def _base_of(self, line: _Line) -> Segment:
        segment = Segment(clock=self._clock(line), late={line.name: line.tenant.late}, base=True)
        if line.tenant.replaying and line.tenant.clock >= 0:
            segment.tick = line.tenant.clock
        segment.panes = [_copy(pane) for pane in line.panes.values()]
        segment.gauges = [gauge.row(line.name, *key, self.position) for key, gauge in line.gauges.items()]
        segment.agents = [self._agent_row(line, agent) for agent in line.logs.keys() | line.held.keys()]
        return segment


def _late(conversation: Conversation, event: Event) -> bool:
    """METRICS §1: over 24 h behind receipt; in a replay, behind the greatest `at` of its conversation."""
    if conversation.forgotten and event.kind in ("rated", "label"):
        first = conversation.episodes[0].opened_at if conversation.episodes else event.at + 1
        if event.at < first:
            return True  # what it judges is forgotten
    return (conversation.greatest_at if event.replay else event.received_at) - event.at > DAY


def _copy(pane: PaneRow) -> PaneRow:
    return PaneRow(
        pane.tenant, pane.queue, pane.channel, pane.minute, pane.version,
        dict(pane.counts), dict(pane.frt_hist), dict(pane.answered_waits), dict(pane.censored_waits),
        pane.restated, dict(pane.topics),
    )  # fmt: skip


_conversation_from = msgspec.msgpack.Decoder(Conversation).decode
_pane_from = msgspec.msgpack.Decoder(PaneRow).decode
