"""The worked cases through the pure functions: fold, shards, present."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from tests.conformance.cases import Row, arrivals, events_of, load_cases, now_ms
from tests.conformance.compare import compare
from tests.streams.line import Line, event_of

IN_SQL = {"outcomes_by_day", "agents_by_hour"}
"""What only the views of the database say."""


def answer(case: Row, wire: list[Row], *, at_once: bool = False) -> Row:
    """What the line says of a case after its events have arrived as listed, each by itself or all in one record."""
    line = Line(case.get("settings"))
    tenant = "case"
    for events in [wire] if at_once else [[event] for event in wire]:
        line.send([event_of(event, tenant) for event in events])
        line.flush()
    line.tick(now_ms(case), tenant)
    line.flush()
    view = line.present.view(tenant)
    now = now_ms(case)
    assert line.present.as_of(tenant) == now
    return {
        "episodes": [msgspec.structs.asdict(row) for row in line.episode_rows()],
        "live": [view.key(key, now) for key in view.keys],
        "minutes": line.minute_rows(),
        "agents": view.agent_rows(),
        "late": [row.event.id for row in line.events.values() if row.late],
    }


def asked(case: Row) -> Row:
    """The case without what is asked of SQL."""
    return {**case, "expect": {name: rows for name, rows in case["expect"].items() if name not in IN_SQL}}


CASES = [pytest.param(case, id=case["name"]) for case in load_cases()]


@pytest.mark.parametrize("case", CASES)
def test_every_worked_case_holds_in_the_pure_functions(case: Row) -> None:
    assert compare(asked(case), answer(case, events_of(case))) == []


@pytest.mark.parametrize("case", CASES)
def test_every_worked_case_holds_where_all_of_it_comes_at_once(case: Row) -> None:
    assert compare(asked(case), answer(case, events_of(case), at_once=True)) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_every_worked_case_holds_in_any_order_and_with_repeats(case: Row, seed: int) -> None:
    assert compare(asked(case), answer(case, arrivals(case, Random(seed)))) == []
