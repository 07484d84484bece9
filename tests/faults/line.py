"""The line in memory with all that can go wrong with it: kills between any two steps, outages, old readings again.

What is durable is what would be on disk: shelves, outbox and positions of the last commit, the log of records (the
journal, or a topic), and what the reader has taken. Everything else is lost with a kill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.events import Event, Reading, Record, Tick, decode_reading, encode, partition_of
from streams.parcels import parcels
from streams.shard import Shard
from tests.conformance.cases import Row
from tests.streams.line import Line

TENANT = "case"
STEPS = ("taken", "kept", "published", "acked")
"""Of a commit, in order; a kill may come behind each."""


class Killed(Exception):
    """The worker died."""


class Faulty(Line):
    """A line whose workers can be killed at any step of a commit, and whose reader may be away or read again."""

    def __init__(self, settings: dict[str, Any] | None = None, partitions: int = 4) -> None:
        super().__init__(settings, partitions)
        self.log: list[list[tuple[int, Record]]] = [[] for _ in range(partitions)]
        """Every record of a partition, with its position."""
        self.committed = [-1] * partitions
        self.outbox: list[list[tuple[int, bytes]]] = [[] for _ in range(partitions)]
        self.topic: list[bytes] = []
        """Everything ever published, in order."""
        self.read_until = 0
        self.away = False
        """The reader takes nothing: an outage behind the topic."""
        self._said = [-1] * partitions
        self._waiting: list[deque[tuple[int, Record]]] = [deque() for _ in range(partitions)]
        """Records that a worker has not taken yet."""

    # What comes in

    def send(self, events: Sequence[Event]) -> None:
        """Records into the log; the workers take them at once."""
        packs: dict[int, list[Event]] = {}
        for event in events:
            key = event.agent or "" if event.kind == "agent_status" else event.conversation or ""
            packs.setdefault(partition_of(event.tenant, key, self.partitions), []).append(event)
        for partition, some in packs.items():
            self._append(partition, Record(events=some))

    def tick(self, at: int | None, tenant: str | None = None) -> None:
        """A tick into every partition's log."""
        for partition in range(self.partitions):
            self._append(partition, Record(tick=Tick(at, tenant)))

    def _append(self, partition: int, record: Record) -> None:
        self.position += 1
        self.log[partition].append((self.position, record))
        self._waiting[partition].append((self.position, record))
        self.work(partition)

    def again(self, partition: int, back: int) -> None:
        """The feeder sends the last records once more, with their positions: they were applied before."""
        for position, record in self.log[partition][-back:]:
            self._step(partition, position, record)

    def work(self, partition: int) -> None:
        """Take everything that waits."""
        waiting = self._waiting[partition]
        while waiting:
            self._step(partition, *waiting.popleft())

    def _step(self, partition: int, position: int, record: Record) -> None:
        copied = msgspec.json.decode(encode(record), type=Record)  # as it would come from the broker
        self.shards[partition].step(position, copied)

    # Commits and deaths

    def commit(self, partition: int, die_behind: str | None = None) -> None:
        """Commit what was applied; with `die_behind` the worker dies behind that step and comes back."""
        try:
            self._commit(partition, lambda step: self._passed(step, die_behind))
        except Killed:
            self.revive(partition)

    def _passed(self, step: str, die_behind: str | None) -> None:
        if step == die_behind:
            raise Killed

    def _commit(self, partition: int, here: Callable[[str], None]) -> None:
        shard, before = self.shards[partition], self._said[partition]
        reading = shard.reading() or Reading(partition, shard.position)
        changes, values = shard.changes(), list(parcels(reading, before))
        self._said[partition] = shard.position
        here("taken")
        self.shelves[partition].keep(changes)
        self.outbox[partition] += [(shard.position, value) for value in values]
        self.committed[partition] = shard.position
        here("kept")
        self.topic += values
        here("published")
        here("acked")

    def flush(self) -> None:
        """Commit everywhere, and let the reader read."""
        for partition in range(self.partitions):
            self.commit(partition)
        self.read()

    def revive(self, partition: int) -> None:
        """A worker begins with what was committed: it says what stands, the outbox again, and reads on from there."""
        shard = Shard(partition, lambda _: self.policy, self.shelves[partition], self.committed[partition], self.reader)
        shard.load()
        self.shards[partition] = shard
        self._said[partition] = shard.position
        self.topic += list(parcels(shard.base(), shard.position))
        self.topic += [value for _, value in self.outbox[partition]]
        self._waiting[partition] = deque(one for one in self.log[partition] if one[0] > self.committed[partition])
        self.work(partition)

    # The reader

    def read(self) -> None:
        """Take what was published, unless it is away."""
        if not self.away:
            for value in self.topic[self.read_until :]:
                self._read(decode_reading(value))
            self.read_until = len(self.topic)

    def rewind(self, back: int) -> None:
        """The reader begins again some readings before."""
        self.read_until = max(0, self.read_until - back)

    def trim(self, partition: int) -> None:
        """What the reader has stored leaves the outbox."""
        if self.read_until == len(self.topic):
            self.outbox[partition] = []

    # What it comes to

    def answer(self, tick: int) -> Row:
        """All numbers, under the names of the reference."""
        view = self.present.view(TENANT)
        return {
            "episodes": [msgspec.structs.asdict(row) for row in self.episode_rows()],
            "live": {(key[0], key[1]): view.key(key, tick) for key in view.keys},
            "minutes": {(row["queue"], row["channel"], row["minute"]): row for row in self.minute_rows()},
            "agents": {row["agent"]: row for row in view.agent_rows()},
            "late": sorted(row.event.id for row in self.events.values() if row.late),
        }
