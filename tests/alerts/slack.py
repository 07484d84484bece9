"""A small Slack: real sockets, messages and threads as people would see them, buttons that can be pressed.

`seen` renders a message as Slack does: mrkdwn is parsed for mentions, links and commands, plain text is not.
Source: docs.slack.dev, "Formatting message text", "Using Socket Mode", "Verifying requests from Slack".
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

BOT, APP, SIGNING = "xoxb-canary-bot", "xapp-canary-app", "canary-signing-secret-of-the-test"
_TOKEN = re.compile(r"<([^<>]*)>")
_BARE = re.compile(r"(?:https?://|mailto:)[^\s<>|]+")


@dataclass
class Seen:
    """What a person sees of a message."""

    text: str = ""
    mentions: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def read_mrkdwn(text: str, seen: Seen, verbatim: bool) -> None:
    """Add what a piece of mrkdwn shows."""

    def shown(found: re.Match[str]) -> str:
        inside, _, label = found[1].partition("|")
        if inside[:1] in ("@", "#", "!"):
            seen.mentions.append(inside)
        else:
            seen.links.append(inside)
        return label or inside

    without = _TOKEN.sub("", text)
    if not verbatim:
        seen.links += _BARE.findall(without)
        seen.mentions += re.findall(r"(?<!\w)@(?:channel|here|everyone)\b", without)
    shown_text = _TOKEN.sub(shown, text)
    seen.text += shown_text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") + "\n"


def seen(message: Mapping[str, Any]) -> Seen:
    """The message as a person sees it: its blocks, and its text in notifications."""
    found = Seen()
    read_mrkdwn(str(message.get("text", "")), found, verbatim=message.get("unfurl_links") is False)
    for block in message.get("blocks") or ():
        for part in (block.get("text"), *(block.get("elements") or ())):
            if not isinstance(part, dict):
                continue
            if part.get("type") == "mrkdwn":
                read_mrkdwn(part["text"], found, verbatim=part.get("verbatim") is True)
            elif part.get("type") == "plain_text":
                found.text += part["text"] + "\n"
    return found


@dataclass
class FakeSlack:
    """One workspace."""

    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """ts → message, as it stands."""
    said: list[dict[str, Any]] = field(default_factory=list)
    """What was said to one person only."""
    calls: list[tuple[float, str]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    """Method → the error it answers."""
    late_s: float = 0.0
    """How long after it stands in the channel a message is said to be there."""
    _ts: int = 0
    _envelopes: int = 0

    @property
    def top(self) -> list[dict[str, Any]]:
        """The messages of the channel, without threads."""
        return [message for message in self.messages.values() if "thread_ts" not in message]

    def thread(self, ts: str) -> list[dict[str, Any]]:
        """What was said below a message."""
        return [message for message in self.messages.values() if message.get("thread_ts") == ts]

    async def method(self, request: web.Request) -> web.Response:
        """The Web API."""
        name = request.match_info["method"]
        self.calls.append((time.monotonic(), name))
        wanted = APP if name == "apps.connections.open" else BOT
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if name in self.refuse:
            return web.json_response({"ok": False, "error": self.refuse[name]})
        body = await request.json()
        match name:
            case "apps.connections.open":
                return web.json_response({"ok": True, "url": self.url.replace("http", "ws") + "/link?ticket=canary"})
            case "chat.postMessage":
                self._ts += 1
                ts = f"1700000000.{self._ts:06d}"
                self.messages[ts] = {**body, "ts": ts, "edits": 0}
                await asyncio.sleep(self.late_s)
                return web.json_response({"ok": True, "channel": body["channel"], "ts": ts})
            case "chat.update":
                before = self.messages.get(body["ts"])
                if before is None:
                    return web.json_response({"ok": False, "error": "message_not_found"})
                self.messages[body["ts"]] = {**before, **body, "edits": before["edits"] + 1}
                return web.json_response({"ok": True, "channel": body["channel"], "ts": body["ts"]})
            case "chat.postEphemeral":
                self.said.append(body)
                return web.json_response({"ok": True})
            case _:
                return web.json_response({"ok": False, "error": "unknown_method"})

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        """Socket Mode."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.acked.append(json.loads(message.data)["envelope_id"])
        finally:
            self.sockets.remove(socket)
        return socket

    def pressed(self, action: str, alert: str, user: str, channel: str = "C1", at: str = "") -> dict[str, Any]:
        """The interaction of a press."""
        press = {"type": "button", "action_id": action, "value": alert, "action_ts": at or f"{time.time():.6f}"}
        return {
            "type": "block_actions", "user": {"id": user, "username": "somebody"}, "channel": {"id": channel},
            "container": {"type": "message", "channel_id": channel}, "actions": [press],
        }  # fmt: skip

    async def press(self, payload: Mapping[str, Any]) -> None:
        """Tell it through the socket, and wait until it was heard."""
        self._envelopes += 1
        id_ = f"e{self._envelopes}"
        envelope = {"type": "interactive", "envelope_id": id_, "accepts_response_payload": True, "payload": payload}
        await self.sockets[-1].send_json(envelope)
        async with asyncio.timeout(60):
            while id_ not in self.acked:
                await asyncio.sleep(0.01)


def signed(payload: Mapping[str, Any], at: float | None = None, secret: str = SIGNING) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a post to the request URL."""
    body, when = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), b"v0:" + when.encode() + b":" + body, hashlib.sha256).hexdigest()
    form = "application/x-www-form-urlencoded"
    return body, {"X-Slack-Request-Timestamp": when, "X-Slack-Signature": f"v0={mac}", "Content-Type": form}


@asynccontextmanager
async def slack() -> AsyncIterator[FakeSlack]:
    """A workspace on a free port."""
    there = FakeSlack()
    app = web.Application()
    app.router.add_post("/api/{method}", there.method)
    app.router.add_get("/link", there.link)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    there.url = f"http://{host}:{port}"
    try:
        yield there
    finally:
        await runner.cleanup()
