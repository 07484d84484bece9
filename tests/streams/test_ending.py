"""Who was told to end does not go on because of an error that came at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import ProducerFenced
from redis.exceptions import ConnectionError as Broken

from sinks.redis import Show
from streams.ending import go_on, shut_out
from streams.policy import Policies
from streams.present import Present


async def lost_with_the_connection() -> None:
    """As a client may do it: what it raises hides that it was cancelled."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise Broken from None


async def ends(work: Callable[[], Awaitable[None]]) -> bool:
    """Whether it does when it is told once."""
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.05)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=20)
    task.cancel()
    return bool(done)


def test_a_loop_that_waits_errors_out_ends_when_it_was_told_to() -> None:
    async def work() -> None:
        while True:
            try:
                await lost_with_the_connection()
            except Broken:
                go_on()
                await asyncio.sleep(0)

    assert asyncio.run(ends(work))


def test_what_was_told_once_is_no_traceback_and_all_else_is(caplog: pytest.LogCaptureFixture) -> None:
    async def story(error: Exception) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(shut_out)
        loop.call_exception_handler({"message": "never retrieved", "exception": error})

    asyncio.run(story(ProducerFenced()))
    assert caplog.records == []
    asyncio.run(story(ValueError()))
    assert len(caplog.records) == 1


def test_the_board_is_no_longer_written_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> bool:
        from config.settings import Settings

        present = Present(1, Policies(Settings()))
        show = Show("redis://127.0.0.1:1/0", present, lambda _: {}, {})
        monkeypatch.setattr(show, "_write", lost_with_the_connection)
        return await ends(show.run)

    assert asyncio.run(story())
