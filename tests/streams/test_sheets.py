"""Rows that are put together as they come are the same rows, in their order, and never too many of them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.events import Event, EventRow
from streams.said import SHEET, Sheets

sizes = st.lists(st.one_of(st.integers(0, 300), st.integers(SHEET // 3, SHEET), st.just(3 * SHEET)), max_size=40)


def _row(number: int, size: int) -> EventRow:
    event = Event(id=str(number), kind="message", at=number, tenant="shop", text="." * size, received_at=number)
    return EventRow(event, None, False, number)


@given(sizes)
def test_each_row_comes_out_once_and_in_its_order(lengths: list[int]) -> None:
    sheets, rows = Sheets(), [_row(number, size) for number, size in enumerate(lengths)]
    for row in rows:
        sheets.add(row)
    assert sheets.anything() == bool(rows)
    assert b",".join(sheets.taken()) == b",".join(map(msgspec.json.encode, rows))


@given(sizes)
def test_a_sheet_is_too_large_only_where_one_row_is(lengths: list[int]) -> None:
    sheets = Sheets()
    for number, size in enumerate(lengths):
        sheets.add(_row(number, size))
    for sheet in sheets.taken():
        rows = msgspec.json.decode(b"[%b]" % sheet, type=list[msgspec.Raw])
        assert len(rows) == 1 or sum(len(bytes(row)) for row in rows) <= SHEET
