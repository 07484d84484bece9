"""A server that is away is waited for in place, calmly, and waiting can be given up at once."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import threading
import time
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from config.settings import Settings
from sinks import clickhouse
from sinks.clickhouse import History, Rejected, Unavailable, _sorted_errors, open_history


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_away_is_asked_again_with_growing_pauses() -> None:
    settings = Settings(clickhouse={"url": f"http://127.0.0.1:{free_port()}"})
    real = open_history(settings)
    asked: list[float] = []

    def connect() -> Any:
        asked.append(time.monotonic())
        return real._connect()

    async def go() -> None:
        history = History(connect, "tidewatch")
        asking = asyncio.create_task(history.prepare())
        async with asyncio.timeout(60):
            while len(asked) < 4:
                await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        history.close()

    asyncio.run(go())
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert all(pause >= 0.2 * 2**number for number, pause in enumerate(pauses)), pauses


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the process's, not a thread's")
def test_the_threads_that_store_stand_back_and_no_others() -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    theirs: list[int] = []

    def connect() -> Any:
        theirs.append(os.getpriority(os.PRIO_PROCESS, 0))  # of Linux's 0: this thread's
        raise ValueError("seen")

    async def go() -> None:
        history = History(connect, "tidewatch")
        with pytest.raises(ValueError, match="seen"):
            await history.prepare()
        history.close()

    asyncio.run(go())
    assert theirs == [min(19, ours + clickhouse.STANDS_BACK)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours


def test_a_server_that_accepts_and_never_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse, "CALL_S", 250)  # whoever waited for the call would wait that long
    with socket.create_server(("127.0.0.1", 0)) as hole:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(hole.accept()[0]), daemon=True).start()
        history = open_history(Settings(clickhouse={"url": f"http://127.0.0.1:{hole.getsockname()[1]}"}))

        async def go() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(history.prepare(), 0.5)

        begun = time.monotonic()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(go())
        assert time.monotonic() - begun < 120
        for one in held:
            one.close()
        history.close()
        loop.close()


@pytest.mark.parametrize(
    ("raised", "sorted_as"),
    [
        (DatabaseError("cannot convert", code=70, name="CANNOT_CONVERT_TYPE"), Rejected),
        (OperationalError("connection refused"), Unavailable),
        (DatabaseError("memory", code=241, name="MEMORY_LIMIT_EXCEEDED"), Unavailable),
        (DatabaseError("no table", code=60, name="UNKNOWN_TABLE"), Unavailable),
        (DatabaseError("too many parts", code=252, name="TOO_MANY_PARTS"), Unavailable),
        (DatabaseError("disk", code=243, name="NOT_ENOUGH_SPACE"), Unavailable),
        (ConnectionResetError("reset"), Unavailable),
    ],
)
def test_errors_say_whether_to_wait_or_to_give_up_and_never_what_a_row_says(
    raised: Exception, sorted_as: type[Exception]
) -> None:
    raised.args = (f"{raised.args[0]}: 我的订单",)
    with pytest.raises(sorted_as) as error, _sorted_errors():
        raise raised
    assert "订单" not in str(error.value)
