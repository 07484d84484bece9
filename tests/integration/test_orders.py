"""What a viewer asks for over the live socket reaches the notifier, and the answer says what came of it."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.outside import Sender, socket, wait


def ask(access: Row, frame: Row) -> Row:
    """Send one order; returns its reply."""
    with socket(access["url"], "/v1/live", access["board_token"]) as door:
        door.recv(timeout=20)
        door.send(json.dumps(frame))
        while True:
            answer: Row = json.loads(door.recv(timeout=20))
            if answer["kind"] == "reply":
                return answer


def lists(access: Row, name: str) -> list[Any]:
    """One list of the feed."""
    with socket(access["url"], "/v1/live", access["board_token"]) as door:
        found: list[Any] = json.loads(door.recv(timeout=20))[name]
        return found


def test_a_silence_is_made_shown_and_taken_back(stack: RunningStack) -> None:
    access: Row = dict(stack.access)
    now = int(time.time() * 1000)
    Sender(access, replay=False).send(
        [
            {
                "events": [
                    {
                        "id": "m1",
                        "kind": "message",
                        "at": now,
                        "tenant": "orders",
                        "conversation": "c",
                        "author": "customer",
                        "text": "?",
                    }
                ]
            }
        ]
    )
    wait("the tenant in the feed", lambda: [key for key in lists(access, "keys") if key["tenant"] == "orders"])
    order = {"silence": {"match": {"tenant": "orders", "queue": "vip*"}, "minutes": 5, "reason": "drill"}}
    assert ask(access, order) == {"kind": "reply", "ok": True}
    (silence,) = wait(
        "the silence in the feed", lambda: [one for one in lists(access, "silences") if one["reason"] == "drill"]
    )
    assert (silence["tenant"], silence["by"]) == ("orders", "board")
    assert ask(access, {"unsilence": silence["id"]}) == {"kind": "reply", "ok": True}
    wait("no silence in the feed", lambda: not [one for one in lists(access, "silences") if one["reason"] == "drill"])


def test_an_order_that_cannot_be_carried_out_is_refused_with_the_reason(stack: RunningStack) -> None:
    answer = ask(dict(stack.access), {"ack": "no-such-alert"})
    assert answer == {"kind": "reply", "ok": False, "error": "there is no such alert"}
