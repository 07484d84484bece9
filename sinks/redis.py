"""The present in Redis: what every gateway shows. One writer; one transaction a write, so no reader sees half of it.

    tw:keys    hash    [tenant, queue, channel] → the key object of CONTRACT §2, without its series
    tw:series  hash    the same fields → its series
    tw:lists   hash    tenant → {"agents", "alerts", "silences", "events"}; `*`: what concerns the stack as a whole
    tw:meta    string  clocks, partitions, lag, and `seq`, which rises by one with every write
    tw:changes channel what a write changed, with the same `seq`; of agents those that changed, as `changed_agents`

Who finds a gap in `seq` reads all anew. Where Redis has lost what it held, all is written again.

There may be thousands of keys, and the loop is not ours alone: who gathers and packs them pauses every few, so that an
alert, a timer or a socket waits milliseconds. Meanwhile nothing may be applied to the present (`still`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from streams.ending import go_on
from streams.mistakes import OURS, left_out
from streams.present import LeafKey, Present, View

log = structlog.get_logger()

KEYS, SERIES, LISTS, META, CHANGES = "tw:keys", "tw:series", "tw:lists", "tw:meta", "tw:changes"
EVERY_S = 0.27
"""Less than four writes a second: whoever shows them keeps up with each (`gateway.live`)."""
AT_LEAST_S = 1.0
"""A write at least so often, so that a reader can tell that the writer lives."""
FORGET_S = 1.0
"""How often the present lets go of what is over."""
BEHIND_MS = 5_000
TICK_MS = 1_000

EVERYWHERE = "*"
"""As a tenant of `tw:lists`: the stack as a whole."""

Lists = Callable[[str], dict[str, Any]]
"""Tenant (or `EVERYWHERE`) → {"alerts", "silences", "events"}, each entry under one tenant only."""
_json = msgspec.json.encode
BREATH = 4
"""Keys gathered or packed between two breaths: a millisecond. Who posts an alert needs a dozen turns for it."""
ROWS = 50
"""Rows of a hash set by one statement."""
_T = TypeVar("_T")


async def _breathing(items: Collection[_T]) -> AsyncIterator[_T]:
    """Each of them, and now and then a turn for everybody else."""
    for number, item in enumerate(items, 1):
        yield item
        if number % BREATH == 0:
            await asyncio.sleep(0)


@dataclass
class Write:
    """What one write changes. Keys and series are packed at once, field by field."""

    keys: dict[bytes, bytes] = field(default_factory=dict)
    series: dict[bytes, bytes] = field(default_factory=dict)
    """The whole ones."""
    panes: list[msgspec.Raw] = field(default_factory=list)
    """The changed panes of each."""
    lists: dict[str, bytes] = field(default_factory=dict)
    """The whole ones."""
    told: dict[str, msgspec.Raw] = field(default_factory=dict)
    """The same as readers are told: of agents those that changed (`changed_agents`), where it is the same people."""


class Show:
    """Keeps Redis equal to the present. An outage of Redis is waited out; nothing else waits for it."""

    def __init__(
        self,
        url: str,
        present: Present,
        lists: Lists,
        labels: dict[str, Any],
        parity: Callable[[], dict[str, Any] | None] = lambda: None,
        still: asyncio.Lock | None = None,
    ) -> None:
        """`still`: held while the present is read; who applies anything to it waits for it."""
        self._redis = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
        self._present = present
        self._lists = lists
        self._labels = labels
        self._parity = parity
        self._still = still or asyncio.Lock()
        self._seq = 0
        self._whole = True
        self._said: dict[str, bytes] = {}
        self._agents: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        self._people: dict[str, list[dict[str, Any]]] = {}
        """Tenant → its agents as they were told last."""
        self._as_of: dict[str, int] = {}
        self._lag: tuple[int, int] = (-1, 0)
        self._forgot_at = 0.0

    async def run(self) -> None:
        """Write for ever."""
        written_at = 0.0
        while True:
            started = time.monotonic()
            try:
                if self._anything() or self._whole or started - written_at >= AT_LEAST_S:
                    await self._write()
                    written_at = started
            except (RedisError, OSError) as error:
                go_on()
                if not self._whole:
                    log.warning("redis_away", reason=type(error).__name__)
                self._whole = True
                await asyncio.sleep(0.5)
            except OURS as error:  # the board says that it is out of date; alerts go on
                left_out("present_not_shown", error)
                self._whole = True
            await asyncio.sleep(max(0.05, EVERY_S - (time.monotonic() - started)))

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    def _anything(self) -> bool:
        return any(view.dirty or view.agents_changed for view in self._present.views.values()) or self._ticked()

    def _ticked(self) -> bool:
        return any(self._present.as_of(name) != self._as_of.get(name) for name in self._present.views)

    async def _write(self) -> None:
        if not self._whole and not await self._redis.exists(META):
            self._whole = True
        whole, self._whole = self._whole, False
        if whole:
            known = await self._redis.get(META)
            self._seq = max(self._seq, msgspec.json.decode(known)["seq"] if known else 0) + 1
            self._said.clear()
            self._people.clear()
        async with self._still:
            write = await self._gather(whole)
        self._seq += 1
        meta = self._meta()
        pipe = self._redis.pipeline(transaction=True)
        if whole:
            pipe.delete(KEYS, SERIES, LISTS)
        for name, rows in ((KEYS, write.keys), (SERIES, write.series)):
            async for part in _breathing(_parts(rows)):
                pipe.hset(name, items=part)
        for tenant, lists in write.lists.items():
            pipe.hset(LISTS, tenant, lists)
        pipe.set(META, _json(meta))
        pipe.publish(CHANGES, _json(self._change(write, meta)))
        try:
            await pipe.execute()
        except BaseException:
            self._whole = True
            raise

    def _change(self, write: Write, meta: dict[str, Any]) -> dict[str, Any]:
        keys = [msgspec.Raw(told) for told in write.keys.values()]
        return {
            "seq": self._seq, "keys": keys, "gone": [], "series": write.panes, "lists": write.told, "meta": meta,
        }  # fmt: skip

    async def _gather(self, whole: bool) -> Write:
        write = Write()
        forget = time.monotonic() - self._forgot_at > FORGET_S
        for view in list(self._present.views.values()):
            now = self._present.as_of(view.name)
            if now is None:
                continue
            if forget:
                view.forget(now)
            await self._add_keys(write, view, now, whole)
            await self._add_series(write, view, now, whole)
            self._as_of[view.name] = now
            self._add_lists(write, view.name, view.agent_rows())
            view.agents_changed = False
        self._add_lists(write, EVERYWHERE, [])
        if forget:
            self._forgot_at = time.monotonic()
        return write

    async def _add_keys(self, write: Write, view: View, now: int, whole: bool) -> None:
        due = self._due(view, now, whole)
        view.dirty = set()
        async for key in _breathing(due):
            write.keys[_field(view.name, *key)] = _json(view.key(key, now))

    async def _add_series(self, write: Write, view: View, now: int, whole: bool) -> None:
        changed: dict[LeafKey, set[int]] = {key: set() for key in view.keys} if whole else view.changed_panes
        view.changed_panes = {}
        async for key, panes in _breathing(changed.items()):
            where = {"tenant": view.name, "queue": key[0], "channel": key[1]}
            told = _instants(view.series(key, now))
            write.series[_field(view.name, *key)] = _json(told)
            write.panes.append(_raw({**where, **(told if whole else _instants(view.series(key, now, panes)))}))

    def _due(self, view: View, now: int, whole: bool) -> set[LeafKey]:
        if whole:
            return set(view.keys)
        if self._as_of.get(view.name) == now:
            return view.dirty
        return view.dirty | view.active(now)

    def _add_lists(self, write: Write, tenant: str, agents: list[dict[str, Any]]) -> None:
        people, others = [self._rendered(row) for row in agents], self._lists(tenant)
        said = _json({"agents": people, **others})
        if self._said.get(tenant) == said:
            return
        self._said[tenant] = write.lists[tenant] = said
        before, self._people[tenant] = self._people.get(tenant), people
        if before is None or len(before) != len(people):  # nobody is ever left out again: as many are the same ones
            write.told[tenant] = msgspec.Raw(said)
        else:
            changed = [now for was, now in zip(before, people, strict=True) if was is not now]
            write.told[tenant] = _raw({"changed_agents": changed, **others})

    def _rendered(self, agent: dict[str, Any]) -> dict[str, Any]:
        """An agent as it is told. Most are the very ones of the last write."""
        name = agent["tenant"], agent["agent"]
        of, told = self._agents.get(name, (None, None))
        if told is None or of is not agent:
            told = {**agent, "since": rfc3339(agent["since"])}
            self._agents[name] = agent, told
        return told

    def _meta(self) -> dict[str, Any]:
        present = self._present
        real = present.as_of(None)
        wall = int(time.time() * 1000)
        if real is not None and real != self._lag[0]:
            self._lag = (real, max(0, wall - real))
        lag = None if real is None else max(self._lag[1], wall - real - 2 * TICK_MS)
        ticks = present.ticks[""]
        newest = max(ticks.values(), default=0)
        behind = present.partitions - sum(tick > newest - BEHIND_MS for tick in ticks.values())
        return {
            "seq": self._seq,
            "clocks": {name: rfc3339(present.as_of(name)) for name in present.views},
            "real": rfc3339(real),
            "replaying": [name for name, view in present.views.items() if view.replaying],
            "zones": {name: view.policy.zone.key for name, view in present.views.items()},
            "partitions": {"total": present.partitions, "behind": behind},
            "ingest_lag_ms": lag,
            "written_at": rfc3339(wall),
            "labels": self._labels,
            "parity": self._parity(),
        }


def rfc3339(ms: int | None) -> str | None:
    """An instant as CONTRACT §2 has it."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _raw(told: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(_json(told))


def _parts(rows: dict[bytes, bytes]) -> list[list[bytes]]:
    """Field, value, field, value: a few rows a statement."""
    pairs = list(rows.items())
    return [[one for pair in pairs[at : at + ROWS] for one in pair] for at in range(0, len(pairs), ROWS)]


def _field(tenant: str, queue: str, channel: str) -> bytes:
    return _json([tenant, queue, channel])


def _instants(series: dict[str, Any]) -> dict[str, Any]:
    return {**series, "from": rfc3339(series["from"])}
