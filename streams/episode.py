"""One episode of a conversation: what is known of it, and what state and outcome follow. Source: METRICS §2–§4."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from streams.events import Hold
from streams.policy import Policy
from streams.windows import NEVER

GONE: Final = 900_000
"""Who left is gone for good after this long. Source: METRICS §5."""

MARKS = (
    "messages", "customer_messages", "agent_messages", "bot_messages", "opened", "moved_in", "moved_out", "dropped",
    "sentiment_n", "sentiment_sum", "negative",
)  # fmt: skip
"""The columns of `minutes` that events mark, by their number. It is kept with the state: add at the end."""
BACKLOG = frozenset({"awaiting_first", "awaiting_reply"})
MESSAGES: Final = 0
CUSTOMERS: Final = 1
AGENTS: Final = 2
BOTS: Final = 3
OPENED: Final = 4
MOVED_IN: Final = 5
MOVED_OUT: Final = 6
DROPPED: Final = 7
SENTIMENT_N: Final = 8
SENTIMENT_SUM: Final = 9
NEGATIVES: Final = 10
TOPIC: Final = 64
"""A mark's number from here on counts a topic, by its number in the partition."""


@mypyc_attr(acyclic=True)
class Memory:
    """What a conversation remembers outside its episodes."""

    __slots__ = ("channel", "customer", "queue")

    def __init__(self, queue: str = "default", channel: str = "web", customer: str | None = None) -> None:
        self.queue = queue
        self.channel = channel
        self.customer = customer

    def copy(self) -> Memory:
        """The same, to be changed apart."""
        return Memory(self.queue, self.channel, self.customer)


@mypyc_attr(acyclic=True)
class Hints:
    """What a later event said about the earlier ones of an episode. It is replaced, never changed."""

    __slots__ = ("engages", "stayed", "unasked")

    def __init__(self, stayed: tuple[str, ...] = (), engages: bool = False, unasked: bool = False) -> None:
        self.stayed = stayed
        self.engages = engages
        self.unasked = unasked


NO_HINTS: Final = Hints()


@mypyc_attr(acyclic=True)
class Mark:
    """What has happened in one minute, in the queue the episode was in then."""

    __slots__ = ("agents", "customers", "messages", "minute", "more", "queue", "sentiment_n", "sentiment_sum")

    def __init__(self, queue: str, minute: int) -> None:
        self.queue = queue
        self.minute = minute
        # the fields that most messages mark, without a dict
        self.messages = 0
        self.customers = 0
        self.agents = 0
        self.sentiment_n = 0
        self.sentiment_sum = 0
        self.more: dict[int, int] | None = None
        """Number of any other field → n."""

    def add(self, number: int, n: int) -> None:
        """Note that a field came to so much more."""
        if number == MESSAGES:
            self.messages += n
        elif number == CUSTOMERS:
            self.customers += n
        elif number == AGENTS:
            self.agents += n
        elif number == SENTIMENT_N:
            self.sentiment_n += n
        elif number == SENTIMENT_SUM:
            self.sentiment_sum += n
        else:
            if self.more is None:
                self.more = {}
            self.more[number] = self.more.get(number, 0) + n

    def counts(self) -> dict[int, int]:
        """Number of the field → n, of those that came to something."""
        counts: dict[int, int] = {}
        if self.messages:
            counts[MESSAGES] = self.messages
        if self.customers:
            counts[CUSTOMERS] = self.customers
        if self.agents:
            counts[AGENTS] = self.agents
        if self.sentiment_n:
            counts[SENTIMENT_N] = self.sentiment_n
        if self.sentiment_sum:
            counts[SENTIMENT_SUM] = self.sentiment_sum
        if self.more is not None:
            counts.update(self.more)
        return counts


@mypyc_attr(acyclic=True)
class Episode:
    """One episode so far. Instants and spans in ms; `NEVER` where there is none."""

    __slots__ = (
        "agent_messages", "agent_topic", "asked", "assigned_at", "away_at", "away_mark", "before", "bot_messages",
        "by_clock", "channel", "closed_at", "credit_queue", "customer", "customer_messages", "demand_at",
        "demand_queue", "engaged", "first_customer_at", "frt_any_ms", "frt_customer_ms", "gains", "gone_at",
        "greeting_ms", "handled_from", "held", "hints", "holds", "last_at", "leavings", "left_ms", "mark", "marks",
        "number", "opened_at", "outbound", "queue", "rated_at", "rated_queue", "reopen", "replies", "reply_agent",
        "reply_at", "resolved", "score", "sentiment_n", "sentiment_sum", "short_ms", "spoken", "start", "stay", "stays",
        "target_ms", "transfers", "unanswered_since",
    )  # fmt: skip

    def __init__(  # noqa: PLR0915 - a line a field
        self, number: int, start: int, before: Memory, hints: Hints, channel: str, queue: str, opened_at: int,
        reopen: bool, outbound: bool,
    ) -> None:  # fmt: skip
        # what one more message touches lies together in memory: the order is that of use
        self.queue = queue
        self.channel = channel
        self.last_at = 0
        self.gone_at = NEVER
        self.away_at = NEVER
        """Left after the first human reply, and not back yet."""
        self.demand_at = NEVER
        self.reply_at = NEVER
        self.unanswered_since = NEVER
        self.marks: list[Mark] = []
        """What has happened and stays so, in the order of the minutes."""
        self.mark: Mark | None = None
        """The one of them that was asked for last."""
        self.customer_messages = 0
        self.agent_messages = 0
        self.number = number
        self.customer: str | None = None
        self.first_customer_at = NEVER
        self.frt_any_ms = NEVER
        self.sentiment_n = 0
        self.sentiment_sum = 0
        """Over its customer messages that have one, in thousandths."""
        self.held: str | None = None
        self.stay: tuple[str, int] | None = None
        self.target_ms = NEVER
        self.replies: list[int] = []
        self.closed_at = NEVER
        self.engaged = False
        self.spoken = False
        """A person has written."""
        self.asked = False
        """A person was asked for: a bot that speaks now engages nothing."""
        self.start = start
        """Index of the event that opened it."""
        self.before = before
        self.hints = hints
        self.opened_at = opened_at
        self.reopen = reopen
        self.outbound = outbound
        self.holds: list[Hold] = []
        self.assigned_at = NEVER
        self.handled_from = NEVER
        self.demand_queue = ""
        self.short_ms = NEVER
        self.reply_agent: str | None = None
        self.credit_queue: str | None = None
        self.frt_customer_ms = NEVER
        self.greeting_ms = NEVER
        self.stays: list[tuple[str, int]] = []
        self.left_ms = NEVER
        self.leavings: tuple[str, ...] = ()
        self.away_mark: tuple[str, int] | None = None
        self.by_clock = False
        self.resolved: bool | None = None
        self.score: int | None = None
        self.rated_at = 0
        self.rated_queue = ""
        self.agent_topic: str | None = None
        self.bot_messages = 0
        self.transfers = 0
        self.gains: dict[int, int] | None = None
        """Topic number → the sum of its gains over the customer messages; None where there are none."""

    @property
    def open(self) -> bool:
        """Whether it is."""
        return self.closed_at == NEVER

    @property
    def gone(self) -> bool:
        """Whether the customer has given up."""
        return self.gone_at != NEVER

    @property
    def state(self) -> str:
        """METRICS §4."""
        if self.closed_at != NEVER:
            return "closed"
        if self.demand_at == NEVER:
            return "with_bot" if self.engaged else "waiting_on_customer"
        if self.reply_at == NEVER:
            return "waiting_on_customer" if self.gone else "awaiting_first"
        return "waiting_on_customer" if self.unanswered_since == NEVER else "awaiting_reply"

    @property
    def outcome(self) -> str | None:
        """CONTRACT §4."""
        if self.demand_at == NEVER:
            return None if not self.engaged else ("with_bot" if self.open else "bot_only")
        if self.reply_at != NEVER:
            return "answered"
        if self.gone:
            return "abandoned"
        return "waiting" if self.open else "closed_unanswered"

    def gain(self, topic: int, gain: int) -> None:
        """A customer message says this of a topic, by its number."""
        if self.gains is None:
            self.gains = {}
        self.gains[topic] = self.gains.get(topic, 0) + gain

    def turn_start(self) -> int:
        """max(`d`, first customer message not yet answered by a person); `d` where nothing was typed."""
        demand, since = self.demand_at, self.unanswered_since
        return demand if demand > since else since  # noqa: FURB136 - a call costs three comparisons

    def due(self, policy: Policy, state: str | None = None) -> int:
        """When the clock closes it, if nothing happens. `state`: its own, where that is known."""
        silence = policy.expire_backlog if (state or self.state) in BACKLOG else policy.expire
        expires = self.last_at + silence
        return expires if self.gone_at == NEVER else min(expires, self.gone_at + GONE)
