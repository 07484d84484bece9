from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from streams.suspicion import MARK, MOST, OF, Suspicion


def message(offset: int, partition: int = 0, headers: object = (MARK,)) -> SimpleNamespace:
    return SimpleNamespace(partition=partition, offset=offset, headers=headers)


def stops(messages: list[SimpleNamespace]) -> bool:
    """Whether one of them is not let pass."""

    async def go() -> None:
        suspicion = Suspicion()
        for one in messages:
            await asyncio.wait_for(suspicion.note(one, "why"), 0.05)

    try:
        asyncio.run(go())
    except TimeoutError:
        return True
    return False


def test_so_many_of_our_own_are_set_aside_and_the_next_one_stops_the_line() -> None:
    assert not stops([message(offset) for offset in range(MOST)])
    assert stops([message(offset) for offset in range(MOST + 1)])


def test_as_many_spread_over_more_records_or_partitions_do_not() -> None:
    assert not stops([message(offset * OF // MOST) for offset in range(3 * MOST)])
    assert not stops([message(offset, partition) for partition in range(3) for offset in range(MOST)])
    assert stops([message(offset * OF // (MOST + 2)) for offset in range(3 * MOST)])


@pytest.mark.parametrize("headers", [(), None, {"by": b"another"}, [("by", b"another")]])
def test_a_strangers_never_do(headers: object) -> None:
    assert not stops([message(offset, headers=headers) for offset in range(3 * MOST)])


def test_headers_are_read_in_either_form() -> None:
    assert stops([message(offset, headers=dict([MARK])) for offset in range(MOST + 1)])
