"""One conversation as a series of episodes: what METRICS §2–§5 and §7 say of it, event by event.

The events of a conversation are kept in order (`at`, `seq`, `id`) and folded one by one. The last event is the common
case and costs one `step`. Everything that reaches back is a *refold*: an event that arrives out of order folds the
conversation anew; and where a later event changes what an earlier one meant, the episode is folded again with a *hint*:

- a customer who comes back within 15 minutes had not left (`stayed`: the leavings that do not count);
- a bot that speaks within a minute of the customer had the episode from the start (`engages`);
- a person who writes unasked into a bot's episode answers the customer's first message (`unasked`).

So the outcome depends on the set of events and the clock alone, never on the order of arrival, and no rule needs an
inverse.

What is additive (messages, openings, moves …) is *marked* as it happens and goes out as deltas; what can still change
(outcome, wait, state) is the episode's `Standing`, computed whole from the episode and the tick and withdrawn whole
when it changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from struct import iter_unpack
from typing import NamedTuple

import msgspec

from streams.calendars import business_ms
from streams.events import EpisodeRow, Event, Hold
from streams.labels import hashed
from streams.metrics import NEGATIVE, bucket
from streams.policy import Policy
from streams.windows import DAY, MINUTE, pane_of

GONE = 15 * MINUTE
"""Who left is gone for good after this long. Source: METRICS §5."""
GOODBYE = 10 * MINUTE
REOPEN = 7 * DAY
FORGET = 90 * DAY
"""So long after its last closing a conversation is known whole. Source: METRICS §2."""
AGES = (MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE, DAY)
"""Where the next age band begins."""

SPOKEN = frozenset({"customer", "agent", "bot", "system", "opened"})
"""What may say who the customer is."""

Key = tuple[str, str, int]
"""(queue, channel, minute)."""

TOPIC = ":"
"""A marked field that begins so counts a topic, by its number in the partition."""
GAIN = "<HH"
"""How an entry keeps what a model says of it: topic number, thousandths of log-probability above the other topics'."""


class Entry(msgspec.Struct, array_like=True):
    """What the fold needs of an event. It holds no text."""

    at: int
    seq: int
    id: str
    what: str
    """`customer` `agent` `bot` `system` (their public messages), `note`, or the kind of any other event."""
    who: str | None = None
    """The author, or the agent that the event names."""
    queue: str | None = None
    channel: str | None = None
    customer: str | None = None
    by: str | None = None
    resolved: bool | None = None
    topic: str | None = None
    score: int = 0
    goodbye: bool = False
    episode: int | None = None
    """Where the fold put it."""
    sentiment: int | None = None
    """Of a customer's text, in thousandths."""
    words: bytes = b""
    """Its keywords, hashed: four bytes each (`streams.labels`)."""
    topics: bytes = b""
    """What it may be about, the likeliest first, as pairs of `GAIN`; a topic that is not named gains nothing."""

    def place(self) -> tuple[int, int, str]:
        """Its place in the order of the conversation."""
        return self.at, self.seq, self.id


def entry(event: Event, policy: Policy) -> Entry:
    """An event as the fold keeps it."""
    message = event.kind == "message"
    what = (("note" if event.private else event.author) if message else event.kind) or "note"
    return Entry(
        at=event.at,
        seq=event.seq,
        id=event.id,
        what=what,
        who=event.author_id if message else event.agent,
        queue=event.queue,
        channel=event.channel,
        customer=event.customer,
        by=event.by,
        resolved=event.resolved,
        topic=event.topic,
        score=event.score or 0,
        goodbye=what == "customer" and policy.goodbye(event.text),
        sentiment=None if event.sentiment is None or what != "customer" else round(1_000 * event.sentiment),
        words=hashed(event.keywords) if what == "customer" else b"",
    )


class Memory(msgspec.Struct, array_like=True):
    """What a conversation remembers outside its episodes."""

    queue: str = "default"
    channel: str = "web"
    customer: str | None = None

    def copy(self) -> Memory:
        """The same, to be changed apart."""
        return Memory(self.queue, self.channel, self.customer)


class Hints(msgspec.Struct, array_like=True):
    """What a later event said about the earlier ones of an episode."""

    stayed: list[str] = []
    engages: bool = False
    unasked: bool = False


class Episode(msgspec.Struct, array_like=True):
    """One episode so far. Instants and spans in ms."""

    number: int
    start: int
    """Index of the event that opened it."""
    before: Memory
    hints: Hints
    channel: str
    queue: str
    opened_at: int
    reopen: bool
    outbound: bool
    customer: str | None = None
    held: str | None = None
    holds: list[Hold] = []
    assigned_at: int | None = None
    handled_from: int | None = None
    first_customer_at: int | None = None
    engaged: bool = False
    asked: bool = False
    """A person was asked for: a bot that speaks now engages nothing."""
    spoken: bool = False
    """A person has written."""
    demand_at: int | None = None
    demand_queue: str = ""
    target_ms: int | None = None
    short_ms: int | None = None
    reply_at: int | None = None
    reply_agent: str | None = None
    credit_queue: str | None = None
    frt_customer_ms: int | None = None
    frt_any_ms: int | None = None
    greeting_ms: int | None = None
    unanswered_since: int | None = None
    replies: list[int] = []
    stay: tuple[str, int] | None = None
    stays: list[tuple[str, int]] = []
    left_ms: int | None = None
    gone_at: int | None = None
    leavings: list[str] = []
    away_at: int | None = None
    """Left after the first human reply, and not back yet."""
    away_mark: tuple[str, int] | None = None
    closed_at: int | None = None
    by_clock: bool = False
    resolved: bool | None = None
    score: int | None = None
    rated_at: int = 0
    rated_queue: str = ""
    agent_topic: str | None = None
    customer_messages: int = 0
    agent_messages: int = 0
    bot_messages: int = 0
    transfers: int = 0
    last_at: int = 0
    marks: dict[tuple[str, int, str], int] = {}
    """(queue, minute, field) → n: what has happened and stays so."""
    sentiment_n: int = 0
    sentiment_sum: int = 0
    """Over its customer messages that have one, in thousandths."""
    gains: dict[int, int] = {}
    """Topic number → the sum of its gains over the customer messages."""

    @property
    def open(self) -> bool:
        """Whether it is."""
        return self.closed_at is None

    @property
    def gone(self) -> bool:
        """Whether the customer has given up."""
        return self.gone_at is not None

    @property
    def state(self) -> str:
        """METRICS §4."""
        if self.closed_at is not None:
            return "closed"
        if self.demand_at is None:
            return "with_bot" if self.engaged else "waiting_on_customer"
        if self.reply_at is None:
            return "waiting_on_customer" if self.gone else "awaiting_first"
        return "waiting_on_customer" if self.unanswered_since is None else "awaiting_reply"

    @property
    def outcome(self) -> str | None:
        """CONTRACT §4."""
        if self.demand_at is None:
            return None if not self.engaged else ("with_bot" if self.open else "bot_only")
        if self.reply_at is not None:
            return "answered"
        if self.gone:
            return "abandoned"
        return "waiting" if self.open else "closed_unanswered"

    @property
    def waiting_since(self) -> int | None:
        """Where the turn that waits now began; None outside the backlog."""
        if self.state not in ("awaiting_first", "awaiting_reply"):
            return None
        return self.turn_start()

    def turn_start(self) -> int:
        """max(`d`, first customer message not yet answered by a person); `d` where nothing was typed."""
        demand = self.demand_at or 0
        return demand if self.unanswered_since is None else max(demand, self.unanswered_since)

    def due(self, policy: Policy) -> int:
        """When the clock closes it, if nothing happens."""
        silence = policy.expire_backlog if self.state in ("awaiting_first", "awaiting_reply") else policy.expire
        expires = self.last_at + silence
        return expires if self.gone_at is None else min(expires, self.gone_at + GONE)


class Stance(NamedTuple):
    """What an open episode is in the gauges as of a tick."""

    queue: str
    channel: str
    state: str
    agent: str | None
    since: int | None
    """`waiting_since`, in backlog."""
    band: int
    over: bool
    waits_from: int | None
    """`d`, where its first response is awaited and counts in the headline."""
    opened: int = 0


class Standing(NamedTuple):
    """What an episode is in the numbers as of a tick; withdrawn whole when it changes."""

    counts: tuple[tuple[Key, str, int], ...]
    frt: tuple[Key, int] | None
    """The pane of `d` and the first response, ms (not of the reopened)."""
    wait: tuple[Key, int, bool] | None
    """The pane in which its wait ended, the wait, and whether by an answer (not of the reopened)."""
    stance: Stance | None


NOTHING = Standing((), None, None, None)


class Conversation(msgspec.Struct, array_like=True):
    """One conversation: its events in order, and what they come to. `deltas` and `touched` are for whoever called."""

    tenant: str
    id: str
    number: int = 0
    """Episodes begun, the forgotten ones included."""
    memory: Memory = msgspec.field(default_factory=Memory)
    base: Memory = msgspec.field(default_factory=Memory)
    """The memory before the first event that is still known."""
    entries: list[Entry] = []
    ids: set[str] = set()
    episodes: list[Episode] = []
    outside: dict[tuple[str, str, int, str], int] = {}
    """(queue, channel, minute, field) → n: messages that belong to no episode."""
    greatest_at: int = 0
    clock: int = -1
    """The latest tick it has seen."""
    forgotten: int = 0
    """Episodes that are known by number only."""
    standings: list[Standing] = []
    """What the numbers hold of each episode."""
    version: int = 0

    @property
    def last(self) -> Episode | None:
        """The open, else the last episode."""
        return self.episodes[-1] if self.episodes else None

    @property
    def open(self) -> Episode | None:
        """The open episode."""
        last = self.last
        return last if last is not None and last.closed_at is None else None


class Fold:
    """Folds events into one conversation.

    `deltas` collects what the marks came to, `touched` whether all was folded anew.
    """

    def __init__(self, conversation: Conversation, policy: Policy) -> None:
        self.conversation = conversation
        self.policy = policy
        self.deltas: dict[tuple[str, str, int, str], int] = {}
        self.amended: list[tuple[str, int | None]] = []
        """Events that belong to another episode than was said of them."""
        self.refolded = False
        self._hints = Hints()
        self._targets: dict[int, tuple[str, int | None, int | None]] = {}

    # -- from outside ------------------------------------------------------------------------------------------------

    def insert(self, new: Entry) -> None:
        """Add one event that is neither a repeat nor late."""
        conversation = self.conversation
        conversation.ids.add(new.id)
        conversation.greatest_at = max(conversation.greatest_at, new.at)
        entries = conversation.entries
        if entries and new.place() < entries[-1].place():
            entries.insert(bisect_left(entries, new.place(), key=Entry.place), new)
            self.refold()
            return
        entries.append(new)
        last = conversation.last
        if last is not None and last.by_clock and last.closed_at is not None and new.at < last.closed_at:
            self.refold()
        else:
            self._run(len(entries) - 1)

    def advance(self, tick: int) -> None:
        """Let the clock close what has come to its end."""
        self.conversation.clock = max(self.conversation.clock, tick)
        self._expire(self.conversation.clock)

    def refold(self) -> None:
        """Fold all events anew."""
        conversation = self.conversation
        self.refolded = True
        for (queue, channel, minute, field), n in conversation.outside.items():
            self._delta(queue, channel, minute, field, -n)
        conversation.outside = {}
        before = [old.episode for old in conversation.entries]
        while conversation.episodes:
            self._pop()
        conversation.number = conversation.forgotten
        conversation.memory = conversation.base.copy()
        self._run(0)
        self._expire(conversation.clock)
        self.amended += [
            (now.id, now.episode) for now, old in zip(conversation.entries, before, strict=True) if now.episode != old
        ]

    def forget(self) -> None:
        """Keep the number, queue, channel and customer only. What was counted stays counted."""
        conversation = self.conversation
        conversation.forgotten = conversation.number
        conversation.base = conversation.memory.copy()
        conversation.entries, conversation.episodes, conversation.standings = [], [], []
        conversation.ids, conversation.outside = set(), {}

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _run(self, index: int) -> None:
        entries = self.conversation.entries
        while index < len(entries):
            again = self._step(index, entries[index])
            index = index + 1 if again is None else self._restart(again)

    def _restart(self, hints: Hints) -> int:
        """Fold the last episode again, knowing what is known now. Returns the index it begins at."""
        episode = self._pop()
        self._hints = hints
        return episode.start

    def _pop(self) -> Episode:
        conversation = self.conversation
        episode = conversation.episodes.pop()
        for (queue, minute, field), n in episode.marks.items():
            self._delta(queue, episode.channel, minute, field, -n)
        conversation.number = episode.number - 1
        conversation.memory = episode.before
        if episode.demand_at is not None:
            self._targets[episode.number] = (episode.demand_queue, episode.target_ms, episode.short_ms)
        return episode

    def _expire(self, now: int) -> None:
        episode = self.conversation.open
        if episode is not None:
            due = episode.due(self.policy)
            if due <= now:
                self._close(episode, due, resolved=False)
                episode.by_clock = True

    def _step(self, index: int, event: Entry) -> Hints | None:
        """Apply one event. Hints: the episode must be folded again with them."""
        self._expire(event.at)
        episode = self.conversation.open
        event.episode = episode.number if episode else None
        if event.what == "note":
            return None
        self._know_customer(event)
        if episode is None:
            episode = self._outside(index, event)
            if episode is None:
                return None
        event.episode = episode.number
        again = self._inside(episode, event)
        episode.customer = self.conversation.memory.customer
        episode.last_at = event.at
        return again

    # -- outside an open episode -------------------------------------------------------------------------------------

    def _outside(self, index: int, event: Entry) -> Episode | None:
        """Open an episode, or do what little an event outside one does (and return None)."""
        last = self.conversation.last
        what = event.what
        if what in ("customer", "agent") and last is not None and self._is_goodbye(last, event):
            event.episode = last.number
            self._count_message(last, event)
        elif what in ("customer", "agent", "opened"):
            return self._open(index, event)
        elif what in ("bot", "system"):
            self._message_outside(event)
        elif what in ("rated", "label") and last is not None:
            event.episode = last.number
            self._judge(last, event)
        elif what in ("queued", "assigned", "transferred"):
            memory = self.conversation.memory
            memory.queue = event.queue or memory.queue
        return None

    def _is_goodbye(self, last: Episode, event: Entry) -> bool:
        closed_at = last.closed_at or 0
        return event.at - closed_at < GOODBYE and (event.what == "agent" or event.goodbye)

    def _open(self, index: int, event: Entry) -> Episode:
        conversation, memory, last = self.conversation, self.conversation.memory, self.conversation.last
        before = memory.copy()
        memory.queue = event.queue or memory.queue
        memory.channel = event.channel or memory.channel
        outbound = event.what == "agent"
        conversation.number += 1
        episode = Episode(
            number=conversation.number,
            start=index,
            before=before,
            hints=self._hints,
            channel=memory.channel,
            queue=memory.queue,
            opened_at=event.at,
            reopen=not outbound and last is not None and event.at - (last.closed_at or 0) < REOPEN,
            outbound=outbound,
        )
        self._hints = Hints()
        conversation.episodes.append(episode)
        self._mark(episode, event.at, "opened")
        return episode

    def _message_outside(self, event: Entry) -> None:
        memory = self.conversation.memory
        memory.queue = event.queue or memory.queue
        fields = ("messages", "bot_messages") if event.what == "bot" else ("messages",)
        for field in fields:
            key = (memory.queue, memory.channel, pane_of(event.at), field)
            self.conversation.outside[key] = self.conversation.outside.get(key, 0) + 1
            self._delta(*key, 1)

    # -- inside an open episode --------------------------------------------------------------------------------------

    def _inside(self, episode: Episode, event: Entry) -> Hints | None:
        match event.what:
            case "customer":
                return self._customer(episode, event)
            case "agent":
                return self._agent(episode, event)
            case "bot":
                return self._bot(episode, event)
            case "system":
                self._count_message(episode, event)
            case "opened":
                self._move(episode, event)
            case "handoff" | "queued" | "transferred" | "assigned":
                self._route(episode, event)
            case "customer_left":
                self._leave(episode, event)
            case "customer_back":
                return self._return(episode, event)
            case "closed":
                self._close_by_event(episode, event)
            case "rated" | "label":
                self._judge(episode, event)
        return None

    def _customer(self, episode: Episode, event: Entry) -> Hints | None:
        again = self._return(episode, event)
        if again is not None:
            return again
        self._count_message(episode, event)
        if episode.first_customer_at is None:
            episode.first_customer_at = event.at
        if episode.unanswered_since is None:
            episode.unanswered_since = event.at
        if episode.demand_at is None and (episode.outbound or not self._has_a_bot(episode)):
            self._demand(episode, event.at)
        return None

    def _has_a_bot(self, episode: Episode) -> bool:
        """Whether a bot answers the customer for now: engaged, or known to engage, and no person stepped in unasked."""
        return (episode.engaged or episode.hints.engages) and not episode.hints.unasked

    def _agent(self, episode: Episode, event: Entry) -> Hints | None:
        if episode.engaged and episode.demand_at is None and not episode.hints.unasked and not episode.gone:
            if episode.first_customer_at is not None:
                return Hints(episode.hints.stayed, engages=True, unasked=True)
            episode.hints = Hints(episode.hints.stayed, episode.hints.engages, unasked=True)
        self._count_message(episode, event)
        if episode.held is None or episode.stay is not None:
            self._take(episode, event.at, event.who or "")
        if episode.handled_from is None:
            episode.handled_from = event.at
        if not episode.spoken:
            episode.spoken = True
            if episode.assigned_at is not None:
                episode.greeting_ms = event.at - episode.assigned_at
        if not episode.gone:
            self._reply(episode, event)
        return None

    def _reply(self, episode: Episode, event: Entry) -> None:
        self._first_of_any(episode, event.at)
        if episode.demand_at is None:
            return
        if episode.reply_at is None:
            episode.reply_at = event.at
            episode.reply_agent = event.who
            episode.credit_queue = episode.queue
            if episode.first_customer_at is not None:
                episode.frt_customer_ms = event.at - episode.first_customer_at
        elif episode.unanswered_since is None:
            return
        episode.replies.append(event.at - episode.turn_start())
        episode.unanswered_since = None

    def _first_of_any(self, episode: Episode, at: int) -> None:
        if episode.frt_any_ms is None and episode.first_customer_at is not None:
            episode.frt_any_ms = at - episode.first_customer_at

    def _bot(self, episode: Episode, event: Entry) -> Hints | None:
        if not (episode.engaged or episode.asked or episode.spoken or episode.gone):
            first = episode.first_customer_at
            if first is None or event.at - first < self.policy.bot_window:
                if episode.demand_at is not None and not episode.hints.engages:
                    return Hints(episode.hints.stayed, engages=True)
                episode.engaged = True
        self._count_message(episode, event)
        if not episode.gone:
            self._first_of_any(episode, event.at)
        return None

    def _route(self, episode: Episode, event: Entry) -> None:
        what = event.what
        if what == "assigned":
            self._take(episode, event.at, event.who or "")
            episode.assigned_at = event.at
            if episode.handled_from is None:
                episode.handled_from = event.at
            self._move(episode, event)
        elif what != "handoff":
            if what == "transferred":
                episode.transfers += 1
            self._move(episode, event)
            self._enter(episode, event.at)
            self._hold(episode, event.at, event.who if what == "transferred" else None)
        if episode.demand_at is None and not episode.gone and self._asks(episode, what):
            self._demand(episode, event.at)
        if what != "assigned":
            episode.asked = True

    def _asks(self, episode: Episode, what: str) -> bool:
        """Whether a routing event is the moment from which a person is needed. METRICS §2."""
        if episode.engaged:
            return not episode.spoken
        return not episode.outbound and what != "assigned" and episode.first_customer_at is None

    def _demand(self, episode: Episode, at: int) -> None:
        episode.demand_at = at
        episode.demand_queue = episode.queue
        queue, target, short = self._targets.get(episode.number, ("", None, None))
        known = queue == episode.queue  # in force when `d` was first known, whatever the settings say today
        episode.target_ms = target if known else self.policy.target(episode.queue)
        episode.short_ms = short if known else self.policy.short(episode.queue)
        if episode.stay is None:
            if episode.held is None:
                episode.stay = (episode.queue, at)
            else:
                episode.left_ms = 0

    # -- queue, stay, hold -------------------------------------------------------------------------------------------

    def _move(self, episode: Episode, event: Entry) -> None:
        """Go to the queue that the event names, if it is another. A stay that is open ends and goes on there."""
        queue = event.queue
        if queue is None or queue == episode.queue:
            return
        minute = pane_of(event.at)
        self._mark_in(episode, episode.queue, minute, "moved_out")
        self._mark_in(episode, queue, minute, "moved_in")
        if episode.stay is not None:
            self._leave_queue(episode, event.at)
            episode.stay = (queue, event.at)
        episode.queue = self.conversation.memory.queue = queue

    def _enter(self, episode: Episode, at: int) -> None:
        if episode.stay is None and not episode.gone:
            episode.stay = (episode.queue, at)

    def _leave_queue(self, episode: Episode, at: int) -> None:
        if episode.stay is None:
            return
        queue, since = episode.stay
        episode.stays.append((queue, at - since))
        episode.stay = None
        if episode.demand_at is not None and episode.left_ms is None:
            episode.left_ms = at - episode.demand_at

    def _take(self, episode: Episode, at: int, agent: str) -> None:
        self._leave_queue(episode, at)
        self._hold(episode, at, agent)

    def _hold(self, episode: Episode, at: int, agent: str | None) -> None:
        if episode.held == agent:
            return
        self._let_go(episode, at)
        if agent is not None:
            episode.holds.append(Hold(agent, at, None))
        episode.held = agent

    def _let_go(self, episode: Episode, at: int) -> None:
        if episode.holds and episode.holds[-1].until is None:
            episode.holds[-1].until = at

    # -- leaving, closing, judging -----------------------------------------------------------------------------------

    def _leave(self, episode: Episode, event: Entry) -> None:
        if episode.channel in self.policy.asynchronous or event.id in episode.hints.stayed:
            return
        if episode.gone:
            episode.leavings.append(event.id)
        elif episode.reply_at is not None or (episode.demand_at is None and episode.spoken):
            self._drop(episode, event.at)
        else:
            episode.gone_at = event.at
            episode.leavings = [event.id]
            episode.stay = None
            episode.credit_queue = episode.queue
            if episode.demand_at is not None and episode.left_ms is None:
                episode.left_ms = event.at - episode.demand_at

    def _drop(self, episode: Episode, at: int) -> None:
        if episode.away_at is None:
            episode.away_at = at
            episode.away_mark = (episode.queue, pane_of(at))
            self._mark_in(episode, *episode.away_mark, "dropped")

    def _return(self, episode: Episode, event: Entry) -> Hints | None:
        if episode.gone:
            hints = episode.hints
            return Hints([*hints.stayed, *episode.leavings], hints.engages, hints.unasked)
        if episode.away_at is not None and episode.away_mark is not None:
            if event.at - episode.away_at < GONE:
                self._mark_in(episode, *episode.away_mark, "dropped", -1)
            episode.away_at = episode.away_mark = None
        return None

    def _close_by_event(self, episode: Episode, event: Entry) -> None:
        by = event.by or ("agent" if event.who else "system")
        resolved = event.resolved
        if resolved is None:
            resolved = episode.reply_at is not None and by in ("agent", "customer")
        if event.topic is not None:
            episode.agent_topic = event.topic
        self._close(episode, event.at, resolved)

    def _close(self, episode: Episode, at: int, resolved: bool) -> None:
        episode.closed_at = at
        episode.resolved = resolved
        episode.stay = None
        self._let_go(episode, at)

    def _judge(self, episode: Episode, event: Entry) -> None:
        if event.what == "label":
            episode.agent_topic = event.topic
        else:
            episode.score = event.score
            episode.rated_at = event.at
            episode.rated_queue = episode.queue

    # -- counting ----------------------------------------------------------------------------------------------------

    def _know_customer(self, event: Entry) -> None:
        """The id given last; before one is given, the first author of a customer's message."""
        memory = self.conversation.memory
        if event.customer is not None and event.what in SPOKEN:
            memory.customer = event.customer
        elif event.what == "customer" and memory.customer is None:
            memory.customer = event.who

    def _count_message(self, episode: Episode, event: Entry) -> None:
        self._mark(episode, event.at, "messages")
        match event.what:
            case "customer":
                episode.customer_messages += 1
                self._mark(episode, event.at, "customer_messages")
                self._count_words(episode, event)
            case "agent":
                episode.agent_messages += 1
                self._mark(episode, event.at, "agent_messages")
            case "bot":
                episode.bot_messages += 1
                self._mark(episode, event.at, "bot_messages")

    def _count_words(self, episode: Episode, event: Entry) -> None:
        """What a customer's words say: sums of integers, so that their order does not matter."""
        minute = pane_of(event.at)
        if event.sentiment is not None:
            episode.sentiment_n += 1
            self._mark_in(episode, episode.queue, minute, "sentiment_n")
            if event.sentiment:
                episode.sentiment_sum += event.sentiment
                self._mark_in(episode, episode.queue, minute, "sentiment_sum", event.sentiment)
                if event.sentiment < NEGATIVE:
                    self._mark_in(episode, episode.queue, minute, "negative")
        if event.topics:
            gains = list(iter_unpack(GAIN, event.topics))
            self._mark_in(episode, episode.queue, minute, f"{TOPIC}{gains[0][0]}")
            for topic, gain in gains:
                episode.gains[topic] = episode.gains.get(topic, 0) + gain

    def _mark(self, episode: Episode, at: int, field: str) -> None:
        self._mark_in(episode, episode.queue, pane_of(at), field)

    def _mark_in(self, episode: Episode, queue: str, minute: int, field: str, n: int = 1) -> None:
        key = (queue, minute, field)
        episode.marks[key] = episode.marks.get(key, 0) + n
        self._delta(queue, episode.channel, minute, field, n)

    def _delta(self, queue: str, channel: str, minute: int, field: str, n: int) -> None:
        key = (queue, channel, minute, field)
        total = self.deltas.get(key, 0) + n
        if total:
            self.deltas[key] = total
        else:
            self.deltas.pop(key, None)


# -- what an episode is in the numbers -------------------------------------------------------------------------------


def standing(episode: Episode, tick: int) -> Standing:
    """What an episode counts as of a tick. Source: METRICS §1 (cohort), §3–§7."""
    counts: list[tuple[Key, str, int]] = []
    channel = episode.channel
    if episode.closed_at is not None:
        pane = (episode.queue, channel, pane_of(episode.closed_at))
        counts.append((pane, "closed", 1))
        if episode.resolved:
            counts.append((pane, "resolved", 1))
    if episode.score is not None:
        pane = (episode.rated_queue, channel, pane_of(episode.rated_at))
        counts += [(pane, "ratings", 1), (pane, "score_sum", episode.score)]
        if episode.score >= 4:
            counts.append((pane, "csat_good", 1))
    frt = wait = None
    if episode.demand_at is not None:
        cohort = (credit(episode), channel, pane_of(episode.demand_at))
        counts.append(((episode.demand_queue, channel, cohort[2]), "arrivals", 1))
        counts += _cohort(episode, cohort, tick)
        if not episode.reopen:
            wait = _ended_wait(episode)
            if episode.reply_at is not None:
                frt = (cohort, episode.reply_at - episode.demand_at)
    return Standing(tuple(counts), frt, wait, stance(episode, tick) if episode.open else None)


def credit(episode: Episode) -> str:
    """The queue that every cohort number of the episode counts in. METRICS §3."""
    return episode.credit_queue or episode.queue


def _cohort(episode: Episode, pane: Key, tick: int) -> list[tuple[Key, str, int]]:
    demand, target, short = episode.demand_at or 0, episode.target_ms or 0, episode.short_ms or 0
    fields = ["offered"]
    out: list[tuple[Key, str, int]] = []
    if episode.left_ms is not None and episode.left_ms <= target:
        fields.append("connected")
    match episode.outcome:
        case "answered":
            frt = (episode.reply_at or 0) - demand
            fields.append("answered")
            if frt <= target:
                fields.append("answered_in_target")
            fields.append("reopen_frt_n" if episode.reopen else "frt_n")
            out.append((pane, "reopen_frt_sum_ms" if episode.reopen else "frt_sum_ms", frt))
        case "abandoned":
            fields.append("abandoned")
            if (episode.gone_at or 0) - demand <= short:
                fields.append("short_abandoned")
        case "waiting":
            fields.append("waiting")
            if max(0, tick - demand) < target:
                fields.append("undecided")
        case _:
            fields.append("closed_unanswered")
    return [(pane, field, 1) for field in fields] + out


def _ended_wait(episode: Episode) -> tuple[Key, int, bool] | None:
    """The wait for the first response, in the pane in which it ended; it touches all windows from there back to `d`."""
    ends = [at for at in (episode.reply_at, episode.gone_at, episode.closed_at) if at is not None]
    if not ends:
        return None
    end, demand = ends[0], episode.demand_at or 0
    return (credit(episode), episode.channel, pane_of(end)), end - demand, episode.reply_at is not None


def stance(episode: Episode, tick: int) -> Stance:
    """What an open episode is in the gauges as of a tick."""
    state, since = episode.state, episode.waiting_since
    age = 0 if since is None else max(0, tick - since)
    return Stance(
        queue=episode.queue,
        channel=episode.channel,
        state=state,
        agent=episode.held,
        since=since,
        band=sum(age >= bound for bound in AGES),
        over=since is not None and age >= (episode.target_ms or 0),
        waits_from=episode.demand_at if state == "awaiting_first" and not episode.reopen else None,
        opened=episode.opened_at,
    )


def next_change(episode: Episode, tick: int, policy: Policy) -> int:
    """The first instant after the tick at which the clock alone changes what an open episode is."""
    due = episode.due(policy)
    since = episode.waiting_since
    if since is None or episode.demand_at is None:
        return due
    target = episode.target_ms or 0
    edges = [since + target, episode.demand_at + target, *(since + bound for bound in AGES)]
    return min([edge for edge in edges if edge > tick] + [due])


def likeliest(gains: Mapping[int, int], names: Sequence[str]) -> str | None:
    """The topic with the greatest summed log-probability, of equals the first by name; None where none has any."""
    if not gains:
        return None
    return min((-gain, names[topic]) for topic, gain in gains.items())[1]


def row(conversation: Conversation, episode: Episode, policy: Policy, names: Sequence[str] = ()) -> EpisodeRow:
    """The episode as table `episodes` has it (CONTRACT §4). `names`: the topics by their number."""
    demand, reply, gone, closed = episode.demand_at, episode.reply_at, episode.gone_at, episode.closed_at
    outcome = episode.outcome
    frt = None if reply is None or demand is None else reply - demand
    calendar = policy.calendar(credit(episode))
    return EpisodeRow(
        tenant=conversation.tenant,
        conversation=conversation.id,
        episode=episode.number,
        version=conversation.version,
        channel=episode.channel,
        queue=episode.queue,
        credit_queue=credit(episode),
        customer=episode.customer,
        agent=episode.held or None,
        opened_at=episode.opened_at,
        demand_at=demand,
        first_reply_at=reply,
        first_reply_agent=episode.reply_agent,
        closed_at=closed,
        state=episode.state,
        outcome=outcome,
        reopen=episode.reopen,
        outbound=episode.outbound,
        frt_ms=frt,
        frt_business_ms=business_ms(calendar, demand, reply)
        if calendar and reply is not None and demand is not None
        else None,
        frt_customer_ms=episode.frt_customer_ms,
        frt_any_ms=episode.frt_any_ms,
        greeting_ms=episode.greeting_ms,
        handle_ms=closed - episode.handled_from if closed is not None and episode.handled_from is not None else None,
        abandon_wait_ms=gone - demand if outcome == "abandoned" and gone is not None and demand is not None else None,
        censored_wait_ms=closed - demand
        if outcome == "closed_unanswered" and closed is not None and demand is not None
        else None,
        reply_times_ms=list(episode.replies),
        queue_waits=list(episode.stays),
        queue_left_ms=episode.left_ms,
        waiting_since=episode.waiting_since,
        target_ms=episode.target_ms,
        short_ms=episode.short_ms,
        customer_messages=episode.customer_messages,
        agent_messages=episode.agent_messages,
        bot_messages=episode.bot_messages,
        transfers=episode.transfers,
        resolved=episode.resolved,
        csat=episode.score,
        topic=likeliest(episode.gains, names),
        agent_topic=episode.agent_topic,
        sentiment=episode.sentiment_sum / (1_000 * episode.sentiment_n) if episode.sentiment_n else None,
        holds=[Hold(hold.agent, hold.since, hold.until) for hold in episode.holds if hold.agent],
    )


def frt_bucket(frt: tuple[Key, int]) -> int:
    """The histogram bucket of a first response."""
    return bucket(frt[1])
