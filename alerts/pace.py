"""The pace of a channel, shared through Redis: two notifiers, or one after another, post no faster than one.

Where Redis is away each keeps its own pace, and asks again after a while: an alert waits for no cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any, Protocol

import redis.asyncio as redis
from redis.exceptions import RedisError

from streams.ending import go_on

PREFIX = "tw:pace:"
PATIENCE_S = 1.0
"""How long one question to Redis may take."""
AGAIN_S = 30.0
"""How long Redis is left alone after it did not answer."""
MOST_WAIT_S = 30.0
"""Whatever another writes there, nobody is held up for longer."""


class Pace(Protocol):
    """Whose turn it is on a channel."""

    async def turn(self, channel: str, gap_ms: int) -> None:
        """Return when a post may go out on the channel; the next may `gap_ms` later."""


class Alone:
    """Nobody else posts."""

    async def turn(self, _channel: str, _gap_ms: int) -> None:
        """At once."""


class Shared:
    """Whoever sets the channel's key has the turn; the key ends by itself."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)
        self._away_until = 0.0

    async def turn(self, channel: str, gap_ms: int) -> None:
        """Return when the key could be set, or when nobody can say whether it is."""
        if gap_ms <= 0:
            return
        key, until = PREFIX + hashlib.sha256(channel.encode()).hexdigest()[:16], time.monotonic() + MOST_WAIT_S
        while time.monotonic() < until and time.monotonic() >= self._away_until:
            try:
                if await self._redis.set(key, b"1", nx=True, px=gap_ms):
                    return
                wait_ms = await self._redis.pttl(key)
            except (RedisError, OSError):
                go_on()
                self._away_until = time.monotonic() + AGAIN_S
                return
            await asyncio.sleep(max(0.01, min(wait_ms, gap_ms) / 1000))

    async def close(self) -> None:
        """Let go of the connection."""
        try:
            await self._redis.aclose()
        except (RedisError, OSError):
            pass
