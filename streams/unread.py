"""How near what a role has not read yet is to being deleted, on a Kafka whose topics keep records for a time.

An outage may outlast that time. So whoever tells people looks every few seconds at where each role's group stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

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


async def watch(bootstrap: str, tell: Callable[[Unread], None]) -> None:
    """Look for ever, and tell of each role. While Kafka cannot be asked, nothing is known, and nothing is told."""
    while True:
        try:
            for role in READERS:
                tell(await look(bootstrap, role))
        except (KafkaError, OSError) as error:
            go_on()
            log.warning("unread_unknown", reason=type(error).__name__)
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
            return Unread(role, names[0], 0.0, 0)
        retention = await _retention(admin, there)
        stands = {line: at.offset for line, at in (await admin.list_consumer_group_offsets(group)).items()}
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=1)
        closing.push_async_callback(consumer.stop)
        await consumer.start()
        consumer.assign(lines)
        begins, ends = await consumer.beginning_offsets(lines), await consumer.end_offsets(lines)
        lost = sum(max(0, begins[line] - stands.get(line, begins[line])) for line in lines)
        oldest = {line: max(begins[line], stands.get(line, 0)) for line in lines}
        left = {line: at for line, at in oldest.items() if at < ends[line] and retention[line.topic]}
        now = time.time() * 1000
        used = {line: (now - at) / retention[line.topic] for line, at in (await _written(consumer, left)).items()}
        worst = max(used, key=used.__getitem__, default=lines[0])
        return Unread(role, worst.topic, used.get(worst, 0.0), lost)


async def _lines(admin: AIOKafkaAdminClient, names: Collection[str]) -> list[TopicPartition]:
    if not names:
        return []
    found = await admin.describe_topics(list(names))
    return [TopicPartition(topic["topic"], one["partition"]) for topic in found for one in topic["partitions"]]


async def _retention(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
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
