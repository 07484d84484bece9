"""FAULTS V-01: what a released version wrote is read by this one, and what a newer one may add does no harm.

`python -m tests.faults.test_golden NAME` writes the records, readings and state of this release as `golden/NAME.json`,
once per release; they are never written again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.agents import read_record
from streams.events import Record, Tick, decode_reading, encode
from streams.shard import Changed, Shard
from tests.conformance.cases import Row
from tests.reference.streams import story
from tests.streams.line import PARTITIONS, Line, event_of

GOLDEN = Path(__file__).parent / "golden"
RELEASES = sorted(GOLDEN.glob("*.json"))
COLUMNS = (
    "conversation", "episode", "opened_at", "closed_at", "demand_at", "state", "outcome", "frt_ms", "agent_messages",
    "customer_messages", "queue", "credit_queue", "resolved", "csat",
)  # fmt: skip


def written(seed: int = 5) -> Row:
    """What this release writes of a story: records, the readings they come to, the state behind them, and the rows."""
    told = story(seed, conversations=4, steps=12)
    line = Line()
    records: list[tuple[int, int, str]] = []
    readings: list[str] = []
    step, read = Shard.step, line._read

    def stepped(self: Shard, position: int | None, record: Record) -> bool:
        records.append((self.partition, position or 0, encode(record).decode()))
        return step(self, position, record)

    def heard(reading: Any) -> None:
        readings.append(encode(reading).decode())
        read(reading)

    line._read = heard  # type: ignore[method-assign]
    Shard.step = stepped  # type: ignore[method-assign]
    try:
        for start in range(0, len(told.events), 3):
            line.send([event_of(one, "case") for one in told.events[start : start + 3]])
        line.tick(told.tick, "case")
        line.flush()
    finally:
        Shard.step = step  # type: ignore[method-assign]
    state = [
        [number, *row[:5], row.value.hex()] for number, shelf in enumerate(line.shelves) for row in shelf.rows.values()
    ]
    return {"records": records, "readings": readings, "state": state, "tick": told.tick, "rows": rows(line)}


def rows(line: Line) -> list[list[Any]]:
    """The episodes, in the columns that every release has."""
    return [[getattr(row, column) for column in COLUMNS] for row in line.episode_rows()]


@pytest.fixture(params=RELEASES, ids=[path.stem for path in RELEASES])
def release(request: pytest.FixtureRequest) -> Row:
    """What a release wrote."""
    found: Row = json.loads(request.param.read_text())
    return found


def folded(records: list[Any]) -> list[list[Any]]:
    """What this release makes of records."""
    line = Line()
    for partition, position, text in records:
        record = read_record(text.encode())
        assert isinstance(record, Record), record
        line.shards[partition].step(position, record)
    line.flush()
    return rows(line)


def test_v01_records_of_every_release_come_to_what_they_came_to_then(release: Row) -> None:
    assert folded(release["records"]) == release["rows"]


def test_v01_readings_of_every_release_are_read(release: Row) -> None:
    line = Line()
    for text in release["readings"]:
        line._read(decode_reading(text))
    assert rows(line) == release["rows"]


def test_v01_state_of_every_release_is_taken_up_and_goes_on(release: Row) -> None:
    line = Line()
    for partition, kind, tenant, key, at, live, value in release["state"]:
        line.shelves[partition].keep([Changed(kind, tenant, key, at, live, bytes.fromhex(value))])
    for text in release["readings"]:
        line._read(decode_reading(text))
    for number in range(PARTITIONS):
        line.shards[number].position = 10_000
        line.restart(number)
    line.position = 10_000
    for shard in line.shards:
        shard.step(20_000, Record(tick=Tick(release["tick"] + 1, "case")))
    line.flush()
    assert rows(line) == release["rows"]


def test_v01_fields_that_a_newer_release_adds_are_ignored_at_every_level(release: Row) -> None:
    newer = [
        (partition, position, json.dumps(_added(json.loads(text)))) for partition, position, text in release["records"]
    ]
    assert folded(newer) == release["rows"]
    line = Line()
    for text in release["readings"]:
        line._read(decode_reading(json.dumps(_added(json.loads(text)))))
    assert rows(line) == release["rows"]


_OPEN = ("counts", "frt_hist", "answered_waits", "censored_waits", "waiting", "queues", "late", "attrs", "topics")
"""Their keys are data, not fields."""


def _added(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        inner = {key: _added(one, key) for key, one in value.items()}
        return inner if name in _OPEN else inner | {"of_a_newer_release": {"x": [1]}}
    return [_added(one) for one in value] if isinstance(value, list) and name not in _OPEN else value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"v": 2, "events": []}', "version 2"),
        ('{"events": [{"id": "a", "kind": "message", "at": "later"}]}', "Expected `int`"),
        ('{"events": [{"kind": "message", "at": 1}]}', "missing required field `id`"),
        ('{"events": {"id": "a"}}', "Expected `array`"),
    ],
)
def test_v01_what_cannot_be_meant_for_us_says_why(text: str, reason: str) -> None:
    said = read_record(text.encode())
    assert isinstance(said, str)
    assert reason in said


if __name__ == "__main__":
    (GOLDEN / f"{sys.argv[1]}.json").write_text(json.dumps(msgspec.to_builtins(written()), ensure_ascii=False) + "\n")
