from __future__ import annotations

from typing import Any

import pytest

from gateway.frames import Scope
from gateway.held import Held
from gateway.orders import MOST_ASKED, Order, Refused, Watch, decide, parse, refused
from tests.board.scenes import surge
from tests.gateway.test_live_frames import NOW, held_of

SUPERVISOR = ("supervisor",)


@pytest.fixture(name="held")
def _held() -> Held:
    present = surge(NOW)
    present["lists"]["demo"]["silences"] = [{"id": "s-1", "match": {"queue": "tech"}, "until": "2030-01-01T00:00:00Z"}]
    return held_of(present)


def ask(frame: dict[str, Any], held: Held, roles: tuple[str, ...] = SUPERVISOR, tenant: str = "demo") -> Any:
    return decide(frame, Scope(tenant), "li", roles, held)


def test_to_watch_keeps_the_tenant(held: Held) -> None:
    wish = ask({"watch": {"queues": ["a"], "channels": ["web"], "tenant": "other"}}, held)
    assert wish == Watch(Scope("demo", frozenset({"a"}), frozenset({"web"})))


def test_orders_say_who_asked_and_for_which_tenant(held: Held) -> None:
    assert ask({"ack": "9f3c51"}, held) == Order({"do": "ack", "by": "li", "tenant": "demo", "alert": "9f3c51"})
    silence = {"match": {"queue": "bill*"}, "minutes": 60, "reason": " 演练 "}
    assert ask({"silence": silence}, held, tenant="*").value == {
        "do": "silence", "by": "li", "tenant": "demo", "match": {"queue": "bill*"}, "minutes": 60, "reason": "演练",
    }  # fmt: skip
    assert ask({"unsilence": "s-1"}, held).value["id"] == "s-1"
    assert ask({"grade": "1b20de", "as": "noise"}, held).value["as"] == "noise"


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"ack": "no such"},
        {"ack": None},
        {"ack": ["9f3c51"]},
        {"unsilence": "s-2"},
        {"grade": "1b20de", "as": "meh"},
        {"silence": "all"},
        {"silence": {"match": {}, "reason": "x"}},
        {"silence": {"match": {"queue": 3}, "reason": "x"}},
        {"silence": {"match": {"queue": "*"}, "minutes": 0, "reason": "x"}},
        {"silence": {"match": {"queue": "*"}, "minutes": True, "reason": "x"}},
        {"silence": {"match": {"queue": "*"}, "minutes": 60, "reason": "  "}},
        {"silence": {"match": {"tenant": "other"}, "minutes": 60, "reason": "x"}},
        {"watch": []},
        {"watch": {"queues": "a"}},
        {"watch": {"queues": [1]}},
        {"watch": {"queues": ["a"] * 2001}},
    ],
)
def test_what_is_wrong_is_refused_with_words(frame: dict[str, Any], held: Held) -> None:
    with pytest.raises(Refused, match=r"\w"):
        ask(frame, held)


def test_a_lone_surrogate_is_refused_at_once_for_nobody_behind_could_read_the_order() -> None:
    for text in (
        r'{"ack": "\ud800"}',
        r'{"silence": {"match": {"queue": "a\udfff"}, "reason": "x"}}',
        r'{"\ud800": 1}',
    ):
        with pytest.raises(Refused, match="surrogate"):
            parse(text)
    assert parse(r'{"ack": "\ud83c\udf0a"}') == {"ack": "🌊"}


@pytest.mark.parametrize("name", ["ack", "silence", "unsilence", "grade"])
def test_an_analyst_may_only_look(name: str, held: Held) -> None:
    with pytest.raises(Refused, match="role"):
        ask({name: "9f3c51"}, held, ("analyst",))


def test_another_tenants_alert_is_as_unknown_as_none(held: Held) -> None:
    reasons = []
    for alert in ("9f3c51", "never"):
        with pytest.raises(Refused) as refusal:
            ask({"ack": alert}, held, tenant="acme")
        reasons.append(str(refusal.value))
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize("text", [b"{}", "", "{", "[]", "1", "[" * 50_000, '"' + "x" * 70_000 + '"'])
def test_what_is_no_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(Refused):
        parse(text)


def test_an_order_that_is_refused_here_is_told_to_the_audit_in_few_words_and_nothing_else_is() -> None:
    told = refused({"silence": {"reason": "x" * 500}}, Scope("demo"), "li", "silence: your role does not allow it")
    assert told is not None
    assert (told.value["do"], told.value["by"], told.value["tenant"]) == ("silence", "li", "demo")
    assert told.value["refused"] == "silence: your role does not allow it"
    assert len(told.value["asked"]) == MOST_ASKED
    for frame in ({"watch": {"queues": 7}}, {"hello": 1}, {}):
        assert refused(frame, Scope("demo"), "li", "x") is None
