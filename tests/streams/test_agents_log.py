"""Status as spans: what an agent's own log says, whatever the order in which it came."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.agents_log import KEPT, AgentLog, Span
from streams.events import Event, StatusRow
from streams.windows import DAY, HOUR

T0 = 1_772_445_600_000


def event(at: int, status: str, capacity: int | None = None, ident: str = "", **fields: Any) -> Event:
    """A status that came at once."""
    given: dict[str, Any] = {"seq": 0, "received_at": at, "replay": True} | fields
    return Event(id=ident or f"s{at}", kind="agent_status", at=at, agent="a", status=status, capacity=capacity, **given)


def log_of(events: list[Event]) -> AgentLog:
    """The log after these."""
    log = AgentLog("t", "a")
    for one in events:
        log.insert(one)
    return log


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Statuses of one agent, some at the same moment, in their order."""
    given = draw(
        st.lists(
            st.tuples(
                st.integers(0, 20), st.integers(0, 2), st.sampled_from(["online", "busy", "away", "offline"]),
                st.sampled_from([None, None, 0, 3, 5]),
            ),
            min_size=1, max_size=12,
        )
    )  # fmt: skip
    made = [
        event(T0 + at * HOUR, status, capacity, f"s{n:02}", seq=seq)
        for n, (at, seq, status, capacity) in enumerate(given)
    ]
    return sorted(made, key=lambda one: (one.at, one.seq, one.id))


def in_force(events: list[Event], at: int) -> tuple[str, int | None] | None:
    """Status and capacity at an instant, from all that was said until then."""
    said = [one for one in events if one.at <= at]
    capacities = [one.capacity for one in said if one.capacity is not None]
    return (said[-1].status or "", capacities[-1] if capacities else None) if said else None


@given(histories())
def test_at_every_instant_the_spans_say_what_was_said_last(events: list[Event]) -> None:
    spans = log_of(events).spans()
    for hour in range(-1, 22):
        at = T0 + hour * HOUR
        held = [
            (span.status, span.capacity)
            for span in spans
            if span.since <= at and (span.until is None or at < span.until)
        ]
        assert held == ([] if in_force(events, at) is None else [in_force(events, at)])


@given(histories())
def test_spans_follow_each_other_without_gaps_and_only_the_last_is_open(events: list[Event]) -> None:
    spans = log_of(events).spans()
    assert [span.until for span in spans] == [*(span.since for span in spans[1:]), None]
    assert all(span.until is None or span.since < span.until for span in spans)


@given(histories(), st.integers(0, 2**32))
def test_the_order_of_arrival_changes_nothing(events: list[Event], seed: int) -> None:
    shuffled = Random(seed).sample(events, len(events))
    assert log_of(shuffled).spans() == log_of(events).spans()
    assert log_of(shuffled).now() == log_of(events).now()


@given(histories())
def test_now_is_the_status_said_last_since_it_began(events: list[Event]) -> None:
    now = log_of(events).now()
    assert now is not None
    status, capacity, since = now
    assert (status, capacity) == in_force(events, events[-1].at)
    run = [n for n, one in enumerate(events) if one.status != status]
    assert since == events[run[-1] + 1 if run else 0].at


def test_nothing_is_known_before_the_first_status() -> None:
    assert AgentLog("t", "a").now() is None
    assert AgentLog("t", "a").spans() == []


def test_repeating_a_status_begins_nothing_and_a_capacity_holds_until_another_is_given() -> None:
    log = log_of([event(T0, "online", 4), event(T0 + 1, "online"), event(T0 + 2, "online", 4), event(T0 + 3, "busy")])
    assert log.spans() == [Span(T0, T0 + 3, "online", 4), Span(T0 + 3, None, "busy", 4)]
    log.insert(event(T0 + 5, "busy", 2))
    assert log.spans()[-1] == Span(T0 + 5, None, "busy", 2)
    assert log.now() == ("busy", 2, T0 + 3)


def test_a_status_that_lasted_no_time_leaves_no_span_but_ends_the_one_before() -> None:
    log = log_of([event(T0, "online"), event(T0 + 5, "away", ident="x"), event(T0 + 5, "online", ident="y")])
    assert [(span.since, span.status) for span in log.spans()] == [(T0, "online"), (T0 + 5, "online")]
    assert log.now() == ("online", None, T0 + 5)


def test_a_late_capacity_changes_the_spans_after_it() -> None:
    log = log_of([event(T0, "online", 4), event(T0 + 10, "busy")])
    log.insert(event(T0 + 5, "online", 2))
    assert [(span.since, span.capacity) for span in log.spans()] == [(T0, 4), (T0 + 5, 2), (T0 + 10, 2)]


def test_late_is_behind_receipt_live_and_behind_the_newest_status_in_a_replay() -> None:
    log = log_of([event(T0 + DAY, "online")])
    assert not log.late(event(T0, "away"))
    assert log.late(event(T0 - 1, "away"))
    assert not log.late(event(T0 - 9 * DAY, "away", replay=False, received_at=T0 - 8 * DAY))
    assert log.late(event(T0, "away", replay=False, received_at=T0 + DAY + 1))


@given(histories(), st.integers(0, 2))
def test_forgetting_leaves_every_later_instant_as_it_was(events: list[Event], days: int) -> None:
    log = log_of([*events, event(events[-1].at + KEPT + days * 8 * HOUR, "away", ident="z")])
    before, now, horizon = log.spans(), log.now(), log.greatest_at - KEPT
    log.forget()
    assert [span for span in log.spans() if later(span, horizon)] == [span for span in before if later(span, horizon)]
    assert log.now() == now
    old = [status for status in log.statuses if status.at < horizon]
    assert len({status.status for status in old}) <= 1
    assert all(one.capacity != other.capacity for one, other in pairwise(old))


def later(span: Span, horizon: int) -> bool:
    """Whether some of it comes after the horizon."""
    return span.until is None or span.until > horizon


def test_forgetting_keeps_the_ids_that_may_still_be_repeated() -> None:
    log = log_of([event(T0 + hour * HOUR, "online" if hour % 2 else "busy") for hour in range(100)])
    log.forget()
    assert min(log.ids.values()) == log.greatest_at - KEPT
    assert len(log.statuses) == 50
    assert log.spans()[0].since == T0 + 50 * HOUR


def test_rows_carry_the_version_of_the_log() -> None:
    log = log_of([event(T0, "online", 4), event(T0 + 5, "away")])
    log.version = 12
    assert log.rows() == [
        StatusRow("t", "a", T0, 12, T0 + 5, "online", 4),
        StatusRow("t", "a", T0 + 5, 12, None, "away", 4),
    ]
