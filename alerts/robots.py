"""PagerDuty, and the group robots of WeCom, DingTalk and Feishu: one JSON post each, in the form the service takes.

Sources: developer.pagerduty.com "Events API v2"; developer.work.weixin.qq.com/document/path/91770; open.dingtalk.com
"custom robot"; open.feishu.cn "custom bot". Robots answer 200 with a code inside; 20 messages a minute is their limit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from aiohttp.abc import AbstractResolver

from alerts.letters import Body, Language, Letter, cut, letter, plain
from alerts.notifiers import Rejected, Unavailable, language_of
from alerts.outbox import Row
from alerts.posting import Http, checked_url, judge_status, read_json
from config.settings import Channel, SettingsError

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_ACTIONS = {"firing": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
_DETAILS = ("value", "peak", "expected", "low", "high", "unit", "impact", "since")
MOST_TEXT = 1_200
"""Graphemes of a robot's message: WeCom takes 2,048 bytes of text."""
_TOO_FAST = {"wecom": {45009, 45033, -1}, "dingtalk": {130101, 410100, -1}, "feishu": {9499, 11232, 11233}}
"""Codes that mean: later."""


def event(body: Body, routing_key: str, language: Language = "en") -> dict[str, Any]:
    """The alert as an event of PagerDuty; `dedup_key` ties its states together."""
    action = _ACTIONS[str(body["state"])]
    made: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": str(body["alert"])}
    links = [(name, body.get(name)) for name in ("board", "runbook")]
    return {
        **made,
        "payload": {
            "summary": cut(plain(str(body["summary"][language])), 500),
            "source": plain(f"tidewatch/{body['tenant']}"),
            "severity": str(body["severity"]),
            "timestamp": body["at"],
            "component": plain(str(body["queue"])),
            **({"group": plain(str(body["group"]))} if body.get("group") else {}),
            "class": str(body["rule"]),
            "custom_details": {"told": list(letter([body], language).lines)} | {n: body.get(n) for n in _DETAILS},
        },
        "links": [{"href": url, "text": name} for name, url in links if isinstance(url, str) and "://" in url],
    }


class PagerDuty:
    """One service of PagerDuty; `secret` is its integration key."""

    batch, gap_ms, steady = 1, 0, False

    def __init__(self, channel: Channel, resolver: AbstractResolver | None = None) -> None:
        if channel.secret is None:
            raise SettingsError(f"channels: {channel.name}: secret is missing (allowed: the integration key)")
        self._key = channel.secret.get_secret_value()
        self._url = checked_url(channel) if channel.url else PAGERDUTY
        self._language = language_of(urlsplit(self._url).fragment, "en")
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """One event a row."""
        for row in rows:
            content = msgspec.json.encode(event(msgspec.json.decode(row.body), self._key, self._language))
            judge_status(
                await self._http.post(self._url.partition("#")[0], content, {"Content-Type": "application/json"})
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


Kind = Literal["wecom", "dingtalk", "feishu"]


def text_of(told: Letter) -> str:
    """The letter as lines. `<` would begin a mention with some robots; their own sign for it is the full-width one."""
    lines = [told.title, *told.lines, *told.said, *(f"{name}: {url}" for name, url in told.links)]
    return cut("\n".join(lines).replace("<", "＜").replace(">", "＞"), MOST_TEXT)


def robot_message(kind: Kind, told: Letter, secret: str | None, now_s: int) -> dict[str, Any]:
    """The letter in the form the robot takes."""
    text = _within(text_of(told), 2_000)
    if kind != "feishu":
        return {"msgtype": "text", "text": {"content": text}}
    lines = [[{"tag": "text", "text": line}] for line in text.splitlines()[1:]]
    post = {"zh_cn": {"title": text.splitlines()[0], "content": lines}}
    made: dict[str, Any] = {"msg_type": "post", "content": {"post": post}}
    return {**made, "timestamp": str(now_s), "sign": feishu_sign(secret, now_s)} if secret else made


def _within(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, cut between characters."""
    return text.encode()[:most].decode(errors="ignore")


def feishu_sign(secret: str, now_s: int) -> str:
    """Feishu's signature: an HMAC of nothing, under the time and the secret."""
    return base64.b64encode(hmac.new(f"{now_s}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def dingtalk_query(secret: str, now_ms: int) -> str:
    """DingTalk's signature, as it stands in the address."""
    mac = hmac.new(secret.encode(), f"{now_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return urlencode({"timestamp": str(now_ms), "sign": base64.b64encode(mac).decode()})


class Robot:
    """A robot in a group of WeCom, DingTalk or Feishu. Many alerts at once are one message."""

    batch, gap_ms, steady = 1_000, 3_000, False

    def __init__(self, channel: Channel, kind: Kind, resolver: AbstractResolver | None = None) -> None:
        self._parts = urlsplit(checked_url(channel))
        self._kind, self._language = kind, language_of(self._parts.fragment, "zh")
        self._secret = channel.secret.get_secret_value() if channel.secret else None
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """One message for all rows."""
        now = time.time()
        told = letter([msgspec.json.decode(row.body) for row in rows], self._language)
        content = msgspec.json.encode(robot_message(self._kind, told, self._secret, int(now)))
        answer = await self._http.post(self._address(int(now * 1000)), content, {"Content-Type": "application/json"})
        judge_status(answer)
        self._judge(read_json(answer))

    def _address(self, now_ms: int) -> str:
        query = self._parts.query
        if self._kind == "dingtalk" and self._secret:
            query = "&".join(part for part in (query, dingtalk_query(self._secret, now_ms)) if part)
        return urlunsplit((*self._parts[:3], query, ""))

    def _judge(self, said: Mapping[str, Any]) -> None:
        code = said.get("errcode", said.get("code", said.get("StatusCode")))
        if code == 0:
            return
        if code in _TOO_FAST[self._kind]:
            raise Unavailable(f"answered code {code}")
        raise Rejected(f"answered code {str(code)[:12]}")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
