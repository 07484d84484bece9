"""One episode of a conversation: what is known of it, and what state and outcome follow. Source: METRICS §2–§4."""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from streams.events import Hold
from streams.policy import Policy

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


@mypyc_attr(acyclic=True)
class Mark:
    """What has happened in one minute, in the queue the episode was in then."""

    __slots__ = ("counts", "minute", "queue")

    def __init__(self, queue: str, minute: int, counts: dict[int, int]) -> None:
        self.queue = queue
        self.minute = minute
        self.counts = counts
        """Number of the field → n."""


@mypyc_attr(acyclic=True)
class Episode:
    """One episode so far. Instants and spans in ms."""

    __slots__ = (
        "agent_messages", "agent_topic", "asked", "assigned_at", "away_at", "away_mark", "before", "bot_messages",
        "by_clock", "channel", "closed_at", "credit_queue", "customer", "customer_messages", "demand_at",
        "demand_queue", "engaged", "first_customer_at", "frt_any_ms", "frt_customer_ms", "gains", "gone_at",
        "greeting_ms", "handled_from", "held", "hints", "holds", "last_at", "leavings", "left_ms", "marks", "number",
        "opened_at", "outbound", "queue", "rated_at", "rated_queue", "reopen", "replies", "reply_agent", "reply_at",
        "resolved", "score", "sentiment_n", "sentiment_sum", "short_ms", "spoken", "start", "stay", "stays",
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
        self.gone_at: int | None = None
        self.away_at: int | None = None
        """Left after the first human reply, and not back yet."""
        self.demand_at: int | None = None
        self.reply_at: int | None = None
        self.unanswered_since: int | None = None
        self.marks: list[Mark] = []
        """What has happened and stays so, in the order of the minutes."""
        self.customer_messages = 0
        self.agent_messages = 0
        self.number = number
        self.customer: str | None = None
        self.first_customer_at: int | None = None
        self.frt_any_ms: int | None = None
        self.sentiment_n = 0
        self.sentiment_sum = 0
        """Over its customer messages that have one, in thousandths."""
        self.held: str | None = None
        self.stay: tuple[str, int] | None = None
        self.target_ms: int | None = None
        self.replies: list[int] = []
        self.closed_at: int | None = None
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
        self.assigned_at: int | None = None
        self.handled_from: int | None = None
        self.demand_queue = ""
        self.short_ms: int | None = None
        self.reply_agent: str | None = None
        self.credit_queue: str | None = None
        self.frt_customer_ms: int | None = None
        self.greeting_ms: int | None = None
        self.stays: list[tuple[str, int]] = []
        self.left_ms: int | None = None
        self.leavings: list[str] = []
        self.away_mark: tuple[str, int] | None = None
        self.by_clock = False
        self.resolved: bool | None = None
        self.score: int | None = None
        self.rated_at = 0
        self.rated_queue = ""
        self.agent_topic: str | None = None
        self.bot_messages = 0
        self.transfers = 0
        self.gains: dict[int, int] = {}
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
        if self.state not in BACKLOG:
            return None
        return self.turn_start()

    def turn_start(self) -> int:
        """max(`d`, first customer message not yet answered by a person); `d` where nothing was typed."""
        demand = self.demand_at or 0
        return demand if self.unanswered_since is None else max(demand, self.unanswered_since)

    def due(self, policy: Policy, state: str | None = None) -> int:
        """When the clock closes it, if nothing happens. `state`: its own, where that is known."""
        silence = policy.expire_backlog if (state or self.state) in BACKLOG else policy.expire
        expires = self.last_at + silence
        return expires if self.gone_at is None else min(expires, self.gone_at + GONE)
