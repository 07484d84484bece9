from __future__ import annotations

from tests.builders import START, agent, customer, status
from tests.conformance.cases import Row, at_of
from tests.reference.given import arrive, of_queue
from tests.reference.metrics import reckon

DAY = 86_400_000


def live(event: Row, received_at: int) -> Row:
    return {**event, "received_at": received_at}


def test_a_live_event_is_late_behind_its_receipt_and_only_that() -> None:
    events = [
        live(customer(START), START),
        live(agent(START + 1), START + 1 + DAY),
        live(agent(START), START + DAY + 1),
    ]
    kept, late = arrive(events, live=True)
    assert [event["id"] for event in kept[("conversation", "c1")]] == [events[0]["id"], events[1]["id"]]
    assert late == [events[2]["id"]]


def test_a_live_event_far_ahead_of_its_receipt_happened_at_the_receipt() -> None:
    near, far = live(customer(START + 120_000), START), live(agent(START + 120_001), START)
    kept, _ = arrive([near, far], live=True)
    assert [event["at"] for event in kept[("conversation", "c1")]] == [START, START + 120_000]


def test_a_note_makes_nothing_late() -> None:
    events = [customer(START), {**agent(START + 2 * DAY), "private": True}, agent(START + 1)]
    kept, late = arrive(events)
    assert (len(kept[("conversation", "c1")]), late) == (3, [])


def test_an_id_is_of_its_conversation_or_agent() -> None:
    events = [customer(START, id="x"), customer(START, conversation="c2", id="x"), {**status(START, "amy"), "id": "x"}]
    kept, late = arrive([*events, *events])
    assert len(kept) == 3
    assert late == []


def test_finer_digits_of_an_instant_are_cut_off() -> None:
    assert at_of({"at": "2026-03-02T10:00:00.123999+00:00"}) == START + 123
    assert at_of({"at": "2026-03-02T18:00:00+08:00"}) == START


def test_a_queue_has_its_own_settings_or_the_tenants() -> None:
    settings = {"target_s": 60, "queues": {"vip": {"target_s": 0}, "std": {"target_s": None}}}
    assert [of_queue(settings, queue, "target_s") for queue in ("vip", "std", "new")] == [0, 60, 60]


def test_live_events_are_reckoned_as_of_a_tick_too() -> None:
    events = [live(customer(START), START + 5), live(agent(START + 45_000), START + 45_010)]
    answer = reckon(events, {}, START + 50_000, live_door=True)
    assert [row["frt_ms"] for row in answer["episodes"]] == [45_000]
