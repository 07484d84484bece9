"""Redis followed into memory: all viewers of this gateway are served from here, none of them asks Redis.

    tw:changes ──► in order? ──► Held ──► news() ──► viewers
                      └ a gap: read everything again

Why it may be stale, and how it is known: Redis does not answer (`redis`); Redis answers and says nothing new for
`_AGED_S`, or the clock of the numbers does not move, or there is none yet (`stream`; `broker` where the gateway knows
that one to be gone).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol, cast
from weakref import WeakValueDictionary

import redis.asyncio
import structlog
from msgspec import MsgspecError
from redis.exceptions import RedisError

from config.settings import Settings
from gateway.frames import Feed, Now, Scope, Shared
from gateway.held import Held, Meta, decode_change, decode_meta, decode_object
from streams.ending import go_on

log = structlog.get_logger()

_AGED_S = 4.4
"""How old the numbers may get before they no longer pass for the present: a page knows it within five seconds."""

_LAG_MS = 30_000
"""How far the numbers may be behind what comes in; beyond it they do not pass for the present either (BOARD §4)."""

_SILENT_S = 2.0
"""The present is written every second at least. After this long without a word, ask Redis whether it is there."""

_ANSWER_S = 1.0
_RETRY_S = 0.5
_CHECK_S = 0.25
_GONE_S = 1.5
"""A Redis that is back within this long was never gone for a viewer."""


class Gap(Exception):
    """A change is missing: what is held no longer follows from what was heard."""


class Viewer(Protocol):
    """Somebody who looks."""

    def check(self, now: float) -> None:
        """Four times a second: cut whoever takes nothing any more. `now` is monotonic, in seconds."""


class Mirror:
    """The present, in memory. `run` keeps it so; everything else only looks."""

    def __init__(self, settings: Settings) -> None:
        self.held = Held()
        self.broker_gone = False
        """Set by whoever talks to the broker; only names the reason of staleness."""
        self.viewers: set[Viewer] = set()
        self._settings = settings
        self._labels = settings.labels.model_dump()
        self._feeds: WeakValueDictionary[Scope, Shared] = WeakValueDictionary()
        self._changed = asyncio.Event()
        self._seq: int | None = None
        self._heard_at: float | None = None
        """When the present was last said, on the monotonic clock; what Redis said about its age counts at a start."""
        self._moved_at = time.monotonic()
        """When the real clock of the numbers last moved."""
        self._lost_at: float | None = time.monotonic() - _GONE_S
        self._told = False
        """Whether the log has this outage of Redis: once, not at every try."""
        self._clock: tuple[str | None, dict[str, str | None]] = (None, {})
        self._stale: str | None = "redis"

    @property
    def stale(self) -> str | None:
        """Why the numbers do not pass for the present, or None."""
        return self._stale

    @property
    def ready(self) -> bool:
        """Whether anything was ever read."""
        return self._heard_at is not None

    def now(self) -> Now:
        """The moment, and the trust, that a frame made now speaks of."""
        return Now(time.time_ns() // 1_000_000, self._stale)

    def feed(self, scope: Scope) -> Shared:
        """The frames of a scope, shared by all who look through it; it lives as long as one of them keeps it."""
        feed = self._feeds.get(scope)
        if feed is None:
            feed = Shared(Feed(scope, self._settings.tenant(scope.tenant).zone, self._labels))
            self._feeds[scope] = feed
        return feed

    def wake(self) -> None:
        """Let all who wait in `until` look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, true: Callable[[], bool], within_s: float) -> None:
        """Return once `true`, looked at whenever something changed; at the latest after `within_s`."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not true():
            left = deadline - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def run(self) -> None:
        """Follow Redis until cancelled. An outage of Redis is waited out here, and seen in `stale`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._judge())

    async def _follow(self) -> None:
        while True:
            client = self._client()
            try:
                await self._listen(client)
            except Gap as gap:
                log.info("live_gap", **gap.args[0])
            except (RedisError, OSError, TimeoutError) as error:
                go_on()
                self._lost_at = self._lost_at or time.monotonic()
                if not self._told:
                    self._told = True
                    log.warning("live_redis_lost", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)
            except (MsgspecError, LookupError, TypeError, ValueError) as error:
                log.error("live_unreadable", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)
            finally:
                await _quietly(client.aclose())

    def _client(self) -> redis.asyncio.Redis:
        url = self._settings.redis.url.get_secret_value()
        return redis.asyncio.Redis.from_url(url, socket_connect_timeout=_ANSWER_S, socket_timeout=_SILENT_S * 2)

    async def _listen(self, client: redis.asyncio.Redis) -> None:
        async with client.pubsub() as changes:
            await changes.subscribe("tw:changes")
            while True:
                await self._read(client)
                while self._seq is not None:
                    await self._hear(client, changes)
                await asyncio.sleep(_RETRY_S)

    async def _read(self, client: redis.asyncio.Redis) -> None:
        """Read the whole present, as one moment of it."""
        async with client.pipeline(transaction=True) as ask:
            for name in ("tw:keys", "tw:series", "tw:lists"):
                ask.hgetall(name)
            ask.get("tw:meta")
            async with asyncio.timeout(_SILENT_S * 2):
                keys, series, lists, meta = await ask.execute()
        self._found()
        if meta is None:
            self._seq = None
            return
        said = decode_meta(meta)
        self.held.load(
            keys.values(),
            {_key_id(field): decode_object(value) for field, value in series.items()},
            {field.decode(): decode_object(value) for field, value in lists.items()},
            said,
        )
        self._took(said, _age_s(said.written_at))

    async def _hear(self, client: redis.asyncio.Redis, changes: Any) -> None:
        """Take one change in, or find out that Redis is still there. Raises: Gap."""
        message = await changes.get_message(ignore_subscribe_messages=True, timeout=_SILENT_S)
        if message is None:
            async with asyncio.timeout(_ANSWER_S):
                await cast(Awaitable[Any], client.ping())
            self._found()
        elif message["type"] == "message":
            self._apply(message["data"])

    def _apply(self, data: bytes) -> None:
        change, held = decode_change(data), self._seq or 0
        if change.seq <= held and not self._restarted(change.meta):
            return
        if change.seq != held + 1:
            raise Gap({"held": held, "heard": change.seq})
        self.held.apply(change)
        self._took(self.held.meta, 0.0)

    def _restarted(self, meta: Meta | None) -> bool:
        """Whether a change with a known number was written after all we know: a new writer, counting from the start."""
        return bool(meta and (meta.written_at or "") > (self.held.meta.written_at or ""))

    def _took(self, meta: Meta, age_s: float) -> None:
        now = time.monotonic()
        if (meta.real, meta.clocks) != self._clock:
            self._clock, self._moved_at = (meta.real, meta.clocks), now
        self._seq, self._heard_at = meta.seq, now - age_s
        self._say()

    def _found(self) -> None:
        self._lost_at, self._told = None, False

    async def _judge(self) -> None:
        while True:
            self._say(only_if_judged_otherwise=True)
            for viewer in tuple(self.viewers):
                viewer.check(time.monotonic())
            for feed in tuple(self._feeds.values()):
                feed.forget(self.now())
            await asyncio.sleep(_CHECK_S)

    def _say(self, only_if_judged_otherwise: bool = False) -> None:
        stale = self._why(time.monotonic())
        if only_if_judged_otherwise and stale == self._stale:
            return
        self._stale = stale
        self.wake()

    def _why(self, now: float) -> str | None:
        if self._lost_at is not None and now - self._lost_at >= _GONE_S:
            return "redis"
        heard = self._heard_at is not None and now - self._heard_at <= _AGED_S
        late = (self.held.meta.ingest_lag_ms or 0) > _LAG_MS
        whole = self.held.meta.real is not None  # else partitions are still being restored
        if heard and whole and now - self._moved_at <= _AGED_S and not late:
            return None
        return "broker" if self.broker_gone else "stream"


def _key_id(field: bytes) -> tuple[str, str, str]:
    tenant, queue, channel = json.loads(field)
    return (tenant, queue, channel)


def _age_s(written_at: str | None) -> float:
    if written_at is None:
        return _AGED_S * 2
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(written_at)).total_seconds())


async def _quietly(closing: Awaitable[Any]) -> None:
    try:
        await closing
    except (RedisError, OSError):
        log.debug("live_redis_close_failed")
