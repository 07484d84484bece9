"""The dead man's switch: a post while ticks are judged, and none when they stop."""

from __future__ import annotations

import asyncio

import pytest

from alerts.heartbeat import Heart
from config.settings import Heartbeat, SettingsError
from tests.alerts.build import T0
from tests.alerts.receiver import receiver, run, until


def test_it_beats_while_ticks_are_judged_and_stops_with_them() -> None:
    async def story() -> None:
        async with receiver() as there:
            judged: list[int | None] = [None]
            heart = Heart(Heartbeat(url=there.url, every_s=1, allow_private=True), lambda: judged[0])
            beating = asyncio.create_task(heart.run())
            await asyncio.sleep(1.2)
            assert there.posts == [], "before the first tick there is nothing to say"
            judged[0] = T0
            await until(lambda: len(there.posts) == 1)
            judged[0] = T0 + 1_000
            await until(lambda: len(there.posts) == 2)
            await asyncio.sleep(2.2)
            assert [post.json["as_of"] for post in there.posts] == [
                "2026-03-02T10:00:00.000Z",
                "2026-03-02T10:00:01.000Z",
            ]
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    run(story())


@pytest.mark.parametrize("url", ["http://127.0.0.1/ping", "ftp://hc.example/", "nowhere"])
def test_an_address_that_may_not_be_reached_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"heartbeat\.url: "):
        Heart(Heartbeat(url=url), lambda: None)
