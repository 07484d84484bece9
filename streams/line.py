"""All that one tenant has in one partition: its conversations, and the totals they come to.

Conversations that nothing has happened to for a while are kept as bytes, closed ones only for a while. What the numbers
hold of an episode is withdrawn and added as its standing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappush
from struct import iter_unpack, pack
from typing import Any, Final, Protocol, cast

import msgspec
from lz4.block import compress, decompress
from mypy_extensions import mypyc_attr

from streams.agents_log import AgentLog
from streams.conversation import Conversation, Fold
from streams.entries import GAIN
from streams.episode import MARKS, TOPIC, Episode, Mark
from streams.events import AgentRow, Amendment, Event, PaneRow, Run, encode
from streams.gauges import Gauge, bump
from streams.heads import head_of
from streams.labels import Reader
from streams.packing import packed, unpacked
from streams.policy import Policy
from streams.said import Changes
from streams.standing import (
    NOTHING,
    Cohort,
    Count,
    Key,
    Stance,
    Standing,
    closing_counts,
    counts,
    next_change,
    rating_counts,
    stance,
    standing,
)
from streams.waits import bucket, packed_waits, put, take
from streams.windows import HOUR, MINUTE, NEVER, pane_of

FORM: Final = 3
"""How state is kept. It rises when the release before cannot read what this one keeps."""
READ: Final = (2, 3)
"""The forms that this release takes up; it goes on in its own."""
KEPT_PANES: Final = 26 * HOUR
"""Panes so young are said again at a start: `today` in any zone, and a little more."""
WARM_PANES: Final = 3 * HOUR
"""Of them those that stay in memory. An older one changes seldom, and is asked for then."""
KEPT_CLOSED: Final = 2_000
"""Closed conversations that stay in memory, the latest touched."""
WARM: Final = 4_000
"""Conversations that stay in memory as they are; beyond them, those at rest become bytes."""
RESTED: Final = 40
"""Rounds, two a commit, without an event, after which a conversation rests; a tenth of it where that is not enough."""
FEW_DEADLINES: Final = 50_000
"""So many are not looked through for those that stand no more; nor are more, until they are twice what stood last."""
MOST_MINUTES: Final = 40 * 24 * 60
"""A jump of the watermark says gauges of so many panes at most."""
MOST_TOPICS: Final = 2_000
"""Topics that a partition tells apart for a tenant, ever; a model has 200 at a time."""
MOST_NAMED, MOST_GAIN = 8, 65_535
"""Topics of a message, and what one of them gains, at most, whoever says so."""


class Finding(Protocol):
    """Where rows that are not in memory are found."""

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        ...

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are."""
        ...


@mypyc_attr(acyclic=True)
class Tenant:
    """One tenant in this partition."""

    __slots__ = ("active_at", "clock", "closed_until", "form", "greatest_at", "late", "name", "replaying", "topics")

    def __init__(
        self, name: str, replaying: bool = False, clock: int = -1, greatest_at: int = -1, active_at: int = -1,
        closed_until: int = -1, late: int = 0, topics: list[str] | None = None, form: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        self.replaying = replaying
        self.clock = clock
        """Its last tick, while in replay."""
        self.greatest_at = greatest_at
        self.active_at = active_at
        """When it was last heard of, by tick or event time."""
        self.closed_until = closed_until
        """Panes that end by here are closed."""
        self.late = late
        self.topics: list[str] = [] if topics is None else topics
        """Topic by its number in this partition: entries and episodes keep numbers."""
        self.form = form
        """`FORM` of its rows."""

    def packed(self) -> bytes:
        """As it is kept: by name, so that older rows lack what came later."""
        value: bytes = _pack(
            {
                "name": self.name, "replaying": self.replaying, "clock": self.clock, "greatest_at": self.greatest_at,
                "active_at": self.active_at, "closed_until": self.closed_until, "late": self.late,
                "topics": self.topics, "form": self.form,
            }
        )  # fmt: skip
        return value


def tenant_from(value: bytes) -> Tenant:
    """The tenant that was kept so."""
    kept = _unpack(value)
    one = Tenant(kept["name"], kept.get("replaying", False), kept.get("clock", -1), kept.get("greatest_at", -1))
    one.active_at, one.closed_until = kept.get("active_at", -1), kept.get("closed_until", -1)
    one.late, one.topics, one.form = kept.get("late", 0), kept.get("topics", []), kept.get("form", 0)
    return one


class Line:
    """One tenant in one partition. `now` and `position` are set by the shard before anything is asked."""

    def __init__(self, tenant: Tenant, policy: Policy, kept: Finding, reader: Reader | None = None) -> None:
        self.tenant = tenant
        self.policy = policy
        self.name = tenant.name
        self.now = -1
        self.position = -1
        self.round = 1
        """Rises whenever what has changed was taken: a conversation is noted once in each."""
        self.conversations: dict[str, Conversation] = {}
        self.resting: dict[str, bytes] = {}
        """As they are kept, and compressed: what a conversation says again and again takes half of it."""
        self.closed: dict[str, None] = {}
        self.panes: dict[Key, PaneRow] = {}
        self.hot: dict[Key, PaneRow] = {}
        """Those that are noted as changed already."""
        self.heat = 0
        """How often none was."""
        self.gauges: dict[tuple[str, str], Gauge] = {}
        self.logs: dict[str, AgentLog] = {}
        self.held: dict[str, dict[str, int]] = {}
        self.deadlines: list[tuple[int, str]] = []
        """When the clock is to look at whom, as a heap; some stand no more, for something sooner came or it closed."""
        self.most_deadlines = FEW_DEADLINES
        self.overdue = NEVER
        """The first deadline that the clock has passed and not looked at: they were too many; panes wait for it."""
        self.said = Changes()
        self.episodes: dict[tuple[str, int], bytes | None] = {}
        """Episodes to say; with the row where it cannot be made any more."""
        self.changed: set[str] = set()
        """Conversations to keep."""
        self.changed_panes: set[Key] = set()
        self.changed_agents: set[str] = set()
        self.changed_tenant = True
        self.horizon = -KEPT_PANES
        self.numbers = {name: number for number, name in enumerate(tenant.topics)}
        self._kept = kept
        self._looked_up: dict[str, bytes | None] = {}
        self._reader = reader

    def number(self, topic: str) -> int | None:
        """The number of a topic, given at first sight; None where there are too many."""
        number = self.numbers.get(topic)
        if number is None and len(self.numbers) < MOST_TOPICS:
            number = self.numbers[topic] = len(self.numbers)
            self.tenant.topics.append(topic)
            self.changed_tenant = True
        return number

    def read(self, event: Event, words: bytes) -> tuple[str | None, bytes]:
        """Let the model say what a customer's message is about, unless it has; what it says stays with the event.

        `words`: its hashed keywords. Returns the likeliest topic, and what an entry keeps of all.
        """
        if not event.gains:
            if self._reader is None or not words:
                return None, b""
            event.gains = dict(self._reader.rank(self.name, words))
        if not event.gains:
            return None, b""
        ranked = sorted(event.gains.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_NAMED]
        known = [(number, gain) for topic, gain in ranked if (number := self.number(topic)) is not None]
        topics = b"".join([pack(GAIN, number, min(max(gain, 1), MOST_GAIN)) for number, gain in known])
        return self.tenant.topics[known[0][0]] if known else None, topics

    # -- conversations -----------------------------------------------------------------------------------------------

    def look_up(self, absent: list[str]) -> None:
        """Ask for all of these, which are not in memory, at once: they are about to be asked for one by one."""
        if len(absent) > 1:
            found = self._kept.find_all("conversation", self.name, absent)
            self._looked_up = {name: found.get(name) for name in absent}

    def conversation(self, name: str) -> Conversation:
        """One conversation, from wherever it is; a new one at first sight."""
        found = self.conversations.get(name)
        if found is None:
            found = self.conversations[name] = self._found(name)
            if found.open is None:
                self.closed[name] = None
        return found

    def _found(self, name: str) -> Conversation:
        tight = self.resting.pop(name, None)
        kept: bytes | None = None if tight is None else decompress(tight)
        if kept is None:
            looked_up = name in self._looked_up
            kept = self._looked_up.pop(name) if looked_up else self._kept.find("conversation", self.name, name)
        if kept is None:
            return Conversation(self.name, name)
        found = unpacked(kept)
        found.id = name  # the same string, not another that is equal: its deadlines keep it while it rests
        found.round = 0
        return found

    def touch(self, conversation: Conversation, number: int) -> None:
        """Note that a conversation has changed, in this episode."""
        self.episodes[conversation.id, number] = None
        conversation.round = self.round
        self.changed.add(conversation.id)

    def rest(self) -> None:
        """Let what is at rest become bytes, and closed conversations go. Only once all changes are taken."""
        while len(self.closed) > KEPT_CLOSED:
            name = next(iter(self.closed))
            del self.closed[name]
            if self.resting.pop(name, None) is None:
                del self.conversations[name]
        for rounds in (RESTED, RESTED // 10):
            if len(self.conversations) > WARM:
                self._rest(self.round - rounds)
        if len(self.deadlines) > self.most_deadlines:
            self._tidy()
        horizon = self.tenant.closed_until - WARM_PANES
        if horizon > self.horizon:
            self.horizon = horizon
            for key in [key for key in self.panes if key[2] < horizon]:
                del self.panes[key]

    def _rest(self, before: int) -> None:
        idle = [name for name, one in self.conversations.items() if one.round < before]
        for name in idle:
            self._put_to_rest(name)

    def _put_to_rest(self, name: str) -> None:
        self.resting[name] = compress(packed(self.conversations.pop(name)))

    def _tidy(self) -> None:
        """Let go of the deadlines that stand no more. Nothing would come of them."""
        names: set[str] = set()
        twice: set[str] = set()
        for _, name in self.deadlines:
            if name in names:
                twice.add(name)
            else:
                names.add(name)
        these: list[Any] = self.deadlines  # as objects: compiled, each would be made anew else, beside the old one
        self.deadlines = [one for one in these if self._stands(one[0], one[1], one[1] in twice)]
        heapify(self.deadlines)
        self.most_deadlines = max(FEW_DEADLINES, 2 * len(self.deadlines))

    def _stands(self, at: int, name: str, among: bool) -> bool:
        """Whether a deadline does. `among`: there are several of this conversation; else an open one's is its own."""
        there = self.conversations.get(name)
        if there is not None:
            return there.wake == at
        tight = self.resting.get(name)
        if tight is None or name in self.closed:
            return False
        wake: int = head_of(decompress(tight)).wake if among else at
        return wake == at

    # -- panes -------------------------------------------------------------------------------------------------------

    def pane(self, key: Key, restating: bool = False) -> PaneRow:
        """A pane that is about to change. `restating`: by an event that came after it had closed."""
        pane = self.hot.get(key)
        if pane is None:
            pane = self.panes.get(key)
            if pane is None:
                pane = self.panes[key] = self._found_pane(key)
            if restating and pane.version != self.position and key[2] < self.tenant.closed_until:
                pane.restated += 1
            pane.version = self.position
            self.hot[key] = pane
            self.said.panes.add(key)
            self.changed_panes.add(key)
        return pane

    def _found_pane(self, key: Key) -> PaneRow:
        packed = self._kept.find("pane", self.name, f"{key[0]}\x1f{key[1]}", key[2])
        return PaneRow(self.name, *key, version=-1) if packed is None else pane_from(packed)

    # -- from the fold to the totals -----------------------------------------------------------------------------------

    def settle(self, fold: Fold, now: int, restating: bool) -> None:
        """Let the numbers follow what was folded."""
        conversation = fold.conversation
        conversation.version = self.position
        for key, totals in fold.deltas.items():
            for number, n in totals.items():
                if n:
                    self.mark(self.pane(key, restating), number, n)
        for name, episode in fold.amended:
            row = Amendment(self.name, conversation.id, name, self.position, episode)
            self.said.amendments.append(encode(row))
        known, there = len(conversation.standings), len(conversation.episodes)
        if fold.refolded or known != there > 1 or known > there:
            self._restand(fold, now, restating)
        elif there:
            self._restand_last(conversation, now, restating)
        self._restance(conversation)
        self.schedule(conversation, now)
        self.changed.add(conversation.id)

    def _restand_last(self, conversation: Conversation, now: int, restating: bool) -> None:
        """Where nothing reached back, only the last episode may stand otherwise."""
        last, standings = conversation.episodes[-1], conversation.standings
        if not standings:
            standings.append(NOTHING)
        old, new = standings[-1], standing(last, now)
        if not old.same(new):
            standings[-1] = new
            self.apply(old, new, restating)
        if conversation.round != self.round:
            self.touch(conversation, last.number)

    def mark(self, pane: PaneRow, number: int, n: int) -> None:
        """Add to what has happened in a pane."""
        if number < TOPIC:
            bump(pane.counts, MARKS[number], n)
        else:
            bump(pane.topics, self.tenant.topics[number - TOPIC], n)

    def count_topics(self, pane: PaneRow, mark: Mark, episode: Episode, topics: bytes) -> None:
        """What a model says of a message, in its pane and its episode."""
        gains = list(iter_unpack(GAIN, topics))
        number = TOPIC + gains[0][0]
        mark.add(number, 1)
        self.mark(pane, number, 1)
        for topic, gain in gains:
            episode.gain(topic, gain)

    def _restand(self, fold: Fold, now: int, restating: bool) -> None:
        conversation = fold.conversation
        episodes, standings = conversation.episodes, conversation.standings
        known, there = len(standings), len(episodes)
        first = 0 if fold.refolded else max(0, min(known, there) - 2)
        for index in range(first, max(known, there)):
            new = standing(episodes[index], now) if index < there else NOTHING
            old = standings[index] if index < known else NOTHING
            differs = not old.same(new)
            if differs:
                self.apply(old, new, restating)
                if index < known:
                    standings[index] = new
                else:
                    standings.append(new)
            elif index >= known:
                standings.append(new)
            if differs or fold.refolded or index == there - 1:
                self.touch(conversation, conversation.forgotten + index + 1)
        del standings[there:]

    def apply(self, old: Standing, new: Standing, restating: bool = False) -> None:
        """Let the numbers hold the new of an episode instead of the old."""
        moved = old.channel != new.channel
        if moved or not (new.cohort is None if old.cohort is None else old.cohort.same(new.cohort)):
            was = [] if old.cohort is None else counts(old.cohort)
            now = [] if new.cohort is None else counts(new.cohort)
            self._recount(was, old.channel, now, new.channel, restating)
            for one, channel, n in ((old.cohort, old.channel, -1), (new.cohort, new.channel, 1)):
                if one is not None and one.ended != NEVER and not one.reopen:
                    self._count_wait(one, channel, n, restating)
        if moved or old.closing != new.closing:
            was = [] if old.closing is None else closing_counts(*old.closing)
            now = [] if new.closing is None else closing_counts(*new.closing)
            self._recount(was, old.channel, now, new.channel, restating)
        if moved or old.rating != new.rating:
            was = [] if old.rating is None else rating_counts(*old.rating)
            now = [] if new.rating is None else rating_counts(*new.rating)
            self._recount(was, old.channel, now, new.channel, restating)

    def _recount(self, was: list[Count], before: str, now: list[Count], channel: str, restating: bool) -> None:
        """Take away what is no more and add what is new; what stays is not touched."""
        same = set(was).intersection(now) if was and before == channel else ()
        for queue, minute, field, n in was:
            if (queue, minute, field, n) not in same:
                bump(self.pane((queue, before, minute), restating).counts, field, -n)
        for queue, minute, field, n in now:
            if (queue, minute, field, n) not in same:
                bump(self.pane((queue, channel, minute), restating).counts, field, n)

    def _count_wait(self, one: Cohort, channel: str, n: int, restating: bool) -> None:
        answered = one.outcome == "answered"
        change = put if n > 0 else take
        if answered:
            pane = self.pane((one.credit, channel, one.minute), restating)
            pane.frt_hist = change(cast(bytes, pane.frt_hist), bucket(one.ms))
        pane = self.pane((one.credit, channel, one.ended), restating)
        if answered:
            pane.answered_waits = change(cast(bytes, pane.answered_waits), one.ms)
        else:
            pane.censored_waits = change(cast(bytes, pane.censored_waits), one.ms)

    # -- gauges --------------------------------------------------------------------------------------------------------

    def _restance(self, conversation: Conversation) -> None:
        last = conversation.last
        old, new = conversation.stance, None if last is None else stance(last)
        if new is None if old is None else new is not None and old.same(new):
            return
        conversation.stance = new
        if old is not None and new is not None and (old.queue, old.channel) == (new.queue, new.channel):
            self.gauge(old).shift(old, new)
            self._leave(conversation, old, new)
        else:
            if old is not None:
                self.gauge(old).withdraw(old)
                self._leave(conversation, old, new)
            if new is not None:
                self.gauge(new).add(new)
                self._come(conversation, old, new)
        if old is None or new is None or (old.agent, old.queue) != (new.agent, new.queue):
            for one, n in ((old, -1), (new, 1)):
                if one is not None and one.agent:
                    self.hold(one, n)

    def gauge(self, what: Stance) -> Gauge:
        """The gauge that a stance counts in, about to change."""
        gauge = what.gauge
        if gauge is None:
            key = (what.queue, what.channel)
            gauge = self.gauges.get(key)
            if gauge is None:
                gauge = self.gauges[key] = Gauge()
            what.gauge = gauge
        if gauge.noted is not self.said:
            gauge.noted = self.said
            self.said.gauges.add((what.queue, what.channel))
        return gauge

    def pane_now(self, where: Stance, minute: int) -> PaneRow:
        """The pane of an open episode's queue and channel, about to change by an event that is not late."""
        gauge = where.gauge
        if gauge is not None and gauge.heat == self.heat and gauge.minute == minute and gauge.pane is not None:
            return gauge.pane
        key = (where.queue, where.channel, minute)
        pane = self.hot.get(key) or self.pane(key)
        if gauge is not None:
            gauge.heat, gauge.minute, gauge.pane = self.heat, minute, pane
        return pane

    def cool(self) -> None:
        """Let every pane be noted anew when it changes next."""
        self.hot.clear()
        self.heat += 1

    def stand(self, what: Stance) -> None:
        """Take up the stance of a conversation that was kept. Call `stood` once all are."""
        key = (what.queue, what.channel)
        gauge = self.gauges.get(key)
        if gauge is None:
            gauge = self.gauges[key] = Gauge()
        gauge.load(what)
        if what.agent:
            bump(self.held.setdefault(what.agent, {}), what.queue, 1)

    def stood(self) -> None:
        """All that was kept is taken up."""
        heapify(self.deadlines)
        self.most_deadlines = max(FEW_DEADLINES, 2 * len(self.deadlines))
        for gauge in self.gauges.values():
            gauge.since.sort()
            gauge.dues.sort()

    def hold(self, what: Stance, n: int) -> None:
        """Let the agent who holds an episode hold one more, or one less."""
        agent = what.agent or ""
        queues = self.held.setdefault(agent, {})
        bump(queues, what.queue, n)
        if not queues:
            del self.held[agent]
        self.said.agents.add(agent)

    def _come(self, conversation: Conversation, old: Stance | None, new: Stance) -> None:
        """Let the gauge remember what was elsewhere until now, for the panes that are not closed yet."""
        if old is None or old.queue == new.queue or old.episode != new.episode or NEVER in (old.since, new.since):
            return
        at = conversation.log.at
        if at > self.tenant.closed_until and new.since != NEVER and new.since < at:
            self.gauges[new.queue, new.channel].come(at, new.since)

    def _leave(self, conversation: Conversation, old: Stance, new: Stance | None) -> None:
        """Let the gauge remember what was there until now, for the panes that are not closed yet."""
        index = old.episode - conversation.forgotten - 1
        if not 0 <= index < len(conversation.episodes):
            return
        closed_at = conversation.episodes[index].closed_at
        at = conversation.log.at if closed_at == NEVER else closed_at
        key = (old.queue, old.channel)
        if new is not None and new.episode == old.episode and key == (new.queue, new.channel):
            if old.since == NEVER or (new.since != NEVER and new.since <= old.since):
                return
            at = at if new.since == NEVER else min(at, new.since)
        if at > self.tenant.closed_until:
            self.gauges[key].leave(at, old.since)

    # -- time ----------------------------------------------------------------------------------------------------------

    def schedule(self, conversation: Conversation, now: int) -> None:
        """See to it that the clock looks at a conversation when it has to."""
        episode = conversation.open
        if self.closed:
            self.closed.pop(conversation.id, None)
        if episode is None:
            conversation.wake = -1
            self.closed[conversation.id] = None
            return
        at = next_change(episode, now, self.policy)
        if conversation.wake < 0 or at < conversation.wake:
            conversation.wake = at
            heappush(self.deadlines, (at, conversation.id))

    def wait(self, tick: int) -> None:
        """Note whether deadlines up to a tick are still to be looked at."""
        first = self.deadlines[0][0] if self.deadlines else NEVER
        self.overdue = first if first <= tick else NEVER

    def wake(self, at: int, name: str, watermark: int) -> bool:
        """The clock has come to a deadline. Whether anything came of it."""
        rested = name in self.resting
        if not rested and name not in self.conversations:
            return False
        changed = self._woken(self.conversation(name), at, watermark)
        if rested and not changed:
            self._put_to_rest(name)  # an absence may bring as many as are open
        return changed

    def _woken(self, conversation: Conversation, at: int, watermark: int) -> bool:
        if conversation.wake != at:
            return False
        conversation.wake = -1
        episode = conversation.open
        if episode is not None and next_change(episode, at, self.policy) > at and not _undecided(conversation):
            self.schedule(conversation, at)  # it lives on; nothing of it has changed
            return False
        self.close_panes(min(at, watermark))
        fold = Fold(conversation, self.policy)
        fold.advance(at)  # not the tick: what closes it may come hours after this, and it is open until then
        self.settle(fold, at, restating=False)
        return True

    def hear(self, at: int) -> None:
        """The watermark follows an event that counts. Panes it closes are told as known before it."""
        tenant, now = self.tenant, self.now
        active = at if tenant.replaying and at > now else now
        if active > tenant.active_at:  # noqa: PLR1730 - for each event, and a call costs three comparisons
            tenant.active_at = active
        if at > tenant.greatest_at:
            tenant.greatest_at = at
            if at - self.policy.lateness >= tenant.closed_until + MINUTE:
                self.close_panes(at - self.policy.lateness)

    def close_panes(self, watermark: int) -> None:
        """Say the gauges of the panes that the watermark has passed."""
        if watermark > self.overdue != NEVER:
            watermark = self.overdue
        until = pane_of(watermark)
        since = self.tenant.closed_until
        if until <= since:
            return
        self.tenant.closed_until = until
        self.changed_tenant = True
        if since < 0:
            return
        first = max(since, until - MOST_MINUTES * MINUTE)
        for (queue, channel), gauge in self.gauges.items():
            if gauge.open or gauge.past or gauge.turned:
                self.said.runs += [
                    encode(Run(self.name, queue, channel, start, end, self.position, backlog, oldest))
                    for start, end, backlog, oldest in gauge.spans(first, until)
                ]
                gauge.close(until)

    def age(self) -> None:
        """Note the gauges that time alone has changed since they were said."""
        for key, gauge in self.gauges.items():
            if gauge.since and key not in self.said.gauges and gauge.aged(self.now) != gauge.told:
                self.said.gauges.add(key)

    def agent_row(self, agent: str) -> AgentRow:
        """One agent, as known here."""
        queues = self.held.get(agent, {})
        log = self.logs.get(agent)
        status, capacity, since = (log.now() if log else None) or (None, None, None)
        return AgentRow(self.name, agent, self.position, sum(queues.values()), queues, status, capacity, since)


def _undecided(conversation: Conversation) -> bool:
    cohort = conversation.standings[-1].cohort if conversation.standings else None
    return cohort is not None and cohort.outcome == "waiting" and cohort.within


def pane_from(kept: bytes) -> PaneRow:
    """The pane that was kept so."""
    pane: PaneRow = _pane_from(kept)
    pane.frt_hist = packed_waits(pane.frt_hist)
    pane.answered_waits, pane.censored_waits = packed_waits(pane.answered_waits), packed_waits(pane.censored_waits)
    return pane


_pane_from: Final = msgspec.msgpack.Decoder(PaneRow).decode
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode
