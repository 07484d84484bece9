from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.held import COLUMNS, PANES, Change, Held, Meta, Series, decode_change, merged, minute_of, since

MINUTE0 = minute_of("2026-11-21T10:00:00.000Z")


def key(queue: str, tenant: str = "demo", **more: Any) -> dict[str, Any]:
    return {"tenant": tenant, "queue": queue, "channel": "*", "backlog": 1} | more


def change(seq: int = 1, **parts: Any) -> Change:
    return decode_change(json.dumps({"seq": seq, "meta": {"seq": seq}} | parts).encode())


def run(start: int, values: list[int], version: int) -> Series:
    columns: dict[str, list[Any]] = {name: [None] * len(values) for name in COLUMNS}
    return Series(start, columns | {"customer_messages": list(values)}, [version] * len(values))


def test_a_key_is_forwarded_as_it_was_written() -> None:
    held = Held()
    held.apply(change(keys=[key("退货", backlog=3, unknown={"a": [1]})]))
    raw = held.keys["demo", "退货", "*"].raw
    assert msgspec.json.decode(raw) == key("退货", backlog=3, unknown={"a": [1]})


def test_only_what_differs_counts_as_changed_when_all_is_read_again() -> None:
    held = Held()
    written = [json.dumps(key(queue)).encode() for queue in ("a", "b", "c")]
    held.load(written, {}, {}, Meta())
    before = held.version
    held.load([written[0], json.dumps(key("b", backlog=2)).encode()], {}, {}, Meta())
    assert {id_[1] for id_, one in held.keys.items() if one.version > before} == {"b"}
    assert [id_[1] for id_, at in held.gone.items() if at > before] == ["c"]


def test_a_key_that_comes_back_is_no_longer_gone() -> None:
    held = Held()
    held.apply(change(keys=[key("a")]))
    held.apply(change(2, gone=[["demo", "a", "*"]]))
    assert held.gone
    assert not held.keys
    held.apply(change(3, keys=[key("a")]))
    assert not held.gone
    assert held.keys


def test_lists_carry_their_tenant_and_change_only_when_they_say_something_else() -> None:
    held = Held()
    held.apply(change(lists={"demo": {"agents": [{"agent": "a-1"}]}}))
    assert held.lists["demo"].values["agents"] == [{"tenant": "demo", "agent": "a-1"}]
    first = held.lists["demo"].versions["agents"]
    held.apply(change(2, lists={"demo": {"agents": [{"agent": "a-1"}], "alerts": [{"alert": "x"}]}}))
    assert held.lists["demo"].versions["agents"] == first
    assert held.lists["demo"].versions["alerts"] == held.version


def test_a_delta_of_panes_holds_only_the_run_that_covers_the_changes() -> None:
    old = run(MINUTE0, list(range(10)), 1)
    new = merged(old, run(MINUTE0 + 8, [80, 9, 10], 2))
    said = since(new, 1)
    assert said is not None
    assert said["from"] == "2026-11-21T10:08:00.000Z"
    assert said["customer_messages"] == [80, 9, 10]
    assert since(new, 2) is None


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=200),
    st.integers(0, 250),
    st.lists(st.integers(0, 5), min_size=1, max_size=200),
)
def test_a_viewer_that_merges_the_delta_has_what_a_newcomer_gets(
    first: list[int], shift: int, second: list[int]
) -> None:
    before = merged(run(MINUTE0, first, 1), run(MINUTE0, [], 1))
    after = merged(before, run(MINUTE0 + shift, second, 2))
    whole, delta = since(after, -1), since(after, 1)
    assert whole is not None
    assert len(after.versions) <= PANES
    if delta is None:
        assert since(before, -1) == whole
        return
    caught_up = merged(before, _from_wire(delta))
    assert caught_up.start == after.start
    assert caught_up.columns == after.columns


def _from_wire(part: dict[str, Any]) -> Series:
    columns = {name: list(part[name]) for name in COLUMNS}
    return Series(minute_of(part["from"]), columns, [2] * len(part["version"]))


@pytest.mark.parametrize("text", [b"{}", b'{"seq":"x"}', b'{"seq":1,"keys":[{"queue":1}]}', b"nothing"])
def test_what_cannot_be_read_is_refused_whole(text: bytes) -> None:
    held = Held()
    with pytest.raises(msgspec.MsgspecError):
        held.apply(decode_change(text))
    assert not held.keys


def test_of_agents_those_are_told_that_changed_and_the_others_stay_in_their_places() -> None:
    held = Held()
    held.apply(change(lists={"demo": {"agents": [{"agent": "a", "open": 1}, {"agent": "b", "open": 1}]}}))
    first = held.lists["demo"].versions["agents"]
    held.apply(change(2, lists={"demo": {"changed_agents": [{"agent": "b", "open": 2}], "alerts": []}}))
    assert held.lists["demo"].values["agents"] == [
        {"tenant": "demo", "agent": "a", "open": 1},
        {"tenant": "demo", "agent": "b", "open": 2},
    ]
    assert held.lists["demo"].versions["agents"] > first
    second = held.lists["demo"].versions["agents"]
    held.apply(change(3, lists={"demo": {"changed_agents": [], "alerts": [{"alert": "x"}]}}))
    assert held.lists["demo"].versions["agents"] == second
