"""What was answered after the tick is in the estimates of the windows that it waited in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.cases import Row
from tests.streams.line import Line, event_of

TENANT = "case"
START = 1_772_445_600_000


def message(conversation: str, at: float, author: str) -> Row:
    return {
        "id": f"{at}",
        "kind": "message",
        "at": START + round(at * 1000),
        "conversation": conversation,
        "author": author,
        "author_id": "amy",
        "text": "?",
    }


def windows(events: list[Row], now: float) -> Any:
    """The windows over all queues, as of `now` (s after the start)."""
    line = Line({})
    line.send([event_of(wire, TENANT) for wire in events])
    line.tick(START + round(now * 1000), TENANT)
    line.flush()
    return line.present.view(TENANT).key(("*", "*"), START + round(now * 1000))["windows"]


@pytest.mark.parametrize("window", ["1m", "5m", "30m", "today"])
def test_an_answer_after_the_ticks_pane_counts_at_once(window: str) -> None:
    told = windows([message("a", 30, "customer"), message("a", 70, "agent")], 50)[window]
    assert (told["offered"], told["frt_n"], told["frt_km_n"]) == (1, 1, 1)
    assert (told["frt_p50_km_ms"], told["frt_p50_km_censored"]) == (40_000, False)


def test_a_wait_that_begins_after_the_ticks_pane_is_in_no_window() -> None:
    events = [message("a", 30, "customer"), message("a", 70, "agent")]
    events += [message("b", 61, "customer"), message("b", 80, "agent")]
    told = windows(events, 50)["5m"]
    assert (told["frt_km_n"], told["frt_p50_km_ms"]) == (1, 40_000)


def test_one_given_up_after_the_ticks_pane_is_a_censored_wait() -> None:
    left = {"id": "l", "kind": "customer_left", "at": START + 90_000, "conversation": "a"}
    told = windows([message("a", 30, "customer"), left], 50)["5m"]
    assert (told["frt_km_n"], told["frt_p50_km_ms"], told["frt_p50_km_censored"]) == (1, 60_000, True)


def test_one_that_came_again_and_gave_up_after_the_pane_keeps_no_earlier_wait_out() -> None:
    events = [message("a", 0, "customer"), {**message("a", 149, "agent"), "kind": "closed"}]
    events += [message("a", 154, "customer"), {**message("a", 163, "customer"), "kind": "customer_left"}]
    told = windows(events, 50)["5m"]
    assert (told["frt_km_n"], told["frt_p50_km_ms"], told["frt_p50_km_censored"]) == (1, 149_000, True)
