"""What travels on the topics, and nothing else: shapes without behaviour.

Topics (all of them: `streams.topics`):

- `chat.events` — `Record`: 1..500 events of one partition, or one tick. Partition = `partition_of(tenant,
  conversation)`.
- `chat.readings` — `Reading`: what one partition says after applying a record: absolute totals, never increments.
- `chat.alerts` — `AlertChange`-shaped JSON (CONTRACT §5), one per change of state.
- `chat.labels` — what people said conversations were about (`streams.labels.Example`), for every worker to learn from.
- `chat.commands` — what viewers asked for (acknowledge, silence, grade) and what came of it, for the audit.

All values are JSON (msgspec). Instants are integer milliseconds since the epoch, UTC; spans are integer milliseconds.
A position orders the records of one partition and never falls: the journal's on the embedded stack, the broker's offset
on Kafka. Unknown fields are ignored, so newer writers work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streams.waits import Waits

EVENTS = "chat.events"
READINGS = "chat.readings"
ALERTS = "chat.alerts"
COMMANDS = "chat.commands"

FORMULA = "tidewatch-1"
"""How the columns of `episodes` are reckoned."""
REAL = ""
"""The name of the clock of all tenants who are not in replay; a tenant in replay has a clock of its own name."""


def partition_of(tenant: str, key: str, partitions: int) -> int:
    """The partition of a conversation (of `agent_status`: of an agent). A stable hash, the same in every release."""
    return zlib.crc32(f"{tenant}\x00{key}".encode()) % partitions


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """One event of CONTRACT §3, parsed, masked and stamped by the gateway. Absent is None or the contract's default."""

    id: str
    kind: str
    at: int
    """Event time in ms: as given, or the time of receipt where the given one lies over 120 s ahead of it."""
    tenant: str = "default"
    seq: int = 0
    conversation: str | None = None
    channel: str | None = None
    queue: str | None = None
    customer: str | None = None
    author: str | None = None
    author_id: str | None = None
    text: str | None = None
    """Masked."""
    type: str | None = None
    private: bool = False
    agent: str | None = None
    by: str | None = None
    resolved: bool | None = None
    topic: str | None = None
    score: int | None = None
    comment: str | None = None
    """Masked."""
    status: str | None = None
    capacity: int | None = None
    attrs: dict[str, str] | None = None
    received_at: int = 0
    given_at: int | None = None
    """What the source said, only where `at` is not that."""
    clock_suspect: bool = False
    replay: bool = False
    sentiment: Annotated[float, Meta(ge=-1, le=1)] | None = None
    """Of a customer's public text: −1 to 1 in three decimals (`streams.stamps`). None: unread, or nothing to read."""
    keywords: Annotated[tuple[str, ...], Meta(max_length=8)] = ()
    """Of the same: at most eight words, the rarest first."""
    gains: Annotated[dict[str, Annotated[int, Meta(ge=1, le=65_535)]], Meta(max_length=8)] | None = None
    """What the worker's model took it to be about when it came: topic → thousandths of log-probability above the topics
    that are not named, at least 1 (`streams.labels.Reader`). It stays with the event, so a fold anew sums the same."""


class Tick(msgspec.Struct, omit_defaults=True):
    """The time, as an input. Absent `tenant`: the real clock. Else that tenant's replay clock; None: it goes live."""

    at: int | None
    tenant: str | None = None


class Record(msgspec.Struct, omit_defaults=True):
    """One record of `chat.events`. Either `events` or `tick`."""

    v: int = 1
    pos: int | None = None
    """The journal's position (embedded stack only). It rises over all partitions, so within one it skips."""
    events: list[Event] = []
    tick: Tick | None = None


class EventRow(msgspec.Struct, omit_defaults=True, gc=False):
    """One row of table `events`: the event, and what the fold made of it."""

    event: Event
    episode: int | None
    late: bool
    position: int
    model_topic: str | None = None
    """What the model took it to be about when it came."""
    queue: str | None = None
    """Of a customer's message that has words or a sentiment: the queue in which it was counted when it came."""
    channel: str | None = None
    """The same."""

    @property
    def sentiment(self) -> float | None:
        """The event's own."""
        return self.event.sentiment

    @property
    def keywords(self) -> tuple[str, ...]:
        """The event's own."""
        return self.event.keywords


class Amendment(msgspec.Struct, omit_defaults=True):
    """An event of before belongs to another episode than was said: its row in `events` is to say so."""

    tenant: str
    conversation: str
    id: str
    version: int
    episode: int | None = None


class Hold(msgspec.Struct, array_like=True, gc=False):
    """A span in which an agent held an episode. `until` None: still."""

    agent: str
    since: int
    until: int | None


class EpisodeRow(msgspec.Struct, omit_defaults=True, gc=False):
    """One row of table `episodes` (CONTRACT §4), with every column of it, and `holds`. Instants in ms."""

    tenant: str
    conversation: str
    episode: int
    version: int
    deleted: bool = False
    """True where a refold found that there is no such episode."""
    channel: str = "web"
    queue: str = "default"
    credit_queue: str = "default"
    customer: str | None = None
    agent: str | None = None
    opened_at: int = 0
    demand_at: int | None = None
    first_reply_at: int | None = None
    first_reply_agent: str | None = None
    closed_at: int | None = None
    state: str = "closed"
    outcome: str | None = None
    reopen: bool = False
    outbound: bool = False
    frt_ms: int | None = None
    frt_business_ms: int | None = None
    frt_customer_ms: int | None = None
    frt_any_ms: int | None = None
    greeting_ms: int | None = None
    handle_ms: int | None = None
    abandon_wait_ms: int | None = None
    censored_wait_ms: int | None = None
    reply_times_ms: list[int] = []
    queue_waits: list[tuple[str, int]] = []
    queue_left_ms: int | None = None
    waiting_since: int | None = None
    target_ms: int | None = None
    short_ms: int | None = None
    customer_messages: int = 0
    agent_messages: int = 0
    bot_messages: int = 0
    transfers: int = 0
    resolved: bool | None = None
    csat: int | None = None
    topic: str | None = None
    agent_topic: str | None = None
    sentiment: float | None = None
    formula_id: str = FORMULA
    holds: list[Hold] = []


class PaneRow(msgspec.Struct, omit_defaults=True, gc=False):
    """One partition's part of one row of `minutes`: absolute totals. Counts that are 0 are left out of `counts`."""

    tenant: str
    queue: str
    channel: str
    minute: int
    """Start of the pane, ms."""
    version: int
    counts: dict[str, int] = {}
    """By the names of `streams.metrics.COUNTS`."""
    frt_hist: Waits = b""
    """Lower bounds of the buckets (`streams.waits.bucket`), ms, of first responses (without the reopened)."""
    answered_waits: Waits = b""
    """Waits for a first response (without the reopened) that ended in this pane by an answer, ms."""
    censored_waits: Waits = b""
    """The same for those given up or closed unanswered."""
    restated: int = 0
    """How often it changed after its pane had closed."""
    topics: dict[str, int] = {}
    """Customer messages by what the model took them to be about; those it says nothing of are in none."""


class Run(msgspec.Struct, omit_defaults=True):
    """Panes of one queue and channel that closed with the same gauges: a row of `minutes` each, while anything was
    open.

    Gauges stand as they were known when the pane closed and are never restated, so they travel apart from the totals.
    """

    tenant: str
    queue: str
    channel: str
    since: int
    """Start of the first pane, ms."""
    until: int
    """End of the last pane, ms."""
    version: int
    backlog: int = 0
    oldest_since: int | None = None
    """The smallest `waiting_since` in the backlog."""


class GaugeRow(msgspec.Struct, omit_defaults=True):
    """One partition's part of what stands open now, of a queue and channel. Ages are as of its last tick."""

    tenant: str
    queue: str
    channel: str
    version: int
    open: int = 0
    with_bot: int = 0
    awaiting_first: int = 0
    awaiting_reply: int = 0
    waiting_on_customer: int = 0
    unassigned: int = 0
    over_target: int = 0
    ages: list[int] = msgspec.field(default_factory=lambda: [0] * 6)
    oldest_since: int | None = None
    """The smallest `waiting_since` in the backlog."""
    waiting: Waits = b""
    """Every `d` (ms) since which somebody (without the reopened) waits for the first response."""


class AgentRow(msgspec.Struct, omit_defaults=True):
    """One partition's part of one agent: what it holds there; and, in the agent's own partition, the status."""

    tenant: str
    agent: str
    version: int
    open: int = 0
    queues: dict[str, int] = {}
    """Queue → open episodes held there."""
    status: str | None = None
    capacity: int | None = None
    since: int | None = None


class StatusRow(msgspec.Struct, omit_defaults=True):
    """One row of table `agent_status`: a span of one status and capacity."""

    tenant: str
    agent: str
    since: int
    version: int
    until: int | None = None
    status: str = "offline"
    capacity: int | None = None
    deleted: bool = False


class DeadLetter(msgspec.Struct, omit_defaults=True):
    """A record or an event that nobody can read. Never holds what it said: length and digest only."""

    topic: str
    partition: int
    offset: int
    reason: str
    at: int
    """When the broker stored it, ms."""
    size: int = 0
    digest: str = ""


class Segment(msgspec.Struct, omit_defaults=True):
    """What changed for the tenants of one clock, up to and including a tick of it (or up to the reading's position)."""

    clock: str = REAL
    """`REAL`, or the tenant in replay that the rows belong to."""
    events: list[EventRow] = []
    amendments: list[Amendment] = []
    episodes: list[EpisodeRow] = []
    panes: list[PaneRow] = []
    runs: list[Run] = []
    gauges: list[GaugeRow] = []
    agents: list[AgentRow] = []
    statuses: list[StatusRow] = []
    dead_letters: list[DeadLetter] = []
    late: dict[str, int] = {}
    """Tenant → this partition's `late_total`, where it changed."""
    tick: int | None = None
    """The rows above are complete as of this tick; it ends the segment. After a long absence some of what ends by the
    clock alone is told some ticks later (`streams.shard.MOST_WOKEN`); the panes of that time are not closed before."""
    live: str | None = None
    """This tenant left its replay here: from now on it is on the real clock."""
    base: bool = False
    """Part of a base reading: what stands, said again."""


class Reading(msgspec.Struct, omit_defaults=True):
    """One record of `chat.readings`. Rows are absolute, so a repeat replaces itself."""

    partition: int
    pos: int
    """Everything up to this position of the partition is in this reading and those before it."""
    segments: list[Segment] = []
    v: int = 1
    base: bool = False
    """A worker has (re)started: this is part of all that stands, said again; no tick to judge."""


encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""JSON bytes of one of the structs above."""
decode_record = msgspec.json.Decoder(Record).decode
decode_reading = msgspec.json.Decoder(Reading).decode
