"""Slack's Web API, and what its bot is called with: one place for tokens, errors inside a 200, and the socket.

Source: docs.slack.dev, "Using the Slack Web API", "Using Socket Mode", "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from pydantic import SecretStr

from alerts.notifiers import Rejected, Unavailable
from alerts.posting import Http, checked_url, judge_status, read_json
from config.settings import Channel

LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""Errors in a 200 answer that pass by themselves."""
SIGNED_WITHIN_S = 300
"""How old a signed post may be."""


class Api:
    """The Web API of one channel's bot."""

    def __init__(self, channel: Channel, resolver: AbstractResolver | None = None) -> None:
        parts = urlsplit(checked_url(channel))
        self.to = parse_qs(parts.query).get("channel", [None])[0]
        self._base = urlunsplit((*parts[:2], parts.path.rstrip("/"), "", ""))
        self._token, self._app_token = channel.secret, channel.app_token
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def call(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call as the bot.

        Raises:
            Unavailable, Rejected: what came of it.
        """
        return await self._call(method, body, self._token)

    async def _call(self, method: str, body: Mapping[str, Any], token: SecretStr | None) -> Mapping[str, Any]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {token.get_secret_value() if token else ''}",
        }
        answer = await self._http.post(f"{self._base}/{method}", msgspec.json.encode(body), headers)
        judge_status(answer)
        said = read_json(answer)
        if said.get("ok") is True:
            return said
        error = str(said.get("error"))[:40]
        raise (Unavailable if error in LATER else Rejected)(f"answered {error}")

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A socket on which Slack says what is pressed. Its address is asked for each time, and is a secret.

        Raises:
            Unavailable, Rejected: there is none.
        """
        said = await self._call("apps.connections.open", {}, self._app_token)
        async with self._http.socket(str(said.get("url"))) as socket:
            yield socket

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def signed(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Whether Slack posted this, and lately. In constant time."""
    at, given = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or abs(now_s - int(at)) > SIGNED_WITHIN_S:
        return False
    mac = hmac.new(secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={mac}".encode(), given.encode(errors="replace"))
