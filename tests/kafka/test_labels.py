"""Labels on a real Kafka: two workers learn the same from one topic, and a new one knows it before it works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.json import decode

from config.settings import Kafka
from streams.events import Event, encode, partition_of
from streams.hashing import hashed
from streams.labels import Example
from streams.learner import Learner
from streams.lessons import Lessons
from streams.tables import ensure_topics
from streams.topics import LABELS
from tests.kafka.broker import Broker
from tests.kafka.test_worker import Heard, Sent, Workers, line_up
from tests.streams.line import PARTITIONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
TENANT = "case"
START = 1_772_445_600_000
TAUGHT = {"delivery": ["包裹", "快递"], "refund": ["退款", "到账"]}
ROUNDS = 200


def written(conversation: str, id_: str, at: int, words: list[str]) -> Event:
    return Event(
        id=id_, kind="message", at=START + at, tenant=TENANT, conversation=conversation, author="customer", text="x",
        sentiment=0.0, keywords=tuple(words), received_at=START + at,
    )  # fmt: skip


def lesson(n: int) -> list[Event]:
    topic = list(TAUGHT)[n % 2]
    closing = Event(
        id="z", kind="closed", at=START + n * 10 + 5, tenant=TENANT, conversation=f"l{n}", agent="amy", topic=topic,
        received_at=START + n * 10 + 5,
    )  # fmt: skip
    return [written(f"l{n}", "a", n * 10, TAUGHT[topic]), closing]


def said_of(heard: Heard, conversation: str) -> str | None:
    rows = [row for reading in heard.readings for segment in reading.segments for row in segment.events]
    return next((row.model_topic for row in rows if row.event.conversation == conversation), None)


async def ask_everywhere(sent: Sent, heard: Heard, workers: Workers, name: str, at: int) -> dict[int, str | None]:
    """A new conversation in every partition; what its message was taken to be about."""
    asked: dict[int, str] = {}
    for n in range(1_000):
        asked.setdefault(partition_of(TENANT, f"{name}{n}", PARTITIONS), f"{name}{n}")
    await sent.events([written(one, "a", at, ["退款"]) for one in asked.values()])
    await heard.until(lambda: heard.positions == sent.last, lambda: "".join(map(workers.said, ("one", "two"))))
    return {partition: said_of(heard, one) for partition, one in asked.items()}


def test_workers_of_one_group_learn_from_each_others_labels_and_a_new_one_knows_them_at_once(
    broker: Broker, tmp_path: Path
) -> None:
    async def story() -> None:
        async with line_up(broker, tmp_path) as (sent, heard, workers):
            workers.start("one")
            workers.start("two")
            for n in range(8):
                await sent.events(lesson(n))
            for turn in range(ROUNDS):
                found = await ask_everywhere(sent, heard, workers, f"turn{turn}-", 1_000 + turn)
                if set(found.values()) == {"refund"}:
                    break
                await asyncio.sleep(0.1)
            assert set(found.values()) == {"refund"}, "every partition's worker has learned"
            for name in ("one", "two"):
                workers.kill(name)
            workers.start("one")
            workers.start("two")
            again = await ask_everywhere(sent, heard, workers, "new-", 5_000)
            assert set(again.values()) == {"refund"}, "from its first record on"

    asyncio.run(story())


def test_whoever_listens_learns_each_example_once_and_in_the_order_of_the_topic(broker: Broker) -> None:
    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
        await producer.start()

        async def publish(value: bytes) -> None:
            await producer.send_and_wait(LABELS, value, partition=0)

        first, later = Lessons(Learner(), publish), Lessons(Learner(), publish)
        hearing = [asyncio.create_task(first.listen(broker.bootstrap))]
        examples = [Example("own", f"c{n % 40}", f"t{n % 3}", hashed([f"w{n % 7}", f"w{n % 5}"])) for n in range(60)]
        await first.say(examples[:30])
        await publish(b"no example at all")
        await first.say(examples[30:])
        hearing.append(asyncio.create_task(later.listen(broker.bootstrap)))
        await asyncio.wait_for(later.caught_up.wait(), 30)
        for _ in range(300):
            if first.learner.rank("own", hashed(["w4"])) == later.learner.rank("own", hashed(["w4"])):
                break
            await asyncio.sleep(0.05)
        told = [one.learner.changed()["own"] for one in (first, later)]
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
        await producer.stop()
        assert told[0] == told[1]
        alone = Learner()
        assert sum(alone.learn(one) for one in examples) == 40
        assert alone.changed()["own"] == told[0]

    asyncio.run(story())


def test_an_example_on_the_topic_says_no_text(broker: Broker) -> None:
    async def read() -> list[bytes]:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        line = TopicPartition(LABELS, 0)
        consumer.assign([line])
        end = (await consumer.end_offsets([line]))[line]
        found: list[bytes] = []
        while await consumer.position(line) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [record.value for record in records]
        await consumer.stop()
        return found

    values = [value for value in asyncio.run(read()) if b'"case"' in value]
    assert values
    for value in values:
        assert "退款".encode() not in value
        assert "包裹".encode() not in value
        assert encode(decode(value, type=Example)) == value
