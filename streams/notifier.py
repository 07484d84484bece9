"""The notifier's role: reads what the partitions say, shows it, judges it at ticks, and tells people.

Two presents are kept. `show` adds up whatever has come, so the board is as fresh as can be; `watch` applies only what
all partitions have said up to a tick, so a rule sees the numbers of each tick, live, in a replay and after a restart
alike. The models of what is usual (`streams.insight`) learn from the second, and speak in both.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import redis.asyncio as redis
import structlog
from aiokafka import AIOKafkaProducer
from redis.exceptions import RedisError

from alerts.notices import Maintenance
from alerts.notifier import Desk, at_work, check, set_up
from alerts.outbox import Store
from alerts.pace import Shared as Pace
from alerts.readings import EVERYWHERE, Readings, TenantReading
from alerts.reload import Changed, SettingsFile
from alerts.state import Alert
from config.calendar_events import Planned, file_of
from config.settings import Settings, load
from gateway.questions import Questions
from sinks.redis import FORGET_S, Show
from streams import unread
from streams.align import Aligner, Cut
from streams.ending import go_on, shut_out
from streams.events import REAL, Reading
from streams.insight import Insight
from streams.leading import Home, Lost, home_of, shelf_of
from streams.lines import Lines
from streams.mistakes import OURS, left_out
from streams.pace import spare_collector
from streams.parity import Parity
from streams.planned import Plan
from streams.policy import Policies
from streams.present import LeafKey, Present, View
from streams.reader import readings
from streams.saying import Saying
from streams.shelf import Shelf
from streams.standby import Standby

log = structlog.get_logger()

ORDERS, REPLY = "tw:orders", "tw:reply:"
REPLY_TTL_S = 30
CAUGHT_UP_MS = 3_000
FOLLOW_S = 1.0
SEGMENTS = 50
"""Segments applied between two breaths: a single tick may end weeks of them."""
KEYS = 4
"""Keys reckoned between two breaths: there may be thousands, and whoever leads must be heard of meanwhile."""

Explain = Callable[[View, dict[str, Any], int], dict[str, Any]]
"""(view, a key's object, now) → the same, with what stands behind its numbers."""
InsightOf = Callable[[Present, Present], Insight]
"""(aligned present, board's present) → the models at work on them."""


class Judged:
    """The aligned present, and the key objects a tick is judged on; those that time does not change are kept."""

    def __init__(self, present: Present) -> None:
        self.present = present
        self.explain: Explain = lambda _, obj, __: obj
        self.current = False
        """Whether the topic was once read to its end: before, a tick's age says how long we were away, not how far the
        stream is behind."""
        self.faults_of: Callable[[str], int | None] = lambda _: None
        """Tenant → rows of its history that differ from the board."""
        self._keys: dict[str, dict[LeafKey, dict[str, Any]]] = {}
        self._as_of: dict[str, int] = {}

    def anew(self, clock: str) -> None:
        """Reckon every key again at the next tick: at this one some may not have been."""
        for view in self._on(clock):
            view.dirty |= set(view.keys)

    async def prepare(self, clock: str, tick: int) -> None:
        """Reckon what `readings` will want, with a breath now and then; nothing may be applied to this clock until it
        was asked for.
        """
        for view in self._on(clock):
            for number, key in enumerate(self._due(view, tick), 1):
                self._keys[view.name][key] = self.explain(view, view.key(key, tick), tick)
                if number % KEYS == 0:
                    await asyncio.sleep(0)
            self._as_of[view.name] = tick

    def readings(self, clock: str, tick: int) -> Readings:
        """All numbers of the tenants of a clock as of a tick."""
        views = self._on(clock)
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
        faults = self.faults_of(view.name)
        return TenantReading(no_data_ms=silent, late_total=sum(view.late.values()), parity_faults=faults)

    def _on(self, clock: str) -> list[View]:
        return [view for view in self.present.views.values() if (view.name if view.replaying else REAL) == clock]

    def _of(self, view: View, tick: int) -> list[dict[str, Any]]:
        for key in self._due(view, tick):
            self._keys[view.name][key] = self.explain(view, view.key(key, tick), tick)
        return list(self._keys[view.name].values())

    def _due(self, view: View, tick: int) -> set[LeafKey]:
        """The keys to reckon anew: once it is asked, they count as done."""
        self._keys.setdefault(view.name, {})
        due = view.dirty | (set() if self._as_of.get(view.name) == tick else view.active(tick))
        view.dirty.clear()
        view.changed_panes.clear()
        return due


class Reader:
    """Readings in; the two presents, and the judging at ticks."""

    def __init__(self, partitions: int, policy_of: Policies) -> None:
        self.shown = Present(partitions, policy_of)
        self.still = asyncio.Lock()
        """Held while `shown` is read bit by bit: nothing is applied to it meanwhile."""
        self.restored = asyncio.Event()
        self._judged = Judged(Present(partitions, policy_of))
        self.parity = Parity(self.shown)
        self._judged.faults_of = self.parity.verdict.faults
        self._aligner = Aligner(partitions)
        self._standby = Standby()
        self._leading: tuple[Desk, Insight] | None = None
        self._forgot_at = 0.0

    def lead(self, desk: Desk, insight_of: InsightOf) -> None:
        """From here on ticks are judged, those first that a stand-by has kept."""
        insight = insight_of(self._judged.present, self.shown)
        self._leading, self._judged.explain = (desk, insight), insight.explain
        insight.arrivals_of = desk.watch.asks_for_arrivals
        desk.watch.chart_of = self._chart
        self.shown.thresholds_of = self._judged.present.thresholds_of = desk.watch.thresholds

    def judged_elsewhere(self, ticks: Mapping[str, int]) -> None:
        """Whoever leads has judged these ticks (clock → tick): what lies well before them need not be kept."""
        for cut in self._standby.judged(ticks):
            for partition, segment in cut.segments:
                self._judged.present.take(partition, segment)

    def _chart(self, alert: Alert) -> dict[str, Any] | None:
        """The last hours where an alert is."""
        view, key = self._judged.present.views.get(alert.slot.tenant), (alert.slot.queue, alert.slot.channel)
        as_of = self._judged.present.as_of(alert.slot.tenant)
        return None if view is None or as_of is None or key not in view.keys else view.series(key, as_of)

    async def run(self, bootstrap: str, partitions: int) -> None:
        """Read for ever."""
        async with asyncio.TaskGroup() as tasks:
            lines = Lines(self._apply, tasks)
            async for block in readings(bootstrap, partitions):
                for reading in block.readings():
                    await self._take(reading, lines)
                    await asyncio.sleep(0)
                self._judged.current |= block.last and self._leading is not None
                if block.empty or self._caught_up():
                    self.restored.set()
                self._forget()

    async def _take(self, reading: Reading, lines: Lines) -> None:
        async with self.still:
            self._take_in(reading)
        for cut in self._standby.standing() if self._leading is None else self._standby.rest():
            await lines.put(cut)

    def _take_in(self, reading: Reading) -> None:
        for segment in reading.segments:
            self.shown.take(reading.partition, segment)
        for cut in self._aligner.feed(reading):
            self._standby.hold(cut)

    async def _apply(self, cut: Cut) -> None:
        for number, (partition, segment) in enumerate(cut.segments, 1):
            self._judged.present.take(partition, segment)
            if number % SEGMENTS == 0:
                await asyncio.sleep(0)
        if self._leading is not None:
            await self._hear(cut, self._leading[1])
        if cut.tick is not None and self._leading is not None:
            await self._judge(cut.clock, cut.tick, *self._leading)

    async def _hear(self, cut: Cut, insight: Insight) -> None:
        """Count the words and the work of it. A mistake of ours costs the rest of these, and no tick its judging."""
        try:
            await insight.hear(cut)
        except OURS as error:
            left_out("cut_not_heard", error)

    async def _judge(self, clock: str, tick: int, desk: Desk, insight: Insight) -> None:
        """Learn from a tick, and judge it. One that a mistake of ours breaks is left out, and told of as silence is."""
        try:
            await insight.ticked(clock, tick)
            if desk.watch.known(clock, tick):  # an heir that has just begun reads what was judged long ago
                return
            await self._judged.prepare(clock, tick)
            found = self._judged.readings(clock, tick)
        except OURS as error:
            left_out("tick_not_judged", error)
            self._judged.anew(clock)
            return
        desk.watch.judge(clock, tick, found)

    def _caught_up(self) -> bool:
        real = self.shown.as_of(None)
        return real is not None and time.time() * 1000 - real < CAUGHT_UP_MS

    def _forget(self) -> None:
        now = time.monotonic()
        if now - self._forgot_at < FORGET_S:
            return
        self._forgot_at = now
        for view, as_of in _clocked(self._judged.present):
            view.forget(as_of if self._leading is None else min(as_of, self._leading[1].learned(view.name)))
        if self._leading is not None:  # whoever shows the other present makes it forget
            return
        for view, as_of in _clocked(self.shown):
            view.forget(as_of)
        for present in (self.shown, self._judged.present):
            for view in present.views.values():
                view.unseen()


def _clocked(present: Present) -> Iterator[tuple[View, int]]:
    """The views whose clock is known, and it."""
    for view in present.views.values():
        as_of = present.as_of(view.name)
        if as_of is not None:
            yield view, as_of


async def _obey(url: str, desk: Desk, store: Store) -> None:
    """Carry out what viewers ask for, and answer each."""
    line = redis.Redis.from_url(url, socket_timeout=10)
    while True:
        try:
            item = await line.blpop([ORDERS], timeout=2)
            if item is not None:
                await _answer(line, desk, store, item[1])
        except (RedisError, OSError):
            go_on()
            await asyncio.sleep(1)


async def _answer(line: Any, desk: Desk, store: Store, raw: bytes | str) -> None:
    try:
        asked = msgspec.json.decode(raw, type=dict[str, Any])
        order: Mapping[str, Any] = asked["order"]
        name = REPLY + str(asked["id"])
    except (msgspec.DecodeError, KeyError):
        log.warning("order_not_readable")
        return
    answer = desk.watch.command(order)
    await store.safe()
    pipe = line.pipeline(transaction=True)
    pipe.rpush(name, msgspec.json.encode(answer))
    pipe.expire(name, REPLY_TTL_S)
    await pipe.execute()


async def run(settings: Settings) -> None:
    """The notifier's role, until SIGTERM. SIGHUP reads the rules again.

    Raises:
        SettingsError, RulesError, StoreError: it cannot start.
    """
    check(settings)  # first: a broker may be long in coming, and a mistake in a file is there at once
    spare_collector()
    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(shut_out)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    source = SettingsFile(settings, check, load)
    while not stop.is_set():
        try:
            await _life(source, stop, again)
        except* Lost as lost:
            log.warning("notifier_leads_no_more", reason=str(_first(lost)))
        except* Changed:
            log.info("settings_reloaded", channels=len(source.now.channels), routes=len(source.now.routes))


def _first(error: BaseException) -> BaseException:
    """What was raised, without the groups around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _life(source: SettingsFile, stop: asyncio.Event, again: asyncio.Event) -> None:
    """Stand by, then lead, until told to stop, until another leads, or until the settings change."""
    settings = source.now
    home = home_of(settings)
    policy_of = Policies(settings)
    reader = Reader(settings.kafka.partitions, policy_of)
    try:
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(stop.wait(), name="stop")
            reading = tasks.create_task(reader.run(settings.kafka.bootstrap, settings.kafka.partitions), name="read")
            following = tasks.create_task(_follow(home, reader), name="follow")
            looking = tasks.create_task(_look(source), name="look at the settings")
            leading = tasks.create_task(home.lead(), name="lead")
            await asyncio.wait({ending, leading}, return_when=asyncio.FIRST_COMPLETED)
            following.cancel()
            if not ending.done():
                work = tasks.create_task(_lead(source, home, leading.result(), reader, policy_of, again), name="work")
                await asyncio.wait({ending, work}, return_when=asyncio.FIRST_COMPLETED)
                work.cancel()
            for task in (reading, leading, looking):
                task.cancel()
    finally:
        await home.close()


async def _follow(home: Home, reader: Reader) -> None:
    while True:
        await asyncio.sleep(FOLLOW_S)
        reader.judged_elsewhere(home.judged())


async def _look(source: SettingsFile) -> None:
    """Look at the settings' file for ever.

    Raises:
        Changed: they are other ones now.
    """
    while True:
        await asyncio.sleep(FOLLOW_S)
        source.look()


async def _lead(
    source: SettingsFile, home: Home, store: Store, reader: Reader, policy_of: Policies, again: asyncio.Event
) -> None:
    """Judge, tell, show and obey, for ever."""
    settings = source.now
    url = settings.redis.url.get_secret_value()
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, acks="all")
    pace = Pace(url)
    with shelf_of(settings, store) as shelf:
        desk = set_up(settings, store, producer, pace=pace)
        plan, saying = Plan(file_of(settings), policy_of), Saying(shelf, producer)
        labels, parity = settings.labels.model_dump(mode="json"), reader.parity
        lists = _lists(desk, plan, reader.shown, home)
        show = Show(url, reader.shown, lists, labels, parity.verdict.told, reader.still)
        questions = Questions(settings)
        try:
            await producer.start()
            reader.lead(desk, _insight_of(shelf, saying, policy_of, plan))
            async with at_work(desk), asyncio.TaskGroup() as tasks:
                tasks.create_task(home.until_lost(), name="keep the lead")
                tasks.create_task(saying.run(), name="say")
                tasks.create_task(_shown(show, reader), name="show")
                tasks.create_task(_compared(parity, questions, reader), name="compare")
                tasks.create_task(_obey(url, desk, store), name="obey")
                tasks.create_task(_reread(desk, again), name="reread")
                tasks.create_task(_planned(plan, desk, source), name="events")
                if settings.data is None:
                    look = partial(unread.look, settings.kafka.bootstrap)
                    tasks.create_task(unread.watch(look, desk.watch.unread), name="look at groups")
                log.info("notifier_ready")
        finally:
            await show.close()
            await questions.close()
            await pace.close()
            await producer.stop()


async def _reread(desk: Desk, again: asyncio.Event) -> None:
    """Read the rules again when told to."""
    while True:
        await again.wait()
        again.clear()
        if desk.rules is not None:
            desk.rules.look(again=True)


async def _planned(plan: Plan, desk: Desk, source: SettingsFile) -> None:
    """Have the planned events known to the rules that are quiet in them, and told where the settings' file is wrong."""
    while True:
        desk.watch.refuse(source.mistake, "settings")
        desk.watch.plan_events([quiet_in(event) for event in plan.events()])
        await asyncio.sleep(FOLLOW_S)


def quiet_in(event: Planned) -> Maintenance:
    """The time of a planned event, for the alerts that it would explain."""
    match = {"tenant": event.tenant, **event.match}
    return Maintenance(match, event.name, f"event: {event.name}", event.since, event.until)


async def _compared(parity: Parity, questions: Questions, reader: Reader) -> None:
    await reader.restored.wait()
    await parity.run(questions)


async def _shown(show: Show, reader: Reader) -> None:
    await reader.restored.wait()
    gc.freeze()  # what stands has no cycles
    await show.run()


def _insight_of(shelf: Shelf, saying: Saying, policy_of: Policies, plan: Plan) -> InsightOf:
    def of(judged: Present, shown: Present) -> Insight:
        return Insight(judged, shown, shelf, saying, policy_of, plan.days)

    return of


def _lists(desk: Desk, plan: Plan, shown: Present, home: Home) -> Any:
    def of(tenant: str) -> dict[str, Any]:
        if not home.ours():  # one that was only asleep must not write what was
            raise ConnectionError("the lease is not ours now")
        watch = desk.watch
        events = [] if tenant == EVERYWHERE else plan.listed(tenant, shown.as_of(tenant))
        return {"alerts": watch.open_alerts(tenant), "silences": watch.silences(tenant), "events": events}

    return of
