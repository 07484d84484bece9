"""Faust's consumer, which goes back to where its group stands. Mended for Faust 0.15.3 on aiokafka 0.14.

While partitions move, Faust may be handed records that it must not give to an agent yet. It drops them and seeks each
partition to what the group has committed. aiokafka leaves out of that the partitions of which nothing, or 0, is
committed: there the dropped records would not come again in this generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka
from faust.types import TP


class Thread(aiokafka.AIOKafkaConsumerThread):
    """Seeks every partition, those that stand at the beginning as well."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to the committed offsets; where none is, to the oldest record. Says the offsets; None: none is."""
        committed: Mapping[TP, int] = await self.call_thread(self._go_back)
        return committed

    async def _go_back(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int] = await consumer.seek_to_committed()
        at_the_beginning = [line for line, offset in committed.items() if not offset]
        if at_the_beginning:
            # not seek_to_beginning: until that is done a partition has no position, and Faust, which looks, dies of it
            for line, offset in (await consumer.beginning_offsets(at_the_beginning)).items():
                consumer.seek(line, offset)
        return committed


class Consumer(aiokafka.Consumer):
    """Has such a thread."""

    def _new_consumer_thread(self) -> Any:
        return Thread(self, loop=self.loop, beacon=self.beacon)


class Transport(aiokafka.Transport):
    """Has such a consumer."""

    Consumer = Consumer


def carry(app: Any, bootstrap: str, transport: type[Transport] = Transport) -> None:
    """Let an app that is not started yet speak to these servers by this transport."""
    app.transport = transport(urls(bootstrap), app=app, loop=app.loop)


def urls(bootstrap: str) -> list[Any]:
    """Every server of the list: whichever answers first tells of the others."""
    from yarl import URL  # Faust's own dependency, only needed to speak to its transport

    return [URL(f"kafka://{server.strip()}") for server in bootstrap.split(",") if server.strip()]
