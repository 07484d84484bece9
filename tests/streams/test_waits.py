from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.waits import counted, packed_waits, put, take

MS = st.integers(0, 2**41) | st.integers(0, 300) | st.sampled_from([0, 1, 256, 1 << 8 * 4, 257 << 16])


@given(st.lists(st.tuples(MS, st.booleans())))
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
