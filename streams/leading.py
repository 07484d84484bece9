"""Who tells, when several notifiers run side by side: one leads, the others stand by, warm, and take over.

On a directory the one that holds the file's lock leads. Elsewhere a lease in Redis says who tries, and Kafka who does:
the leader's memory is a compacted changelog of one partition, written in transactions under one transactional id, so
whoever begins to lead shuts out the one before, even one that was only asleep. A stand-by reads the changelog along,
and so knows which ticks were judged: what the stream says beyond them it keeps, to judge it when its turn comes.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import redis as sync_redis
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from alerts.notifier import FILE, store_in
from alerts.outbox import Store, StoreError, Unwritable
from config.settings import Settings
from streams.changelog import Changelog, Lost
from streams.ending import go_on
from streams.shelf import FILE as USUAL
from streams.shelf import File, Shelf

__all__ = ["Home", "Lost", "home_of", "shelf_of"]

log = structlog.get_logger()

LOOK_S = 0.5
KEEP_S = 30.0
LEASE_MS = 6_000
"""How long after a leader's death its stand-by begins to lead: an alert may come that much later, and no more."""
RENEW_S = 1.5
BEAT_S = 0.5
STALLED_S = 30.0
"""A leader whose loop stood still for so long is as good as dead: its lease is no longer renewed."""
LEADER = "tw:leader"
_RENEW = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"
)
_LEAVE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class Home(Protocol):
    """Where the notifier's memory is, and whose it is now."""

    async def lead(self) -> Store:
        """Return with the memory once this one leads."""

    def judged(self) -> Mapping[str, int]:
        """Clock → the last tick that whoever leads has judged, as far as is known here."""

    def ours(self) -> bool:
        """Whether nobody else can lead now."""

    async def until_lost(self) -> None:
        """Keep the lead.

        Raises:
            Lost: another has it.
        """

    async def close(self) -> None:
        """Let go of it, so that another may lead at once."""


def home_of(settings: Settings) -> Home:
    """A directory, where there is one; else Kafka and Redis."""
    if settings.data is not None:
        return Directory(settings.data)
    return Shared(settings.kafka.bootstrap, settings.kafka.replication, settings.redis.url.get_secret_value())


class Directory:
    """The memory is a file; who holds its lock leads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store: Store | None = None
        self._judged: dict[str, int] = {}

    async def lead(self) -> Store:
        """Return once the lock is ours.

        Raises:
            StoreError: the file cannot be used.
        """
        waiting = False
        while self._store is None:
            try:
                self._store = store_in(self._directory)
            except StoreError as error:
                if "another notifier" not in str(error):
                    raise
                if not waiting:
                    log.info("notifier_stands_by", directory=str(self._directory))
                waiting, self._judged = True, Store.peek(self._directory / FILE)
                await asyncio.sleep(LOOK_S)
        return self._store

    def judged(self) -> Mapping[str, int]:
        """As the file says."""
        return self._judged

    def ours(self) -> bool:
        """Once locked, always."""
        return self._store is not None

    async def until_lost(self) -> None:
        """A lock is not lost while the process lives."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let go of the lock."""
        if self._store is not None:
            self._store.close()


class Shared:
    """The memory is a changelog on Kafka, and a copy of it in a scratch directory; a lease in Redis says who tries."""

    def __init__(self, bootstrap: str, replication: int, redis_url: str) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="tidewatch-notifier-")
        self._store = Store(Path(self._scratch.name) / FILE)
        self._lease = Lease(redis_url)
        self._changelog = Changelog(bootstrap, replication, self._store, self._lease.ours)

    async def lead(self) -> Store:
        """Read along until the lease is ours; then shut out whoever led before, and read to the end."""
        following = asyncio.create_task(self._changelog.follow(), name="follow")
        lease = asyncio.create_task(self._lease.get(), name="lease")
        try:
            await asyncio.wait({following, lease}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            await lease
        finally:
            for task in (following, lease):
                task.cancel()
            await asyncio.gather(following, lease, return_exceptions=True)
        await self._changelog.lead()
        log.info("notifier_leads")
        return self._store

    def judged(self) -> Mapping[str, int]:
        """As the changelog says."""
        return self._store.judged()

    def ours(self) -> bool:
        """As the lease says."""
        return self._lease.ours()

    async def until_lost(self) -> None:
        """Renew the lease and write the changelog.

        Raises:
            Lost: another leads.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.keep(), name="lease")
            tasks.create_task(self._changelog.write(), name="changelog")

    async def close(self) -> None:
        """What was committed is written out, then the lease is given back."""
        await self._changelog.close()
        await self._lease.leave()
        self._store.close()
        self._scratch.cleanup()


class OnStore:
    """The models' shelf in the notifier's own memory, where there is no directory for one. Any thread may keep."""

    def __init__(self, store: Store) -> None:
        self._store, self._loop, self._thread = store, asyncio.get_running_loop(), threading.get_ident()

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Write these, all or none; where that cannot be done a line says so, as a shelf of its own would."""
        if threading.get_ident() == self._thread:
            self._keep(rows)
        else:
            asyncio.run_coroutine_threadsafe(self._kept_soon(rows), self._loop).result(KEEP_S)

    async def _kept_soon(self, rows: Mapping[str, bytes | None]) -> None:
        self._keep(rows)

    def _keep(self, rows: Mapping[str, bytes | None]) -> None:
        try:
            self._store.keep(rows)
        except Unwritable as error:
            log.error("usual_not_kept", reason=str(error), mend="free space on the disk for temporary files")

    def kept(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """What stands under names that begin so."""
        return self._store.kept(prefix)


def shelf_of(settings: Settings, store: Store) -> AbstractContextManager[Shelf]:
    """Where the models are kept: a file in the directory, or with everything else."""
    if settings.data is not None:
        return File(settings.data / USUAL)
    return nullcontext(OnStore(store))


class Lease:
    """A key in Redis that ends by itself. Where Redis is away nobody gets it, and who has it keeps trying.

    A thread renews it: a storm of alerts may keep the loop busy for longer than the lease lasts, and to hand over then
    is to begin the storm anew. One that is paused renews nothing, and neither does one whose loop stands (`STALLED_S`).
    """

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._in_thread: Any = sync_redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._me = uuid.uuid4().hex
        self._until = self._seen_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def ours(self) -> bool:
        """Whether nobody else can have it now."""
        return time.monotonic() < self._until

    async def get(self) -> None:
        """Return once it is ours."""
        waiting = False
        while not await self._take():
            if not waiting:
                log.info("notifier_stands_by")
            waiting = True
            await asyncio.sleep(LOOK_S)

    async def _take(self) -> bool:
        began = time.monotonic()
        try:
            if not await self._redis.set(LEADER, self._me, nx=True, px=LEASE_MS):
                return False
        except (RedisError, OSError):
            go_on()
            return False
        self._until = began + LEASE_MS / 1000
        return True

    async def keep(self) -> None:
        """Renew it for ever.

        Raises:
            Lost: another has it.
        """
        self._seen_at = time.monotonic()
        self._thread = threading.Thread(target=self._renewing, name="lease", daemon=True)
        self._thread.start()
        while self._thread.is_alive():
            await asyncio.sleep(BEAT_S)
            self._seen_at = time.monotonic()
        raise Lost("another notifier has the lease")

    def _renewing(self) -> None:
        """In a thread: until told to stop, or until another has it."""
        while not self._stop.wait(RENEW_S):
            began = time.monotonic()
            if began - self._seen_at > STALLED_S:
                continue
            try:
                if not (self._in_thread.eval(_RENEW, 1, LEADER, self._me, LEASE_MS) or self._again()):
                    self._until = 0.0
                    return
            except (RedisError, OSError):
                continue  # Kafka shuts out whoever leads no more; a cache that is away is no reason to stop
            self._until = began + LEASE_MS / 1000

    def _again(self) -> bool:
        """Take it where nobody has: Redis has lost it, or was away for too long."""
        return not self._stop.is_set() and bool(self._in_thread.set(LEADER, self._me, nx=True, px=LEASE_MS))

    async def leave(self) -> None:
        """Give it back, so that another may lead at once."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._until = 0.0
        self._in_thread.close()
        try:
            await self._redis.eval(_LEAVE, 1, LEADER, self._me)
            await self._redis.aclose()
        except (RedisError, OSError):
            pass
