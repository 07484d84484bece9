"""History read back: what ClickHouse has of a tenant's events, folded again through the very fold of the worker.

`events` is enough for that: it has every field as given, what models said of each message, what counts of the time, and
the position in the stream. Gauges of closed panes are not made again: they were true when they were said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.events import EpisodeRow, Event, PaneRow, Record, Tick
from streams.policy import Policy
from streams.shard import ALL, Shard
from streams.states import Batch, Files

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

EVERY = 2_000
"""Events between two times that what was folded is put away: it bounds the memory."""
MOST = 500
"""Events of one step, as in a record."""
_PLAIN = (
    "id", "kind", "seq", "conversation", "channel", "queue", "customer", "author", "author_id", "text", "type",
    "private", "agent", "by", "resolved", "topic", "score", "comment", "status", "capacity", "clock_suspect", "replay",
    "sentiment",
)  # fmt: skip
_TIMES = ("at", "event_time", "received_at")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZEROES = {"seq": 0, "private": False, "clock_suspect": False, "replay": False}


@dataclass(frozen=True)
class Clock:
    """A tenant, and how far its numbers go."""

    tenant: str
    as_of: int | None
    """Milliseconds; None: before its first tick."""
    replay: bool
    ticked: bool
    """Whether it ever had a clock of its own."""


def ms(value: datetime | None) -> int | None:
    """An instant of ClickHouse in milliseconds."""
    if value is None:
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def clocks(client: Client) -> list[Clock]:
    """Every tenant."""
    own = {str(name) for (name,) in client.query("SELECT DISTINCT clock FROM clocks_base").result_rows}
    rows = client.query("SELECT tenant, as_of, replay FROM clocks WHERE tenant != '' ORDER BY tenant").result_rows
    return [Clock(str(tenant), ms(as_of), bool(replay), tenant in own) for tenant, as_of, replay in rows]


def events(client: Client, tenant: str, *, late: bool = False) -> Iterator[tuple[int, Event]]:
    """A tenant's events that counted, each with its position, in the order of arrival; `late`: those that did not."""
    query = (
        f"SELECT position, {', '.join((*_PLAIN, *_TIMES))}, attrs, keywords, topic_gains FROM events "  # noqa: S608  names of ours
        "WHERE tenant = {tenant:String} AND late = {late:Bool} ORDER BY position, event_time, seq, id"
    )
    with client.query_row_block_stream(query, parameters={"tenant": tenant, "late": late}) as blocks:
        for block in blocks:
            for row in block:
                yield int(row[0]), _event(tenant, row)


def _event(tenant: str, row: Any) -> Event:
    given = dict(zip(_PLAIN, row[1:], strict=False))
    at, counts, received = (ms(value) or 0 for value in row[1 + len(_PLAIN) : 1 + len(_PLAIN) + len(_TIMES)])
    attrs, keywords, gains = row[-3:]
    fields = {name: value for name, value in given.items() if value is not None or name not in _ZEROES}
    return Event(
        **fields, tenant=tenant, at=counts, given_at=None if at == counts else at, received_at=received,
        attrs=dict(attrs) or None, keywords=tuple(keywords), gains=dict(gains),
    )  # fmt: skip


class Refold:
    """One partition's fold over history: `feed` it, then read what it came to."""

    def __init__(self, partition: int, policy_of: Callable[[str], Policy], files: Files) -> None:
        self.shard = Shard(partition, policy_of, files.shelf(partition))
        self.shard.most_woken = ALL  # there is one tick, at the end
        self._files = files
        self._live: set[str] = set()
        self._since = 0
        self.episodes: dict[tuple[str, str, int], EpisodeRow] = {}
        self.panes: dict[tuple[str, str, str, int], PaneRow] = {}
        self.keep = True
        """Whether the rows are wanted, or only the state."""

    def feed(self, some: Iterable[tuple[int, Event]], *, real_positions: bool) -> int:
        """Fold events in the order of arrival; how many there were. `real_positions`: each stands at its own."""
        count = 0
        for position, group in groupby(some, key=lambda one: one[0]):
            found = [event for _, event in group]
            count += len(found)
            for event in found:
                self._mode(event)
            for start in range(0, len(found), MOST):
                self._step(position if real_positions else None, Record(events=found[start : start + MOST]))
        return count

    def _mode(self, event: Event) -> None:
        """A live event of a tenant that was in replay says that it had left it."""
        if not event.replay and event.tenant not in self._live:
            self._live.add(event.tenant)
            self.go_live(event.tenant)

    def go_live(self, tenant: str) -> None:
        """The tenant is on the real clock."""
        self._step(None, Record(tick=Tick(None, tenant)))

    def tick(self, clock: Clock) -> None:
        """Bring a tenant to its clock."""
        if clock.as_of is None or not (clock.ticked or clock.tenant in self._live):
            return  # in replay, before its first tick: it has no now
        if not clock.replay and clock.tenant not in self._live:
            self.go_live(clock.tenant)
        self._step(None, Record(tick=Tick(clock.as_of, clock.tenant if clock.replay else None)))

    def _step(self, position: int | None, record: Record) -> None:
        if position is not None and position <= self.shard.position:
            position = None  # the rest of a record that was cut
        self.shard.step(position, record)
        self._since += len(record.events)
        if self._since >= EVERY:
            self.put_away()

    def stand_at(self, position: int) -> None:
        """Everything up to this position is in it; keep it so."""
        self.shard.position = position
        self.put_away()

    def put_away(self) -> None:
        """Keep what changed, so that what is closed need not stay in memory."""
        self._since = 0
        reading = self.shard.reading()
        batch = Batch(self.shard.partition, self.shard.position, self.shard.changes(), ())
        self._files.stage([batch])
        self._files.commit([batch])
        self._files.unstage()
        for segment in reading.segments if reading is not None and self.keep else ():
            for episode in segment.episodes:
                self.episodes[episode.tenant, episode.conversation, episode.episode] = episode
            for pane in segment.panes:
                self.panes[pane.tenant, pane.queue, pane.channel, pane.minute] = pane


def scratch(directory: Path) -> Files:
    """A file for state that nobody keeps."""
    return Files(directory / "state.db")


def connect(url: str, user: str, password: str, database: str) -> Client:
    """A client of a ClickHouse, or of the embedded one's door."""
    import clickhouse_connect
    from clickhouse_connect import common

    common.set_setting("autogenerate_session_id", False)
    return clickhouse_connect.get_client(dsn=url, username=user, password=password, database=database)


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its instants in milliseconds and its tuples as lists."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return ms(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
