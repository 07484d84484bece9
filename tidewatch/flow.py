"""Whether numbers flow through the whole stack: door → broker → worker → notifier → Redis, and → sink."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

FRESH = timedelta(seconds=5)
"""How old the present may be; it is written each second."""


def behind(meta: Mapping[str, Any] | None, now: datetime) -> str:
    """Why the present (`tw:meta`) is not complete; empty: it is."""
    if meta is None:
        return "notifier (has shown nothing yet)"
    if now - datetime.fromisoformat(meta["written_at"]) > FRESH:
        return "notifier (shows nothing new)"
    if meta["partitions"]["behind"] or meta["real"] is None:
        return f"worker (partitions behind: {meta['partitions']['behind']})"
    if now - datetime.fromisoformat(meta["real"]) > FRESH:
        return "worker (its clock stands)"
    return ""


async def present(redis_url: str) -> dict[str, Any] | None:
    """`tw:meta`; None where there is none, or no Redis."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    async with Redis.from_url(redis_url, socket_connect_timeout=1, socket_timeout=1) as redis:
        try:
            said = await redis.get("tw:meta")
        except (RedisError, OSError):
            return None
    return dict(json.loads(said)) if said else None


def inserted(directory: Path) -> dict[int, int]:
    """Partition → the position up to which the sink has inserted everything."""
    address = f"file:{quote(str(directory / 'sink.db'))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as db:
            return {int(partition): int(pos) for partition, pos in db.execute("SELECT partition, pos FROM inserted")}
    except sqlite3.Error:
        return {}


def all_moved(before: Mapping[int, int], after: Mapping[int, int], partitions: int) -> bool:
    """Whether every partition got further."""
    return all(after.get(partition, -1) > before.get(partition, -1) for partition in range(partitions))


def now() -> datetime:
    """The real time."""
    return datetime.now(UTC)
