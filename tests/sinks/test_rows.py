"""What the stream says → rows, and the shape of the tables they go to."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse import statements
from sinks.rows import (
    ALERTS,
    AUDIT,
    CLOCKS,
    EPISODES,
    EVENTS,
    MINUTES,
    TABLES,
    Unreadable,
    clock_rows,
    decode_alert,
    decode_deed,
    decode_reading,
    episode_row,
    event_row,
    newest,
    pane_row,
    rows_of,
    unstorable,
)
from streams.events import EpisodeRow, Event, EventRow, PaneRow, Reading, Segment
from streams.metrics import COUNTS

ALERT = {
    "v": 1, "alert": "a1", "rule": "surge", "state": "firing", "severity": "warning", "tenant": "t",
    "queue": "returns", "channel": "*", "topic": "refund", "since": "2026-11-21T10:00:00.000Z",
    "at": "2026-11-21T18:00:01.500+08:00",
    "value": 31, "peak": 31.5,
    "expected": 8.0, "low": 2, "high": 15, "unit": "per_min", "summary": {"zh": "激增", "en": "surge"},
    "drivers": [{"dimension": "topic", "value": "other", "excess": 23, "share": 1}], "keywords": ["退货"],
    "samples": [], "impact": {"backlog": 3}, "acknowledged_by": None, "grade": None, "group": None,
    "runbook": None, "board": None,
}  # fmt: skip


def columns_in_schema(table: str) -> set[str]:
    """The columns that schema.sql gives a base table."""
    (text,) = (one for one in statements() if f"CREATE TABLE IF NOT EXISTS {table}\n" in one)
    body = text.split("\n(\n", 1)[1].split("\n)\n", 1)[0]
    return {line.split()[0].strip("`") for line in body.strip().splitlines()}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_have_the_columns_of_their_table(table: object) -> None:
    assert set(table.columns) == columns_in_schema(table.name)  # type: ignore[attr-defined]  # ids make it an object


def test_every_count_of_the_catalogue_has_a_column() -> None:
    assert set(COUNTS) <= columns_in_schema("minutes_base")
    (view,) = (one for one in statements() if "VIEW minutes\n" in one)
    assert all(re.search(rf"\n    {name} ", view) for name in COUNTS)


def test_every_statement_may_be_repeated() -> None:
    known = ("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE VIEW")
    added = [one for one in statements() if not one.startswith(known)]
    assert all(re.match(r"ALTER TABLE \w+ ADD COLUMN IF NOT EXISTS ", one) for one in added)


def test_an_event_keeps_the_time_that_was_given_beside_the_one_that_counts() -> None:
    event = Event(id="e", kind="message", at=1_000, given_at=500_000, conversation="c", clock_suspect=True)
    row = dict(zip(EVENTS.columns, event_row(EventRow(event, 1, False, 7)), strict=True))
    assert (row["at"], row["event_time"], row["version"], row["subject"]) == (500_000, 1_000, -7, "c:c")


def test_a_status_belongs_to_its_agent() -> None:
    event = Event(id="e", kind="agent_status", at=1, agent="amy", status="online")
    assert event_row(EventRow(event, None, False, 7))[1] == "a:amy"


def test_every_field_of_an_episode_has_its_column() -> None:
    row = dict(zip(EPISODES.columns, episode_row(EpisodeRow("t", "c", 1, 9, frt_ms=5)), strict=True))
    named = msgspec.structs.asdict(EpisodeRow("t", "c", 1, 9, frt_ms=5))
    same = {name for name, value in named.items() if name in row and row[name] == value}
    assert same == set(named) - {"deleted", "targets"}


def test_a_pane_leaves_out_what_the_table_does_not_know() -> None:
    pane = PaneRow("t", "q", "web", 60_000, 3, {"offered": 2, "of_the_future": 9})
    row = dict(zip(MINUTES.columns, pane_row(pane, 1), strict=True))
    assert row["offered"] == 2
    assert row["partition"] == 1
    assert "of_the_future" not in row


def test_a_tick_moves_the_clock_and_a_base_reading_does_not() -> None:
    segments = [Segment(clock="t", tick=5), Segment(live="t")]
    assert clock_rows(segments[0], 2, 9, 4) == [("t", 2, 9, 5, False, 4)]
    assert clock_rows(segments[1], 2, 9, 4) == [("t", 2, 9, None, True, 4)]
    assert clock_rows(Segment(clock="t"), 2, 9, 4) == [("t", 2, -1, None, False, 4)], "in replay, and no tick yet"
    assert clock_rows(Segment(), 2, 9, 4) == []
    assert CLOCKS not in rows_of(Reading(2, 9, segments, base=True), 4)
    assert len(rows_of(Reading(2, 9, segments), 4)[CLOCKS]) == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers())))
def test_one_row_a_key_stays_the_newest_and_of_equals_the_last(drawn: list[tuple[int, int, int]]) -> None:
    rows = [("t", key, version, total) for key, version, total in drawn]
    late = next(table for table in TABLES if table.name == "late_base")
    expected = {}
    for row in sorted(rows, key=lambda row: row[2]):
        expected[row[1]] = row
    assert {row[1]: row for row in newest(late, rows)} == expected


def test_an_alert_is_stored_with_all_its_words() -> None:
    row = dict(zip(ALERTS.columns, decode_alert(json.dumps(ALERT).encode()), strict=True))
    assert (row["at"] - row["since"], row["value"], row["queue"]) == (1_500, 31.0, "returns")
    assert row["topic"] == "refund"
    assert json.loads(row["summary"]) == ALERT["summary"]
    assert row["keywords"] == ["退货"]


def test_a_deed_is_stored_with_who_what_when_and_what_came_of_it() -> None:
    deed = {
        "v": 1, "id": "d", "at": "2026-03-02T10:00:00.000Z", "tenant": "t", "actor": "li", "action": "ack",
        "object": "9f3c", "detail": {"alert": "9f3c", "from": "127.0.0.1", "result": "ok"},
    }  # fmt: skip
    row = dict(zip(AUDIT.columns, decode_deed(json.dumps(deed).encode()), strict=True))
    assert (row["tenant"], row["at"], row["actor"], row["action"]) == ("t", 1_772_445_600_000, "li", "ack")
    assert json.loads(row["detail"])["result"] == "ok"


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"tenant": "t"}', b"\xff\xfe", b'"x"'])
def test_what_is_no_alert_and_no_reading_is_said_so_without_its_words(value: bytes) -> None:
    for decode in (decode_alert, decode_deed, decode_reading):
        with pytest.raises(Unreadable) as error:
            decode(value)
        assert "x" not in str(error.value).split(":")[-1].replace("Exception", "")


def test_a_dead_letter_holds_nothing_of_the_row() -> None:
    row = event_row(EventRow(Event(id="e", kind="message", at=1, conversation="c", text="我的订单"), 1, False, 7))
    letter = unstorable(EVENTS, row, "DataError 53", 99)
    assert "订单" not in repr(letter)
    assert letter[:4] == ("sink:events_base", -1, 7, 99)
