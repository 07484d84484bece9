"""FAULTS J-07: names that try to be commands, patterns or other keys stay names in Redis; keys are ours alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import redis.asyncio as redis

from config.settings import Settings, TenantSettings
from gateway.doors import Mode
from gateway.shared import DOORS, REPLAYED, Shared
from sinks.redis import KEYS, LISTS, META, SERIES, Show
from streams.events import Event, Reading, Record, Tick
from streams.lines import Lines
from streams.notifier import Reader
from streams.policy import Policies, Policy
from streams.shard import Shard
from tests.board.stage import running_redis
from tests.streams.line import Shelf

pytestmark = pytest.mark.slow
NASTY = (
    "a\r\nDEL tw:meta\r\n", "*3\r\n$3\r\nDEL\r\n", "*", "tw:*", "?[a-z]", "tw:keys", "tw:meta", "a:b", "a", ":", " ",
    "a b", '"],["', "\\", "\x00", "\x1b[2J", "\u202e", "字", "%s{}", "x" * 64,
)  # fmt: skip
"""`*` as a tenant is refused at the door (tests/gateway/test_parse.py): here even that one is only a name."""
NOW = 1_772_445_600_000
TEXT = "what a customer wrote"


def asked() -> Reading:
    """Somebody waits in a queue of each name, in a tenant of each name."""
    policy = Policy(TenantSettings())
    shard = Shard(0, lambda _: policy, Shelf())
    events = [
        Event(
            id=name, kind="message", at=NOW, tenant=name, conversation=name, author="customer", text=TEXT, queue=name,
            channel=name, received_at=NOW,
        )
        for name in NASTY
    ]  # fmt: skip
    shard.step(1, Record(events=events))
    shard.step(2, Record(tick=Tick(NOW, None)))
    reading = shard.reading()
    assert reading is not None
    return reading


def test_j07_a_name_is_a_field_of_the_present_and_never_a_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(tmp_path) as url:
            reader, look = Reader(1, Policies(Settings())), redis.Redis.from_url(url, decode_responses=True)
            show = Show(url, reader.shown, lambda _: {}, {}, still=reader.still)
            async with asyncio.TaskGroup() as tasks:
                await reader._take(asked(), Lines(reader._apply, tasks))
            await show._write()
            assert set(await look.keys("*")) == {KEYS, SERIES, LISTS, META}
            fields = {tuple(json.loads(name)): json.loads(told) for name, told in (await look.hgetall(KEYS)).items()}
            assert {name for name in fields if "*" not in name} == {(one, one, one) for one in NASTY if one != "*"}
            assert all(fields[one, one, one]["open"] == 1 for one in NASTY if one != "*")
            assert TEXT not in str(await look.hgetall(KEYS))
            await look.aclose()
            await show.close()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_j07_what_gateways_share_is_kept_by_whole_names(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_redis(tmp_path) as url:
            shared, look = Shared(url), redis.Redis.from_url(url, decode_responses=True)
            for number, name in enumerate(NASTY):
                assert await shared.claim(name, Mode(True, number)), "nobody else has this name"
                await shared.note(name, [number])
            assert {name: mode.clock for name, mode in (await shared.modes(NASTY)).items()} == {
                name: number for number, name in enumerate(NASTY)
            }
            for number, name in enumerate(NASTY):
                assert await shared.known(name, range(len(NASTY))) == [one == number for one in range(len(NASTY))]
            assert set(await look.keys("*")) == {DOORS} | {REPLAYED + name for name in NASTY}
            await look.aclose()
            await shared.close()

    asyncio.run(asyncio.wait_for(story(), 120))
