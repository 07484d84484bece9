from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.waits import counted, packed_waits, put, take
from tests.conformance.cases import Row
from tests.reference.streams import stream
from tests.streams.line import Line, event_of

MS = st.integers(0, 2**41) | st.integers(0, 300) | st.sampled_from([0, 1, 256, 1 << 8 * 4, 257 << 16])


@given(st.lists(st.tuples(MS, st.booleans())))
@example([(number % 7, True) for number in range(40)])
def test_what_was_put_and_not_taken_again_is_counted(steps: list[tuple[int, bool]]) -> None:
    waits, there = b"", Counter[int]()
    for ms, comes in steps:
        if comes:
            waits, there[ms] = put(waits, ms), there[ms] + 1
        elif there[ms]:
            waits, there[ms] = take(waits, ms), there[ms] - 1
    assert counted(waits) == +there


def test_one_whose_bytes_stand_across_two_others_is_not_taken_for_either() -> None:
    waits = put(put(b"", 1 << 32), 5 << 32)
    across = int.from_bytes(waits[4:12], "little")
    with pytest.raises(ValueError, match="not found"):
        take(waits, across)
    assert counted(take(put(waits, across), across)) == {1 << 32: 1, 5 << 32: 1}


def test_what_releases_before_said_is_counted_and_kept_on() -> None:
    assert counted({7: 2, 9: 1}) == {7: 2, 9: 1}
    assert counted(packed_waits({7: 2, 9: 1})) == {7: 2, 9: 1}
    assert packed_waits(packed_waits({7: 2})) == put(put(b"", 7), 7)


def told(wire: list[Row], halfway: Callable[[Line], None]) -> list[Row]:
    """The rows of `minutes` of a stream; something happens in the middle."""
    line = Line()
    for half in (wire[: len(wire) // 2], wire[len(wire) // 2 :]):
        line.send([event_of(one, "case") for one in half])
        line.tick(max(int(one["at"]) for one in wire) + 60_000, "case")
        line.flush()
        halfway(line)
    return sorted(line.minute_rows(), key=lambda row: (row["queue"], row["channel"], row["minute"]))


def as_before(line: Line) -> None:
    """The state as release 0.1.0 kept it, taken up again."""
    for number, shelf in enumerate(line.shelves):
        for row in list(shelf.rows.values()):
            kept = msgspec.msgpack.decode(row.value) if row.kind in {"pane", "tenant"} else {}
            for name in {"frt_hist", "answered_waits", "censored_waits"} & kept.keys():
                kept[name] = dict(counted(kept[name]))
            if row.kind == "tenant":
                kept["form"] = 2
            if kept:
                shelf.keep([row._replace(value=msgspec.msgpack.encode(kept))])
        line.restart(number)


@pytest.mark.parametrize("seed", range(8))
def test_state_of_the_form_before_is_taken_up_and_restated_like_ones_own(seed: int) -> None:
    wire = stream(seed, 400)
    rows = told(wire, as_before)
    assert rows == told(wire, lambda _: None)
    assert sum(row["frt_n"] for row in rows) == sum(sum(row["frt_hist"].values()) for row in rows) > 0
