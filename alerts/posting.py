"""HTTP with the manners every door needs: bounded in time and size, no redirects, no proxy, no forbidden address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from alerts.addresses import Forbidden, GuardedResolver, check_url
from alerts.notifiers import Rejected, Unavailable
from alerts.troubles import fault_of
from config.bodies import at_most
from config.settings import Channel, SettingsError

MOST_TIMEOUT_S = 15.0
"""However long a channel's time limit is set: one that takes longer to answer is as good as dead."""
LONGEST_WAIT_MS = 3_600_000
"""However long the other side asks us to wait."""
MOST_ANSWER = 65_536
"""Bytes read of an answer, or of one message of a socket."""
PING_S = 10.0
"""How often a socket is asked whether anybody is there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Posts with the manners every HTTP door needs: bounded, no redirects, no proxy, no address it may not reach."""

    def __init__(self, timeout_s: float, allow_private: bool, resolver: AbstractResolver | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=min(timeout_s, MOST_TIMEOUT_S))
        self._allow_private = allow_private
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], read: bool = True) -> Answer:
        """The answer to a post, whatever its status. `read`: whether what it says matters, or only that it came.

        Raises:
            Unavailable: no answer within the time limit.
            Rejected: the address may not be reached.
        """
        try:
            check_url(url, self._allow_private)
            session = self._open()
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                said = await at_most(response.content, MOST_ANSWER) if read else b""
                if not read:
                    response.close()
                return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, said)
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except TimeoutError:
            raise Unavailable("no answer within the time limit") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"cannot be reached: {fault_of(error)}") from None

    @asynccontextmanager
    async def socket(self, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket, kept alive by pings; with the same manners.

        Raises:
            Unavailable: it cannot be had now.
            Rejected: the address may not be reached.
        """
        try:
            check_url(url, self._allow_private, ("wss", "ws") if self._allow_private else ("wss",))
            opening = self._open().ws_connect(
                url,
                heartbeat=PING_S,
                max_msg_size=MOST_ANSWER,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
            async with asyncio.timeout(self._timeout.total):
                found = await opening
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"cannot be reached: {fault_of(error)}") from None
        try:
            yield found
        finally:
            await found.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            guard = GuardedResolver(self._allow_private, self._resolver)
            connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False, limit=4)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def judge_status(answer: Answer) -> None:
    """Let a 2xx pass.

    Raises:
        Unavailable: worth another try: too many requests, too early, or the other side's own fault.
        Rejected: anything else, redirects among them.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    if status >= 500 or status in (408, 425, 429):
        raise Unavailable(f"answered {status}", retry_after_ms(answer.headers.get("retry-after")))
    raise Rejected(f"answered {status}{', a redirect, which is not followed' if 300 <= status < 400 else ''}")


def read_json(answer: Answer) -> Mapping[str, Any]:
    """The answer's JSON object.

    Raises:
        Unavailable: it is none: something else than the service answered.
    """
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        raise Unavailable("answered something that is not JSON")
    return said


def retry_after_ms(header: str | None, now: datetime | None = None) -> int | None:
    """What `Retry-After` asks for: seconds or a date, at most `LONGEST_WAIT_MS`; None where it says nothing usable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(int(text) * 1000, LONGEST_WAIT_MS)
    try:
        wait = parsedate_to_datetime(text) - (now or datetime.now(UTC))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0, round(wait.total_seconds() * 1000)), LONGEST_WAIT_MS)


def checked_url(channel: Channel) -> str:
    """The channel's URL, checked.

    Raises:
        SettingsError: it is missing or not allowed.
    """
    if not channel.url:
        raise SettingsError(f"channels: {channel.name}: url is missing (allowed: https://host/path)")
    try:
        check_url(channel.url, channel.allow_private)
    except Forbidden as error:
        raise SettingsError(f"channels: {channel.name}: url: {error}") from None
    return channel.url
