"""FAULTS C-05, C-06, C-07: whatever a retry looks like, rows that are said again replace themselves in every view."""

from __future__ import annotations

from importlib.resources import files
from random import Random

from sinks.rows import TABLES, Blocks, rows_of
from streams.events import Event, EventRow, PaneRow, Reading, Segment
from tests.sinks.stage import Base

START = 1_772_445_600_000
ROWS = 300


def said(number: int, partition: int) -> Reading:
    """One event, and the total of its partition's pane as of then."""
    event = Event(
        id=f"e{number}", kind="message", at=START + number, tenant="t", conversation=f"c{number % 7}", text="好"
    )
    pane = PaneRow("t", "q", "web", START, number, {"messages": number // 2 + 1})
    return Reading(partition, number, [Segment(events=[EventRow(event, 1, False, number)], panes=[pane])])


def blocks(first: int, last: int) -> Blocks:
    """The rows of some readings, as the desk gathers them."""
    found: Blocks = {}
    for number in range(first, last):
        for table, rows in rows_of(said(number, number % 2), 2).items():
            found.setdefault(table, []).extend(rows)
    return found


def write(base: Base, found: Blocks) -> None:
    """Insert a block."""

    async def go() -> None:
        for table in TABLES:
            await base.history.write(table, found.get(table, []))

    base._loop.run_until_complete(go())


def totals(base: Base) -> tuple[int, int, int]:
    """Events, distinct ones, and the minute's messages."""
    (row,) = base.client.query(
        "SELECT count(), uniqExact(id), (SELECT sum(messages) FROM minutes) FROM events"
    ).result_rows
    return int(row[0]), int(row[1]), int(row[2])


def test_c05_retries_cut_at_other_boundaries_double_nothing(base: Base) -> None:
    chance = Random(5)
    done = 0
    while done < ROWS:
        until = min(ROWS, done + chance.randint(1, 60))
        again = chance.randint(0, done)
        write(base, blocks(again, until))
        done = until
    assert totals(base) == (ROWS, ROWS, ROWS)


def test_c06_other_blocks_between_a_try_and_its_retry_change_nothing(base: Base) -> None:
    write(base, blocks(0, 10))
    for number in range(10, 130):
        write(base, blocks(number, number + 1))
    write(base, blocks(0, 10))
    assert totals(base) == (130, 130, 130)


def test_c07_the_same_block_three_times_is_one_and_equal_totals_of_two_partitions_are_two(base: Base) -> None:
    for _ in range(3):
        write(base, blocks(0, 2))
    assert totals(base) == (2, 2, 2), "both partitions say `1 message`, byte for byte alike but for whose it is"


def test_no_table_is_filled_behind_an_insert(base: Base) -> None:
    """A materialized view would count each retry again."""
    assert "MATERIALIZED" not in files("sinks").joinpath("schema.sql").read_text().upper()
    engines = base.client.query(
        "SELECT DISTINCT engine FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    assert {row[0] for row in engines} == {"View", "ReplacingMergeTree"}


def test_a_row_of_before_never_wins_over_a_newer_one(base: Base) -> None:
    async def go() -> None:
        for first, last in ((100, 200), (0, 100)):
            found = blocks(first, last)
            for table in TABLES:
                await base.history.write(table, found.get(table, []))

    base._loop.run_until_complete(go())
    assert totals(base) == (200, 200, 200)
