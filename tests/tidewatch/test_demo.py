"""The demo's parts against real doors: history and live, the surge, the receiver of alerts, the directory."""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from alerts.rules import load as load_rules
from config.settings import load as load_settings
from tests.tidewatch.door import Door, in_a_loop, opened, token
from tidewatch import data, demo
from tidewatch.client import Client
from tidewatch.datasets import MINUTE
from tidewatch.demo import DemoError, Show, alert_line, fill, go_on, prepare, receiver, signature_holds

NOW = 1_800_000_000_000


@pytest.fixture(scope="module")
def desk() -> demo.Desk:
    return demo.shipped()


# --- history and live ------------------------------------------------------------------------------------------------


@in_a_loop
async def filled(door: Door, show: Show, progress: list[int]) -> None:
    async with opened(door), Client(door.url, token(), replay=True) as client:
        assert await fill(client, show, progress.append, lambda: NOW) == progress[-1]
        assert client.tally.accepted == progress[-1]


@pytest.mark.slow
def test_history_ends_now_with_one_tick_and_goes_live(desk: demo.Desk) -> None:
    door, progress = Door(), [0]
    filled(door, Show.ending(desk, NOW), progress)
    ats = [event["at"] for event in door.events.values()]
    assert NOW - desk.history <= min(ats) < max(ats) <= NOW
    assert door.ticks == [("demo", NOW), ("demo", None)]
    assert {event["tenant"] for event in door.events.values()} == {"demo"}
    assert door.log[-2:] == [("tick", NOW), ("tick", None)]
    assert progress[-1] == len(door.events) > 60_000


@pytest.mark.slow
def test_what_is_live_follows_history_without_gap_or_repeat(desk: demo.Desk) -> None:
    show = Show.ending(desk, NOW)
    before = list(show.until(NOW))
    then = list(show.until(NOW + 10 * MINUTE))
    again = list(Show.ending(desk, NOW).until(NOW + 10 * MINUTE))
    assert before + then == again
    assert 200 <= sum(event["kind"] == "message" for event in then) <= 450
    assert list(show.until(NOW)) == []


@pytest.mark.slow
def test_the_surge_is_five_times_the_queues_usual(desk: demo.Desk) -> None:
    calm, stormy = Show.ending(desk, NOW), Show.ending(desk, NOW)
    assert list(calm.until(NOW)) == list(stormy.until(NOW))
    stormy.surge_at(NOW + 2 * MINUTE)

    def customers(show: Show) -> Counter[int]:
        return Counter((e["at"] - NOW) // MINUTE for e in show.until(NOW + 9 * MINUTE) if e.get("author") == "customer")

    usual, told = customers(calm), customers(stormy)
    assert [told[m] - usual[m] for m in range(2)] == [0, 0]
    assert all(told[m] - usual[m] >= 25 for m in (2, 3, 4))
    assert sum(told[m] - usual[m] for m in (7, 8)) < 30


@pytest.mark.slow
@in_a_loop
async def test_live_traffic_goes_through_the_ordinary_door_without_end() -> None:
    show, door, heard = Show.ending(demo.shipped(), NOW), Door(), [0]
    list(show.until(NOW))
    clock = [NOW]

    def later() -> int:
        clock[0] += 5_000
        return clock[0]

    async with opened(door), Client(door.url, token()) as client:
        live = asyncio.create_task(go_on(client, show, heard.append, later))
        while len(door.events) < 30:
            await asyncio.sleep(0.05)
            assert not live.done()
        live.cancel()
    assert not door.replay
    assert door.ticks == []
    assert max(heard) >= 10


@in_a_loop
async def test_a_history_that_the_gateway_does_not_take_ends_the_demo_with_its_reason() -> None:
    door = Door(ticks=[("demo", None)])
    show = Show(demo.Desk({}, 1_000, ()), NOW, iter([{"id": "x", "kind": "closed", "at": 10**15}]))
    async with opened(door), Client(door.url, token(), replay=True) as client:
        with pytest.raises(DemoError, match="this tenant is on the real clock"):
            await fill(client, show, print, lambda: NOW)


# --- the receiver ----------------------------------------------------------------------------------------------------


def signed(body: bytes, secret: str, stamp: str = "1700000000") -> str:
    return f"t={stamp},v1={hmac.new(secret.encode(), stamp.encode() + b'.' + body, sha256).hexdigest()}"


@in_a_loop
async def test_the_receiver_believes_only_what_is_signed() -> None:
    heard: list[Mapping[str, Any]] = []
    body = json.dumps({"alert": "9f", "state": "firing"}).encode()
    async with receiver("secret", heard.append) as url, ClientSession() as session:
        for header, status in [
            (signed(body, "secret"), 200),
            (signed(body, "other"), 401),
            ("", 401),
            ("t=1,v1=", 401),
        ]:
            async with session.post(url, data=body, headers={"Tidewatch-Signature": header}) as answer:
                assert answer.status == status
    assert heard == [{"alert": "9f", "state": "firing"}]


def test_a_signature_covers_its_time_and_every_byte() -> None:
    body = b'{"a": 1}'
    header = signed(body, "s")
    assert signature_holds(header, body, "s")
    assert not signature_holds(header, body + b" ", "s")
    assert not signature_holds(header.replace("t=17", "t=18"), body, "s")


def test_an_alert_is_one_line_for_people() -> None:
    firing = {"state": "firing", "rule": "demo-surge", "queue": "ubuntu", "summary": {"en": "Demo: 47", "zh": "演示"}}
    assert alert_line(firing) == "▲ FIRING  Demo: 47"
    assert alert_line({"state": "resolved", "rule": "r", "queue": "q"}) == "✔ RESOLVED  r on q"


# --- the directory and its settings ----------------------------------------------------------------------------------


def test_the_demos_settings_and_rules_are_good_ones(tmp_path: Path) -> None:
    config = prepare(tmp_path / "demo", "http://127.0.0.1:9/alerts", "s3cret-s3cret")
    settings = load_settings(config, {})
    assert [channel.type for channel in settings.channels] == ["console", "webhook"]
    assert settings.channels[1].allow_private
    assert settings.rules == config.parent / "demo-rules.yaml"
    assert [rule.name for rule in load_rules(settings.rules).rules] == ["demo-surge"]
    assert config.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_every_queue_channel_and_topic_of_the_demo_has_a_label_that_says_demo_in_both_languages(
    desk: demo.Desk,
) -> None:
    labels = tomllib.loads((data.HERE / "demo.toml").read_text())["labels"]
    threads = [thread for parts in desk.lanes.values() for part in parts for thread in part.threads]
    assert desk.queues <= labels["queue"].keys()
    assert {thread.channel for thread in threads} <= labels["channel"].keys()
    assert {thread.topic for thread in threads if thread.topic} <= labels["topic"].keys()
    for label in (*labels["queue"].values(), *labels["channel"].values()):
        assert "演示" in label["zh"]
        assert "demo" in label["en"].lower()


def test_each_demo_begins_in_an_empty_directory_of_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "demo-data"
    prepare(directory, "http://127.0.0.1:9/alerts", "s")
    (directory / "journal").write_text("old")
    prepare(directory, "http://127.0.0.1:9/alerts", "s")
    assert sorted(file.name for file in directory.iterdir()) == ["demo-rules.yaml", "demo.toml"]


def test_what_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="did not make"):
        prepare(tmp_path, "http://127.0.0.1:9/alerts", "s")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_directory_in_which_a_demo_runs_is_left_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "d", "http://127.0.0.1:9/alerts", "s")
    with (tmp_path / "d/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DemoError, match="is running"):
            prepare(tmp_path / "d", "http://127.0.0.1:9/alerts", "s")
    assert (tmp_path / "d/demo.toml").exists()
