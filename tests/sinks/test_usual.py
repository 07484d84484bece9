"""What the model of volume said of minutes, from its topic to the views."""

from __future__ import annotations

import pytest

from sinks.rows import MINUTES, USUAL, Unreadable, decode_usual, pane_row
from streams.events import PaneRow
from streams.usual_row import MOST_ROWS, UsualRow, read, records
from tests.sinks.stage import Base

TEN = 1_772_445_600_000
MINUTE = 60_000


def said(tenant: str, minute: int, queue: str = "billing", *, surge: bool = False, expected: float = 4.25) -> UsualRow:
    return UsualRow(tenant, queue, "web", TEN + minute * MINUTE, expected, 0.5, 11.125, surge)


def pane(tenant: str, minute: int) -> PaneRow:
    return PaneRow(tenant, "billing", "web", TEN + minute * MINUTE, 7, {"messages": 9, "customer_messages": 9})


def test_a_minute_says_what_was_usual_and_whether_a_surge_was_on(base: Base) -> None:
    base.write({MINUTES: [pane_row(pane("usual-a", 0), 0), pane_row(pane("usual-a", 1), 0)]})
    (record,) = records([said("usual-a", 0, surge=True), said("usual-a", 2)], 5)
    base.write({USUAL: decode_usual(record)})
    first, second = sorted(base.rows("minutes", "usual-a"), key=lambda row: row["minute"])
    assert [first[name] for name in ("expected", "low", "high", "surge")] == [4.25, 0.5, 11.125, True]
    assert [second[name] for name in ("expected", "low", "high", "surge")] == [None, None, None, None]
    assert first["customer_messages"] == 9


def test_of_two_sayings_the_later_stands(base: Base) -> None:
    for version, expected in ((5, 1.0), (9, 2.0), (7, 3.0)):
        (record,) = records([said("usual-b", 0, expected=expected)], version)
        base.write({USUAL: decode_usual(record)})
    base.write({MINUTES: [pane_row(pane("usual-b", 0), 0)]})
    (row,) = base.rows("minutes", "usual-b")
    assert row["expected"] == 2.0


def test_many_rows_go_out_in_records_a_broker_takes() -> None:
    rows = [said("shop", n % 1440, f"queue-{n}") for n in range(2 * MOST_ROWS + 1)]
    made = list(records(rows, 1))
    assert len(made) == 3
    assert max(map(len, made)) < 500_000
    assert [row for record in made for row in read(record).rows] == rows


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"version":1,"rows":[["a"]]}', b"\xff"])
def test_what_is_no_such_record_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_usual(value)
