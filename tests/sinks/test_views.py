"""The shipped views against the worked cases, a reference that shares no code with them, and plain counting."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.rows import EPISODES, STATUSES, episode_row, status_row
from streams.events import EpisodeRow, Hold, StatusRow
from tests.conformance.cases import Row, events_of, load_cases, now_ms
from tests.conformance.compare import compare
from tests.reference.metrics import reckon
from tests.reference.streams import Stream, streams
from tests.sinks.stage import Base, Recorded, as_told
from tests.streams.line import event_of

VIEWS = ("episodes", "minutes", "outcomes_by_day", "agents_by_hour")
HOUR = 3_600_000
MINUTE = 60_000
pytestmark = pytest.mark.slow

_TENANTS = itertools.count(1)

CASES = [case for case in load_cases() if set(case["expect"]) & {*VIEWS, "late"}]


@pytest.fixture(scope="module")
def answers(shared: Base) -> dict[str, Row]:
    """What the views say of every case, each a tenant of its own, all stored together."""
    lines = {case["name"]: line_of(case) for case in CASES}
    zones = {case["name"]: (case.get("settings") or {}).get("zone", "UTC") for case in CASES}
    shared.store(
        *(reading for line in lines.values() for reading in line.readings), zone=lambda name: zones.get(name, "UTC")
    )
    found: dict[str, Row] = {name: {view: [] for view in (*VIEWS, "events", "service_level_by_day")} for name in lines}
    for view in (*VIEWS, "events", "service_level_by_day"):
        for row in shared.rows(view):
            found.setdefault(row["tenant"], {}).setdefault(view, []).append(row)
    for answer in found.values():
        answer.get("episodes", []).sort(key=lambda row: (row["opened_at"], row["conversation"], row["episode"]))
        answer["late"] = [row["id"] for row in answer.get("events", []) if row["late"]]
    return found


def line_of(case: Row) -> Recorded:
    """The stream after a case, and all that it said."""
    line = Recorded(case.get("settings") or {})
    for event in events_of(case):
        line.send([event_of(event, case["name"])])
        line.flush()
    line.tick(now_ms(case), case["name"])
    line.flush()
    return line


def asked(case: Row) -> Row:
    """The case without what only the feed says."""
    return {**case, "expect": {name: rows for name, rows in case["expect"].items() if name in (*VIEWS, "late")}}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_every_worked_case_holds_in_the_views(answers: dict[str, Row], case: Row) -> None:
    assert compare(asked(case), answers[case["name"]]) == []


@pytest.mark.parametrize("name", ["service level with everything in it", "abandonment counts at once", "undecided"])
def test_the_sum_of_minutes_is_what_the_day_says(answers: dict[str, Row], name: str) -> None:
    answer = answers[name]
    (day,) = answer["service_level_by_day"]
    cohort = (
        "offered",
        "answered",
        "answered_in_target",
        "abandoned",
        "short_abandoned",
        "closed_unanswered",
        "undecided",
    )
    for column in cohort:
        assert day[column] == sum(row[column] for row in answer["minutes"])
    judged = day["offered"] - day["short_abandoned"] - day["undecided"]
    assert day["service_level"] == (pytest.approx(day["answered_in_target"] / judged) if judged else None)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams())
def test_any_stream_is_told_by_the_views_as_by_the_reference(shared: Base, stream: Stream) -> None:
    tenant = f"stream{next(_TENANTS)}"
    line = Recorded(stream.settings)
    for wire in stream.events:
        line.send([event_of(wire, tenant)])
    line.tick(stream.tick, tenant)
    line.flush()
    shared.store(*line.readings, zone=lambda _: stream.settings.get("zone", "UTC"))
    told = as_told(shared, tenant, ("outcomes_by_day", "agents_by_hour"))
    want = reckon(stream.events, stream.settings, stream.tick)
    for view, keys in (("outcomes_by_day", ("queue", "channel", "day")), ("agents_by_hour", ("agent", "hour"))):
        got = {tuple(str(row[key]) for key in keys): row for row in told[view]}
        rows = {tuple(str(row[key]) for key in keys): row for row in want[view]}
        assert got.keys() == rows.keys(), view
        for key, row in rows.items():
            for name, value in row.items():
                if name not in keys:
                    assert got[key][name] == (value if value is None else pytest.approx(value, abs=1e-9)), (
                        view,
                        key,
                        name,
                    )


@st.composite
def spans(draw: st.DrawFn) -> list[tuple[int, int | None]]:
    """Spans in minutes, in order, apart; the last may go on."""
    borders = sorted(draw(st.sets(st.integers(0, 300), max_size=8)))
    made: list[tuple[int, int | None]] = list(zip(borders[::2], borders[1::2], strict=False))
    if len(borders) % 2:
        made.append((borders[-1], None))
    return made


def counted(holds: list[Any], statuses: list[Any], now: int) -> dict[int, tuple[Any, ...]]:
    """Minute by minute: hour → (concurrency, occupancy, online minutes). What is known to have ended counts to its end,
    also after now."""
    cells: dict[int, list[float]] = {}
    ends = [until for _, until in [*holds, *(span for span, _, _ in statuses)] if until is not None]
    for minute in range(max([now, *ends])):
        held = sum(since <= minute < (now if until is None else until) for since, until in holds)
        on = [
            capacity
            for (since, until), status, capacity in statuses
            if since <= minute < (now if until is None else until) and status in ("online", "busy")
        ]
        cell = cells.setdefault(minute // 60, [0, 0, 0, 0, 0])
        cell[0] += held
        cell[1] += held > 0
        if on and on[0] is not None:
            cell[2] += held
            cell[3] += on[0]
        cell[4] += len(on)
    return {
        hour: (
            cell[0] / cell[1] if cell[1] else None,
            cell[2] / cell[3] if cell[3] else None,
            cell[4] * MINUTE,
        )
        for hour, cell in cells.items()
        if cell[1] or cell[4]
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(spans(), max_size=4),
    spans(),
    st.lists(st.tuples(st.sampled_from(["online", "busy", "away"]), st.sampled_from([None, 0, 1, 4])), min_size=5),
    st.integers(0, 320),
)
def test_an_agents_hours_are_what_counting_minute_by_minute_gives(
    shared: Base, held: list[Any], online: list[Any], kinds: list[Any], now: int
) -> None:
    tenant, start = f"agents{next(_TENANTS)}", 1_772_445_600_000 // HOUR * HOUR

    def at(minute: int | None) -> int | None:
        return None if minute is None else start + minute * MINUTE

    episodes = [
        EpisodeRow(tenant, f"c{number}", 1, 1, opened_at=start, holds=[Hold("amy", at(a) or 0, at(b)) for a, b in one])
        for number, one in enumerate(held)
    ]
    statuses = [(span, *kind) for span, kind in zip(online, kinds, strict=False)]
    shared.write(
        {
            EPISODES: [episode_row(row) for row in episodes],
            STATUSES: [
                status_row(StatusRow(tenant, "amy", at(a) or 0, 1, at(b), status, capacity))
                for (a, b), status, capacity in statuses
            ],
        }
    )
    shared.now_is(tenant, start + now * MINUTE)
    got = {
        (row["hour"] - start) // HOUR: (row["concurrency"], row["occupancy"], row["online_ms"])
        for row in shared.rows("agents_by_hour", tenant)
    }
    want = counted([span for one in held for span in one], statuses, now)
    assert got.keys() == want.keys()
    for hour, figures in want.items():
        assert got[hour] == pytest.approx(figures)


def test_one_customer_who_comes_thousands_of_times_costs_a_reader_no_more_than_thousands_who_come_once(
    shared: Base,
) -> None:
    many, start = 8_000, 1_772_445_600_000 // HOUR * HOUR
    rows = [
        EpisodeRow(
            "guests", f"c{number}", 1, 1, opened_at=start + number * 2_000, customer="guest", queue="q", channel="web",
            closed_at=start + number * 2_000 + 1_000, resolved=True,
        )
        for number in range(many)
    ]  # fmt: skip
    shared.write({EPISODES: [episode_row(row) for row in rows]})
    shared.now_is("guests", start + 200 * HOUR)
    query = "SELECT sum(closed), avg(repeat_contact_24h) FROM outcomes_by_day WHERE tenant = 'guests'"
    answer = shared.client.query(query, settings={"max_memory_usage": 256 << 20})
    ((closed, again),) = answer.result_rows
    assert closed == many
    assert again == pytest.approx(sum(2 * n + 1 + 3_600 <= 2 * (many - 1) for n in range(many)) / many)
