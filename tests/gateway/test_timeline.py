"""The waits drawn of every worked case are those that were counted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.timeline import WHY, Drawing, draw, stand
from streams.events import EpisodeRow, EventRow
from tests.conformance.cases import Row, load_cases, now_ms
from tests.sinks.test_views import line_of

pytestmark = pytest.mark.slow

CASES = load_cases()


def event_row(row: EventRow) -> Row:
    """An event as ClickHouse has it."""
    event = msgspec.structs.asdict(row.event)
    return {**event, "ms": row.event.at, "episode": row.episode, "late": row.late}


def episode_row(row: EpisodeRow) -> Row:
    """An episode as ClickHouse has it."""
    ms = {"demand_ms": row.demand_at, "first_reply_ms": row.first_reply_at, "closed_ms": row.closed_at}
    return {**msgspec.structs.asdict(row), **ms, "waiting_ms": row.waiting_since}


def drawings(case: Row) -> list[tuple[Row, Drawing]]:
    """Every episode of a case, drawn."""
    line = line_of(case)
    found = []
    for name in {row.conversation for row in line.episode_rows()}:
        rows = [event_row(row) for (_, subject, _), row in line.events.items() if subject == name]
        counted = sorted(
            (row for row in rows if not row["late"] and not row["private"] and row["kind"] != "agent_status"),
            key=lambda row: (row["ms"], row["seq"], row["id"]),
        )
        stand(counted)
        for episode in (episode_row(row) for row in line.episode_rows() if row.conversation == name):
            own = [row for row in counted if row["episode"] == episode["episode"]]
            found.append((episode, draw(episode, own, now_ms(case))))
    return found


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_the_waits_drawn_are_those_that_were_counted(case: Row) -> None:
    for episode, drawing in drawings(case):
        assert drawing.exact, (episode["conversation"], episode["queue_waits"], episode["reply_times_ms"], drawing)
        first = [wait for wait in drawing.waits if wait["kind"] == "first_reply"]
        assert len(first) == (episode["demand_at"] is not None)
        for wait in first:
            ended = {name: episode[name] for name in ("frt_ms", "abandon_wait_ms", "censored_wait_ms")}
            known = [value for value in ended.values() if value is not None]
            assert [wait["ms"]] == known or (known == [] and wait["ended_by"] is None)


def test_every_reason_given_has_its_words_in_both_languages() -> None:
    given: set[str] = set()
    for case in CASES:
        for _, drawing in drawings(case):
            given |= {reason for reasons in drawing.why.values() for reason in reasons}
    assert given <= WHY.keys()
    assert {"demand", "first", "reply", "left", "bot", "goodbye", "gone", "early"} <= given
    assert all(zh and en for zh, en in WHY.values())


def test_a_wait_that_goes_on_has_no_end_and_grows_with_the_clock() -> None:
    episode: dict[str, Any] = episode_row(
        EpisodeRow("t", "c", 1, 1, opened_at=0, demand_at=0, outcome="waiting", waiting_since=0, target_ms=60_000)
    )
    said = {"id": "a", "ms": 0, "kind": "message", "author": "customer", "author_id": None, "queue": None}
    event = {**said, "stood": "default", "episode": 1, "agent": None}
    for now, met in ((59_999, None), (60_000, False)):
        waits = draw(episode, [event], now).waits
        assert [(wait["kind"], wait["ms"], wait["to_ms"], wait["met"]) for wait in waits] == [
            ("first_reply", now, None, met),
            ("queue", now, None, None),
        ]
