from __future__ import annotations

import json
from typing import Any

from gateway.frames import MOST, Feed, Now, Scope, pieces, rights, signed
from gateway.held import Held, decode_change
from tests.board.scenes import Present, surge

NOW = 1_763_690_401_000


def held_of(*presents: Present) -> Held:
    held = Held()
    for seq, present in enumerate(presents, 1):
        held.apply(_change(seq, present))
    return held


def _change(seq: int, present: Present) -> Any:
    body = {
        "seq": seq,
        "keys": present["keys"],
        "series": [
            {"tenant": key[0], "queue": key[1], "channel": key[2]} | part for key, part in present["series"].items()
        ],
        "lists": present["lists"],
        "meta": {"seq": seq} | present["meta"],
    }
    return decode_change(json.dumps(body).encode())


def feed(tenant: str = "demo", **watch: Any) -> Feed:
    return Feed(Scope(tenant, **watch), "UTC", {})


def snapshot(feed_: Feed, held: Held, stale: str | None = None) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(
        b"".join(signed(pieces(feed_.snapshot(held, Now(NOW, stale))), "li", feed_.tenant, ["supervisor"]))
    )
    return frame


def delta(feed_: Feed, held: Held, version: int, whole: bool = False) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(feed_.delta(held, Now(NOW), version, whole))
    return frame


def test_a_snapshot_says_everything_of_the_contract() -> None:
    frame = snapshot(feed(), held_of(surge(NOW)))
    assert frame["kind"] == "snapshot"
    assert frame["as_of"] == frame["server_time"] == "2025-11-21T02:00:01.000Z"
    assert frame["zone"] == "Asia/Shanghai"
    assert frame["clocks"] == {"demo": frame["as_of"]}
    assert (frame["stale"], frame["stale_reason"], frame["ingest_lag_ms"]) == (False, None, 120)
    assert frame["partitions"] == {"total": 12, "behind": 0}
    assert frame["viewer"] == {
        "sub": "li", "tenant": "demo", "roles": ["supervisor"], "can": ["ack", "silence", "drill"],
    }  # fmt: skip
    assert {name: len(frame[name]) for name in ("keys", "agents", "silences", "events", "alerts")} == {
        "keys": 8, "agents": 42, "silences": 0, "events": 1, "alerts": 3,
    }  # fmt: skip
    assert all(len(key["series"]["customer_messages"]) == 180 for key in frame["keys"])


def test_a_stale_frame_says_why() -> None:
    frame = snapshot(feed(), held_of(surge(NOW)), "redis")
    assert (frame["stale"], frame["stale_reason"]) == (True, "redis")


def test_a_delta_carries_changed_keys_whole_and_nothing_else() -> None:
    held, one = held_of(surge(NOW)), feed()
    snapshot(one, held)
    seen = held.version
    assert delta(one, held, seen)["keys"] == []
    changed = surge(NOW)["keys"][3] | {"backlog": 99}
    held.apply(decode_change(json.dumps({"seq": 2, "keys": [changed]}).encode()))
    frame = delta(one, held, seen)
    assert [key["queue"] for key in frame["keys"]] == [changed["queue"]]
    assert frame["keys"][0] == changed | {"series": None}
    assert not {"agents", "alerts", "silences", "events", "labels"} & frame.keys()


def test_a_key_whose_panes_alone_changed_comes_with_those_panes() -> None:
    held, one = held_of(surge(NOW)), feed()
    snapshot(one, held)
    seen = held.version
    run = {"tenant": "demo", "queue": "tech", "channel": "*", "from": "2025-11-21T01:59:00Z", "customer_messages": [7]}
    held.apply(decode_change(json.dumps({"seq": 2, "series": [run]}).encode()))
    (key,) = delta(one, held, seen)["keys"]
    assert key["queue"] == "tech"
    assert key["series"]["from"] == "2025-11-21T01:59:00.000Z"
    assert key["series"]["customer_messages"] == [7]


def test_a_key_that_is_gone_is_said_once_to_each() -> None:
    held, one = held_of(surge(NOW)), feed()
    snapshot(one, held)
    seen = held.version
    held.apply(decode_change(b'{"seq":2,"gone":[["demo","vip","*"]]}'))
    assert delta(one, held, seen)["keys"] == [{"tenant": "demo", "queue": "vip", "channel": "*", "gone": True}]
    assert delta(one, held, held.version)["keys"] == []


def test_a_list_comes_whole_when_anything_in_it_changed() -> None:
    held, one = held_of(surge(NOW)), feed()
    snapshot(one, held)
    seen = held.version
    agents = surge(NOW)["lists"]["demo"]["agents"]
    agents[0] = agents[0] | {"status": "away"}
    held.apply(decode_change(json.dumps({"seq": 2, "lists": {"demo": {"agents": agents}}}).encode()))
    frame = delta(one, held, seen)
    assert [agent["status"] for agent in frame["agents"][:2]] == ["away", "online"]
    assert len(frame["agents"]) == 42
    assert "alerts" not in frame


def test_nothing_of_another_tenant_is_in_any_frame() -> None:
    held = held_of(surge(NOW, "acme"), surge(NOW, "globex-secret"))
    held.meta.labels["agent"] = {"a-101": {"zh": "李敏", "en": "Li"}, "b-1": {"zh": "globex-secret", "en": "x"}}
    held.meta.clocks = {"acme": None, "globex-secret": None}
    one = feed("acme")
    held.apply(decode_change(b'{"seq":3,"gone":[["globex-secret","vip","*"]],"lists":{"globex-secret":{"agents":[]}}}'))
    text = json.dumps([snapshot(one, held), delta(one, held, 0)], ensure_ascii=False)
    assert "globex-secret" not in text
    assert "李敏" in text


def test_a_token_for_all_tenants_sees_all_of_them_and_each_clock() -> None:
    held = held_of(surge(NOW, "acme"), surge(NOW, "globex"))
    held.meta.clocks, held.meta.replaying = {"acme": "2020-01-01T00:00:00.000Z", "globex": None}, ["acme", "globex"]
    frame = snapshot(feed("*"), held)
    assert {key["tenant"] for key in frame["keys"]} == {"acme", "globex"}
    assert frame["clocks"] == {"acme": "2020-01-01T00:00:00.000Z", "globex": None}
    assert frame["as_of"] == held.meta.real


def test_a_tenant_in_replay_is_as_of_its_own_clock() -> None:
    held = held_of(surge(NOW))
    held.meta.replaying, held.meta.clocks = ["demo"], {"demo": None}
    assert snapshot(feed(), held)["as_of"] is None


def test_unasked_the_keys_with_most_volume_come_with_their_history() -> None:
    present = surge(NOW)
    for at in range(100):
        quiet = json.loads(json.dumps(present["keys"][1])) | {"queue": f"q{at:03}"}
        quiet["windows"]["30m"]["customer_messages"] = at
        present["keys"].append(quiet)
        present["series"]["demo", f"q{at:03}", "*"] = present["series"]["demo", "vip", "*"]
    frame = snapshot(feed(), held_of(present))
    with_history = {key["queue"] for key in frame["keys"] if key["series"]}
    assert len(with_history) == MOST
    assert {"*", "returns", "q099"} <= with_history
    assert "q000" not in with_history


def test_who_watches_other_keys_gets_their_history_whole() -> None:
    held = held_of(surge(NOW))
    frame = delta(feed(queues=frozenset({"vip"})), held, held.version, whole=True)
    assert [(key["queue"], len(key["series"]["version"])) for key in frame["keys"]] == [("vip", 180)]


def test_roles_become_rights() -> None:
    assert rights(["analyst"]) == ["drill"]
    assert rights(["supervisor", "ingest"]) == ["ack", "silence", "drill"]
    assert rights(["admin"]) == ["ack", "silence", "drill", "admin"]
    assert rights(["ingest"]) == []


def test_a_key_seen_for_a_minute_has_a_history_of_quiet_before_it_and_after() -> None:
    present = surge(NOW)
    present["series"] = {}
    held, one = held_of(present), feed(queues=frozenset({"tech"}))
    run = {"tenant": "demo", "queue": "tech", "channel": "*", "from": "2025-11-21T01:58:00Z", "customer_messages": [7]}
    held.apply(decode_change(json.dumps({"seq": 2, "series": [run]}).encode()))
    (series,) = [key["series"] for key in snapshot(one, held)["keys"] if key["series"]]
    assert series["from"] == "2025-11-20T23:01:00.000Z"
    assert series["customer_messages"] == [0] * 177 + [7] + [0] * 2
    assert series["expected"] == [None] * 180


def test_what_concerns_the_whole_stack_is_shown_once_to_those_who_see_all_tenants() -> None:
    held = held_of(surge(NOW))
    lag = {"alert": "a-lag", "rule": "ingest-lag", "state": "firing", "queue": "*"}
    held.apply(decode_change(json.dumps({"seq": 2, "lists": {"*": {"alerts": [lag]}}}).encode()))
    one, every = snapshot(feed("demo"), held), snapshot(feed("*"), held)
    assert [alert for alert in one["alerts"] if alert["tenant"] == "*"] == []
    assert [alert["alert"] for alert in every["alerts"]].count("a-lag") == 1
    assert "*" not in every["clocks"]
    assert held.tenants() == {"demo"}


def test_who_may_not_read_sees_no_sample_of_what_was_written() -> None:
    present = surge(NOW)
    for key in present["keys"]:
        key["samples"] = ["a masked sample"]
    for alert in present["lists"]["demo"]["alerts"]:
        alert["samples"] = ["a masked sample"]
    held = held_of(present)
    reader, wall = Feed(Scope("demo"), "UTC", {}), Feed(Scope("demo", reads=False), "UTC", {})
    assert b"a masked sample" in reader.snapshot(held, Now(NOW))
    for frame in (wall.snapshot(held, Now(NOW)), wall.delta(held, Now(NOW), -1)):
        assert b"a masked sample" not in frame
        assert len(json.loads(frame)["keys"]) == len(present["keys"])
        assert json.loads(frame)["alerts"]


def test_parity_is_told_of_the_tenants_in_sight_only() -> None:
    present = surge(NOW)
    fault = {
        "tenant": "rival",
        "queue": "q",
        "channel": "web",
        "minute": "x",
        "field": "offered",
        "live": 1,
        "stored": 2,
    }
    told = {
        "checked_at": "2026-11-21T10:00:00.000Z",
        "compared": 9,
        "by": {"rival": {"faults": 2, "first_fault": fault}},
    }
    present["meta"]["parity"] = told
    held = held_of(present)
    own = snapshot(feed("demo"), held)["parity"]
    assert own == {"checked_at": told["checked_at"], "compared": 9, "faults": 0, "first_fault": None}
    assert snapshot(feed("*"), held)["parity"]["first_fault"] == fault
    assert snapshot(feed("*"), held)["parity"]["faults"] == 2
    present["meta"]["parity"] = None
    assert snapshot(feed("demo"), held_of(present))["parity"] is None
