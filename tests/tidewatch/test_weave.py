"""The weave: conversations stay as they were, only the time between them is changed; and the desk is a calm one."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise, takewhile
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidewatch import data, demo
from tidewatch.datasets import MINUTE, Said, Thread
from tidewatch.weave import (
    GIVES_UP_MS,
    IDLE_MS,
    LINGER_MS,
    PATIENCE_MS,
    Stretch,
    closed,
    fit_for_a_desk,
    flow,
    laid_out,
    lane,
    squeezed,
    woven,
)


def thread(name: str, *ats: int, answered: bool = True, text: str = "help?") -> Thread:
    """A conversation with messages at these instants, its customer's and an agent's in turn."""
    said = tuple(
        Said(f"{name}:{n}", at, "agent" if answered and n % 2 else "customer", f"u{n % 2}", text)
        for n, at in enumerate(ats)
    )
    return Thread(name, "rust", "irc", said, ats[-1] + 30 * MINUTE)


spans = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), min_size=1, max_size=30)


@given(spans)
def test_squeezing_keeps_every_gap_inside_a_conversation_and_their_order(given: list[tuple[int, int]]) -> None:
    threads = [thread(f"t{n}", at, at + long) for n, (at, long) in enumerate(given)]
    stretch = squeezed(threads)
    assert Counter(t.said[-1].at - t.at for t in stretch.threads) == Counter(t.said[-1].at - t.at for t in threads)
    starts = [t.at for t in stretch.threads]
    assert starts == sorted(starts)
    assert starts[0] == 0


@given(spans)
def test_in_a_squeezed_stretch_nobody_is_silent_for_long(given: list[tuple[int, int]]) -> None:
    stretch = squeezed([thread(f"t{n}", at, at + long) for n, (at, long) in enumerate(given)])
    end = 0
    for one in stretch.threads:
        assert one.at - end <= IDLE_MS
        end = max(end, one.said[-1].at)
    assert stretch.length == end + IDLE_MS


def test_a_lane_never_ends_and_never_repeats_an_id() -> None:
    parts = [squeezed([thread("a", 0, 1_000), thread("b", 500, 900)]), squeezed([thread("c", 0, 10)])]
    items = [item for item in islice(lane(parts, "x-"), 30) if isinstance(item, Thread)]
    assert len({item.id for item in items}) == len(items)
    assert [item.id for item in items[:4]] == ["x-1-a", "x-1-b", "x-1-c", "x-2-a"]
    assert all(before.at <= after.at for before, after in pairwise(items))


@given(spans, spans)
def test_what_flows_is_in_order_of_time_and_complete(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    lanes = [
        [thread(f"{name}{n}", at, at + long) for n, (at, long) in enumerate(sorted(given))]
        for name, given in (("l", left), ("r", right))
    ]
    told = list(flow(woven([iter(lane_) for lane_ in lanes])))
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)
    assert Counter(event["kind"] for event in told) == {
        "message": 2 * (len(left) + len(right)),
        "closed": len(left) + len(right),
    }


def test_lanes_are_of_about_equal_length() -> None:
    parts = [Stretch((thread(str(n), 0),), 1_000 + 37 * n % 5_000) for n in range(60)]
    lengths = [sum(part.length for part in lane_) for lane_ in laid_out(parts, 4)]
    assert max(lengths) - min(lengths) <= 6_000
    assert sum(map(len, laid_out(parts, 4))) == 60


def test_what_fits_a_desk_was_answered_without_long_silence() -> None:
    assert fit_for_a_desk(thread("a", 0, 1_000))
    assert not fit_for_a_desk(thread("a", 0, PATIENCE_MS + 1))
    asked = [fit_for_a_desk(thread(str(n), 0, answered=False)) for n in range(600)]
    assert 20 <= sum(asked) <= 90
    assert not any(fit_for_a_desk(thread(str(n), 0, answered=False, text="hello")) for n in range(600))


def test_a_desk_closes_soon_after_the_last_word() -> None:
    assert closed(thread("a", 0, 1_000)).closed_at == 1_000 + LINGER_MS
    assert closed(thread("a", 0, answered=False)).closed_at == GIVES_UP_MS


# --- the shipped desk ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk() -> demo.Desk:
    return demo.shipped()


@pytest.fixture(scope="module")
def history(desk: demo.Desk) -> list[dict[str, Any]]:
    return list(takewhile(lambda event: event["at"] < desk.reach, desk.events()))


@pytest.mark.slow
def test_the_desk_reaches_back_more_than_a_day_at_about_thirty_messages_a_minute(
    desk: demo.Desk, history: list[dict[str, Any]]
) -> None:
    hours = desk.reach / MINUTE / 60
    messages = sum(event["kind"] == "message" for event in history)
    assert 30 <= hours <= 36
    assert 28 <= messages / hours / 60 <= 31
    assert desk.queues == {"ubuntu", "stripe", "mediawiki", "rust", "dining", "hotels", "sights"}


@pytest.mark.slow
def test_ids_are_unique_in_their_conversation_and_every_agent_has_a_seat_of_the_demo(
    history: list[dict[str, Any]],
) -> None:
    ids = Counter((event.get("conversation"), event.get("agent"), event["id"]) for event in history)
    assert max(ids.values()) == 1
    assert max(len(event["id"]) for event in history) <= 64
    agents = {event["author_id"] for event in history if event.get("author") == "agent"}
    agents |= {event["agent"] for event in history if "agent" in event}
    assert all(agent.startswith("demo-") for agent in agents)
    assert 60 <= len(agents) <= 100
    assert all(event["conversation"].startswith("demo-") for event in history if "conversation" in event)


@pytest.mark.slow
def test_the_desk_is_calm(history: list[dict[str, Any]]) -> None:
    """Who waits, minute by minute: a customer's message not yet followed by an agent's."""
    waiting: set[str] = set()
    counts: list[int] = []
    for event in history:
        while len(counts) < event["at"] // MINUTE:
            counts.append(len(waiting))
        if event["kind"] == "closed" or event.get("author") == "agent":
            waiting.discard(event["conversation"])
        elif event.get("author") == "customer":
            waiting.add(event["conversation"])
    later = sorted(counts[60:])
    assert 8 <= later[len(later) // 2] <= 20
    assert later[-1] <= 35


def test_the_demo_is_judged_by_what_is_usual_and_by_no_fixed_number() -> None:
    rules = yaml.safe_load((data.HERE / "demo-rules.yaml").read_text())["rules"]
    assert [rule["metric"] for rule in rules if rule.get("enabled", True)] == ["surge"]


@pytest.mark.slow
def test_the_surge_is_five_times_the_usual_for_three_minutes_about_one_thing(desk: demo.Desk) -> None:
    said = [one for thread in desk.surge for one in thread.said if one.author == "customer" and one.at < demo.SURGE_MS]
    usual = demo.customer_rate([p for name, parts in desk.lanes.items() if name[0] == "u" for p in parts]) * 4
    assert 4 <= len(said) / 3 / usual <= 4.5
    assert all("upgrad" in thread.said[0].text.lower() for thread in desk.surge)
    assert {thread.queue for thread in desk.surge} == {"ubuntu"}
    assert len({thread.id for thread in desk.surge}) == len(desk.surge)
