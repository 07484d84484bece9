"""The line in memory: wire events → shards → the present and the rows, without broker, database or clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.settings import TenantSettings
from streams.events import EpisodeRow, Event, EventRow, PaneRow, Reading, Record, Tick, partition_of
from streams.labels import Reader
from streams.metrics import COUNTS
from streams.policy import Policy
from streams.present import Present
from streams.shard import Changed, Shard
from streams.waits import counted
from tests.conformance.cases import Row, at_of

PARTITIONS = 4


@dataclass
class Shelf:
    """Durable state, in memory."""

    rows: dict[tuple[str, str, str, int], Changed] = field(default_factory=dict)

    def keep(self, changes: Sequence[Changed]) -> None:
        """Take the changed rows."""
        for row in changes:
            self.rows[row.kind, row.tenant, row.key, row.at] = row

    def find(self, kind: str, tenant: str, key: str, at: int = 0) -> bytes | None:
        """One row, or None."""
        row = self.rows.get((kind, tenant, key, at))
        return row.value if row else None

    def find_all(self, kind: str, tenant: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Key → row, of those that there are."""
        return {key: found for key in keys if (found := self.find(kind, tenant, key)) is not None}

    def conversations(self, after: tuple[str, str], n: int) -> list[tuple[str, str, bytes]]:
        """The next conversations behind this tenant and key."""
        found = sorted((row.tenant, row.key) for row in self.rows.values() if row.kind == "conversation")
        return [(*name, self.rows["conversation", *name, 0].value) for name in found if name > after][:n]

    def live(self, kind: str) -> Iterator[bytes]:
        """What a start needs of a kind."""
        return iter([row.value for row in self.rows.values() if row.kind == kind and row.live])

    def panes(self, tenant: str, since: int) -> Iterator[bytes]:
        """A tenant's panes from a minute on."""
        return iter(
            [row.value for row in self.rows.values() if row.kind == "pane" and row.tenant == tenant and row.at >= since]
        )


def event_of(wire: Row, tenant: str, received_at: int = 0, replay: bool = True) -> Event:
    """A wire event as the gateway would hand it on."""
    given = {name: value for name, value in wire.items() if value is not None and name in Event.__struct_fields__}
    return Event(**(given | {"at": at_of(wire), "tenant": tenant, "received_at": received_at, "replay": replay}))


class Line:
    """A few partitions, their readings merged, and the rows a sink would hold."""

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        partitions: int = PARTITIONS,
        reader: Reader | None = None,
        short: bool = True,
    ) -> None:
        """`short`: False lets the definition alone fold."""
        policy = Policy(TenantSettings.model_validate(settings or {}))
        self.policy = policy
        self.partitions = partitions
        self.shelves = [Shelf() for _ in range(partitions)]
        self.reader = reader
        self.short = short
        self.shards = [
            Shard(number, lambda _: policy, shelf, reader=reader, short=short)
            for number, shelf in enumerate(self.shelves)
        ]
        self.present = Present(partitions, lambda _: policy)
        self.events: dict[tuple[str, str, str], EventRow] = {}
        self.episodes: dict[tuple[str, str, int], EpisodeRow] = {}
        self.panes: dict[tuple[str, str, str, int], dict[int, PaneRow]] = {}
        self.statuses: dict[tuple[str, str, int], Any] = {}
        self.position = 0

    def send(self, events: Sequence[Event]) -> None:
        """Send events, each run of one partition as one record."""
        by_partition: dict[int, list[Event]] = {}
        for event in events:
            key = event.agent or "" if event.kind == "agent_status" else event.conversation or ""
            by_partition.setdefault(partition_of(event.tenant, key, self.partitions), []).append(event)
        for partition, some in by_partition.items():
            self.position += 1
            self.shards[partition].step(self.position, Record(events=some))

    def tick(self, at: int | None, tenant: str | None = None) -> None:
        """Tick every partition."""
        for shard in self.shards:
            self.position += 1
            shard.step(self.position, Record(tick=Tick(at, tenant)))

    def flush(self) -> None:
        """Say and keep what has changed."""
        for number, shard in enumerate(self.shards):
            reading = shard.reading()
            self.shelves[number].keep(shard.changes())
            if reading is not None:
                self._read(reading)

    def restart(self, partition: int) -> None:
        """Drop a shard and take its state up again."""
        shelf = self.shelves[partition]
        shard = Shard(partition, lambda _: self.policy, shelf, self.shards[partition].position, self.reader, self.short)
        shard.load()
        self.shards[partition] = shard
        self._read(shard.base().decoded())

    def _read(self, reading: Reading) -> None:
        for segment in reading.segments:
            self.present.take(reading.partition, segment)
            for event in segment.events:
                key = (event.event.tenant, event.event.conversation or event.event.agent or "", event.event.id)
                self.events.setdefault(key, event)
            for amendment in segment.amendments:
                self.events[amendment.tenant, amendment.conversation, amendment.id].episode = amendment.episode
            for episode in segment.episodes:
                name = (episode.tenant, episode.conversation, episode.episode)
                if name not in self.episodes or self.episodes[name].version <= episode.version:
                    self.episodes[name] = episode
            for status in segment.statuses:
                self.statuses[status.tenant, status.agent, status.since] = status
            for pane in segment.panes:
                parts = self.panes.setdefault((pane.tenant, pane.queue, pane.channel, pane.minute), {})
                if reading.partition not in parts or parts[reading.partition].version <= pane.version:
                    parts[reading.partition] = pane

    def episode_rows(self) -> list[EpisodeRow]:
        """Table `episodes`."""
        rows = [row for row in self.episodes.values() if not row.deleted]
        return sorted(rows, key=lambda row: (row.opened_at, row.conversation, row.episode))

    def minute_rows(self) -> list[Row]:
        """Table `minutes`."""
        out = []
        for (tenant, queue, channel, minute), parts in self.panes.items():
            row: Row = {"tenant": tenant, "queue": queue, "channel": channel, "minute": minute, "frt_hist": {}}
            row |= dict.fromkeys(COUNTS, 0) | {"topics": {}}
            for part in parts.values():
                for name, n in part.counts.items():
                    row[name] = row[name] + n
                for lower, n in counted(part.frt_hist).items():
                    row["frt_hist"][lower] = row["frt_hist"].get(lower, 0) + n
                for topic, n in part.topics.items():
                    row["topics"][topic] = row["topics"].get(topic, 0) + n
            out.append(row)
        return out
