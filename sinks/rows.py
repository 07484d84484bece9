"""What the stream says → rows of ClickHouse. Pure: tuples in the order of `Table.columns`.

Rows are absolute and carry a version, so storing one twice, or an older one later, changes nothing. Instants stay
integers (ms since the epoch), as `DateTime64(3)` holds them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec

from streams import usual_row
from streams.events import (
    READINGS,
    REAL,
    Amendment,
    DeadLetter,
    EpisodeRow,
    Event,
    EventRow,
    PaneRow,
    Reading,
    Run,
    Segment,
    StatusRow,
)
from streams.metrics import COUNTS, FORMULA
from streams.waits import counted
from streams.windows import MINUTE

Row = tuple[Any, ...]
Blocks = dict["Table", list[Row]]
"""Rows by table."""

SHOWN = 200
"""Characters of a reason that are kept."""


class Unreadable(Exception):
    """These bytes are not what the topic carries. The message says why, and nothing of what they say."""


@dataclass(frozen=True)
class Table:
    """One base table: its name in schema.sql, its columns, and which of them make the key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[int, ...]
    version: int | None = None
    """The column that decides between rows of one key; None: the last."""


def _table(name: str, columns: str, key: str, version: str | None = None) -> Table:
    names = tuple(columns.split())
    return Table(name, names, tuple(names.index(one) for one in key.split()), names.index(version) if version else None)


EVENTS = _table(
    "events_base",
    "tenant subject id v kind at event_time seq conversation channel queue customer author author_id text type "
    "private agent by resolved topic score comment status capacity attrs received_at episode model_topic sentiment "
    "keywords topic_gains clock_suspect late replay position version",
    "tenant subject id",
    "version",
)
AMENDMENTS = _table("amendments_base", "tenant subject id version episode", "tenant subject id", "version")
EPISODES = _table(
    "episodes_base",
    "tenant conversation episode version is_deleted channel queue credit_queue customer agent opened_at demand_at "
    "first_reply_at first_reply_agent closed_at state outcome reopen outbound frt_ms frt_business_ms frt_customer_ms "
    "frt_any_ms greeting_ms handle_ms abandon_wait_ms censored_wait_ms reply_times_ms queue_waits queue_left_ms "
    "waiting_since target_ms short_ms customer_messages agent_messages bot_messages transfers resolved csat topic "
    "agent_topic sentiment formula_id holds",
    "tenant conversation episode",
    "version",
)
MINUTES = _table(
    "minutes_base",
    "tenant queue channel minute partition version frt_hist restated formula_id topics " + " ".join(COUNTS),
    "tenant queue channel minute partition",
    "version",
)
GAUGES = _table(
    "gauges_base",
    "tenant queue channel minute partition version backlog oldest_ms formula_id",
    "tenant queue channel minute partition",
    "version",
)
STATUSES = _table(
    "agent_status_base", "tenant agent since version is_deleted until status capacity", "tenant agent since", "version"
)
DEAD_LETTERS = _table(
    "dead_letters_base", "topic partition offset at digest reason size", "topic partition offset at digest reason"
)
LATE = _table("late_base", "tenant partition version late_total", "tenant partition", "version")
CLOCKS = _table("clocks_base", "clock partition version at live partitions", "clock partition", "version")
TENANTS = _table("tenants_base", "tenant version zone", "tenant", "version")
ALERTS = _table(
    "alerts_base",
    "tenant alert at state v rule metric severity queue channel topic since value peak expected low high unit summary "
    "drivers keywords samples impact acknowledged_by acknowledged_at silenced_by grade resolved_at reason group "
    "runbook board",
    "tenant alert at state",
)
USUAL = _table(
    "minutes_usual",
    "tenant queue channel minute version expected low high surge",
    "tenant queue channel minute",
    "version",
)
AUDIT = _table("audit_base", "tenant at id actor action object detail", "tenant at id")

TABLES = (
    EVENTS,
    AMENDMENTS,
    EPISODES,
    MINUTES,
    GAUGES,
    STATUSES,
    DEAD_LETTERS,
    LATE,
    ALERTS,
    USUAL,
    AUDIT,
    TENANTS,
    CLOCKS,
)
"""In the order of storing: a clock moves only when all that it stands for is there."""


def rows_of(reading: Reading, partitions: int) -> Blocks:
    """All rows of one reading. `partitions`: how many there are in all."""
    blocks: Blocks = {}
    for segment in reading.segments:
        for table, rows in _segment(segment, reading, partitions):
            if rows:
                blocks.setdefault(table, []).extend(rows)
    return blocks


def _segment(segment: Segment, reading: Reading, partitions: int) -> list[tuple[Table, list[Row]]]:
    part, pos = reading.partition, reading.pos
    return [
        (EVENTS, [event_row(row) for row in segment.events]),
        (AMENDMENTS, [amendment_row(row) for row in segment.amendments]),
        (EPISODES, [episode_row(row) for row in segment.episodes]),
        (MINUTES, [pane_row(row, part) for row in segment.panes]),
        (GAUGES, [row for run in segment.runs for row in gauge_rows(run, part)]),
        (STATUSES, [status_row(row) for row in segment.statuses]),
        (DEAD_LETTERS, [dead_letter_row(row) for row in segment.dead_letters]),
        (LATE, [(tenant, part, pos, total) for tenant, total in segment.late.items()]),
        (CLOCKS, [] if reading.base else clock_rows(segment, part, pos, partitions)),
    ]


def event_row(row: EventRow) -> Row:
    """One row of `events`: as given, and what the fold made of it. The first to arrive (smallest position) stands."""
    event = row.event
    given = event.at if event.given_at is None else event.given_at
    return (
        event.tenant, _subject(event), event.id, 1, event.kind, given, event.at, event.seq, event.conversation,
        event.channel, event.queue, event.customer, event.author, event.author_id, event.text, event.type,
        event.private, event.agent, event.by, event.resolved, event.topic, event.score, event.comment, event.status,
        event.capacity, event.attrs or {}, event.received_at, row.episode, row.model_topic, row.sentiment,
        row.keywords, event.gains or {}, event.clock_suspect, row.late, event.replay, row.position, -row.position,
    )  # fmt: skip


def _subject(event: Event) -> str:
    return f"a:{event.agent}" if event.conversation is None else f"c:{event.conversation}"


def amendment_row(row: Amendment) -> Row:
    """The episode of an event of before."""
    return row.tenant, f"c:{row.conversation}", row.id, row.version, row.episode


def episode_row(row: EpisodeRow) -> Row:
    """One row of `episodes`."""
    return (
        row.tenant, row.conversation, row.episode, row.version, int(row.deleted), row.channel, row.queue,
        row.credit_queue, row.customer, row.agent, row.opened_at, row.demand_at, row.first_reply_at,
        row.first_reply_agent, row.closed_at, row.state, row.outcome, row.reopen, row.outbound, row.frt_ms,
        row.frt_business_ms, row.frt_customer_ms, row.frt_any_ms, row.greeting_ms, row.handle_ms, row.abandon_wait_ms,
        row.censored_wait_ms, row.reply_times_ms, [tuple(wait) for wait in row.queue_waits], row.queue_left_ms,
        row.waiting_since, row.target_ms, row.short_ms, row.customer_messages, row.agent_messages, row.bot_messages,
        row.transfers, row.resolved, row.csat, row.topic, row.agent_topic, row.sentiment, row.formula_id,
        [(hold.agent, hold.since, hold.until) for hold in row.holds],
    )  # fmt: skip


def pane_row(row: PaneRow, partition: int) -> Row:
    """One partition's part of one row of `minutes`. Counts that the table does not know are left out."""
    return (
        row.tenant, row.queue, row.channel, row.minute, partition, row.version, counted(row.frt_hist), row.restated,
        FORMULA, row.topics,
        *(row.counts.get(name, 0) for name in COUNTS),
    )  # fmt: skip


def gauge_rows(run: Run, partition: int) -> Iterator[Row]:
    """The gauges with which each pane of a run closed."""
    for minute in range(run.since, run.until, MINUTE):
        wait = None if run.oldest_since is None else minute + MINUTE - run.oldest_since
        oldest = wait if wait is not None and wait > 0 else None
        yield run.tenant, run.queue, run.channel, minute, partition, run.version, run.backlog, oldest, FORMULA


def status_row(row: StatusRow) -> Row:
    """One row of `agent_status`."""
    return row.tenant, row.agent, row.since, row.version, int(row.deleted), row.until, row.status, row.capacity


def dead_letter_row(row: DeadLetter) -> Row:
    """One row of `dead_letters`."""
    return row.topic, row.partition, row.offset, row.at, row.digest, row.reason, row.size


BEFORE_ANY = -1
"""The version of a row that any other replaces."""


def clock_rows(segment: Segment, partition: int, pos: int, partitions: int) -> list[Row]:
    """How far this partition is, where the segment ends with a tick; and who left its replay.

    Not of a base reading: what it stands on may still be on its way, in readings said before and said again after it.
    """
    rows: list[Row] = []
    if segment.tick is not None:
        rows.append((segment.clock, partition, pos, segment.tick, False, partitions))
    if segment.live is not None:
        rows.append((segment.live, partition, pos, None, True, partitions))
    if segment.clock != REAL and not rows:  # it may have had no tick yet, and then its time is not the real one
        rows.append((segment.clock, partition, BEFORE_ANY, None, False, partitions))
    return rows


def tenants_of(blocks: Blocks) -> set[str]:
    """The tenants these rows are about."""
    named = {
        row[0] for table in (EVENTS, EPISODES, MINUTES, STATUSES, LATE, CLOCKS, ALERTS) for row in blocks.get(table, ())
    }
    return {tenant for tenant in named if tenant}


def newest(table: Table, rows: Sequence[Row]) -> list[Row]:
    """One row per key: the greatest version, of equal ones the last, which is what the table would keep."""
    key_of, version = itemgetter(*table.key), table.version
    if version is None:
        return list({key_of(row): row for row in rows}.values())
    kept: dict[Any, Row] = {}
    for row in rows:
        key = key_of(row)
        other = kept.get(key)
        if other is None or row[version] >= other[version]:
            kept[key] = row
    return list(kept.values())


def unreadable(topic: str, partition: int, offset: int, value: bytes, reason: str, at: int) -> Row:
    """The dead letter of a record that does not decode: length and digest, never what it said."""
    return topic, partition, offset, at, _digest(value), reason[:SHOWN], len(value)


def unstorable(table: Table, row: Row, reason: str, at: int) -> Row:
    """The dead letter of a row that ClickHouse will never take."""
    words = repr(row).encode(errors="replace")
    version = row[table.version] if table.version is not None else 0
    position = abs(version) if isinstance(version, int) and abs(version) < 2**63 else 0
    return f"sink:{table.name}", -1, position, at, _digest(words), reason[:SHOWN], len(words)


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:32]


def decode_alert(value: bytes) -> Row:
    """One change of state of an alert (CONTRACT §5) → a row of `alerts`.

    Raises:
        Unreadable: it is not one.
    """
    try:
        alert = msgspec.json.decode(value, type=dict[str, Any])
        return _alert_row(alert)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"not an alert: {type(error).__name__}") from None


def _alert_row(alert: Mapping[str, Any]) -> Row:
    text = _optional_text(alert)
    since, at = _instant(alert.get("since")), _instant(alert["at"])
    if at is None:
        raise ValueError("at")
    return (
        str(alert["tenant"]), str(alert["alert"]), at, str(alert["state"]), int(alert.get("v") or 1),
        str(alert["rule"]), text("metric"), str(alert.get("severity") or ""),
        text("queue"), text("channel"), text("topic"), since,
        *(_number(alert.get(name)) for name in ("value", "peak", "expected", "low", "high")), text("unit"),
        _json(alert.get("summary")), _json(alert.get("drivers")), _texts(alert.get("keywords")),
        _texts(alert.get("samples")), _json(alert.get("impact")), text("acknowledged_by"),
        _instant(alert.get("acknowledged_at")), text("silenced_by"), text("grade"),
        _instant(alert.get("resolved_at")), text("reason"), text("group"), text("runbook"), text("board"),
    )  # fmt: skip


def decode_deed(value: bytes) -> Row:
    """What a person did, a record of `chat.commands` → a row of `audit`.

    Raises:
        Unreadable: it is not one.
    """
    try:
        deed = msgspec.json.decode(value, type=dict[str, Any])
        at = _instant(deed["at"])
        if at is None:
            raise ValueError("at")
        words = (str(deed[name]) for name in ("id", "actor", "action"))
        return (str(deed["tenant"]), at, *words, str(deed.get("object") or ""), _json(deed.get("detail")))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"not a deed: {type(error).__name__}") from None


def decode_usual(value: bytes) -> list[Row]:
    """What the model of volume said about minutes, a record of `chat.usual` → rows of `minutes_usual`.

    Raises:
        Unreadable: it is not one.
    """
    try:
        said = usual_row.read(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"not what is usual: {type(error).__name__}") from None
    return [
        (row.tenant, row.queue, row.channel, row.minute, said.version, row.expected, row.low, row.high, row.surge)
        for row in said.rows
    ]


def _optional_text(alert: Mapping[str, Any]) -> Any:
    def text(name: str) -> str | None:
        value = alert.get(name)
        return value if value is None or isinstance(value, str) else _json(value)

    return text


def _instant(value: Any) -> int | None:
    """RFC 3339 or ms → ms."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant without offset")
    return round(instant.timestamp() * 1000)


def _number(value: Any) -> float | None:
    number = None if value is None else float(value)
    return None if number is None or not math.isfinite(number) else number


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _texts(values: Iterable[Any] | None) -> list[str]:
    return [str(value) for value in values or ()]


def decode_reading(value: bytes) -> Reading:
    """One record of `chat.readings`.

    Raises:
        Unreadable: it is not one.
    """
    try:
        return _READING.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"not a record of {READINGS}: {type(error).__name__}") from None


_READING = msgspec.json.Decoder(Reading)
