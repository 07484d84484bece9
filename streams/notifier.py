"""The notifier's role: reads what the partitions say, shows it, judges it at ticks, and tells people.

Two presents are kept. `show` adds up whatever has come, so the board is as fresh as can be; `watch` applies only what
all partitions have said up to a tick, so a rule sees the numbers of each tick, live, in a replay and after a restart
alike. The models of what is usual (`streams.insight`) learn from the second, and speak in both.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import redis.asyncio as redis
import structlog
from aiokafka import AIOKafkaProducer
from redis.exceptions import RedisError

from alerts.notifier import Desk, at_work, set_up, store_in
from alerts.readings import EVERYWHERE, Readings, TenantReading
from config.calendar_events import file_of
from config.settings import Settings
from sinks.redis import Show
from streams.align import Aligner, Cut
from streams.events import REAL, Reading
from streams.insight import Insight
from streams.lines import Lines
from streams.planned import Plan
from streams.policy import Policies
from streams.present import LeafKey, Present, View
from streams.reader import readings
from streams.saying import Saying
from streams.shelf import FILE, File, Shelf

log = structlog.get_logger()

ORDERS, REPLY = "tw:orders", "tw:reply:"
REPLY_TTL_S = 30
CAUGHT_UP_MS = 3_000
SEGMENTS = 50
"""Segments applied between two breaths: a single tick may end weeks of them."""

InsightOf = Callable[[Present, Present], Insight]
"""(aligned present, board's present) → the models at work on them."""


class Judged:
    """The aligned present, and the key objects a tick is judged on; those that time does not change are kept."""

    def __init__(self, present: Present) -> None:
        self.present = present
        self.current = False
        """Whether the topic was once read to its end: before, a tick's age says how long we were away, not how far the
        stream is behind."""
        self._keys: dict[str, dict[LeafKey, dict[str, Any]]] = {}
        self._as_of: dict[str, int] = {}

    def readings(self, clock: str, tick: int) -> Readings:
        """All numbers of the tenants of a clock as of a tick."""
        views = [view for view in self.present.views.values() if (view.name if view.replaying else REAL) == clock]
        tenants = {view.name: self._tenant(view, clock, tick) for view in views}
        if clock == REAL:
            tenants[EVERYWHERE] = TenantReading(
                ingest_lag_ms=max(0, int(time.time() * 1000) - tick) if self.current else None,
                dead_letters=sum(self.present.dead_letters.values()),
            )
        keys = [key for view in views for key in self._of(view, tick)]
        agents = [row for view in views for row in view.agent_rows()]
        return Readings(keys, tenants, agents)

    def _tenant(self, view: View, clock: str, tick: int) -> TenantReading:
        silent = tick - view.heard_at if clock == REAL and view.heard_at is not None else None
        return TenantReading(no_data_ms=silent, late_total=sum(view.late.values()))

    def _of(self, view: View, tick: int) -> list[dict[str, Any]]:
        known = self._keys.setdefault(view.name, {})
        for key in view.dirty | view.active(tick):
            known[key] = view.key(key, tick)
        view.dirty.clear()
        view.changed_panes.clear()
        return list(known.values())


class Reader:
    """Readings in; the two presents, and the judging at ticks."""

    def __init__(self, partitions: int, policy_of: Policies, desk: Desk, insight_of: InsightOf) -> None:
        self.shown = Present(partitions, policy_of)
        self.restored = asyncio.Event()
        self._judged = Judged(Present(partitions, policy_of))
        self._insight = insight_of(self._judged.present, self.shown)
        self._aligner = Aligner(partitions)
        self._desk = desk
        self._forgot_at = 0.0

    async def run(self, bootstrap: str, partitions: int) -> None:
        """Read for ever."""
        async with asyncio.TaskGroup() as tasks:
            lines = Lines(self._apply, tasks)
            async for block in readings(bootstrap, partitions):
                for reading in block.readings:
                    await self._take(reading, lines)
                    await asyncio.sleep(0)
                self._judged.current |= block.last
                if not block.readings or self._caught_up():
                    self.restored.set()
                self._forget()

    async def _take(self, reading: Reading, lines: Lines) -> None:
        for segment in reading.segments:
            self.shown.take(reading.partition, segment)
        for cut in self._aligner.feed(reading):
            await lines.put(cut)

    async def _apply(self, cut: Cut) -> None:
        for number, (partition, segment) in enumerate(cut.segments, 1):
            self._judged.present.take(partition, segment)
            if number % SEGMENTS == 0:
                await asyncio.sleep(0)
        if cut.tick is not None:
            await self._insight.ticked(cut.clock, cut.tick)
            self._desk.watch.judge(cut.clock, cut.tick, self._judged.readings(cut.clock, cut.tick))

    def _caught_up(self) -> bool:
        real = self.shown.as_of(None)
        return real is not None and time.time() * 1000 - real < CAUGHT_UP_MS

    def _forget(self) -> None:
        now = time.monotonic()
        if now - self._forgot_at > 60:
            self._forgot_at = now
            for view in self._judged.present.views.values():
                as_of = self._judged.present.as_of(view.name)
                if as_of is not None:
                    view.forget(min(as_of, self._insight.learned(view.name)))


async def _obey(url: str, desk: Desk) -> None:
    """Carry out what viewers ask for, and answer each."""
    line = redis.Redis.from_url(url, socket_timeout=10)
    while True:
        try:
            item = await line.blpop([ORDERS], timeout=2)
            if item is not None:
                await _answer(line, desk, item[1])
        except (RedisError, OSError):
            await asyncio.sleep(1)


async def _answer(line: Any, desk: Desk, raw: bytes | str) -> None:
    try:
        asked = msgspec.json.decode(raw, type=dict[str, Any])
        order: Mapping[str, Any] = asked["order"]
        name = REPLY + str(asked["id"])
    except (msgspec.DecodeError, KeyError):
        log.warning("order_not_readable")
        return
    answer = desk.watch.command(order)
    pipe = line.pipeline(transaction=True)
    pipe.rpush(name, msgspec.json.encode(answer))
    pipe.expire(name, REPLY_TTL_S)
    await pipe.execute()


async def run(settings: Settings) -> None:
    """The notifier's role, until SIGTERM.

    Raises:
        SettingsError, RulesError, StoreError: it cannot start.
    """
    if settings.data is None:
        raise RuntimeError("notifier: no data directory; start it through `tidewatch up`")
    partitions = settings.kafka.partitions
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, acks="all")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    with store_in(settings.data) as store, File(settings.data / FILE) as shelf:
        desk = set_up(settings, store, producer)
        await producer.start()
        policy_of = Policies(settings)
        plan, saying = Plan(file_of(settings), policy_of), Saying(shelf, producer)
        reader = Reader(partitions, policy_of, desk, _insight_of(shelf, saying, policy_of, plan))
        url = settings.redis.url.get_secret_value()
        labels = settings.labels.model_dump(mode="json")
        show = Show(url, reader.shown, _lists(desk, plan, reader.shown), labels)
        try:
            async with at_work(desk):
                tasks = [
                    asyncio.create_task(reader.run(settings.kafka.bootstrap, partitions), name="read"),
                    asyncio.create_task(saying.run(), name="say"),
                    asyncio.create_task(_shown(show, reader), name="show"),
                    asyncio.create_task(_obey(url, desk), name="obey"),
                    asyncio.create_task(stop.wait(), name="stop"),
                ]
                log.info("notifier_ready")
                done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                for task in done:
                    task.result()
        finally:
            await show.close()
            await producer.stop()


async def _shown(show: Show, reader: Reader) -> None:
    await reader.restored.wait()
    await show.run()


def _insight_of(shelf: Shelf, saying: Saying, policy_of: Policies, plan: Plan) -> InsightOf:
    def of(judged: Present, shown: Present) -> Insight:
        return Insight(judged, shown, shelf, saying, policy_of, plan.days)

    return of


def _lists(desk: Desk, plan: Plan, shown: Present) -> Any:
    def of(tenant: str) -> dict[str, Any]:
        watch = desk.watch
        events = [] if tenant == EVERYWHERE else plan.listed(tenant, shown.as_of(tenant))
        return {"alerts": watch.open_alerts(tenant), "silences": watch.silences(tenant), "events": events}

    return of
