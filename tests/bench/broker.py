"""What a fetch costs the embedded broker, by how much it holds: `python -m tests.bench.broker [--records N …]`.

Records are sent one by one and read by a consumer that waits for them, as the stack does; the broker's own processor
time is divided by them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.events import EVENTS
from streams.transport import FETCH_WAIT_MS
from tests.bench.machine import machine
from tests.gateway.rig import broker_process
from tidewatch import servers

SIZE = 2_000
"""Bytes of a record."""
PROBES = 50


async def measure(records: list[int]) -> None:
    """Fill a partition further and further, and probe it each time."""
    port = servers.free_port()
    with broker_process(port) as process:
        while not await servers.listens(port):
            await asyncio.sleep(0.02)
        await servers.create_topics(port, 1)
        producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}", max_batch_size=1)
        consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{port}", fetch_max_wait_ms=FETCH_WAIT_MS)
        await asyncio.gather(producer.start(), consumer.start())
        where, there = TopicPartition(EVENTS, 0), 0
        consumer.assign([where])
        for wanted in records:
            while there < wanted:
                await asyncio.gather(*(producer.send_and_wait(EVENTS, b"x" * SIZE, partition=0) for _ in range(100)))
                there += 100
            consumer.seek(where, there)
            broker, delays = psutil.Process(process.pid), []
            before = sum(broker.cpu_times()[:2])
            for _ in range(PROBES):
                sent = time.monotonic()
                await producer.send_and_wait(EVENTS, b"y", partition=0)
                await consumer.getmany(timeout_ms=5_000)
                delays.append(time.monotonic() - sent)
            there += PROBES
            spent = (sum(broker.cpu_times()[:2]) - before) / PROBES
            late = statistics.median(delays)
            print(
                f"{there:>7} records: {spent * 1e3:5.1f} ms of CPU and {late * 1e3:5.1f} ms by the clock each",
                flush=True,
            )
        await asyncio.gather(producer.stop(), consumer.stop())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 5_000, 10_000, 20_000, 40_000])
    print(machine(), flush=True)
    asyncio.run(measure(parser.parse_args().records))


if __name__ == "__main__":
    main()
