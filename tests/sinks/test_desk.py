"""Nothing is let go before it is stored, and what can never be stored does not hold up the rest."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sinks import desk as desks
from sinks.clickhouse import Rejected
from sinks.desk import Desk, Found, Positions
from sinks.rows import CLOCKS, DEAD_LETTERS, EPISODES, LATE, TENANTS, Row, Table, episode_row
from streams.events import EpisodeRow

Log = list[tuple[str, Any]]


class Memory:
    """A database in memory that can be held shut, and refuses rows that hold a word."""

    def __init__(self) -> None:
        self.log: Log = []
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, table: Table, rows: list[Row]) -> None:
        """Store, once the door is open."""
        await self.open.wait()
        if any("cursed" in row for row in rows):
            raise Rejected("DataError 53")
        self.log.append((table.name, list(rows)))

    def names(self) -> list[str]:
        """The tables in the order of their inserts."""
        return [name for name, _ in self.log]


def late(partition: int, pos: int, tenant: str = "t") -> Found:
    """A record with one row."""
    return Found({LATE: [(tenant, partition, pos, pos)]}, partition, pos)


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition, at most 5 s."""
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


def story(tell: Callable[[Memory, Desk, Log], Coroutine[Any, Any, None]], positions: Positions | None = None) -> Memory:
    """Run a story with a working desk."""

    async def go() -> Memory:
        memory = Memory()
        desk = Desk(memory, positions, lambda tenant: "Asia/Shanghai" if tenant == "t" else "UTC", lambda: 77)
        working = asyncio.create_task(desk.work())
        try:
            await tell(memory, desk, [])
        finally:
            working.cancel()
        return memory

    return asyncio.run(go())


def test_a_lone_record_is_stored_at_once_and_then_let_go() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        begun = asyncio.get_running_loop().time()
        await desk.take(late(0, 1), 10, lambda: acks.append(("ack", memory.names())))
        await until(lambda: bool(acks))
        assert asyncio.get_running_loop().time() - begun < 0.4
        assert acks == [("ack", ["tenants_base", "late_base"])]

    assert story(tell).log[0] == ("tenants_base", [("t", 77, "Asia/Shanghai")])


def test_while_the_database_is_away_nothing_is_let_go_and_memory_is_bounded() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        memory.open.clear()
        taken = 0

        async def feed() -> None:
            nonlocal taken
            for number in range(8):
                rows = [("t", number, row, row) for row in range(desks.ROWS // 2)]
                await desk.take(Found({LATE: rows}, 0, number), 10, lambda: acks.append(("ack", 1)))
                taken += 1

        feeding = asyncio.create_task(feed())
        await until(lambda: taken >= 3)
        await asyncio.sleep(0.1)
        assert (taken <= 4, acks, memory.log) == (True, [], [])
        memory.open.set()
        await feeding
        await until(lambda: len(acks) == 8)

    assert sum(len(rows) for name, rows in story(tell).log if name == "late_base") == 8


def test_blocks_that_are_not_full_leave_at_most_twice_a_second() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        for number in range(60):
            await desk.take(late(0, number), 10, lambda: acks.append(("ack", 1)))
            await asyncio.sleep(0.02)
        await until(lambda: len(acks) == 60)

    assert 2 <= story(tell).names().count("late_base") <= 5


def test_clocks_move_after_all_else_and_the_position_after_them(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sink.db")

    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        await desk.take(Found({CLOCKS: [("", 0, 5, 9, False, 1)]}, 0, 5), 1, lambda: None)
        await desk.take(late(0, 5), 1, lambda: acks.append(("ack", positions.read())))
        await until(lambda: bool(acks))
        assert acks == [("ack", {0: 5})]

    assert story(tell, positions).names() == ["tenants_base", "late_base", "clocks_base"]


def test_no_position_is_noted_before_the_rows_it_stands_for_are_stored(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sink.db")

    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        memory.open.clear()
        await desk.take(late(0, 5), 1, lambda: acks.append(("ack", 1)))
        await asyncio.sleep(0.1)
        assert (positions.read(), acks) == ({}, [])
        memory.open.set()
        await until(lambda: bool(acks))
        assert positions.read() == {0: 5}

    story(tell, positions)


def test_a_row_that_can_never_be_stored_becomes_a_dead_letter_and_its_neighbours_stay() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        rows = [episode_row(EpisodeRow("t", "cursed" if n == 5 else f"c{n}", 1, n)) for n in range(9)]
        await desk.take(Found({EPISODES: rows}, 0, 9), 1, lambda: acks.append(("ack", 1)))
        await until(lambda: bool(acks))

    log = story(tell).log
    stored = {row[1] for name, rows in log if name == EPISODES.name for row in rows}
    assert stored == {f"c{n}" for n in range(9) if n != 5}
    ((letter,),) = [rows for name, rows in log if name == DEAD_LETTERS.name]
    assert (letter[0], letter[3], letter[5]) == ("sink:episodes_base", 77, "DataError 53")


def test_a_base_reading_moves_no_position(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sink.db")

    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        await desk.take(Found({LATE: [("t", 0, 9, 9)]}, 0, None), 1, lambda: acks.append(("ack", 1)))
        await until(lambda: bool(acks))

    story(tell, positions)
    assert positions.read() == {}


def test_finishing_stores_what_was_taken_and_takes_nothing_more() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        for number in range(3):
            await desk.take(late(0, number), 1, lambda: acks.append(("ack", 1)))
        await desk.finish()
        assert len(acks) == 3
        more = asyncio.create_task(desk.take(late(0, 9), 1, lambda: None))
        await asyncio.sleep(0.05)
        assert not more.done()
        more.cancel()

    story(tell)


def test_zones_that_the_settings_changed_are_put_right_at_the_start() -> None:
    async def tell(memory: Memory, desk: Desk, acks: Log) -> None:
        await desk.know({"t": "UTC", "": "UTC", "other": "UTC"})
        await desk.know({"t": "Asia/Shanghai", "": "UTC"})

    assert story(tell).log == [(TENANTS.name, [("t", 77, "Asia/Shanghai")])]


def test_positions_never_go_back_and_others_can_read_them(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "sink.db")
    for step in ({0: 5, 1: 7}, {0: 3}, {1: 8}):
        positions.advance(step)
    other = sqlite3.connect(f"file:{tmp_path}/sink.db?mode=ro", uri=True)
    assert dict(other.execute("SELECT partition, pos FROM inserted")) == {0: 5, 1: 8}
    positions.close()
    assert Positions(tmp_path / "sink.db").read() == {0: 5, 1: 8}
