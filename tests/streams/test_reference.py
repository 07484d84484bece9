"""The line against a reference that shares no code with it.

Random streams, with disorder, repeats, restarts and ticks between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from tests.conformance.cases import Row
from tests.reference.metrics import reckon
from tests.reference.streams import Stream, story, streams
from tests.streams.line import Line, event_of

TENANT = "case"
NOT_COMPARED = {"targets", "version", "holds", "deleted", "topic", "sentiment", "tenant", "formula_id"}


def told(stream: Stream, seed: int = 0) -> Row:
    """What the line says of a stream, taken in with ticks, restarts and record borders as chance will have them."""
    chance = Random(seed)
    line = Line(stream.settings)
    events = [event_of(wire, TENANT) for wire in stream.events]
    while events:
        some = chance.choice((1, 1, 2, 5, 20))
        line.send(events[:some])
        events = events[some:]
        if chance.random() < 0.1:
            line.tick(min(stream.tick, max([event.at for event in line_events(line)], default=0)), TENANT)
        if chance.random() < 0.5:
            line.flush()
            if chance.random() < 0.3:
                line.restart(chance.randrange(line.partitions))
    line.tick(stream.tick, TENANT)
    line.flush()
    view = line.present.view(TENANT)
    return {
        "episodes": [msgspec.structs.asdict(row) for row in line.episode_rows()],
        "live": {(key[0], key[1]): view.key(key, stream.tick) for key in view.keys},
        "minutes": {(row["queue"], row["channel"], row["minute"]): row for row in line.minute_rows()},
        "agents": {row["agent"]: row for row in view.agent_rows()},
        "late": sorted(row.event.id for row in line.events.values() if row.late),
    }


def line_events(line: Line) -> Iterable[Any]:
    """What the line has taken in so far."""
    return [row.event for row in line.events.values()]


def differences(want: Row, got: Row) -> list[str]:
    """Every column in which the answer departs from the reference."""
    out = []
    names = [(row["conversation"], row["episode"]) for row in want["episodes"]]
    if names != [(row["conversation"], row["episode"]) for row in got["episodes"]]:
        return [f"episodes: {names} instead of {[(r['conversation'], r['episode']) for r in got['episodes']]}"]
    for one, other in zip(want["episodes"], got["episodes"], strict=True):
        out += _columns(f"episode {one['conversation']}/{one['episode']}", one, other)
    zeros: Row = {}
    for row in want["minutes"]:
        key = (row["queue"], row["channel"], row["minute"])
        out += _columns(f"minute {key}", row, got["minutes"].get(key, zeros))
    known = {(row["queue"], row["channel"], row["minute"]) for row in want["minutes"]}
    for key, row in got["minutes"].items():
        if key not in known and any(isinstance(v, int) and v for k, v in row.items() if k not in ("minute", "backlog")):
            out.append(f"minute {key}: not in the reference: { {k: v for k, v in row.items() if v} }")
    for row in want["live"]:
        out += _columns(
            f"live {row['queue']}/{row['channel']}", row, got["live"].get((row["queue"], row["channel"]), {})
        )
    for row in want["agents"]:
        out += _columns(f"agent {row['agent']}", row, got["agents"].get(row["agent"], {}))
    if sorted(want["late"]) != got["late"]:
        out.append(f"late: {got['late']} instead of {want['late']}")
    return out


def _columns(where: str, want: Row, got: Row) -> list[str]:
    out = []
    for name, value in want.items():
        if name in NOT_COMPARED:
            continue
        if isinstance(value, dict) and name == "windows":
            for window, columns in value.items():
                out += _columns(f"{where} {window}", columns, got.get(name, {}).get(window, {}))
        elif not _same(name, value, got.get(name, 0 if not got else None)):
            out.append(f"{where}: {name}: {got.get(name)!r} instead of {value!r}")
    return out


def _same(name: str, want: Any, got: Any) -> bool:
    if name in ("frt_hist", "connected") and got is None:
        return True
    if isinstance(want, dict):
        return {str(k): v for k, v in want.items()} == {str(k): v for k, v in (got or {}).items()} or name == "frt_hist"
    if isinstance(want, list):
        return [list(x) if isinstance(x, tuple) else x for x in want] == [
            list(x) if isinstance(x, tuple) else x for x in got or []
        ]
    if isinstance(want, (int, float)) and isinstance(got, (int, float)) and not isinstance(want, bool):
        loose = 0.01 if "_p50" in name or "_p90" in name else 1e-6
        return math.isclose(want, got, rel_tol=loose, abs_tol=1e-6)
    return bool(want == got)


@pytest.mark.parametrize("seed", range(60))
def test_a_made_up_stream_comes_to_what_the_reference_says(seed: int) -> None:
    stream = story(seed)
    assert differences(reckon(stream.events, stream.settings, stream.tick), told(stream, seed)) == []


@given(stream=streams())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_stream_comes_to_what_the_reference_says(stream: Stream) -> None:
    assert differences(reckon(stream.events, stream.settings, stream.tick), told(stream)) == []
