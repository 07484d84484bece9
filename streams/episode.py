"""One episode of a conversation: what is known of it, and what state and outcome follow. Source: METRICS §2–§4."""

from __future__ import annotations

import msgspec

from streams.events import Hold
from streams.policy import Policy
from streams.windows import MINUTE

GONE = 15 * MINUTE
"""Who left is gone for good after this long. Source: METRICS §5."""

MARKS = (
    "messages", "customer_messages", "agent_messages", "bot_messages", "opened", "moved_in", "moved_out", "dropped",
    "sentiment_n", "sentiment_sum", "negative",
)  # fmt: skip
"""The columns of `minutes` that events mark, by their number. It is kept with the state: add at the end."""
BACKLOG = frozenset({"awaiting_first", "awaiting_reply"})
TOPIC = 64
"""A mark's number from here on counts a topic, by its number in the partition."""


def numbered(*fields: str) -> tuple[int, ...]:
    """The numbers of these columns."""
    return tuple(MARKS.index(field) for field in fields)


class Memory(msgspec.Struct, array_like=True, gc=False):
    """What a conversation remembers outside its episodes."""

    queue: str = "default"
    channel: str = "web"
    customer: str | None = None

    def copy(self) -> Memory:
        """The same, to be changed apart."""
        return Memory(self.queue, self.channel, self.customer)


class Hints(msgspec.Struct, array_like=True, gc=False):
    """What a later event said about the earlier ones of an episode."""

    stayed: list[str] = []
    engages: bool = False
    unasked: bool = False


class Mark(msgspec.Struct, array_like=True, gc=False):
    """What has happened in one minute, in the queue the episode was in then."""

    queue: str
    minute: int
    counts: dict[int, int]
    """Number of the field → n."""


class Episode(msgspec.Struct, array_like=True, gc=False):
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
    marks: list[Mark] = []
    """What has happened and stays so."""
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
