"""The doors alerts leave by: send one notice, and say what became of it. Deciding who hears of what happened before.

Every door keeps one contract: `send` returns once the other side has taken all rows, or raises `Unavailable` (try
again later) or `Rejected` (never); it is bounded in time whatever the other side does, follows no redirect, and puts no
secret and no URL into an exception or a log.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

import aiohttp
import msgspec
import structlog
from aiohttp.abc import AbstractResolver

from alerts.addresses import Forbidden, GuardedResolver, check_url
from alerts.outbox import Row
from alerts.render import console_line
from config.settings import Channel, SettingsError

log = structlog.get_logger()

MOST_TIMEOUT_S = 15.0
"""However long a channel's time limit is set: one that takes longer to answer is as good as dead."""
LONGEST_WAIT_MS = 3_600_000
"""However long the other side asks us to wait."""
MOST_ANSWER = 65_536
"""Bytes read of an answer."""


class Unavailable(Exception):  # named for what the caller does: wait
    """Not now. `retry_ms`: the other side said how long to wait."""

    def __init__(self, reason: str, retry_ms: int | None = None) -> None:
        super().__init__(reason)
        self.retry_ms = retry_ms


class Rejected(Exception):  # named for what the caller does: give up on this one
    """Never: the other side will not take this, or may not be spoken to."""


class Notifier(Protocol):
    """One door."""

    batch: int
    """How many rows it can tell of at once."""
    gap_ms: int
    """Least time between two sendings."""
    steady: bool
    """Whether a retry must be of the same rows as the first try."""

    async def send(self, rows: Sequence[Row]) -> None:
        """Return once all rows are taken.

        Raises:
            Unavailable: try again later.
            Rejected: never try again.
        """

    async def close(self) -> None:
        """Let go of what it holds."""


class Notes(Protocol):
    """What a door remembers between sendings (the outbox's file)."""

    def note(self, channel: str, key: str) -> str | None:
        """What was noted."""

    def take_note(self, channel: str, key: str, value: str | None) -> None:
        """Note it; None: forget it."""


def language_of(fragment: str, default: Literal["zh", "en"]) -> Literal["zh", "en"]:
    """The language that a URL's fragment names (`#lang=en`); a fragment is never sent."""
    return "en" if fragment == "lang=en" else "zh" if fragment == "lang=zh" else default


class Console:
    """One log line an alert: ids and numbers."""

    batch, gap_ms, steady = 1, 0, False

    async def send(self, rows: Sequence[Row]) -> None:
        """Write the lines."""
        for row in rows:
            body = msgspec.json.decode(row.body)
            write = log.info if body.get("state") == "resolved" or body.get("severity") == "info" else log.warning
            write("alert", **console_line(body))

    async def close(self) -> None:
        """Nothing to let go of."""


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
                said = await response.content.read(MOST_ANSWER) if read else b""
                if not read:
                    response.close()
                return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, said)
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except TimeoutError:
            raise Unavailable("no answer within the time limit") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"cannot be reached: {type(error).__name__}") from None

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


def signature(secret: str, body: bytes, now_s: int) -> str:
    """`t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`: the receiver can check who posted it, and when."""
    mac = hmac.new(secret.encode(), b"%d." % now_s + body, hashlib.sha256)
    return f"t={now_s},v1={mac.hexdigest()}"


class Webhook:
    """Posts the alert object, signed. One post an alert and state."""

    batch, gap_ms, steady = 1, 0, False

    def __init__(self, channel: Channel, resolver: AbstractResolver | None = None) -> None:
        self._url = checked_url(channel)
        self._secret = channel.secret.get_secret_value() if channel.secret else None
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """Post the rows one by one."""
        for row in rows:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "tidewatch",
                "Idempotency-Key": f"{row.alert}-{row.state}",
            }
            if self._secret:
                headers["Tidewatch-Signature"] = signature(self._secret, row.body, int(time.time()))
            judge_status(await self._http.post(self._url, row.body, headers, read=False))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class Producer(Protocol):
    """What the topic's door needs of a Kafka producer (aiokafka's)."""

    async def send_and_wait(self, topic: str, value: bytes, key: bytes) -> Any:
        """Return once the broker has stored it."""


class Topic:
    """Publishes every change of state on a Kafka topic."""

    batch, gap_ms, steady = 100, 0, False

    def __init__(self, producer: Producer, topic: str, timeout_s: float = 10) -> None:
        self._producer, self._topic, self._timeout_s = producer, topic, timeout_s

    async def send(self, rows: Sequence[Row]) -> None:
        """Publish the rows in order."""
        try:
            async with asyncio.timeout(self._timeout_s * len(rows)):
                for row in rows:
                    await self._producer.send_and_wait(self._topic, value=row.body, key=row.alert.encode())
        except Exception as error:  # noqa: BLE001  # whatever the broker's client says, the answer is to wait for it
            raise Unavailable(type(error).__name__) from None

    async def close(self) -> None:
        """The producer belongs to its maker."""


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
