"""Slack's buttons, through real sockets: one message edited in place, its thread, and who may press what."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from alerts.slack import ACK, BOARD, SILENCE
from alerts.tell import now_ms
from config.settings import Callbacks, Channel, Settings
from streams.events import REAL
from tests.alerts.build import S, key, readings
from tests.alerts.receiver import run, until
from tests.alerts.slack import APP, BOT, SIGNING, FakeSlack, seen, signed, slack
from tests.alerts.test_tell import desk, settings_with

LIN = {"U1": "lin"}


def bot(there: FakeSlack, name: str = "chat", to: str = "C1", **more: Any) -> Channel:
    """A channel of the fake's workspace."""
    given: dict[str, Any] = {"people": LIN, "app_token": SecretStr(APP), **more}
    url = f"{there.url}/api/?channel={to}"
    return Channel(name=name, type="slack", url=url, secret=SecretStr(BOT), allow_private=True, timeout_s=2, **given)


def with_door(settings: Settings) -> Settings:
    """The same, with a door on a free port."""
    return settings.model_copy(update={"callbacks": Callbacks(port=0)})


@asynccontextmanager
async def firing(tmp_path: Path, there: FakeSlack, **more: Any) -> AsyncIterator[tuple[Any, Any, str]]:
    """A desk with one alert told in Slack: (watch, store, alert's id)."""
    settings = with_door(settings_with(tmp_path, bot(there, **more)))
    async with desk(settings) as (watch, store, _):
        if "app_token" not in more:
            await until(lambda: bool(there.sockets))
        (change,) = watch.judge(REAL, now_ms(), readings([key(backlog=30)]))
        await until(lambda: bool(there.messages) and "ops" not in store.unsettled())
        yield watch, store, change.alert.id


def shown_buttons(message: dict[str, Any]) -> list[str]:
    return [
        part["action_id"] for block in message["blocks"] if block["type"] == "actions" for part in block["elements"]
    ]


def test_one_message_is_edited_in_place_and_its_thread_tells_the_story(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (watch, _, id_):
            (message,) = there.top
            assert shown_buttons(message) == [ACK, SILENCE]
            assert "Warning" in seen(message).text
            await there.press(there.pressed(ACK, id_, "U1"))
            await until(lambda: there.top[0]["edits"] == 1)
            (message,) = there.top
            assert "Acknowledged by lin:" in seen(message).text
            assert shown_buttons(message) == [SILENCE]
            watch.judge(REAL, now_ms() + S, readings([key(backlog=0)]))
            await until(lambda: there.top[0]["edits"] == 2)
            await until(lambda: len(there.thread(message["ts"])) == 2)
            assert shown_buttons(there.top[0]) == []
            assert [
                "Acknowledged" in seen(one).text or "Resolved" in seen(one).text for one in there.thread(message["ts"])
            ]

    run(story())


def test_a_restart_in_the_middle_of_a_post_makes_no_second_thread(tmp_path: Path) -> None:
    """It ends between the post and its answer: the answer is waited for, and the next one goes on in that thread."""

    async def story() -> None:
        async with slack() as there:
            there.late_s = 0.5
            settings = settings_with(tmp_path, bot(there, app_token=None, people={}))
            async with desk(settings) as (watch, _, __):
                watch.judge(REAL, now_ms(), readings([key(backlog=30)]))
                await until(lambda: len(there.top) == 1)
            async with desk(settings) as (watch, store, _):
                watch.judge(REAL, now_ms() + S, readings([key(backlog=0)]))
                await until(lambda: "chat" not in store.unsettled())
            (message,) = there.top
            assert message["edits"] == 1
            assert "Resolved" in seen(message).text
            assert ["Resolved" in seen(one).text for one in there.thread(message["ts"])] == [True]

    run(story())


def test_who_pressed_is_said_by_name_kept_and_told_to_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (watch, store, id_):
            await there.press(there.pressed(ACK, id_, "U1"))
            await until(lambda: bool(there.said))
            assert [(one["user"], one["channel"], one["text"]) for one in there.said] == [("U1", "C1", "Acknowledged")]
            (deed,) = store.audit()
            assert (deed["who"], deed["tenant"], deed["what"], deed["result"]) == ("lin", "shop", "ack", "ok")
            assert json.loads(deed["detail"]) == {"alert": id_, "from": "slack U1"}
            assert watch.find(id_).acknowledged_by == "lin"

    run(story())


def test_an_hours_silence_is_for_this_alert_wherever_it_fires_again_and_for_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (watch, _, id_):
            press = there.pressed(SILENCE, id_, "U1", at="1.5")
            await there.press(press)
            await there.press(press)
            await until(lambda: len(watch.silences()) == 1)
            (silence,) = watch.silences()
            assert (silence["by"], silence["tenant"]) == ("lin", "shop")
            assert silence["match"] == {
                "rule": "backlog-high", "tenant": "shop", "queue": "returns", "channel": "*", "topic": "*",
            }  # fmt: skip

    run(story())


@pytest.mark.parametrize(
    ("action", "alert", "user", "said"),
    [
        (ACK, None, "U2", "not among those"),
        (ACK, "ffffffffffffffff", "U1", "no such alert"),
        ("somebody_elses", None, "U1", "no such alert"),
    ],
)
def test_a_press_that_may_not_be_is_refused_answered_and_audited(
    tmp_path: Path, action: str, alert: str | None, user: str, said: str
) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (watch, store, id_):
            await there.press(there.pressed(action, alert or id_, user))
            await until(lambda: bool(there.said))
            assert said in there.said[0]["text"]
            (deed,) = store.audit()
            assert deed["result"] != "ok"
            assert deed["who"] == ("lin" if user == "U1" else "slack U2")
            assert watch.find(id_).acknowledged_by is None

    run(story())


def test_looking_at_the_board_is_no_order_and_nonsense_is_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (_, store, id_):
            await there.press(there.pressed(BOARD, id_, "U1"))
            for payload in ({}, {"type": "block_actions"}, {"type": "block_actions", "actions": [7, {}], "user": 3}):
                await there.press(payload)
            await there.sockets[-1].send_str("not JSON")
            await there.press(there.pressed(ACK, id_, "U1"))
            await until(lambda: any(deed["what"] == "ack" for deed in store.audit()))

    run(story())


def test_a_socket_that_ends_is_opened_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there) as (watch, _, id_):
            first = there.sockets[-1]
            await first.send_json({"type": "disconnect", "reason": "refresh_requested"})
            await until(lambda: bool(there.sockets) and there.sockets[-1] is not first)
            await there.press(there.pressed(ACK, id_, "U1"))
            await until(lambda: watch.find(id_).acknowledged_by == "lin")

    run(story())


async def post(port: int, body: bytes, headers: dict[str, str]) -> int:
    url = f"http://127.0.0.1:{port}/slack"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


DOOR: dict[str, Any] = {"app_token": None, "signing_secret": SecretStr(SIGNING)}


def test_the_request_url_takes_what_slack_signed_once_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        async with slack() as there:
            settings = with_door(settings_with(tmp_path, bot(there, **DOOR)))
            async with desk(settings) as (watch, store, _):
                (change,) = watch.judge(REAL, now_ms(), readings([key(backlog=30)]))
                await until(lambda: bool(there.messages))
                port = await opened(capfd)
                payload = there.pressed(ACK, change.alert.id, "U1")
                body, headers = signed(payload)
                forged = {**headers, "X-Slack-Signature": "v0=" + "0" * 64}
                old_body, old = signed(payload, at=time.time() - 301)
                other_body, other = signed(payload, secret="x" * 32)
                for wrong, sent in ((forged, body), (old, old_body), (other, other_body), ({}, body), (headers, b"x")):
                    assert await post(port, sent, wrong) == 401
                assert store.audit() == []
                assert await post(port, body, headers) == 200
                assert [deed["result"] for deed in store.audit()] == ["ok"]
                assert await post(port, body, headers) == 401, "the same post again"
                assert len(store.audit()) == 1
                assert await post(port, b"x" * 70_000, headers) in (401, 413)
                found = watch.find(change.alert.id)
                assert found is not None
                assert found.acknowledged_by == "lin"

    run(story())
    assert "canary" not in caplog.text + "".join(capfd.readouterr())


async def opened(capfd: pytest.CaptureFixture[str]) -> int:
    """The port that the door says it listens on."""
    import re

    said = ""

    def found() -> re.Match[str] | None:
        nonlocal said
        said += "".join(capfd.readouterr())
        return re.search(r"callbacks_ready.*port=(\d+)", said)

    await until(lambda: found() is not None)
    match = re.search(r"callbacks_ready.*port=(\d+)", said)
    assert match is not None
    return int(match[1])


def test_without_people_there_are_no_buttons(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there, firing(tmp_path, there, people={}, app_token=None):
            assert shown_buttons(there.top[0]) == []
            assert there.sockets == []

    run(story())


def test_what_customers_wrote_is_in_the_thread(tmp_path: Path) -> None:
    async def story() -> None:
        async with slack() as there:
            surge = "- {name: surge, metric: surge, scope: {queue: '*'}}"
            async with desk(settings_with(tmp_path, bot(there), ruleset=surge)) as (watch, _, _broker):
                volume = {"surge": True, "rate_per_min": 96.0, "expected": 31.0}
                watch.judge(REAL, now_ms(), readings([key(volume=volume, samples=["退款没到账"], keywords=["退款"])]))
                await until(lambda: len(there.messages) == 2)
                (message,) = there.top
                (more,) = there.thread(message["ts"])
                assert "没到账" not in seen(message).text
                assert "没到账" in seen(more).text

    run(story())
