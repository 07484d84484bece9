"""The worked cases through the running stack: socket in; ClickHouse and the live feed out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.conformance.cases import Row, doubled, events_of, load_cases, now_ms, permuted, rfc3339
from tests.conformance.compare import compare
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, frames, ms, snapshot, wait
from tidewatch.embedded import Stack

CASES = load_cases()
WAYS = ("listed", "permuted", "doubled")
REPLAYED_S = 420.0
"""Hundreds of tenants are replayed at once: two minutes on a slow machine that does nothing else."""


def toml(value: Any) -> str:
    """A JSON value as a TOML value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def tenant(number: int, way: str) -> str:
    """Each case in each way is a tenant of its own."""
    return f"case-{number:03d}-{way}"


def arrival(case: Row, way: str, seed: int) -> list[Row]:
    """The events as they arrive."""
    events = events_of(case)
    if way == "listed" or case.get("as_listed"):
        return events
    return permuted(events, Random(seed)) if way == "permuted" else doubled(events, Random(seed))


def settings_of(directory: Path) -> Path:
    """The cases' settings, each under its tenants, as a file."""
    lines = [
        f"[tenants.{tenant(number, way)}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in case["settings"].items())
        for number, case in enumerate(CASES)
        if case["settings"]
        for way in WAYS
    ]
    config = directory / "tidewatch.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Row]]:
    """All cases in all ways sent through one stack; tenant → what it says."""
    root = tmp_path_factory.mktemp("cases")
    running = RunningStack(Stack(root / "data", port=0, config=settings_of(root)))
    running.start()
    try:
        access: Row = dict(running.access)
        ticks = send_all(access)
        yield read_all(access, ticks)
    finally:
        running.stop()


def send_all(access: Row) -> dict[str, int]:
    """Send every case in every way, each with its tick; returns the ticks."""
    ticks: dict[str, int] = {}
    parts: list[Row] = []
    for number, case in enumerate(CASES):
        for way in WAYS:
            name = tenant(number, way)
            ticks[name] = now_ms(case)
            events = [{**event, "tenant": name} for event in arrival(case, way, number)]
            parts += [{"events": some} for some in frames(events)]
            parts.append({"tick": rfc3339(ticks[name]), "tenant": name})
    sender = Sender(access)
    sender.send(parts)
    assert sender.rejected == []
    return ticks


def read_all(access: Row, ticks: dict[str, int]) -> dict[str, Row]:
    """Wait until both surfaces are as of every tick, and read them."""

    def all_there() -> Row | None:
        frame = snapshot(access)
        there = all(ms(frame["clocks"].get(name)) == tick for name, tick in ticks.items())
        return frame if there else None

    live: Row = wait("the live feed as of every tick", all_there, REPLAYED_S)
    history = History(access)

    def stored() -> bool:
        known = {row["tenant"]: row["as_of"] for row in history.rows("SELECT tenant, as_of FROM clocks")}
        return all(known.get(name) == tick for name, tick in ticks.items())

    wait("ClickHouse as of every tick", stored, REPLAYED_S)
    out: dict[str, Row] = {
        name: {
            "episodes": [],
            "live": [],
            "minutes": [],
            "outcomes_by_day": [],
            "agents_by_hour": [],
            "agents": [],
            "late": [],
        }
        for name in ticks
    }
    for row in live["keys"]:
        out[row["tenant"]]["live"].append(row)
    for row in live["agents"]:
        out[row["tenant"]]["agents"].append({**row, "since": ms(row["since"])})
    for table in ("episodes", "minutes", "outcomes_by_day", "agents_by_hour"):
        order = " ORDER BY opened_at, conversation, episode" if table == "episodes" else ""
        for row in history.rows(f"SELECT * FROM {table}{order}"):  # names of ours
            out[row["tenant"]][table].append(row)
    for row in history.rows("SELECT tenant, id FROM events WHERE late"):
        out[row["tenant"]]["late"].append(row["id"])
    return out


@pytest.mark.timeout(600)  # the first one sends and reads for all
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_every_worked_case_holds_through_the_running_stack(answers: dict[str, Row], number: int, way: str) -> None:
    assert compare(CASES[number], answers[tenant(number, way)]) == []
