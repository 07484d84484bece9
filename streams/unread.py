"""How near what a role has not read yet is to being deleted, on a Kafka whose topics keep records for a time.

An outage may outlast that time. So whoever tells people looks every few seconds at where each role's group stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from alerts.ourselves import Unread
from streams.ending import go_on
from streams.events import ALERTS, COMMANDS, EVENTS, READINGS
from streams.topics import USUAL

log = structlog.get_logger()

LOOK_S = 10.0
PATIENCE_S = 5.0
"""How long a look waits for the oldest records; one that does not come has no age."""
READERS: Mapping[str, tuple[str, Sequence[str]]] = {
    "sink": ("tidewatch-sink", (READINGS, ALERTS, COMMANDS, USUAL)),
    "worker": ("tidewatch-worker", (EVENTS,)),
}
"""Role → its group, and what it reads."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition, and where a group stands in it."""

    topic: str
    begin: int
    """The oldest record that is there."""
    end: int
    keeps_ms: int
    """How long a record is kept; 0: for ever."""
    committed: int | None = None
    """The next record to read; None: the group has said nothing yet, and begins at the oldest."""
    written_at: int | None = None
    """When the oldest record was written that the group has not read, ms; None: there is none, or it is not known."""

    @property
    def next(self) -> int:
        """The first record there that the group has not read."""
        return self.begin if self.committed is None else max(self.begin, self.committed)

    @property
    def waiting(self) -> bool:
        """Whether there is one that will be deleted some day."""
        return self.keeps_ms > 0 and self.next < self.end

    @property
    def lost(self) -> int:
        """Records that were deleted before the group read them. True of topics that are not written in transactions,
        whose marks would count as records.
        """
        return 0 if self.committed is None else max(0, self.begin - self.committed)

    def used(self, now: int) -> float:
        """The age of its oldest unread record, as a share of how long it is kept."""
        if self.written_at is None or not self.waiting:
            return 0.0
        return max(0.0, (now - self.written_at) / self.keeps_ms)


def reckoned(role: str, lines: Sequence[Standing], now: int) -> Unread:
    """What a role has not read of all its partitions. `now` in ms. Pure."""
    worst = max(lines, key=lambda line: line.used(now), default=None)
    if worst is None:
        return Unread(role, READERS[role][1][0], 0.0, 0)
    return Unread(role, worst.topic, worst.used(now), sum(line.lost for line in lines))


async def watch(look: Callable[[str], Awaitable[Unread]], tell: Callable[[Unread], None]) -> None:
    """Look for ever, and tell of each role. While Kafka cannot be asked, nothing is known, and nothing is told."""
    while True:
        for role in READERS:
            try:
                found = await look(role)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - nobody ends for a mere look
                go_on()  # aiokafka raises a cancellation of its own where a client is stopped as soon as it began
                log.warning("unread_unknown", role=role, reason=type(error).__name__)
            else:
                tell(found)
        await asyncio.sleep(LOOK_S)


async def look(bootstrap: str, role: str) -> Unread:
    """Where a role stands now.

    Raises:
        KafkaError: Kafka cannot be asked.
    """
    group, names = READERS[role]
    async with AsyncExitStack() as closing:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
        closing.push_async_callback(admin.close)
        await admin.start()
        there = [name for name in names if name in set(await admin.list_topics())]
        lines = await _lines(admin, there)
        if not lines:
            return reckoned(role, (), 0)
        keeps = await _retention(admin, there)
        committed = {line: at.offset for line, at in (await admin.list_consumer_group_offsets(group)).items()}
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=1)
        closing.push_async_callback(consumer.stop)
        await consumer.start()
        consumer.assign(lines)
        begins, ends = await consumer.beginning_offsets(lines), await consumer.end_offsets(lines)
        found = {
            line: Standing(line.topic, begins[line], ends[line], keeps[line.topic], committed.get(line))
            for line in lines
        }
        written = await _written(consumer, {line: one.next for line, one in found.items() if one.waiting})
        standing = [replace(one, written_at=written.get(line)) for line, one in found.items()]
        return reckoned(role, standing, time.time_ns() // 1_000_000)


async def _lines(admin: AIOKafkaAdminClient, names: Collection[str]) -> list[TopicPartition]:
    if not names:
        return []
    found = await admin.describe_topics(list(names))
    return [TopicPartition(topic["topic"], one["partition"]) for topic in found for one in topic["partitions"]]


async def _retention(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Topic → ms that a record is kept; 0: for ever."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(asked):
        for _, _, _, name, settings, *_ in answer.resources:
            values = {setting[0]: setting[1] for setting in settings}
            found[name] = max(0, int(values.get("retention.ms") or 0))
    return found


async def _written(consumer: AIOKafkaConsumer, at: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """When the records at, or first after, these offsets were written, in ms."""
    found: dict[TopicPartition, int] = {}
    if not at:
        return found
    consumer.assign(list(at))
    for line, offset in at.items():
        consumer.seek(line, offset)
    until = time.monotonic() + PATIENCE_S
    while len(found) < len(at) and time.monotonic() < until:
        missing = [line for line in at if line not in found]
        for line, records in (await consumer.getmany(*missing, timeout_ms=500)).items():
            found[line] = records[0].timestamp
            consumer.pause(line)
    return found
