"""How worker and sink speak to Kafka through Faust. Mended for Faust 0.15.3 on aiokafka 0.14, in four places.

A fetch waits 1.5 s for data, and Faust has no setting for it: the embedded broker waits it out, and answers nothing
else on that connection, nor lets go of it. Here the transport says how long.

Faust waits a second until it joins its group, so that its agents have said which topics they read. `NoTables` looks;
not on the embedded broker, where whoever joins at once behind one that has left may wait for its session.

While partitions move, Faust may be handed records that it must not give to an agent yet. It drops them and seeks each
partition to what the group has committed. aiokafka leaves out of that the partitions of which nothing, or 0, is
committed: there the dropped records would not come again in this generation. And where Kafka has deleted what the group
would read next, it goes on without a word: here the loss is counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from faust.tables import TableManager
from faust.transport.drivers import aiokafka
from faust.types import TP

log = structlog.get_logger()

FETCH_WAIT_MS = 50
JOIN_WITHIN_S = 1.0
"""Faust's wait."""


class Thread(aiokafka.AIOKafkaConsumerThread):
    """Seeks every partition, those that stand at the beginning as well, and fetches with the transport's wait."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = transport.fetch_wait_ms  # noqa: SLF001 - there is no other way
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to the committed offsets; where none is, to the oldest record. Says the offsets; None: none is."""
        committed: Mapping[TP, int] = await self.call_thread(self._go_back)
        return committed

    async def _go_back(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: dict[TP, int] = dict(await consumer.seek_to_committed())
        oldest = await consumer.beginning_offsets(list(committed)) if committed else {}
        for line, first in oldest.items():
            at = committed[line]
            if not at or at < first:
                # not seek_to_beginning: until that is done it has no position, and Faust, which looks, dies of it
                consumer.seek(line, first)
            if at and at < first:
                committed[line] = first
                log.error(
                    "records_lost", topic=line.topic, partition=line.partition, count=first - at,
                    mend="Kafka deleted them before they were read: raise the topic's retention.ms",
                )  # fmt: skip
        return committed


class Consumer(aiokafka.Consumer):
    """Has such a thread."""

    def _new_consumer_thread(self) -> Any:
        return Thread(self, loop=self.loop, beacon=self.beacon)


class Transport(aiokafka.Transport):
    """Has such a consumer."""

    Consumer = Consumer
    fetch_wait_ms = FETCH_WAIT_MS
    """How long a fetch waits for data, at most."""


class NoTables(TableManager):
    """Of an app without tables: lets it join as soon as each agent has said what it reads."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        """Wait for the agents' topics, or as long as Faust does: a topic that came late would be read 45 s later."""
        until = time.monotonic() + JOIN_WITHIN_S
        while not self._all_said() and time.monotonic() < until and not self.should_stop:
            await self.sleep(0.01)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def _all_said(self) -> bool:
        said = {name for topic in self.app.topics for name in topic.topics}
        return all(said.issuperset(agent.get_topic_names()) for agent in self.app.agents.values())


def carry(app: Any, bootstrap: str, embedded: bool, fetch_wait_ms: int = FETCH_WAIT_MS) -> None:
    """Let an app without tables, that is not started yet, speak to these servers by this transport."""
    transport = Transport(urls(bootstrap), app=app, loop=app.loop)
    transport.fetch_wait_ms = fetch_wait_ms
    app.transport = transport
    if not embedded:
        app.conf.TableManager = NoTables


def urls(bootstrap: str) -> list[Any]:
    """Every server of the list: whichever answers first tells of the others."""
    from yarl import URL  # Faust's own dependency, only needed to speak to its transport

    return [URL(f"kafka://{server.strip()}") for server in bootstrap.split(",") if server.strip()]
