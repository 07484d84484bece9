"""The worker's state on a real Kafka: whole commits, one owner, and all of it there again after kills."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import Kafka
from streams.shard import Changed
from streams.tables import STATE, Lost, Tables, ensure_topics
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PARTITIONS = 4
TENANT = "t"


def kept(name: str, value: bytes) -> Changed:
    """One row."""
    return Changed("conversation", TENANT, name, 0, True, value)


def test_a_commit_is_kept_whole_or_not_at_all_and_who_opens_a_partition_shuts_others_out(broker: Broker) -> None:
    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        tables = Tables(broker.bootstrap)
        old = await tables.open(3)
        start = old.position
        await old.commit(old.stage(start + 1, [kept("a", b"1"), kept("b", b"1")]))
        half = await tables.open(3)
        assert (half.position, half.shelf().find("conversation", TENANT, "b")) == (start + 1, b"1")
        with pytest.raises(Lost):
            await old.commit(old.stage(start + 9, [kept("a", b"late")]))
        await half._producer.begin_transaction()
        await (await half._producer.send(STATE, key=b"torn", value=b"torn", partition=3))
        new = await tables.open(3)
        assert (new.position, new.shelf().find("conversation", TENANT, "a")) == (start + 1, b"1")
        await new.commit(new.stage(start + 2, [kept("a", b"2")]))
        broker.kill()
        await asyncio.to_thread(broker.start)
        await new.commit(new.stage(start + 3, [kept("b", b"3")]))
        for table in (old, half, new):
            await table.close()
        last = await tables.open(3)
        rows = [last.shelf().find("conversation", TENANT, name) for name in "ab"]
        assert (last.position, rows) == (start + 3, [b"2", b"3"])
        await last.close()

    asyncio.run(story())


def test_open_conversations_are_handed_out_once_and_closed_ones_are_found_again(broker: Broker) -> None:
    async def story() -> None:
        await ensure_topics(Kafka(bootstrap=broker.bootstrap, partitions=PARTITIONS))
        tables = Tables(broker.bootstrap)
        old = await tables.open(2)
        start = old.position
        await old.commit(old.stage(start + 1, [kept(name, b"1") for name in ("open", "closes", "opens")]))
        closed = [kept(name, b"2")._replace(live=False) for name in ("closes", "opens")]
        await old.commit(old.stage(start + 2, closed))
        await old.commit(old.stage(start + 3, [kept("opens", b"3")]))
        await old.close()
        new = await tables.open(2)
        shelf = new.shelf()
        names = ["open", "closes", "opens", "never"]
        assert shelf.find_all("conversation", TENANT, names) == {"open": b"1", "closes": b"2", "opens": b"3"}
        assert sorted(shelf.live("conversation")) == [b"1", b"3"]
        assert list(new.shelf().live("conversation")) == []
        assert shelf.find("conversation", TENANT, "closes") == b"2"
        await new.close()

    asyncio.run(story())
