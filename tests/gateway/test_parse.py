from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import parse
from gateway.instants import instant
from gateway.parse import NotAFrame, Source, TickAsk, read
from gateway.strict import CHECKS, read_strictly
from gateway.wire import OF
from streams.events import Event

NOW = 1_795_226_400_123  # 2026-11-21T02:00:00.123Z
FROM_ALL = Source("*", NOW)
FROM_SHOP = Source("shop", NOW)
GOOD = {"id": "a", "kind": "message", "at": NOW, "conversation": "c", "author": "customer"}


def one(source: Source = FROM_ALL, **fields: Any) -> Event | str:
    """What becomes of one event: itself, or why it is refused."""
    frame = read(json.dumps({**GOOD, **fields}), source)
    return frame.events[0][1] if frame.events else frame.refused[0].error


def taken(source: Source = FROM_ALL, **fields: Any) -> Event:
    event = one(source, **fields)
    assert isinstance(event, Event), event
    return event


def outcome(text: str, source: Source = FROM_ALL) -> list[str]:
    """For each event of a frame: its id, or why it is refused."""
    frame = read(text, source)
    found = {index: event.id for index, event in frame.events} | {one.index: one.error for one in frame.refused}
    return [found[index] for index in range(frame.size)]


# The three forms, and what is none of them


def test_the_example_of_the_contract_is_taken() -> None:
    example = {
        "v": 1, "id": "01JD", "kind": "message", "at": "2026-11-21T10:00:00.123+08:00", "conversation": "c-81",
        "channel": "web", "queue": "returns", "author": "customer", "author_id": "u-9", "text": "我的订单还没到",
    }  # fmt: skip
    frame = read(json.dumps(example), FROM_ALL)
    assert frame.seq is None
    assert frame.events[0][1] == Event(
        id="01JD", kind="message", at=NOW, conversation="c-81", channel="web", queue="returns", author="customer",
        author_id="u-9", text="我的订单还没到", received_at=NOW, sentiment=-0.25, keywords=("没到", "订单"),
    )  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"unknown": 1}])
def test_the_seq_of_a_bare_event_is_the_events_and_no_number_of_the_frame(more: dict[str, Any]) -> None:
    frame = read(json.dumps(GOOD | {"seq": 7} | more), FROM_ALL)
    assert frame.seq is None
    assert frame.events[0][1].seq == 7


def test_an_array_has_no_number_and_a_numbered_frame_has_its_own() -> None:
    assert read(json.dumps([GOOD]), FROM_ALL).seq is None
    assert read(json.dumps({"seq": 3, "events": [GOOD, GOOD]}), FROM_ALL).seq == 3
    assert read(json.dumps({"seq": 3, "more": 1, "events": [GOOD]}), FROM_ALL).size == 1
    assert read("[]", FROM_ALL).size == 0


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[1,]", "5", '"x"', "null", "true", "NaN", "{'a':1}", '{"events":[]}', '{"seq":-1,"events":[]}',
     '{"seq":true,"events":[]}', '{"seq":1.0,"events":[]}', '{"seq":1,"events":{}}', '{"seq":1,"seq":2,"events":[]}',
     '{"seq":1,"events":[],"events":[]}', "[" * 100_000, "[" * 100_000 + "}" * 100_000, '[{"id":"\x01"}]', "\ufeff[]",
     '{"tick":null}', '{"seq":1,"tick":null,"events":[]}', '[{"id":"a"} {"id":"b"}]'],
)  # fmt: skip
def test_what_is_no_frame_closes_the_connection(text: str) -> None:
    with pytest.raises(NotAFrame) as caught:
        read(text, FROM_ALL)
    assert caught.value.code == 4400


def test_more_than_a_thousand_events_are_too_many() -> None:
    for text in (json.dumps([GOOD] * 1_001), json.dumps([{}] * 1_001)):
        with pytest.raises(NotAFrame) as caught:
            read(text, FROM_ALL)
        assert caught.value.code == 1009
    assert read(json.dumps([GOOD] * 1_000), FROM_ALL).size == 1_000


# One bad event among good ones

GOOD_TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ('{"id":"b","x":NaN}', "NaN"),
        ('{"id":"b","at":NaN}', "NaN"),
        ('{"id":"b","x":[Infinity]}', "an infinite number"),
        ('{"id":"b","x":-Infinity}', "an infinite number"),
        ('{"id":"b","x":1e400}', "an infinite number"),
        ('{"id":"b","x":18446744073709551616}', "an integer beyond 64 bits"),
        ('{"id":"b","x":-9223372036854775809}', "an integer beyond 64 bits"),
        ('{"id":"b","x":' + "9" * 4_301 + "}", "an integer beyond 64 bits"),
        ('{"id":"b","x":"\\ud800"}', "a lone surrogate"),
        ('{"id":"b","x":["\\uDC00\\uD800"]}', "a lone surrogate"),
        ('{"id":"b","\\ud800":1}', "a lone surrogate"),
        ('{"id":"\\ud800"}', "a lone surrogate"),
        ('{"id":"b","id":"c"}', "a key is given twice"),
        ('{"id":"b","attrs":{"a":"1","a":"2"}}', "a key is given twice"),
        ('{"id":"b","i\\u0064":"c"}', "a key is given twice"),
        ('{"id":"b","x":[[[[[[[[0]]]]]]]]}', "nested over 8 levels deep"),
        ('{"id":"b","x":' + "[" * 100_000 + "]" * 100_000 + "}", "nested over 8 levels deep"),
        ('{"id":"b","x":' + '{"a":' * 30_000 + "1" + "}" * 30_000 + "}", "nested over 8 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "not an object"),
        ("5", "not an object"),
        ("null", "not an object"),
        ('"x"', "not an object"),
        ("{}", "kind: missing"),
        ('{"id":"b","kind":"shrug"}', "kind: not one of message, opened"),
    ],
)
def test_a_bad_event_never_harms_its_neighbours(bad: str, why: str) -> None:
    first, refused, last = outcome(f"[{GOOD_TEXT},{bad},{GOOD_TEXT}]")
    assert (first, last) == ("a", "a")
    assert refused.startswith(why)
    first, refused, last = outcome(f'{{"seq":1,"events":[{GOOD_TEXT},{bad},{GOOD_TEXT}]}}')
    assert (first, last) == ("a", "a")
    assert refused.startswith(why)


def test_a_bare_bad_event_is_refused_and_the_connection_lives() -> None:
    assert outcome('{"id":"b","id":"c"}') == ["a key is given twice"]
    assert outcome('{"id":"b","x":NaN}') == ["NaN"]
    assert outcome("{}") == ["kind: missing"]


def test_seven_levels_below_the_event_are_fine() -> None:
    assert outcome(json.dumps(GOOD | {"x": [[[[[[[0]]]]]]]})) == ["a"]
    assert outcome(json.dumps(GOOD | {"x": 2**64 - 1, "y": -(2**63), "z": "\\ud800", "e": "😀"})) == ["a"]


def test_a_refusal_carries_the_id_where_it_can_be_said() -> None:
    assert read('[{"id":"b"}]', FROM_ALL).refused[0].id == "b"
    assert read('[{"id":"b","id":"b2","x":1}]', FROM_ALL).refused[0].id == "b2"
    for unsayable in ('{"id":5}', "{}", "5", '{"id":"\\ud800"}', json.dumps({"id": "x" * 65})):
        assert read(f"[{unsayable}]", FROM_ALL).refused[0].id is None


# Fields


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"id": None}, "id: missing"),
        ({"id": ""}, "id: empty"),
        ({"id": "x" * 65}, "id: longer than 64 characters"),
        ({"id": 5}, "id: not a string"),
        ({"v": 2}, "v: not 1"),
        ({"v": True}, "v: not 1"),
        ({"v": "1"}, "v: not 1"),
        ({"at": None}, "at: missing"),
        ({"at": "yesterday"}, "at: not RFC 3339 with an offset"),
        ({"at": True}, "at: neither RFC 3339 nor an integer"),
        ({"at": 1.5}, "at: neither RFC 3339 nor an integer"),
        ({"at": [1]}, "at: neither RFC 3339 nor an integer"),
        ({"at": 1_795_226_400}, "at: outside the years 2000 to 2099"),
        ({"at": "1999-12-31T23:59:59.999Z"}, "at: outside the years 2000 to 2099"),
        ({"at": "9999-01-01T00:00:00Z"}, "at: outside the years 2000 to 2099"),
        ({"at": -1}, "at: outside the years 2000 to 2099"),
        ({"conversation": None}, "conversation: missing"),
        ({"conversation": ""}, "conversation: empty"),
        ({"conversation": "x" * 129}, "conversation: longer than 128 characters"),
        ({"seq": -1}, "seq: not within 0 to 9223372036854775807"),
        ({"seq": True}, "seq: not an integer"),
        ({"seq": "1"}, "seq: not an integer"),
        ({"seq": 1.0}, "seq: not an integer"),
        ({"author": None}, "author: missing"),
        ({"author": "robot"}, "author: not one of customer, agent, bot, system"),
        ({"author": ["agent"]}, "author: not one of customer, agent, bot, system"),
        ({"text": "x" * 8_001}, "text: longer than 8000 characters"),
        ({"text": 5}, "text: not a string"),
        ({"type": "hologram"}, "type: not one of text, image, file, voice, video, card, emoji"),
        ({"private": 1}, "private: not true or false"),
        ({"private": "false"}, "private: not true or false"),
        ({"queue": "*"}, "queue: * stands for all of them and is no name"),
        ({"channel": "*"}, "channel: * stands for all of them and is no name"),
        ({"channel": ""}, "channel: empty"),
        ({"tenant": "*"}, "tenant: * stands for all of them and is no name"),
        ({"tenant": ""}, "tenant: empty"),
        ({"attrs": {str(n): "" for n in range(17)}}, "attrs: more than 16 pairs"),
        ({"attrs": {"a": 1}}, "attrs: not a string"),
        ({"attrs": ["a"]}, "attrs: not an object"),
        ({"attrs": {"a": "x" * 1_025}}, "attrs: longer than 1024 characters"),
        ({"kind": 5}, "kind: not one of message, opened"),
        ({"kind": None}, "kind: missing"),
        ({"kind": "assigned"}, "agent: missing"),
        ({"kind": "rated"}, "score: missing"),
        ({"kind": "rated", "score": 0}, "score: not within 1 to 5"),
        ({"kind": "rated", "score": 6}, "score: not within 1 to 5"),
        ({"kind": "rated", "score": 4.5}, "score: not an integer"),
        ({"kind": "rated", "score": True}, "score: not an integer"),
        ({"kind": "rated", "score": 5, "comment": "x" * 8_001}, "comment: longer than 8000 characters"),
        ({"kind": "label"}, "topic: missing"),
        ({"kind": "closed", "by": "god"}, "by: not one of customer, agent, bot, system"),
        ({"kind": "closed", "resolved": "yes"}, "resolved: not true or false"),
        ({"kind": "agent_status"}, "agent: missing"),
        ({"kind": "agent_status", "agent": "a"}, "status: missing"),
        ({"kind": "agent_status", "agent": "a", "status": "asleep"}, "status: not one of online, busy, away, offline"),
        ({"kind": "agent_status", "agent": "a", "status": "away", "capacity": -1}, "capacity: not within 0 to"),
    ],
)
def test_what_a_field_may_not_be_is_said_in_one_line(fields: dict[str, Any], why: str) -> None:
    said = one(**fields)
    assert isinstance(said, str)
    assert said.startswith(why)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "opened"}, {"kind": "handoff"}, {"kind": "queued", "queue": "q"}, {"kind": "assigned", "agent": "a"},
        {"kind": "transferred"}, {"kind": "customer_left"}, {"kind": "customer_back"}, {"kind": "closed"},
        {"kind": "closed", "resolved": False}, {"kind": "rated", "score": 5, "comment": ""},
        {"kind": "label", "topic": "t"}, {"kind": "agent_status", "agent": "a", "status": "online", "capacity": 0},
        {"kind": "agent_status", "agent": "a", "status": "busy", "conversation": 5},
        {"text": "x" * 8_000}, {"id": "😀" * 64}, {"attrs": {}}, {"attrs": {str(n): "" for n in range(16)}},
        {"text": ""}, {"seq": 0}, {"seq": 2**63 - 1}, {"score": "of another kind: unknown"}, {"more": {"x": [1.5]}},
    ],
)  # fmt: skip
def test_what_the_contract_allows_is_taken(fields: dict[str, Any]) -> None:
    taken(**fields)


def test_null_is_as_good_as_absent() -> None:
    everything: dict[str, Any] = dict.fromkeys(field for field in CHECKS if field not in GOOD)
    assert one(**everything) == one()


def test_a_field_of_another_kind_is_as_unknown_as_any() -> None:
    event = taken(kind="handoff", queue="q", text="13912345678", agent=5)
    assert (event.queue, event.text, event.agent, event.author) == (None, None, None, None)


def test_what_only_the_gateway_may_say_cannot_be_sent() -> None:
    event = taken(replay=True, received_at=1, clock_suspect=True, given_at=5)
    assert (event.replay, event.received_at, event.clock_suspect, event.given_at) == (False, NOW, False, None)


# Tenants


def test_a_token_for_all_tenants_names_one_or_means_default() -> None:
    assert taken().tenant == "default"
    assert taken(tenant="shop").tenant == "shop"
    assert taken(tenant=None).tenant == "default"


def test_a_token_for_one_tenant_speaks_for_no_other() -> None:
    assert taken(FROM_SHOP).tenant == "shop"
    assert taken(FROM_SHOP, tenant="shop").tenant == "shop"
    assert one(FROM_SHOP, tenant="bank") == "tenant: not this token's"
    assert str(one(FROM_SHOP, tenant="*")).startswith("tenant: ")


# Time


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        ("2026-11-21T10:00:00.123+08:00", NOW),
        ("2026-11-21T02:00:00.123999999999999999999Z", NOW),
        ("2026-11-21t02:00:00.123z", NOW),
        ("2026-11-21T02:00:00.1Z", NOW - 23),
        ("2026-11-20T21:30:00.123-04:30", NOW),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
        ("1999-12-31T23:00:00-01:00", 946_684_800_000),
        ("2099-12-31T23:59:59.999Z", 4_102_444_799_999),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        (NOW, NOW),
    ],
)
def test_both_forms_of_an_instant_are_read_to_the_millisecond(given: int | str, ms: int) -> None:
    assert instant(given) == ms


@pytest.mark.parametrize(
    "given",
    ["2026-11-21T10:00:00", "2026-11-21", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T10:60:00Z",
     "2026-11-21T10:00:60Z", "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00,5Z", "２026-11-21T10:00:00Z",
     "2026-11-21T10:00:00+0800", "2026-11-21T10:00:00+24:00", "2026-11-21T10:00:00+08:60", " 2026-11-21T10:00:00Z",
     "2026-11-21T10:00:00Z\n", "2100-01-01T00:00:00Z", "1795226400123", 4_102_444_800_000, 946_684_799_999],
)  # fmt: skip
def test_what_is_no_instant_is_refused(given: int | str) -> None:
    assert isinstance(instant(given), str)


def test_a_clock_far_ahead_is_replaced_by_the_time_of_receipt() -> None:
    event = taken(at=NOW + 120_001)
    assert (event.at, event.given_at, event.clock_suspect) == (NOW, NOW + 120_001, True)
    event = taken(at=NOW + 120_000)
    assert (event.at, event.given_at, event.clock_suspect) == (NOW + 120_000, None, False)


def test_a_replay_is_exempt_from_the_clock_rule() -> None:
    event = taken(replace(FROM_ALL, replay=True), at=NOW + 10_000_000)
    assert (event.at, event.clock_suspect, event.replay) == (NOW + 10_000_000, False, True)


# Ticks


def test_a_tick_asks_for_an_instant_or_for_the_real_clock() -> None:
    def ask(**fields: Any) -> object:
        frame = read(json.dumps({"seq": 5, **fields}), FROM_ALL)
        assert (frame.seq, frame.size) == (5, 0)
        return frame.tick or frame.refused[0].error

    assert ask(tick="2026-11-21T10:00:00.123+08:00") == TickAsk("default", NOW)
    assert ask(tick=NOW, tenant="shop") == TickAsk("shop", NOW)
    assert ask(tick=None, tenant="shop") == TickAsk("shop", None)
    assert ask(tick=5) == "tick: outside the years 2000 to 2099"
    assert ask(tick=True) == "tick: neither RFC 3339 nor an integer"
    assert ask(tick=NOW, tenant=5) == "tenant: not a name"
    assert read('{"seq":1,"tick":null,"tenant":"bank"}', FROM_SHOP).refused[0].error == "tenant: not this token's"
    assert read('{"seq":1,"tick":null}', FROM_SHOP).tick == TickAsk("shop", None)


# Masking


def test_free_text_is_masked_wherever_it_stands() -> None:
    secret = "13912345678"
    assert taken(text=f"call {secret}").text == "call <phone>"
    assert taken(kind="rated", score=1, comment=secret).comment == "<phone>"
    assert taken(kind="label", topic=secret).topic == "<phone>"
    assert taken(attrs={"note": secret}).attrs == {"note": "<phone>"}


# The two ways agree

_names = st.sampled_from(
    ["", "c", "*", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "a\x00", "é", "😀", "q :", '":', "\\"]
)
_times = st.sampled_from([NOW, NOW + 200_000, "2026-11-21T10:00:00Z", "2026-11-21T10:00:00", 5, "", 2**70, 1.5, True])
_odd = st.one_of(st.none(), st.booleans(), st.integers(-2, 6), st.floats(), _names, st.just([1]), st.just({"a": "b"}))
_fields = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 2, None]),
        "id": _names | _odd,
        "kind": st.sampled_from([*OF, "shrug", None]),
        "at": _times | _odd,
        "seq": st.sampled_from([0, 1, -1, 2**63, 2**64, None, 1.0]),
        "tenant": _names | st.none(),
        "conversation": _names,
        "channel": _names,
        "queue": _names | _odd,
        "author": st.sampled_from(["customer", "agent", "robot", None]),
        "text": _names | st.text(max_size=5) | st.sampled_from(["13912345678", "x" * 8_001]),
        "type": st.sampled_from(["text", "x"]),
        "private": _odd,
        "agent": _names,
        "by": st.sampled_from(["bot", "x"]),
        "resolved": _odd,
        "topic": _names,
        "score": _odd,
        "status": st.sampled_from(["online", "x"]),
        "capacity": _odd,
        "attrs": st.dictionaries(_names, _names, max_size=3) | _odd,
        "more": _odd,
    },
)
_events = st.one_of(_fields, _fields.map(lambda fields: GOOD | fields), st.just(GOOD))


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the strategy
@given(st.lists(_events, max_size=4), st.sampled_from([None, (",", ":"), (" , ", " : ")]), st.booleans(), st.booleans())
def test_the_plain_way_and_the_strict_way_agree(
    events: list[dict[str, Any]], separators: tuple[str, str] | None, ascii_only: bool, numbered: bool
) -> None:
    frame = {"seq": 1, "events": events} if numbered else events
    text = json.dumps(frame, separators=separators, ensure_ascii=ascii_only)
    for source in (FROM_ALL, FROM_SHOP):
        assert read(text, source) == read_strictly(text, source)


_tokens = st.sampled_from(
    ['{"id":"a",', '"kind":"message",', '"kind":"closed",', f'"at":{NOW},', '"conversation":"c",', '"author":"bot"',
     "}", '"id" :"b",', '"text":"\\":",', '"text":":",', '"id":null,', '"tenant":"t",', '"text":"\\ud800",', "[", "]",
     ",", '"attrs":{"a":"b"},', '"seq":1,', '{"seq":1,"events":', '"x":NaN,', '"text":"\\ud83d\\ude00",', " "]
)  # fmt: skip


@given(st.lists(_tokens, max_size=12).map("".join))
def test_they_agree_on_broken_frames_too(text: str) -> None:
    def told(way: Any) -> object:
        try:
            return way(text, FROM_ALL)
        except NotAFrame as end:
            return end.code

    assert told(read) == told(read_strictly)


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_frame_or_none(text: str) -> None:
    with contextlib.suppress(NotAFrame):
        read(text, FROM_ALL)


def test_a_full_frame_is_read_in_a_few_milliseconds() -> None:
    text = json.dumps([GOOD | {"id": str(n), "text": "where is my order 1234, please?"} for n in range(1_000)])
    assert parse._plain(text) is not None
    times = []
    for _ in range(5):
        begun = time.thread_time()
        read(text, FROM_ALL)
        times.append(time.thread_time() - begun)
    assert min(times) < 0.05  # 6 ms where it was measured
