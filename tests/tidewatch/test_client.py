"""The client against a real server: nothing is lost, nothing is counted twice, and every refusal has its reason."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tidewatch.door import Door, in_a_loop, opened, token
from tidewatch.client import FRAME_BYTES, Client, Outgoing, Refused, Unreachable, frames, ingest_url, pause_s, tenant_of


def event(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e{n}",
        "kind": "message",
        "at": 1_700_000_000_000 + n,
        "conversation": "c",
        "author": "customer",
    } | more


def many(n: int) -> list[dict[str, Any]]:
    return [event(i) for i in range(n)]


async def handed_in(door: Door, events: list[dict[str, Any]], **options: Any) -> Client:
    async with asyncio.timeout(30), opened(door), Client(door.url, token(), **options) as client:
        await client.send(events)
        await client.drain()
        return client


@in_a_loop
async def test_every_event_is_taken_in_order_in_frames_of_at_most_a_thousand() -> None:
    door = Door()
    client = await handed_in(door, many(2_500))
    assert client.tally.accepted == 2_500
    assert door.frames == [1_000, 1_000, 500]
    assert [key[2] for key in door.events] == [f"e{i}" for i in range(2_500)]


@in_a_loop
async def test_no_frame_reaches_a_mebibyte_and_what_cannot_be_sent_is_named() -> None:
    door = Door()
    events = [event(i, text="汉" * 100_000) for i in range(8)] + [event(99, text="x" * (1 << 20))]
    client = await handed_in(door, events)
    assert client.tally.accepted == 8
    assert max(door.sizes) < FRAME_BYTES
    assert client.tally.examples == {"larger than a frame may be (1 MiB)": ["e99"]}


@in_a_loop
async def test_at_most_sixty_four_frames_are_unanswered() -> None:
    door = Door(slow_s=0.002)
    async with asyncio.timeout(30), opened(door), Client(door.url, token()) as client:
        for i in range(200):
            await client.send([event(i)])
        await client.drain()
    assert len(door.events) == 200
    assert 32 <= door.most_unanswered <= 64


SLOW = pytest.mark.slow
"""A gateway that is overloaded is left alone for a second or two."""


@pytest.mark.parametrize(
    "trouble", ["lose", "retry", 1012, 1011, pytest.param(1013, marks=SLOW), pytest.param(4429, marks=SLOW)]
)
@in_a_loop
async def test_trouble_loses_nothing_and_doubles_nothing(trouble: int | str) -> None:
    door = Door(trouble=lambda n: trouble if n in (2, 3) else None)
    client = await handed_in(door, many(5_000))
    assert client.tally.accepted == len(door.events) == 5_000
    assert (client.reconnects == 0) == (trouble == "retry")


@in_a_loop
async def test_a_lost_connection_is_told_by_nothing_but_the_count_of_reconnects() -> None:
    door = Door(trouble=lambda n: "lose" if n % 4 == 0 else None)
    client = await handed_in(door, many(12_000))
    assert client.tally.accepted == len(door.events) == 12_000
    assert client.reconnects == door.connections - 1 > 0


@in_a_loop
async def test_rejections_are_counted_by_reason_with_the_first_ids_and_origins() -> None:
    door = Door(judge=lambda e: "text: longer than 8000 characters" if int(e["id"][1:]) % 2 else None)
    async with opened(door), Client(door.url, token()) as client:
        await client.send(Outgoing(json.dumps(event(i)).encode(), f"chat.jsonl:{i + 1}") for i in range(100))
        await client.drain()
    assert client.tally.accepted == 50
    assert client.tally.rejected == {"text: longer than 8000 characters": 50}
    assert client.tally.examples["text: longer than 8000 characters"][:2] == ["e1 (chat.jsonl:2)", "e3 (chat.jsonl:4)"]
    assert len(client.tally.examples["text: longer than 8000 characters"]) == 5


@in_a_loop
async def test_a_tick_comes_behind_everything_handed_in_before_even_after_retries() -> None:
    door = Door(trouble=lambda n: "retry" if n == 1 else None)
    async with opened(door), Client(door.url, token(), replay=True) as client:
        await client.send(many(10))
        assert await client.tick(5, "t") is None
        await client.send([event(10)])
        assert await client.tick(4, "t") == "the clock cannot go back"
        assert await client.tick(None, "t") is None
    assert [what for what, _ in door.log] == ["event"] * 10 + ["tick", "event", "tick"]
    assert door.ticks == [("t", 5), ("t", None)]
    assert door.replay
    assert client.tally.accepted == 11


@in_a_loop
async def test_a_token_of_one_tenant_names_no_tenant_in_its_ticks() -> None:
    door = Door()
    async with opened(door), Client(door.url, token("shop"), replay=True) as client:
        await client.tick(5, "shop")
    assert door.ticks == [("?", 5)]


@pytest.mark.parametrize("code", [4400, 4401, 4403, 1009])
@in_a_loop
async def test_a_refusal_ends_it_with_its_reason(code: int) -> None:
    door = Door(trouble=lambda n: code)
    with pytest.raises(Refused, match=f"{code}: as ordered"):
        await handed_in(door, many(1))


@in_a_loop
async def test_a_refused_handshake_carries_the_gateways_own_words() -> None:
    door = Door(refuse=(HTTPStatus.UNAUTHORIZED, "the token has expired"))
    with pytest.raises(Refused, match="HTTP 401: the token has expired"):
        await handed_in(door, many(1))


@in_a_loop
async def test_nobody_there_is_said_after_the_patience_has_run_out() -> None:
    with pytest.raises(Unreachable, match=r"no connection to ws://127\.0\.0\.1:1/v1/ingest"):
        async with asyncio.timeout(5), Client("ws://127.0.0.1:1", token(), patience_s=0.3):
            pass


@in_a_loop
async def test_a_gateway_that_is_away_for_a_while_is_waited_for() -> None:
    door = Door()
    async with asyncio.timeout(20):
        async with opened(door):
            client = Client(door.url, token(), patience_s=15)
            await client.__aenter__()
            await client.send(many(10))
            await client.drain()
        await client.send([event(i) for i in range(10, 20)])
        async with opened(door, int(door.url.rsplit(":", 1)[1])):
            await client.drain()
        await client.__aexit__(None, None, None)
    assert client.tally.accepted == len(door.events) == 20


@given(st.lists(st.integers(1, 300_000), max_size=60))
def test_frames_keep_every_event_in_order_and_stay_small(sizes: list[int]) -> None:
    events = [Outgoing(b"x" * size) for size in sizes]
    cut = list(frames(events))
    assert [event for frame in cut for event in frame] == events
    assert all(len(frame) <= 1_000 and sum(len(e.body) + 1 for e in frame) + 64 <= FRAME_BYTES for frame in cut)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("ws://127.0.0.1:8400", "ws://127.0.0.1:8400/v1/ingest?replay=1"),
        ("http://h:1/", "ws://h:1/v1/ingest?replay=1"),
        ("https://h/tide", "wss://h/tide/v1/ingest?replay=1"),
        ("wss://h/v1/ingest", "wss://h/v1/ingest?replay=1"),
        ("localhost:8400", "ws://localhost:8400/v1/ingest?replay=1"),
    ],
)
def test_any_way_of_naming_a_gateway_leads_to_its_door(base: str, url: str) -> None:
    assert ingest_url(base, replay=True) == url
    assert ingest_url(base, replay=False) == url.removesuffix("?replay=1")


def test_the_tenant_is_read_from_a_token_and_from_nothing_else() -> None:
    assert tenant_of(token("shop")) == "shop"
    assert tenant_of(token()) == "*"
    assert [tenant_of(wrong) for wrong in ("", "x", "a.b.c", "a.!!!.c", "e30.e30.x")] == [None] * 5


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_grow_and_stay_within_bounds(attempt: int, jitter: float) -> None:
    assert 0.05 <= pause_s(attempt, jitter) <= 5.0
    assert pause_s(attempt, jitter) <= pause_s(attempt + 1, jitter)
