"""The tables replace themselves, and the views are right at any moment, before any merge."""

from __future__ import annotations

import uuid
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.clickhouse import Rejected
from sinks.rows import (
    ALERTS,
    EPISODES,
    EVENTS,
    GAUGES,
    LATE,
    MINUTES,
    TENANTS,
    decode_alert,
    episode_row,
    event_row,
    gauge_rows,
    pane_row,
)
from streams.events import (
    Amendment,
    EpisodeRow,
    Event,
    EventRow,
    Hold,
    PaneRow,
    Reading,
    Run,
    Segment,
    StatusRow,
    encode,
)
from tests.sinks.stage import Base

pytestmark = pytest.mark.slow

START = 1_772_445_600_000
VIEWS = {
    "events", "episodes", "minutes", "alerts", "agent_status", "dead_letters", "audit", "late", "clocks",
    "outcomes_by_day", "agents_by_hour", "frt_by_hour", "service_level_by_day", "topics_by_hour", "backlog_now",
    "surges", "grades",
}  # fmt: skip


def event(name: str, position: int, *, text: str = "", episode: int | None = 1) -> EventRow:
    """A message of one conversation."""
    return EventRow(
        Event(id=name, kind="message", at=START, tenant="t", conversation="c", text=text), episode, False, position
    )


def test_every_table_column_and_view_is_commented(base: Base) -> None:
    tables = base.client.query("SELECT name, comment FROM system.tables WHERE database = currentDatabase()").result_rows
    assert {name for name, _ in tables if not name.endswith("_base")} == {*VIEWS, "minutes_usual"}
    assert all(comment for _, comment in tables)
    columns = base.client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = ''"
    )
    assert columns.result_rows == []


def test_the_schema_may_be_made_again_over_what_is_there(base: Base) -> None:
    base.write({EVENTS: [event_row(event("e", 1))]})
    base.wait(base.history.prepare())
    assert len(base.rows("events")) == 1


def test_the_first_event_of_an_id_stands_whatever_comes_later(base: Base) -> None:
    for position, text in ((5, "second"), (3, "first"), (9, "third"), (3, "first")):
        base.write({EVENTS: [event_row(event("e", position, text=text))]})
    assert [row["text"] for row in base.rows("events")] == ["first"]


def test_an_amended_event_says_its_new_episode(base: Base) -> None:
    base.store(
        Reading(0, 9, [Segment(events=[event("e", 3), event("f", 4)], amendments=[Amendment("t", "c", "e", 9, 2)])])
    )
    assert {row["id"]: row["episode"] for row in base.rows("events")} == {"e": 2, "f": 1}


def test_text_comes_back_byte_for_byte(base: Base) -> None:
    odd = "'; DROP TABLE x; -- {a:String} \\ \0 \n\t\"`$$ 漢字 🙂 FORMAT CSV INTO OUTFILE"
    base.write({EVENTS: [event_row(event("e", 1, text=odd))]})
    assert base.rows("events")[0]["text"] == odd


def test_an_episode_that_a_refold_removes_is_gone_and_may_come_back(base: Base) -> None:
    def put(version: int, *, deleted: bool = False) -> None:
        base.write({EPISODES: [episode_row(EpisodeRow("t", "c", 1, version, deleted, opened_at=START))]})

    put(1)
    put(3, deleted=True)
    put(2)
    assert base.rows("episodes") == []
    put(4)
    assert [row["version"] for row in base.rows("episodes")] == [4]


def test_an_episode_comes_back_with_all_its_columns(base: Base) -> None:
    told = EpisodeRow(
        "t", "c", 2, 9, opened_at=START, demand_at=START + 1, reply_times_ms=[5, 7], queue_waits=[("a", 3), ("b", 4)],
        holds=[Hold("amy", START, START + 5), Hold("bob", START + 5, None)], resolved=True, csat=5,
        frt_ms=0, sentiment=-0.5,
    )  # fmt: skip
    base.write({EPISODES: [episode_row(told)]})
    (row,) = base.rows("episodes")
    assert row["queue_waits"] == [("a", 3), ("b", 4)]
    assert [list(hold.values()) for hold in row["holds"]] == [
        ["amy", START, START + 5],
        ["bob", START + 5, None],
    ]
    assert (row["frt_ms"], row["csat"], row["resolved"], row["sentiment"]) == (0, 5, True, -0.5)
    assert row["first_reply_at"] is None
    assert row["reply_times_ms"] == [5, 7]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 1)), max_size=12), st.randoms())
def test_minutes_add_up_partitions_at_any_moment(
    shared: Base, parts: list[tuple[int, int, int]], chance: Random
) -> None:
    tenant = uuid.uuid4().hex  # the base is shared, and made-up chance repeats itself
    chance.shuffle(parts)
    for partition, version, minute in parts:
        start = START + minute * 60_000
        pane = PaneRow(tenant, "q", "web", start, version, {"offered": version}, {version: 1})
        run = Run(tenant, "q", "web", start, start + 60_000, version, backlog=version)
        shared.write({MINUTES: [pane_row(pane, partition)], GAUGES: list(gauge_rows(run, partition))})
    stand: dict[int, dict[int, int]] = {}
    for partition, version, minute in parts:
        here = stand.setdefault(START + minute * 60_000, {})
        here[partition] = max(version, here.get(partition, 0))
    got = {row["minute"]: row for row in shared.rows("minutes", tenant)}
    assert got.keys() == stand.keys()
    for minute, versions in stand.items():
        row, total = got[minute], sum(versions.values())
        assert (row["offered"], row["backlog"], row["version"], row["expected"]) == (total, total, 2 * total, None)
        assert row["frt_hist"] == {value: list(versions.values()).count(value) for value in versions.values()}


def test_what_is_usual_stands_beside_a_minute_and_makes_none(base: Base) -> None:
    base.write({MINUTES: [pane_row(PaneRow("t", "q", "web", START, 5, {"messages": 1}), 0)]})
    base.client.insert(
        "minutes_usual",
        [
            ("t", "q", "web", START, 2, 8.5, 2.0, 15.0, True),
            ("t", "q", "web", START + 60_000, 2, 8.5, 2.0, 15.0, False),
        ],
        column_names=["tenant", "queue", "channel", "minute", "version", "expected", "low", "high", "surge"],
    )
    (row,) = base.rows("minutes")
    assert (row["messages"], row["expected"], row["low"], row["high"], row["surge"], row["version"]) == (
        1, 8.5, 2.0, 15.0, True, 7,
    )  # fmt: skip
    assert row["oldest_ms"] is None


def test_now_is_the_oldest_tick_of_all_partitions_and_of_a_replay_its_own(base: Base) -> None:
    def tick(partition: int, pos: int, at: int, clock: str = "") -> Reading:
        return Reading(partition, pos, [Segment(clock=clock, late={"in_replay": 0, "t": 1}, tick=at)])

    def as_of() -> dict[str, tuple[int | None, bool]]:
        return {row["tenant"]: (row["as_of"], row["replay"]) for row in base.rows("clocks")}

    base.write({TENANTS: [("", 1, "UTC")]})
    base.store(tick(0, 1, START), tick(0, 2, START + 5, "in_replay"), partitions=2)
    assert as_of() == {"t": (None, False), "in_replay": (None, True)}
    base.store(tick(1, 1, START + 3), tick(1, 2, START + 9, "in_replay"), partitions=2)
    assert as_of() == {"t": (START, False), "in_replay": (START + 5, True)}
    base.store(tick(0, 0, START - 50), partitions=2)
    base.store(*(Reading(part, 5, [Segment(live="in_replay")]) for part in (0, 1)), partitions=2)
    assert as_of()["in_replay"] == (START, False)


def test_late_events_are_added_up_over_partitions(base: Base) -> None:
    base.write({LATE: [("t", 0, 5, 2), ("t", 1, 6, 3), ("t", 0, 4, 1)]})
    assert base.rows("late") == [{"tenant": "t", "late_total": 5}]


def test_a_withdrawn_status_is_gone(base: Base) -> None:
    spans = [StatusRow("t", "amy", START, 1, None, "online", 4), StatusRow("t", "amy", START, 2, deleted=True)]
    base.store(Reading(0, 1, [Segment(statuses=spans[:1])]))
    assert [row["status"] for row in base.rows("agent_status")] == ["online"]
    base.store(Reading(0, 2, [Segment(statuses=spans[1:])]))
    assert base.rows("agent_status") == []


def test_an_alert_keeps_every_change_of_state_and_a_surge_its_last(base: Base) -> None:
    def change(state: str, at: int, peak: float) -> bytes:
        words = {"alert": "a", "rule": "surge", "tenant": "t", "queue": "q", "channel": "*", "since": START}
        return encode(
            {**words, "state": state, "at": at, "peak": peak, "resolved_at": at if state == "resolved" else None}
        )

    told = [change("firing", START, 3), change("acknowledged", START + 5, 9), change("resolved", START + 9, 8)]
    for value in (*told, told[0]):
        base.write({ALERTS: [decode_alert(value)]})
    assert sorted(row["state"] for row in base.rows("alerts")) == ["acknowledged", "firing", "resolved"]
    (surge,) = base.rows("surges")
    assert (surge["state"], surge["peak"], surge["resolved_at"]) == ("resolved", 9.0, START + 9)


def test_the_rate_of_useful_alerts_per_rule_is_that_of_the_last_grades(base: Base) -> None:
    def change(alert: str, state: str, at: int, grade: str | None = None, rule: str = "surge") -> None:
        words = {"alert": alert, "rule": rule, "tenant": "t", "queue": "q", "state": state, "at": START + at}
        base.write({ALERTS: [decode_alert(encode({**words, "grade": grade}))]})

    change("a", "firing", 0, "noise")
    change("a", "resolved", 5, "useful")
    change("b", "firing", 1)
    change("b", "firing", 1, "noise")
    change("c", "firing", 2)
    change("d", "firing", 3, rule="lull")
    rows = {row["rule"]: row for row in base.rows("grades")}
    assert [rows["surge"][name] for name in ("fired", "useful", "noise", "useful_rate", "last_fired")] == [
        3, 1, 1, 0.5, START + 2,
    ]  # fmt: skip
    assert (rows["lull"]["fired"], rows["lull"]["useful_rate"]) == (1, None)


def test_the_backlog_of_now_is_counted_by_age(base: Base) -> None:
    def waits(name: str, since: int, agent: str | None, state: str = "awaiting_first") -> EpisodeRow:
        return EpisodeRow(
            "t", name, 1, 1, opened_at=START, demand_at=START, agent=agent, state=state, target_ms=60_000,
            waiting_since=START - since if state.startswith("awaiting") else None,
        )  # fmt: skip

    rows = [
        waits("a", 1_000, None), waits("b", 60_000, "amy"), waits("c", 90_000_000, None, "awaiting_reply"),
        waits("d", 0, "amy", "waiting_on_customer"), waits("e", 0, None, "with_bot"),
    ]  # fmt: skip
    base.write({EPISODES: [episode_row(row) for row in rows]})
    base.now_is("t", START)
    (row,) = base.rows("backlog_now")
    assert (row["open"], row["backlog"], row["unassigned"], row["over_target"], row["oldest_ms"]) == (
        5,
        3,
        2,
        2,
        90_000_000,
    )
    assert row["ages"] == [1, 1, 0, 0, 0, 1]
    assert (row["with_bot"], row["waiting_on_customer"], row["as_of"]) == (1, 1, START)


def test_percentiles_of_an_hour_are_nearest_ranks(base: Base) -> None:
    waits = {10: 5, 200: 4, 9_984: 1}
    counts = {"frt_n": 10, "frt_sum_ms": 10_900, "reopen_frt_n": 0}
    base.write({MINUTES: [pane_row(PaneRow("t", "q", "web", START, 1, counts, waits), 0)]})
    (row,) = base.rows("frt_by_hour")
    assert (row["frt_p50_ms"], row["frt_p90_ms"], row["frt_avg_ms"], row["reopen_frt_avg_ms"]) == (
        10,
        200,
        1_090.0,
        None,
    )


def test_rows_that_can_never_be_stored_are_refused_without_their_words(base: Base) -> None:
    bad = list(event_row(event("e", 1, text="我的订单")))
    bad[EVENTS.columns.index("seq")] = -1
    with pytest.raises(Rejected) as error:
        base.write({EVENTS: [tuple(bad)]})
    assert "订单" not in str(error.value)
    assert base.rows("events") == []


def test_topics_are_there_per_hour_with_their_share_and_a_later_version_stands(base: Base) -> None:
    def pane(partition: int, minute: int, version: int, n: int, **topics: int) -> None:
        row = PaneRow("t", "q", "web", START + minute * 60_000, version, {"customer_messages": n}, topics=topics)
        base.write({MINUTES: [pane_row(row, partition)]})

    pane(0, 0, 1, 9, refund=9)
    pane(0, 0, 2, 4, refund=2, parcel=1)
    pane(1, 59, 1, 4, refund=1)
    pane(0, 60, 1, 1)
    rows = base.rows("topics_by_hour")
    assert sorted((row["topic"], row["customer_messages"], row["share"]) for row in rows) == [
        ("parcel", 1, 0.125),
        ("refund", 3, 0.375),
    ]


def test_the_sum_of_sentiments_is_shown_in_its_own_unit(base: Base) -> None:
    counts = {"sentiment_sum": -1_250, "negative": 3, "sentiment_n": 5}
    base.write({MINUTES: [pane_row(PaneRow("t", "q", "web", START, 1, counts), 0)]})
    base.write({MINUTES: [pane_row(PaneRow("t", "q", "web", START, 1, {"sentiment_sum": 250}), 1)]})
    (row,) = base.rows("minutes")
    assert (row["sentiment_sum"], row["negative"], row["sentiment_n"]) == (-1.0, 3, 5)


def test_a_table_of_the_release_before_gets_the_columns_that_came_since(base: Base) -> None:
    for column in ("topics", "sentiment_n"):
        base.client.command(f"ALTER TABLE minutes_base DROP COLUMN {column}")
    base.wait(base.history.prepare())
    base.write({MINUTES: [pane_row(PaneRow("t", "q", "web", START, 1, {"sentiment_n": 2}, topics={"a": 1}), 0)]})
    assert base.rows("minutes")[0]["sentiment_n"] == 2


def test_alerts_of_the_release_before_have_no_topic_and_new_ones_have(base: Base) -> None:
    words = {"alert": "a", "rule": "topics", "tenant": "t", "state": "firing"}
    base.write({ALERTS: [decode_alert(encode({**words, "at": START}))]})
    base.client.command("ALTER TABLE alerts_base DROP COLUMN topic")
    base.wait(base.history.prepare())
    base.write({ALERTS: [decode_alert(encode({**words, "at": START + 1, "topic": "refund"}))]})
    assert [row["topic"] for row in sorted(base.rows("alerts"), key=lambda row: row["at"])] == [None, "refund"]
