"""The watch over the board and ClickHouse: what differs and stays so is a fault, and nothing else is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from alerts.judging import judge
from alerts.readings import Readings, TenantReading
from alerts.rules import load
from alerts.state import State
from streams import parity
from streams.events import REAL
from streams.parity import CLOCKS, Parity, Place, Verdict
from tests.conformance.cases import Row
from tests.streams.line import Line, event_of

START = 1_795_226_400_000
NOW = START + 1_800_000
PLACE = Place("t", "q", "web", START)


class Stored:
    """ClickHouse, holding what a line says, or a little else."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.as_of: int | None = NOW
        self.bent: dict[str, int] = {}
        """Column → what is added to it in the first row."""

    async def rows(self, sql: str, **values: Any) -> list[Row]:
        """The clocks, or the minutes of a tenant in a span."""
        if sql == CLOCKS:
            return [{"tenant": "t", "now_ms": self.as_of}]
        found = [row for row in self._line.minute_rows() if values["since"] <= row["minute"] < values["until"]]
        found = [{**row, "minute_ms": row["minute"]} for row in sorted(found, key=lambda row: row["minute"])]
        for name, more in self.bent.items():
            for row in found:
                if row["minute"] == START:
                    row[name] += more
        return found


def line() -> Line:
    """Half an hour of a conversation a minute."""
    made = Line()
    for minute in range(25):
        for second, author in ((0, "customer"), (30, "agent")):
            event = {"id": f"{minute}-{author}", "kind": "message", "author": author, "conversation": f"c{minute}"}
            made.send([event_of({**event, "at": START + minute * 60_000 + second * 1_000}, "t")])
    made.tick(NOW, "t")
    made.flush()
    return made


def rounds(watch: Parity, stored: Stored, times: int) -> None:
    for _ in range(times):
        asyncio.run(watch.round(stored))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "SETTLED_S", 0.0)


def test_what_is_equal_is_compared_and_no_fault() -> None:
    made = line()
    watch = Parity(made.present)
    assert watch.verdict.faults("t") is None
    rounds(watch, Stored(made), 2)
    assert watch.verdict.compared >= 25
    assert watch.verdict.faults("t") == 0
    assert watch.verdict.told()["by"] == {}


def test_a_difference_that_stays_is_a_fault_until_it_is_mended() -> None:
    made = line()
    watch, stored = Parity(made.present), Stored(made)
    stored.bent = {"offered": 3}
    rounds(watch, stored, 3)
    assert watch.verdict.faults("t") == 1
    told = watch.verdict.told()["by"]["t"]
    assert told["faults"] == 1
    assert (told["first_fault"]["field"], told["first_fault"]["live"], told["first_fault"]["stored"]) == (
        "offered",
        1,
        4,
    )
    stored.bent = {}
    rounds(watch, stored, 3)
    assert watch.verdict.faults("t") == 0


def test_however_many_rows_differ_a_line_says_so_and_one_that_all_are_equal_again() -> None:
    made = line()
    watch, stored = Parity(made.present), Stored(made)
    rounds(watch, stored, 1)
    minutes, stored.rows = stored.rows, asking_nobody(stored)  # type: ignore[method-assign]  # a history that is empty
    with capture_logs() as said:
        rounds(watch, stored, 4)
    assert [(one["event"], one["tenant"]) for one in said] == [("parity_fault", "t")]
    assert said[0]["rows"] > 1
    stored.rows = minutes  # type: ignore[method-assign]
    with capture_logs() as said:
        rounds(watch, stored, 8)
    assert [(one["event"], one["tenant"]) for one in said] == [("parity_again", "t")]
    stored.bent, stored.as_of = {"offered": 3}, NOW - 60_000  # a sink that is behind
    with capture_logs() as said:
        rounds(watch, stored, 3)
    assert said == []


def asking_nobody(stored: Stored) -> Any:
    async def rows(sql: str, **_: Any) -> list[Row]:
        return [{"tenant": "t", "now_ms": stored.as_of}] if sql == CLOCKS else []

    return rows


def test_what_clickhouse_does_not_hold_yet_is_no_fault() -> None:
    made = line()
    watch, stored = Parity(made.present), Stored(made)
    stored.bent, stored.as_of = {"offered": 3}, NOW - 60_000
    rounds(watch, stored, 5)
    assert watch.verdict.faults("t") == 0


def test_a_number_that_still_moves_begins_anew() -> None:
    verdict = Verdict(checked_at=1)
    for count in range(5):
        verdict.judge(PLACE, {"offered": count + 1}, {"offered": count}, (NOW, NOW), float(count))
    assert verdict.faults("t") == 0
    verdict.judge(PLACE, {"offered": 5}, {"offered": 4}, (NOW, NOW), 9.0)
    assert verdict.faults("t") == 1
    assert verdict.faults("other") == 0


def test_a_row_that_only_one_side_has_is_a_difference() -> None:
    verdict = Verdict(checked_at=1)
    for _ in range(2):
        verdict.judge(PLACE, {}, {"offered": 1}, (NOW, NOW), 1.0)
    assert verdict.faults("t") == 1


def test_the_whole_day_is_walked_through() -> None:
    made = Line()
    for minute in (0, 400, 800, 1_200):
        event = {"id": str(minute), "kind": "message", "author": "customer", "conversation": f"c{minute}"}
        made.send([event_of({**event, "at": START + minute * 60_000}, "t")])
    made.tick(START + 1_260 * 60_000, "t")
    made.flush()
    stored, watch = Stored(made), Parity(made.present)
    stored.as_of = START + 1_260 * 60_000
    stored.bent = {"messages": 1}
    rounds(watch, stored, 90)
    assert watch.verdict.faults("t") == 1


def test_the_shipped_rule_alarms_a_fault_and_resolves_once_it_is_mended() -> None:
    rules = load(None)
    assert rules.by_name["parity"].metric.name == "parity_faults"
    state, said = State(), []
    for second, faults in enumerate((None, 0, 2, 2, 0)):
        readings = Readings(tenants={"t": TenantReading(parity_faults=faults)})
        state, changes = judge(state, rules, REAL, NOW + second * 1_000, readings)
        said += [(second, str(change.alert.state), change.alert.slot.tenant) for change in changes]
    assert said == [(2, "firing", "t"), (4, "resolved", "t")]


def test_told_to_end_it_ends_though_its_question_makes_an_error_of_that() -> None:
    class Breaking:
        async def rows(self, *_: object, **__: object) -> list[dict[str, Any]]:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError from None
            return []

    async def story() -> None:
        work = asyncio.create_task(Parity(Line().present).run(Breaking()))
        await asyncio.sleep(0)
        work.cancel()
        done, _ = await asyncio.wait([work], timeout=10)
        assert done == {work}

    asyncio.run(story())
