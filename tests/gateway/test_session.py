from __future__ import annotations

import json

import pytest

from gateway.auth import Claims
from gateway.doors import Ruling
from gateway.parse import NotAFrame, Refusal
from gateway.session import FRAME_COST, SPAN_S, Session, ack, retry

NOW = 1_795_226_400_000
EVENT = {"id": "a", "kind": "message", "at": NOW, "conversation": "c", "author": "bot"}


def session(events_per_s: int = 1_000) -> Session:
    return Session(Claims("me", "*", frozenset({"ingest"}), NOW), replay=False, events_per_s=events_per_s)


def test_frames_are_numbered_by_their_place_unless_they_say_otherwise() -> None:
    one = session()
    frames = [EVENT, [EVENT], {"seq": 90, "events": []}, [], EVENT | {"seq": 0}, [EVENT], EVENT | {"seq": 90}]
    assert [one.receive(json.dumps(frame), NOW)[0] for frame in frames] == [1, 2, 90, 4, 5, 6, 7]


def test_the_answers_have_the_contracts_form() -> None:
    ruling = Ruling(accepted=2, refused=[Refusal(1, "b", "text: longer than 8000 characters"), Refusal(3, None, "NaN")])
    assert json.loads(ack(7, ruling)) == {
        "ack": 7,
        "accepted": 2,
        "rejected": [
            {"index": 1, "id": "b", "error": "text: longer than 8000 characters"},
            {"index": 3, "id": None, "error": "NaN"},
        ],
    }
    assert json.loads(retry(7, 250)) == {"retry": 7, "after_ms": 250}


def test_the_rate_is_that_of_ten_seconds_and_a_warning_comes_before_the_end() -> None:
    one, hundred = session(events_per_s=10), json.dumps([EVENT] * 100)
    _, frame = one.receive(hundred, NOW)
    assert one.too_fast(frame, NOW) == 0
    assert one.too_fast(frame, NOW + 5_000) > 0
    with pytest.raises(NotAFrame) as caught:
        one.too_fast(frame, NOW + 9_000)
    assert caught.value.code == 4429
    assert one.too_fast(frame, NOW + 20_000 + SPAN_S * 1_000) == 0


def test_a_small_frame_costs_as_much_as_some_events() -> None:
    one = session(events_per_s=FRAME_COST)
    _, empty = one.receive("[]", NOW)
    assert [one.too_fast(empty, NOW) for _ in range(SPAN_S + 1)] == [0] * SPAN_S + [1_000]
