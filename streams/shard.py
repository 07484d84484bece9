"""One partition: its tenants' lines, and what they come to. State + record → state + what is to be said.

No clock, no network: time comes in as ticks. `step` applies a record, `told` says what changed since it was last
asked, `changes` what has to be kept. All three are deterministic, so a replay from an older snapshot says the same
again.

A tick ends a segment of the reading, and the rows of that segment are as of the tick: readers that judge at ticks see
the numbers of every tick, however many records were folded in between. Rows of episodes, which nobody judges at a tick,
are said once in a reading, as they stand at its end, and ahead of its ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop
from typing import Final, NamedTuple, Protocol

import msgspec
from lz4.block import compress

from streams.agents_log import AgentLog
from streams.conversation import Conversation, Fold, outlived
from streams.copied import copy
from streams.entries import Entry, entry
from streams.episode_row import row
from streams.events import REAL, DeadLetter, EpisodeRow, Event, EventRow, Reading, Record, StatusRow, Tick, encode
from streams.hashing import WORD
from streams.heads import head_of
from streams.heard import Heard
from streams.labels import Example, Reader, bounded
from streams.line import FORM, KEPT_PANES, READ, Line, Tenant, pane_from, tenant_from
from streams.near import AT_ONCE, near
from streams.packing import packed, stance_of, unpacked
from streams.policy import Policy
from streams.quick import quick
from streams.said import Changes, Part, Told
from streams.stamps import stamp
from streams.windows import DAY, IDLE, NEVER

LABELLING = frozenset({"closed", "label"})
"""Events that may say what an episode was about."""

SWEPT: Final = 200
"""Conversations that a sweep looks at."""
MOST_WOKEN: Final = 20_000
"""Conversations of a tenant that time changes at one tick of the real clock; further ones wait for the next. After an
absence all that was open may end at once, and each takes some kilobytes until it is said and kept."""
ALL: Final = 1 << 60
"""The same where each tick counts: none waits."""
FEW: Final = 4
"""Events of a record up to which each of its conversations is sought by itself."""


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

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are (at 0)."""
        ...

    def conversations(self, after: tuple[str, str], n: int) -> list[tuple[str, str, bytes]]:
        """The next conversations behind this tenant and key, in order: tenant, key, row; none that is staged."""
        ...

    def live(self, kind: str) -> Iterator[bytes]:
        """The rows of a kind (not `pane`) that a start needs: of the conversations the open ones."""
        ...

    def panes(self, tenant: str, since: int) -> Iterator[bytes]:
        """The panes of a tenant from a minute on."""
        ...


class Shard:
    """One partition's state. Not safe for two threads at once."""

    def __init__(
        self,
        partition: int,
        policy_of: Callable[[str], Policy],
        kept: Kept,
        position: int = -1,
        reader: Reader | None = None,
        short: bool = True,
    ) -> None:
        """`reader`: says what messages are about; None: nothing does. `short`: False lets the definition alone fold."""
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
        self._short = short
        self._labelled: list[tuple[Line, Conversation, Entry]] = []
        self._examples: list[Example] = []
        self._lines: dict[str, Line] = {}
        self._parts: list[Part] = []
        self._dead: list[DeadLetter] = []
        self.most_woken = MOST_WOKEN
        """Conversations of a tenant that one tick of the real clock changes; `ALL` where each tick counts."""
        self._changed_real = False
        self._heard = Heard()
        self._swept = ("", "")
        """Tenant and conversation up to which sweeps have come."""
        self._outlived: list[tuple[Line, str, bytes]] = []

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
        for one in self._lines.values():
            one.position = self.position
            one.cool()
        if record.tick is not None:
            self._tick(record.tick)
        events, heard = record.events, self._heard
        known = self._look_up(events) if len(events) > FEW else [None] * len(events)
        line: Line | None = None
        for index, event in enumerate(events):
            if index % AT_ONCE == 0:
                near(known, index)
            if not copy(event, heard):
                heard.take(event)
            there, tenant = known[index], heard.tenant
            if line is None or line.name != tenant:
                line = self._lines.get(tenant) or self._line(tenant, replaying=heard.replay)
            if heard.kind == "agent_status":
                self._status(line, event)
            else:
                conversation = line.conversation(heard.conversation or "") if there is None else there
                if not self._short or not quick(line, conversation, heard, event):
                    self._fold(line, conversation, event)
        if self._labelled:
            self._teach()
        return True

    def _look_up(self, events: Sequence[Event]) -> list[Conversation | None]:
        """Of each event its conversation, where that is in memory as it is. The others are asked for at once."""
        absent: dict[str, dict[str, None]] = {}
        known: list[Conversation | None] = []
        line: Line | None = None
        for event in events:
            name, tenant, conversation = event.conversation, event.tenant, None
            if line is None or line.name != tenant:
                line = self._lines.get(tenant)
            if name is not None and line is not None:
                conversation = line.conversations.get(name)
                if conversation is None and name not in line.resting:
                    absent.setdefault(tenant, {})[name] = None
            known.append(conversation)
        for tenant, names in absent.items():
            self._lines[tenant].look_up(list(names))
        return known

    def examples(self) -> list[Example]:
        """What people said conversations were about, since the last call."""
        examples, self._examples = self._examples, []
        return examples

    def _teach(self) -> None:
        """Say what to learn: of an episode the label that stands, and which one it takes the place of."""
        labelled, self._labelled = self._labelled, []
        fresh = {(conversation.id, new.id) for _, conversation, new in labelled}
        for line, conversation, new in labelled:
            entries = conversation.log.entries()
            told = next((one for one in entries if one.id == new.id), new)
            same = [one for one in entries if one.episode == told.episode]
            labels = [one for one in same if one.topic and one.what in LABELLING]
            if told.episode is None or not labels or labels[-1] is not told:
                continue
            before = next((one for one in labels[-2::-1] if (conversation.id, one.id) not in fresh), None)
            words = bounded(one.words for one in same)
            if told.topic and words and (before is None or before.topic != told.topic):
                example = Example(line.name, f"{conversation.id}\x1f{told.id}", told.topic, words)
                if before is not None and before.topic:
                    known = bounded(one.words for one in same[: same.index(before)])
                    example.instead, example.known = before.topic, len(known) // WORD
                self._examples.append(example)

    def dead(self, letter: DeadLetter) -> None:
        """Note a record that cannot be read."""
        self._dead.append(letter)
        self.stirred = True

    def _fold(self, line: Line, conversation: Conversation, event: Event) -> None:
        """Apply an event to its conversation, whatever it is."""
        if conversation.stance is None and conversation.episodes:
            self._forget(line, conversation, event)  # before its ids are asked for: a sweep may have forgotten them
        if conversation.knows(event.id):
            return
        if event.sentiment is None and event.author == "customer":
            stamp(event)
        if _late(conversation, event):
            line.changed.add(conversation.id)
            conversation.late += (event.id,)
            self._count_late(line)
            line.said.events.add(EventRow(event, None, True, self.position))
            return
        line.hear(event.at)
        new = entry(event, line.policy)
        topic = None
        if new.what == "customer":
            topic, new.topics = line.read(event, new.words)
        fold = Fold(conversation, line.policy)
        fold.insert(new)
        fold.advance(line.now)
        line.settle(fold, line.now, restating=event.at < line.tenant.closed_until)
        if new.topic and new.what in LABELLING:
            self._labelled.append((line, conversation, new))
        told = EventRow(event, new.episode, False, self.position, topic)
        if new.sentiment is not None and new.episode is not None:
            episode = conversation.episodes[new.episode - conversation.forgotten - 1]
            told.queue, told.channel = episode.queue, episode.channel
        line.said.events.add(told)

    def _forget(self, line: Line, conversation: Conversation, event: Event) -> None:
        if not outlived(conversation, max(event.at, line.now)):
            return
        for name in [name for name in line.episodes if name[0] == conversation.id]:
            line.episodes[name] = line.episodes[name] or encode(self._episode_row(line, *name))
        Fold(conversation, line.policy).forget()
        conversation.round = 0  # what comes next is another episode, and not said yet

    def _count_late(self, line: Line) -> None:
        line.tenant.late += 1
        line.said.late = True
        line.changed_tenant = True

    def _status(self, line: Line, event: Event) -> None:
        agent = event.agent or ""
        log = line.logs.get(agent)
        if log is None:
            log = line.logs[agent] = AgentLog(line.name, agent)
        if event.id in log.ids:
            return
        late = log.late(event)
        line.said.events.add(EventRow(event, None, late, self.position))
        line.changed_agents.add(agent)
        if late:
            log.ids[event.id] = event.at
            self._count_late(line)
            return
        line.hear(event.at)
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
                line.changed_tenant = True
                self._advance(line, tick.at)
                self._say(line.name, tick.at)

    def _go_live(self, name: str) -> None:
        line = self._line(name, replaying=True)
        if not line.tenant.replaying:
            return
        self._say(name, None)
        self._parts.append(Part(name, live=name))
        line.tenant.replaying = False
        line.changed_tenant = True
        line.now = self.real
        if self.real >= 0:
            self._advance(line, self.real)

    def _advance(self, line: Line, tick: int) -> None:
        """Let time pass for one tenant: closings and targets in their order, and the panes between them."""
        line.now = tick
        tenant = line.tenant
        watermark = tenant.greatest_at - line.policy.lateness
        if tick - tenant.active_at >= IDLE:
            watermark = max(watermark, tick - line.policy.lateness)
        line.overdue, woken = NEVER, 0
        while line.deadlines and line.deadlines[0][0] <= tick and (woken < self.most_woken or tenant.replaying):
            at, name = heappop(line.deadlines)
            woken += line.wake(at, name, watermark)
        line.wait(tick)
        line.close_panes(watermark)
        line.age()

    # -- what is known -----------------------------------------------------------------------------------------------

    def _line(self, name: str, replaying: bool = False) -> Line:
        line = self._lines.get(name)
        if line is None:
            line = self._take_up(Tenant(name, replaying=replaying, form=FORM))
        return line

    def _take_up(self, tenant: Tenant) -> Line:
        line = Line(tenant, self._policy_of(tenant.name), self._kept, self._reader)
        line.now = tenant.clock if tenant.replaying else self.real
        line.position = self.position
        self._lines[tenant.name] = line
        return line

    # -- what is to be said ------------------------------------------------------------------------------------------

    def reading(self) -> Reading | None:
        """What changed since the last reading; None where nothing did."""
        told = self.told()
        return None if told is None else told.decoded()

    def told(self) -> Told | None:
        """The same as it goes out."""
        self.stirred = False
        for clock in {self._clock(line) for line in self._lines.values() if line.said.anything() or line.episodes}:
            self._say(clock, None)
        for line in self._lines.values():
            self._say_episodes(line)
        if self._dead:
            part = Part()
            part.add("dead_letters", [encode(one) for one in self._dead])
            self._parts.append(part)
            self._dead = []
        parts, self._parts = self._parts, []
        return Told(self.partition, self.position, parts) if parts else None

    def _clock(self, line: Line) -> str:
        return line.name if line.tenant.replaying else REAL

    def _say(self, clock: str, tick: int | None) -> None:
        part = Part(clock, tick)
        for line in self._lines.values():
            if self._clock(line) == clock and line.said.anything():
                said, line.said = line.said, Changes()
                line.cool()
                self._fill(part, line, said)
        self._parts.append(part)

    def _fill(self, part: Part, line: Line, said: Changes) -> None:
        part.add("events", said.events.taken())
        part.add("amendments", said.amendments)
        part.add("panes", [encode(line.panes[key]) for key in said.panes])
        part.add("runs", said.runs)
        gauges = [(key, line.gauges[key]) for key in said.gauges]
        part.add("gauges", [encode(one.row(line.name, *key, self.position, line.now)) for key, one in gauges])
        part.add("agents", [encode(line.agent_row(agent)) for agent in said.agents])
        part.add("statuses", [encode(one) for one in said.statuses.values()])
        if said.late:
            part.late[line.name] = line.tenant.late

    def _say_episodes(self, line: Line) -> None:
        """In the first segment of the clock, so that a tick stands behind all that led to it."""
        if not line.episodes:
            return
        episodes, line.episodes = line.episodes, {}
        line.round += 1
        there = [line.conversations.get(name) for name, _ in episodes]
        rows: list[bytes] = []
        for index, (name, made) in enumerate(episodes.items()):
            if index % AT_ONCE == 0:
                near(there, index)
            rows.append(made or encode(self._episode_row(line, *name)))
        next(part for part in self._parts if part.clock == self._clock(line)).add("episodes", rows)

    def _episode_row(self, line: Line, name: str, number: int) -> EpisodeRow:
        conversation = line.conversation(name)
        index = number - conversation.forgotten - 1
        if index >= len(conversation.episodes):
            return EpisodeRow(line.name, name, number, conversation.version, deleted=True)
        return row(conversation, conversation.episodes[index], line.policy, line.tenant.topics)

    # -- durable state -----------------------------------------------------------------------------------------------

    def changes(self) -> list[Changed]:
        """The rows of durable state that changed since the last call."""
        out: list[Changed] = []
        if self._changed_real:
            self._changed_real = False
            out.append(Changed("clock", "", "", 0, True, _pack(self.real)))
        for line, name, value in self._outlived:
            if name not in line.conversations:  # else it was heard of since, and is kept by itself
                out.append(Changed("conversation", line.name, name, 0, False, value))
        self._outlived.clear()
        for line in self._lines.values():
            self._changes(line, out)
        return out

    def sweep(self) -> None:
        """Look at the next few conversations that are kept; of one that outlived its time, little is kept on.

        Nobody hears of it: an event that came for such a one would let all but the same be forgotten.
        """
        rows = self._kept.conversations(self._swept, SWEPT)
        self._swept = rows[-1][:2] if len(rows) == SWEPT else ("", "")
        for tenant, name, value in rows:
            line = self._lines.get(tenant)
            if line is None or name in line.conversations or name in line.resting:
                continue
            conversation = unpacked(value)
            if outlived(conversation, line.now):
                Fold(conversation, line.policy).forget()
                self._outlived.append((line, name, packed(conversation)))

    def _changes(self, line: Line, out: list[Changed]) -> None:
        name = line.name
        if line.changed:
            changed = [line.conversation(key) for key in line.changed]
            for index, one in enumerate(changed):
                if index % AT_ONCE == 0:
                    near(changed, index)
                out.append(Changed("conversation", name, one.id, 0, one.open is not None, packed(one)))
            line.changed.clear()
        line.round += 1
        for queue, channel, minute in line.changed_panes:
            value = _pack(line.panes[queue, channel, minute])
            out.append(Changed("pane", name, f"{queue}\x1f{channel}", minute, True, value))
        line.changed_panes.clear()
        line.cool()
        out += [Changed("agent", name, agent, 0, True, _pack(line.logs[agent])) for agent in line.changed_agents]
        line.changed_agents.clear()
        if line.changed_tenant:
            line.changed_tenant = False
            out.append(Changed("tenant", name, "", 0, True, line.tenant.packed()))
        line.rest()

    def load(self) -> None:
        """Take up the state that was kept: of conversations as much as gauges need, the rest when an event comes.

        Raises:
            RuntimeError: another release kept it, in another form.
        """
        for blob in self._kept.live("clock"):
            self.real = msgspec.msgpack.decode(blob, type=int)
        for blob in self._kept.live("tenant"):
            tenant = tenant_from(blob)
            if tenant.form not in READ:
                raise RuntimeError(f"the state is of form {tenant.form}, this release reads {FORM}: rebuild it")
            older, tenant.form = tenant.form != FORM, FORM
            self._take_up(tenant).changed_tenant = older
        for blob in self._kept.live("agent"):
            log = msgspec.msgpack.decode(blob, type=AgentLog)
            self._line(log.tenant).logs[log.agent] = log
        for blob in self._kept.live("conversation"):
            self._rest(blob)
        for line in self._lines.values():
            line.stood()
            if not line.tenant.replaying:
                line.wait(self.real)
            for blob in self._kept.panes(line.name, line.tenant.closed_until - KEPT_PANES):
                pane = pane_from(blob)
                line.panes[pane.queue, pane.channel, pane.minute] = pane

    def _rest(self, blob: bytes) -> None:
        head = head_of(blob)
        line = self._line(head.tenant)
        line.resting[head.id] = compress(blob)
        stance = stance_of(head)
        if stance is not None:
            line.stand(stance)
        if head.wake >= 0:
            line.deadlines.append((head.wake, head.id))

    def base(self) -> Told:
        """All that stands, as a new reader needs it: gauges, young panes, agents, clocks."""
        parts = [self._base_of(line) for line in self._lines.values()]
        parts.append(Part(tick=self.real if self.real >= 0 else None))
        return Told(self.partition, self.position, parts, base=True)

    def _base_of(self, line: Line) -> Part:
        part = Part(self._clock(line), base=True)
        part.late = {line.name: line.tenant.late}
        if line.tenant.replaying and line.tenant.clock >= 0:
            part.tick = line.tenant.clock
        part.add("panes", [encode(pane) for pane in line.panes.values()])
        gauges = line.gauges.items()
        part.add("gauges", [encode(one.row(line.name, *key, self.position, line.now)) for key, one in gauges])
        part.add("agents", [encode(line.agent_row(agent)) for agent in line.logs.keys() | line.held.keys()])
        return part


def _late(conversation: Conversation, event: Event) -> bool:
    """METRICS §1: over 24 h behind receipt; in a replay, behind the greatest `at` of its conversation."""
    if conversation.forgotten and event.kind in {"rated", "label"}:
        first = conversation.episodes[0].opened_at if conversation.episodes else event.at + 1
        if event.at < first:
            return True  # what it judges is forgotten
    return (conversation.greatest_at if event.replay else event.received_at) - event.at > DAY


_pack: Final = msgspec.msgpack.Encoder().encode
