"""One contract for every HTTP door: what it promises whatever the other side does, and what it lets through."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from pydantic import SecretStr

from alerts.alertmanager import Alertmanager
from alerts.notifiers import Notifier, Rejected, Unavailable
from alerts.outbox import Row
from alerts.robots import PagerDuty, Robot
from alerts.slack import Slack
from alerts.webhook import Webhook
from config.settings import Channel, SettingsError
from tests.alerts.receiver import Post, drips, hangs, raw, receiver, resets, row, run

SECRET = "canary-4f1d-secret"
TOKEN = "T0CANARY/B0CANARY"
Type = Literal["webhook", "slack", "pagerduty", "wecom", "dingtalk", "feishu", "alertmanager"]


class Memory:
    """Notes in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def note(self, channel: str, key: str) -> str | None:
        return self.kept.get((channel, key))

    def take_note(self, channel: str, key: str, value: str | None) -> None:
        if value is None:
            self.kept.pop((channel, key), None)
        else:
            self.kept[channel, key] = value


def channel(kind: Type, url: str, timeout_s: float, allow_private: bool = True) -> Channel:
    secret = SecretStr(SECRET)
    return Channel(name="ops", type=kind, url=url, secret=secret, allow_private=allow_private, timeout_s=timeout_s)


Make = Callable[[str, float, bool], Notifier]
DOORS: dict[str, Make] = {
    "webhook": lambda url, t, p: Webhook(channel("webhook", f"{url}/{TOKEN}", t, p)),
    "slack": lambda url, t, p: Slack(channel("slack", f"{url}/services/{TOKEN}", t, p), Memory()),
    "slack bot": lambda url, t, p: Slack(channel("slack", f"{url}/api/?channel=C1", t, p), Memory()),
    "pagerduty": lambda url, t, p: PagerDuty(channel("pagerduty", f"{url}/v2/enqueue", t, p)),
    "wecom": lambda url, t, p: Robot(channel("wecom", f"{url}/send?key={TOKEN}", t, p), "wecom"),
    "dingtalk": lambda url, t, p: Robot(
        channel("dingtalk", f"{url}/robot/send?access_token={TOKEN}", t, p), "dingtalk"
    ),
    "feishu": lambda url, t, p: Robot(channel("feishu", f"{url}/hook/{TOKEN}", t, p), "feishu"),
    "alertmanager": lambda url, t, p: Alertmanager(channel("alertmanager", f"{url}/{TOKEN}", t, p)),
}
every_door = pytest.mark.parametrize("name", list(DOORS))
GOOD = {"ok": True, "errcode": 0, "code": 0, "channel": "C1", "ts": "1.5"}


def fine(_: Post) -> web.Response:
    """What every service would call a success."""
    return web.json_response(GOOD, status=202)


async def send(name: str, url: str, *rows: Row, timeout_s: float = 5) -> None:
    door = DOORS[name](url, timeout_s, True)
    try:
        await door.send(rows or [row()])
    finally:
        await door.close()


@every_door
def test_what_is_taken_is_taken(name: str) -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            await send(name, there.url)
            assert len(there.posts) == 1

    run(story())


@every_door
def test_what_may_pass_is_tried_again_when_the_other_side_says(name: str) -> None:
    async def story() -> None:
        async with receiver() as there:
            for status in (429, 500, 502, 503, 504):
                there.answers = [web.json_response(GOOD, status=status, headers={"Retry-After": "7"})]
                with pytest.raises(Unavailable) as told:
                    await send(name, there.url)
                assert told.value.retry_ms == 7_000, status

    run(story())


@every_door
def test_what_will_not_pass_is_given_up_and_no_redirect_is_followed(name: str) -> None:
    async def story() -> None:
        async with receiver() as there, receiver() as elsewhere:
            for status in (301, 302, 307, 308, 400, 401, 403, 404, 410):
                there.answers = [web.json_response(GOOD, status=status, headers={"Location": elsewhere.url})]
                with pytest.raises(Rejected, match=str(status)):
                    await send(name, there.url)
            assert elsewhere.posts == []

    run(story())


@every_door
def test_every_status_there_is_passes_is_tried_again_or_is_given_up(name: str) -> None:
    async def story() -> None:
        async with receiver() as there, receiver() as elsewhere:
            door = DOORS[name](there.url, 5, True)
            for status in range(300, 600):
                there.answers = [web.json_response(GOOD, status=status, headers={"Location": elsewhere.url})]
                again = status >= 500 or status in (408, 425, 429)
                with pytest.raises(Unavailable if again else Rejected, match=str(status)):
                    await door.send([row()])
            await door.close()
            assert elsewhere.posts == []

    run(story())


@every_door
@pytest.mark.parametrize("behave", [hangs, drips, resets])
def test_it_is_bounded_in_time_and_leaks_no_secret(
    name: str, behave: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story() -> str:
        async with raw(behave) as url:
            with pytest.raises(Unavailable) as told:
                await asyncio.wait_for(send(name, url, timeout_s=0.3), 60)  # they would go on for an hour
            return repr(told.value)

    said = run(story()) + caplog.text + "".join(capfd.readouterr())
    assert SECRET not in said
    assert "CANARY" not in said


@every_door
@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://169.254.169.254", "file://x", "http://2130706433"])
def test_no_door_opens_into_our_own_network(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        DOORS[name](url, 1, False)
    assert "CANARY" not in str(refused.value)


@every_door
def test_it_can_be_called_off_at_any_time(name: str) -> None:
    async def story() -> None:
        async with raw(hangs) as url:
            task = asyncio.create_task(send(name, url))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(story())


@pytest.mark.parametrize(
    ("name", "said", "error"),
    [
        ("slack bot", {"ok": False, "error": "channel_not_found"}, Rejected),
        ("slack bot", {"ok": False, "error": "invalid_auth"}, Rejected),
        ("slack bot", {"ok": False, "error": "ratelimited"}, Unavailable),
        ("slack bot", {"ok": False, "error": "internal_error"}, Unavailable),
        ("slack bot", ["no", "object"], Unavailable),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, Rejected),
        ("wecom", {"errcode": 45009}, Unavailable),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, Rejected),
        ("dingtalk", {"errcode": 130101}, Unavailable),
        ("feishu", {"code": 19021}, Rejected),
        ("feishu", {"code": 11232}, Unavailable),
        ("feishu", {}, Rejected),
    ],
)
def test_a_200_with_an_error_inside_is_no_success(name: str, said: Any, error: type[Exception]) -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = lambda _: web.json_response(said)
            with pytest.raises(error):
                await send(name, there.url)

    run(story())


@pytest.mark.parametrize("name", ["slack bot", "wecom", "dingtalk", "feishu"])
def test_a_200_that_is_not_json_comes_from_somebody_else(name: str) -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = lambda _: web.Response(body=b"\xff<html>")
            with pytest.raises(Unavailable):
                await send(name, there.url)

    run(story())


@pytest.mark.parametrize("name", ["slack", "slack bot", "wecom", "dingtalk", "feishu"])
def test_many_alerts_are_one_message_to_people(name: str) -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            await send(name, there.url, *(row(f"a{n}") for n in range(1000)))
            assert len(there.posts) == 1
            assert "1000" in there.posts[0].body.decode()

    run(story())


# Slack


def texts(value: Any) -> list[tuple[str, str]]:
    """Every (type, text) of a Slack message."""
    if isinstance(value, list):
        return [found for part in value for found in texts(part)]
    if not isinstance(value, dict):
        return []
    here = [(str(value.get("type", "fallback")), value["text"])] if isinstance(value.get("text"), str) else []
    return here + [found for part in value.values() if isinstance(part, dict | list) for found in texts(part)]


def test_a_bot_edits_one_message_in_place_and_tells_the_story_in_its_thread() -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            memory = Memory()
            door = Slack(channel("slack", f"{there.url}/api/?channel=C1", 5), memory)
            for state in ("firing", "acknowledged", "resolved"):
                await door.send([row(state=state)])
            await door.close()
            assert [post.path for post in there.posts] == [
                "/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage",
                "/api/chat.update", "/api/chat.postMessage",
            ]  # fmt: skip
            first, edit, reply, *_ = (post.json for post in there.posts)
            assert first["channel"] == "C1"
            assert (edit["channel"], edit["ts"]) == ("C1", "1.5")
            assert reply["thread_ts"] == "1.5"
            assert there.posts[0].headers["Authorization"] == f"Bearer {SECRET}"
            assert memory.kept == {}

    run(story())


def test_a_message_that_cannot_be_edited_any_more_is_posted_anew() -> None:
    async def story() -> None:
        async with receiver() as there:
            gone = web.json_response({"ok": False, "error": "message_not_found"})
            there.answer = lambda post: gone if "update" in post.path else fine(post)
            memory = Memory()
            door = Slack(channel("slack", f"{there.url}/api/?channel=C1", 5), memory)
            await door.send([row()])
            await door.send([row(state="acknowledged")])
            await door.close()
            assert [post.path.rpartition(".")[2] for post in there.posts] == ["postMessage", "update", "postMessage"]
            assert "thread_ts" not in there.posts[-1].json

    run(story())


def test_a_summary_also_edits_the_messages_of_its_alerts_and_is_never_posted_twice_for_that() -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            memory = Memory()
            door = Slack(channel("slack", f"{there.url}/api/?channel=C1", 5), memory)
            await door.send([row("a")])
            await door.send([row("b")])
            busy = web.json_response({"ok": False, "error": "ratelimited"})
            there.answers = [web.json_response(GOOD), busy]
            await door.send([row("a", "resolved"), row("b", "resolved"), row("c")])
            await door.close()
            paths = [post.path.rpartition(".")[2] for post in there.posts]
            assert paths == ["postMessage"] * 3 + ["update"] * 2
            assert set(memory.kept) == {("ops", "a")}  # its edit failed

    run(story())


def test_a_bot_without_a_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="secret is missing"):
        Slack(Channel(name="ops", type="slack", url="https://slack.com/api/?channel=C1"), Memory())


HOSTILE = [
    "<!channel>", "<!here|x>", "<@U012AB3CD>", "<#C012AB3CD>", "<https://evil.example|bank>", "&lt;!channel&gt;",
    "&amp;lt;", "```code``` `x` *bold* _it_ ~no~", "https://evil.example/a", "@channel @here @everyone",
    "a\r\nb\u2028c", "\u202eevil", "{{7*7}}", "%s%n{}", "é" * 9_000, "a\u0301" * 20_000, "🇨🇳" * 9_000,
    "<" * 50_000, "&" * 50_000, "\x00\x1b[31m", "x\ufffdy",
]  # fmt: skip


@pytest.mark.parametrize("where", ["samples", "keywords", "summary", "topic"])
def test_nothing_a_customer_wrote_is_a_mention_or_a_link_in_slack(where: str) -> None:
    async def story() -> list[Any]:
        async with receiver() as there:
            there.answer = fine
            door = DOORS["slack"](there.url, 5, True)
            for text in HOSTILE:
                topic = {"dimension": "topic", "value": text, "excess": 1.0, "share": 1.0}
                fields: dict[str, Any] = {
                    "samples": {"samples": [text]},
                    "keywords": {"keywords": [text] * 5},
                    "summary": {"summary": {"zh": text, "en": text}},
                    "topic": {"drivers": [topic]},
                }
                await door.send([row(**fields[where])])
            await door.close()
            return [post.json for post in there.posts]

    for text, sent in zip(HOSTILE, run(story()), strict=True):
        ours = sent["blocks"].pop()  # the links we set ourselves
        assert ours["type"] == "context"
        for kind, shown in texts(sent):
            assert not {"<", ">"} & set(shown), (text[:40], kind)
            assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", shown), (text[:40], kind)
            assert len(shown) <= 3_000
        assert sent["unfurl_links"] is sent["unfurl_media"] is False
        marked = [block["text"] for block in sent["blocks"] if block["text"]["type"] == "mrkdwn"]
        assert all(part["verbatim"] is True for part in marked)
        if where in ("samples", "keywords"):
            shown = json.dumps(sent["blocks"], ensure_ascii=False)
            assert not re.search(r"https?://|@(channel|here|everyone)", shown), text[:40]


# The others


def test_pagerduty_ties_the_states_of_an_alert_together() -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            for state in ("firing", "acknowledged", "resolved"):
                await send("pagerduty", there.url, row(state=state, severity="critical"))
            sent = [post.json for post in there.posts]
            assert [one["event_action"] for one in sent] == ["trigger", "acknowledge", "resolve"]
            assert {one["dedup_key"] for one in sent} == {"a1"}
            assert sent[0]["routing_key"] == SECRET
            assert sent[0]["payload"]["severity"] == "critical"
            assert sent[0]["payload"]["summary"] == "Returns: Backlog 30 (limit 20)"

    run(story())


def test_pagerduty_without_a_key_is_refused_and_without_a_url_has_its_own() -> None:
    with pytest.raises(SettingsError, match="secret is missing"):
        PagerDuty(Channel(name="ops", type="pagerduty"))
    PagerDuty(Channel(name="ops", type="pagerduty", secret=SecretStr(SECRET)))


def test_dingtalk_and_feishu_are_signed_as_they_ask() -> None:
    async def story() -> None:
        async with receiver() as there:
            there.answer = fine
            await send("dingtalk", there.url)
            await send("feishu", there.url)
            ding, feishu = there.posts
        asked = parse_qs(urlsplit(ding.path).query)
        stamp = asked["timestamp"][0]
        mac = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
        assert asked["sign"][0] == base64.b64encode(mac).decode()
        assert asked["access_token"] == [TOKEN]
        mac = hmac.new(f"{feishu.json['timestamp']}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
        assert feishu.json["sign"] == base64.b64encode(mac).decode()

    run(story())


@pytest.mark.parametrize("name", ["wecom", "dingtalk", "feishu"])
def test_nothing_a_customer_wrote_calls_anybody_through_a_robot(name: str) -> None:
    corpus = [*HOSTILE, '<at user_id="all"></at>', "<@all>", "@13800138000"]

    async def story() -> list[str]:
        async with receiver() as there:
            there.answer = fine
            door = DOORS[name](there.url, 5, True)
            for text in corpus:
                await door.send([row(samples=[text], keywords=[text])])
            await door.close()
            return [post.body.decode() for post in there.posts]

    for text, sent in zip(corpus, run(story()), strict=True):
        assert "<" not in sent, text[:40]
        assert not re.search(r"@(all|channel|here|everyone|1380)", sent), text[:40]
        assert len(sent.encode()) < 8_000
