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
(outcome, wait, state) is the episode's `Standing`, reckoned from the episode and the tick (`streams.standing`).

This is the definition of what events do. The plain cases of an open episode also have a short way (`streams.quick`).
"""

from __future__ import annotations

from bisect import bisect_left
from struct import iter_unpack
from typing import Final

from mypy_extensions import mypyc_attr

from streams.entries import GAIN, Entry, Log
from streams.episode import (
    AGENTS,
    BOTS,
    CUSTOMERS,
    DROPPED,
    GONE,
    MESSAGES,
    MOVED_IN,
    MOVED_OUT,
    NEGATIVES,
    NO_HINTS,
    OPENED,
    SENTIMENT_N,
    SENTIMENT_SUM,
    TOPIC,
    Episode,
    Hints,
    Mark,
    Memory,
)
from streams.events import Hold
from streams.metrics import NEGATIVE
from streams.policy import Policy
from streams.standing import Key, Stance, Standing
from streams.windows import DAY, MINUTE, NEVER, pane_of

GOODBYE: Final = 10 * MINUTE
REOPEN: Final = 7 * DAY
FORGET: Final = 90 * DAY
"""So long after its last closing a conversation is known whole. Source: METRICS §2."""

SPOKEN = frozenset({"customer", "agent", "bot", "system", "opened"})
"""What may say who the customer is."""

COUNTED = {"customer": (MESSAGES, CUSTOMERS), "agent": (MESSAGES, AGENTS), "bot": (MESSAGES, BOTS)}
"""What a message of an author counts as; of any other, as a message alone."""

FIRST: Final = Memory()
"""What is remembered before anything is known."""

Place = tuple[str, str, int, int]
"""Queue, channel, minute, number of a mark's field."""


@mypyc_attr(acyclic=True)
class Conversation:
    """One conversation: its events in order, and what they come to."""

    __slots__ = (
        "base", "clock", "episodes", "forgotten", "greatest_at", "id", "last", "late", "log", "memory", "number",
        "outside", "round", "stance", "standings", "tenant", "version", "wake",
    )  # fmt: skip

    def __init__(
        self, tenant: str, id: str, memory: Memory | None = None, base: Memory | None = None, log: Log | None = None,  # noqa: A002 - as everywhere
    ) -> None:  # fmt: skip
        self.tenant = tenant
        self.id = id
        self.stance: Stance | None = None
        """What the gauges hold of it."""
        self.wake = -1
        """When the clock is to look at it; −1: never."""
        self.number = 0
        """Episodes begun, the forgotten ones included."""
        self.memory = Memory() if memory is None else memory
        self.base = FIRST if base is None else base
        """The memory before the first event that is still known. It is replaced, never changed."""
        self.log = Log() if log is None else log
        self.late: tuple[str, ...] = ()
        """Ids of events that came too late to count."""
        self.episodes: list[Episode] = []
        self.last: Episode | None = None
        """The open, else the last of them."""
        self.outside: dict[Place, int] | None = None
        """Messages that belong to no episode; None where there are none."""
        self.greatest_at = 0
        self.clock = -1
        """The latest tick it has seen."""
        self.forgotten = 0
        """Episodes that are known by number only."""
        self.standings: list[Standing] = []
        """What the numbers hold of each episode."""
        self.version = 0
        self.round = 0
        """In which round of its line it was last said to have changed."""

    def begin(self, episode: Episode) -> None:
        """A further episode."""
        self.episodes.append(episode)
        self.last = episode

    def undo(self) -> Episode:
        """Take the last episode away."""
        episode = self.episodes.pop()
        self.last = self.episodes[-1] if self.episodes else None
        return episode

    @property
    def open(self) -> Episode | None:
        """The open episode."""
        last = self.last
        return last if last is not None and last.closed_at == NEVER else None

    def knows(self, name: str) -> bool:
        """Whether an event of this id has come before."""
        return (self.log.n > 0 and self.log.has(name)) or name in self.late


class Fold:
    """Folds events into one conversation.

    `deltas` collects what the marks came to, `touched` whether all was folded anew.
    """

    __slots__ = ("_hints", "_targets", "amended", "conversation", "deltas", "policy", "refolded")

    def __init__(self, conversation: Conversation, policy: Policy) -> None:
        self.conversation = conversation
        self.policy = policy
        self.deltas: dict[Key, dict[int, int]] = {}
        self.amended: list[tuple[str, int | None]] = []
        """Events that belong to another episode than was said of them."""
        self.refolded = False
        self._hints: Hints | None = None
        self._targets: dict[int, tuple[str, int, int]] = {}

    # -- from outside ------------------------------------------------------------------------------------------------

    def insert(self, new: Entry) -> None:
        """Add one event that is neither a repeat nor late."""
        conversation, log = self.conversation, self.conversation.log
        if new.what != "note":  # invisible to every clock: it makes nothing late
            conversation.greatest_at = max(conversation.greatest_at, new.at)
        last = conversation.last
        if not log.follows(new.at, new.seq, new.id):
            entries = log.entries()
            entries.insert(bisect_left(entries, new.place(), key=Entry.place), new)
            self._refold(entries, new)
        elif last is not None and last.by_clock and last.closed_at != NEVER and new.at < last.closed_at:
            self._refold([*log.entries(), new], new)
        else:
            again = self._step(log.n, new)
            if again is None:
                log.append(new)
            else:
                self._fold_again(again, [*log.entries(), new])

    def advance(self, tick: int) -> None:
        """Let the clock close what has come to its end."""
        self.conversation.clock = max(self.conversation.clock, tick)
        self._expire(self.conversation.clock)

    def _refold(self, entries: list[Entry], new: Entry) -> None:
        """Fold all events anew."""
        conversation = self.conversation
        self.refolded = True
        for (queue, channel, minute, number), n in (conversation.outside or {}).items():
            totals = self._totals(queue, channel, minute)
            totals[number] = totals.get(number, 0) - n
        conversation.outside = None
        before = [one.episode for one in entries]
        while conversation.episodes:
            self._pop()
        conversation.number = conversation.forgotten
        conversation.memory = conversation.base.copy()
        self._run(entries, 0)
        self._expire(conversation.clock)
        self.amended += [
            (now.id, now.episode)
            for now, old in zip(entries, before, strict=True)
            if now.episode != old and now is not new
        ]

    def _fold_again(self, hints: Hints, entries: list[Entry]) -> None:
        """Fold the last episode again, with what the last event said of it."""
        self._run(entries, self._restart(hints))

    def forget(self) -> None:
        """Keep the number, queue, channel and customer only. What was counted stays counted."""
        conversation = self.conversation
        conversation.forgotten = conversation.number
        conversation.base = conversation.memory.copy()
        conversation.log, conversation.late, conversation.outside = Log(), (), None
        conversation.episodes, conversation.last, conversation.standings = [], None, []

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _run(self, entries: list[Entry], index: int) -> None:
        while index < len(entries):
            again = self._step(index, entries[index])
            index = index + 1 if again is None else self._restart(again)
        self.conversation.log.replace(entries)

    def _restart(self, hints: Hints) -> int:
        """Fold the last episode again, knowing what is known now. Returns the index it begins at."""
        episode = self._pop()
        self._hints = hints
        return episode.start

    def _pop(self) -> Episode:
        conversation = self.conversation
        episode = conversation.undo()
        for mark in episode.marks:
            totals = self._totals(mark.queue, episode.channel, mark.minute)
            for number, n in mark.counts().items():
                totals[number] = totals.get(number, 0) - n
        conversation.number = episode.number - 1
        conversation.memory = episode.before
        if episode.demand_at != NEVER:
            self._targets[episode.number] = (episode.demand_queue, episode.target_ms, episode.short_ms)
        return episode

    def _expire(self, now: int) -> None:
        episode = self.conversation.open
        if episode is not None and (now - episode.last_at >= self.policy.silence or episode.gone_at != NEVER):
            due = episode.due(self.policy)
            if due <= now:
                self._close(episode, due, resolved=False)
                episode.by_clock = True

    def _step(self, index: int, event: Entry) -> Hints | None:
        """Apply one event. Hints: the episode must be folded again with them."""
        if event.what == "note":
            event.episode = self._number_at(event.at)
            return None
        self._expire(event.at)
        episode = self.conversation.open
        event.episode = episode.number if episode else None
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

    def _number_at(self, at: int) -> int | None:
        """The episode that a note lies in. It is invisible to every clock, so it closes none."""
        episode = self.conversation.open
        return None if episode is None or episode.due(self.policy) <= at else episode.number

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
        return event.at - last.closed_at < GOODBYE and (event.what == "agent" or event.goodbye)

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
            hints=self._hints or NO_HINTS,
            channel=memory.channel,
            queue=memory.queue,
            opened_at=event.at,
            reopen=not outbound and last is not None and event.at - last.closed_at < REOPEN,
            outbound=outbound,
        )
        self._hints = None
        conversation.begin(episode)
        self._mark(episode, episode.queue, event.at, OPENED)
        return episode

    def _message_outside(self, event: Entry) -> None:
        memory = self.conversation.memory
        memory.queue = event.queue or memory.queue
        outside, minute = self.conversation.outside, pane_of(event.at)
        if outside is None:
            outside = self.conversation.outside = {}
        totals = self._totals(memory.queue, memory.channel, minute)
        for number in COUNTED.get(event.what, (MESSAGES,)):
            key = (memory.queue, memory.channel, minute, number)
            outside[key] = outside.get(key, 0) + 1
            totals[number] = totals.get(number, 0) + 1

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
        if episode.first_customer_at == NEVER:
            episode.first_customer_at = event.at
        if episode.unanswered_since == NEVER:
            episode.unanswered_since = event.at
        if episode.demand_at == NEVER and (episode.outbound or not self._has_a_bot(episode)):
            self._demand(episode, event.at)
        return None

    def _has_a_bot(self, episode: Episode) -> bool:
        """Whether a bot answers the customer for now: engaged, or known to engage, and no person stepped in unasked."""
        return (episode.engaged or episode.hints.engages) and not episode.hints.unasked

    def _agent(self, episode: Episode, event: Entry) -> Hints | None:
        if episode.engaged and episode.demand_at == NEVER and not episode.hints.unasked and not episode.gone:
            if episode.first_customer_at != NEVER:
                return Hints(episode.hints.stayed, engages=True, unasked=True)
            episode.hints = Hints(episode.hints.stayed, episode.hints.engages, unasked=True)
        self._count_message(episode, event)
        if episode.held is None or episode.stay is not None:
            self._take(episode, event.at, event.who)  # without a name nobody holds it, and whoever comes next takes it
        if episode.handled_from == NEVER:
            episode.handled_from = event.at
        if not episode.spoken:
            episode.spoken = True
            if episode.assigned_at != NEVER:
                episode.greeting_ms = event.at - episode.assigned_at
        if not episode.gone:
            self._reply(episode, event)
        return None

    def _reply(self, episode: Episode, event: Entry) -> None:
        self._first_of_any(episode, event.at)
        if episode.demand_at == NEVER:
            return
        if episode.reply_at == NEVER:
            episode.reply_at = event.at
            episode.reply_agent = event.who
            episode.credit_queue = episode.queue
            if episode.first_customer_at != NEVER:
                episode.frt_customer_ms = event.at - episode.first_customer_at
        elif episode.unanswered_since == NEVER:
            return
        episode.replies.append(event.at - episode.turn_start())
        episode.unanswered_since = NEVER

    def _first_of_any(self, episode: Episode, at: int) -> None:
        if episode.frt_any_ms == NEVER and episode.first_customer_at != NEVER:
            episode.frt_any_ms = at - episode.first_customer_at

    def _bot(self, episode: Episode, event: Entry) -> Hints | None:
        if not (episode.engaged or episode.asked or episode.spoken or episode.gone):
            first = episode.first_customer_at
            if first == NEVER or event.at - first < self.policy.bot_window:
                if episode.demand_at != NEVER and not episode.hints.engages:
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
            if episode.handled_from == NEVER:
                episode.handled_from = event.at
            self._move(episode, event)
        elif what != "handoff":
            if what == "transferred":
                episode.transfers += 1
            self._move(episode, event)
            self._enter(episode, event.at)
            self._hold(episode, event.at, event.who if what == "transferred" else None)
        if episode.demand_at == NEVER and not episode.gone and self._asks(episode, what):
            self._demand(episode, event.at)
        if what != "assigned":
            episode.asked = True

    def _asks(self, episode: Episode, what: str) -> bool:
        """Whether a routing event is the moment from which a person is needed. METRICS §2."""
        if episode.engaged:
            return not episode.spoken
        return not episode.outbound and what != "assigned" and episode.first_customer_at == NEVER

    def _demand(self, episode: Episode, at: int) -> None:
        episode.demand_at = at
        episode.demand_queue = episode.queue
        queue, target, short = self._targets.get(episode.number, ("", 0, 0))
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
        self._mark(episode, episode.queue, event.at, MOVED_OUT)
        self._mark(episode, queue, event.at, MOVED_IN)
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
        if episode.demand_at != NEVER and episode.left_ms == NEVER:
            episode.left_ms = at - episode.demand_at

    def _take(self, episode: Episode, at: int, agent: str | None) -> None:
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
            episode.leavings += (event.id,)
        elif episode.reply_at != NEVER or (episode.demand_at == NEVER and episode.spoken):
            self._drop(episode, event.at)
        else:
            episode.gone_at = event.at
            episode.leavings = (event.id,)
            episode.stay = None
            episode.credit_queue = episode.queue
            if episode.demand_at != NEVER and episode.left_ms == NEVER:
                episode.left_ms = event.at - episode.demand_at

    def _drop(self, episode: Episode, at: int) -> None:
        if episode.away_at == NEVER:
            episode.away_at = at
            episode.away_mark = (episode.queue, pane_of(at))
            self._mark(episode, *episode.away_mark, DROPPED)

    def _return(self, episode: Episode, event: Entry) -> Hints | None:
        if episode.gone:
            hints = episode.hints
            return Hints((*hints.stayed, *episode.leavings), hints.engages, hints.unasked)
        if episode.away_at != NEVER and episode.away_mark is not None:
            if event.at - episode.away_at < GONE:
                self._mark(episode, *episode.away_mark, DROPPED, n=-1)
            episode.away_at, episode.away_mark = NEVER, None
        return None

    def _close_by_event(self, episode: Episode, event: Entry) -> None:
        by = event.by or ("agent" if event.who else "system")
        resolved = event.resolved
        if resolved is None:
            resolved = episode.reply_at != NEVER and by in ("agent", "customer")
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
        match event.what:
            case "customer":
                episode.customer_messages += 1
            case "agent":
                episode.agent_messages += 1
            case "bot":
                episode.bot_messages += 1
        self._mark(episode, episode.queue, event.at, *COUNTED.get(event.what, (MESSAGES,)))
        if event.what == "customer":
            self._count_words(episode, event)

    def _count_words(self, episode: Episode, event: Entry) -> None:
        """What a customer's words say: sums of integers, so that their order does not matter."""
        queue, at = episode.queue, event.at
        if event.sentiment is not None:
            episode.sentiment_n += 1
            self._mark(episode, queue, at, SENTIMENT_N)
            if event.sentiment:
                episode.sentiment_sum += event.sentiment
                self._mark(episode, queue, at, SENTIMENT_SUM, n=event.sentiment)
                if event.sentiment < NEGATIVE:
                    self._mark(episode, queue, at, NEGATIVES)
        if event.topics:
            gains = list(iter_unpack(GAIN, event.topics))
            self._mark(episode, queue, at, TOPIC + gains[0][0])
            for topic, gain in gains:
                episode.gain(topic, gain)

    def _mark(self, episode: Episode, queue: str, at: int, *numbers: int, n: int = 1) -> None:
        """Note what happened, in the episode and for the totals."""
        minute = pane_of(at)
        mark = marked(episode, queue, minute)
        totals = self._totals(queue, episode.channel, minute)
        for number in numbers:
            mark.add(number, n)
            totals[number] = totals.get(number, 0) + n

    def _totals(self, queue: str, channel: str, minute: int) -> dict[int, int]:
        key = (queue, channel, minute)
        totals = self.deltas.get(key)
        if totals is None:
            totals = self.deltas[key] = {}
        return totals


def outlived(conversation: Conversation, now: int) -> bool:
    """Whether all that is closed of it is so long ago that it is known no more. METRICS §2."""
    last = conversation.last
    return last is not None and last.closed_at != NEVER and now - last.closed_at >= FORGET


def marked(episode: Episode, queue: str, minute: int) -> Mark:
    """What has happened of an episode in a queue and minute."""
    mark = episode.mark
    if mark is not None and mark.minute == minute and mark.queue == queue:
        return mark
    mark = episode.mark = _marked(episode, queue, minute)
    return mark


def _marked(episode: Episode, queue: str, minute: int) -> Mark:
    marks = episode.marks
    for index in range(len(marks) - 1, -1, -1):
        mark = marks[index]
        if mark.minute < minute:
            break  # they stand in the order of their minutes
        if mark.minute == minute and mark.queue == queue:
            return mark
    mark = Mark(queue, minute)
    marks.append(mark)
    return mark
