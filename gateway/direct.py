"""The doors in front of Kafka itself, in production: what a frame brings is decided and produced with `acks=all`.

Frames are decided one after another, since a tenant's mode may have to be asked for. What was handed to the producer is
tried until it is stored, so that "nothing of it was taken" is only ever said of frames that were not begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

import structlog

from gateway.doors import Doors, Mode, Ruling, fingerprint, rule, settle
from gateway.journal import GATHER_S, MAX_PENDING, Full
from gateway.kafka import Broker, Unavailable
from gateway.packing import Load, load_events, load_tick, pack
from gateway.parse import Frame
from gateway.shared import Shared, Unknown
from streams.events import EVENTS, Tick

log = structlog.get_logger()

MAX_UNDECIDED = 512
"""Frames that wait for their decision; beyond them `retry`."""
LOOK_S = 1.0
"""How often the topic is looked at: with that, a gateway to which nobody speaks knows whether the broker is there."""
_AGAIN_S = 0.2


@dataclass(slots=True)
class _Asked:
    frame: Frame
    replay: bool
    answer: asyncio.Future[Ruling]


@dataclass(slots=True)
class _Loaded:
    load: Load
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class DirectStore:
    """Production's store. One per gateway process."""

    def __init__(self, broker: Broker, shared: Shared, partitions: int) -> None:
        self.pending = 0
        """Bytes that wait for the broker."""
        self.trouble: str | None = "the topic has not been looked at yet"
        self._broker = broker
        self._shared = shared
        self._partitions = partitions
        self._doors = Doors()
        self._asked: asyncio.Queue[_Asked] = asyncio.Queue()
        self._loaded: deque[_Loaded] = deque()
        self._wake = asyncio.Event()
        self._finishing: set[asyncio.Task[None]] = set()

    def why_not(self) -> str | None:
        """Why nothing can be taken now, or None."""
        return self._broker.trouble or self.trouble

    def submit(self, frame: Frame, replay: bool) -> Awaitable[Ruling]:
        """Decide about a frame and produce what it brings.

        Raises (at once or later):
            Full: nothing of it was taken.
        """
        if why := self.why_not():
            raise Full(f"the broker: {why}", 1_000)
        if self.pending > MAX_PENDING or self._asked.qsize() > MAX_UNDECIDED:
            raise Full("the broker is slower than what comes in", 250)
        asked = _Asked(frame, replay, asyncio.get_running_loop().create_future())
        self._asked.put_nowait(asked)
        return asked.answer

    async def tick(self, at: int) -> None:
        """Write a tick of the real clock to every partition, if it is this gateway's job and the broker is there."""
        if self.why_not() is None and await self._shared.ticks():
            await self._load(load_tick(Tick(at), self._partitions)).stored

    async def run(self) -> None:
        """Decide and produce until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                group.create_task(self._decide())
                group.create_task(self._produce())
        finally:
            await self._shared.close()

    async def _look(self) -> None:
        """Keep asking whether the topic is as it should be, and with that whether the broker is there at all."""
        while True:
            self.trouble = await self._looked()
            await asyncio.sleep(LOOK_S)

    async def _looked(self) -> str | None:
        try:
            found = await self._broker.partitions(EVENTS)
        except Unavailable:
            return f"{EVENTS} cannot be looked at"
        if found == self._partitions:
            return None
        trouble = f"{EVENTS} has {found} partitions, not {self._partitions}"
        if found and trouble != self.trouble:
            log.error("wrong_partitions", reason=trouble, mend="set kafka.partitions as when the topics were made")
        return trouble

    # Deciding

    async def _decide(self) -> None:
        while True:
            asked = await self._asked.get()
            try:
                ruling, changed = await self._ruled(asked.frame, asked.replay)
            except Unknown as error:
                if not asked.answer.done():
                    asked.answer.set_exception(Full(f"Redis does not answer ({error})", 1_000))
                continue
            tick = ruling.tick
            loaded = self._load(
                load_tick(tick, self._partitions) if tick else load_events(ruling.events, self._partitions)
            )
            task = asyncio.create_task(self._finish(asked, ruling, changed if tick else {}, loaded))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    async def _ruled(self, frame: Frame, replay: bool) -> tuple[Ruling, dict[str, Mode]]:
        """The ruling, once every tenant new to us is ours; and the modes it changed."""
        tenants = {event.tenant for _, event in frame.events} | ({frame.tick.tenant} if frame.tick else set())
        while True:
            before = await self._refresh(tenants)
            ruling = rule(frame, self._doors, replay)
            changed, self._doors.changed = self._doors.changed, {}
            new = {tenant: Mode(mode.replay) for tenant, mode in changed.items() if tenant not in before}
            if await self._claimed(new):
                break
        if ruling.doubtful:
            known = [(await self._shared.known(event.tenant, [fingerprint(event)]))[0] for _, event in ruling.doubtful]
            settle(ruling, known)
        return ruling, changed

    async def _refresh(self, tenants: Iterable[str]) -> set[str]:
        """Ask for the modes that may have changed elsewhere; those of the tenants that are known to anybody."""
        modes = self._doors.modes
        unsure = [tenant for tenant in tenants if tenant not in modes or modes[tenant].replay]
        for tenant, mode in (await self._shared.modes(unsure) if unsure else {}).items():
            ours = modes.get(tenant)
            ahead = ours is not None and mode.replay and (ours.clock or 0) > (mode.clock or 0)
            if not ahead:  # our own tick may still be on its way
                modes[tenant] = mode
        return {tenant for tenant in tenants if tenant in modes}

    async def _claimed(self, new: dict[str, Mode]) -> bool:
        """Make new tenants known; False: another gateway knew one of them first, so decide again."""
        won = False
        try:
            won = all([await self._shared.claim(tenant, mode) for tenant, mode in new.items()])
        finally:
            for tenant in new if not won else ():
                del self._doors.modes[tenant]
        return won

    async def _finish(self, asked: _Asked, ruling: Ruling, moved: dict[str, Mode], loaded: _Loaded) -> None:
        """Answer once it is stored, and remembered where others look: never before it is stored."""
        await loaded.stored
        marks: dict[str, list[int]] = {}
        for event in ruling.events if asked.replay else ():
            marks.setdefault(event.tenant, []).append(fingerprint(event))
        while True:
            try:
                for tenant, mode in moved.items():
                    await self._shared.put(tenant, mode)
                for tenant, some in marks.items():
                    await self._shared.note(tenant, some)
                break
            except Unknown:
                await asyncio.sleep(_AGAIN_S)
        if not asked.answer.done():
            asked.answer.set_result(ruling)

    # Producing

    def _load(self, load: Load) -> _Loaded:
        loaded = _Loaded(load)
        self._loaded.append(loaded)
        self.pending += load.size
        self._wake.set()
        return loaded

    async def _produce(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            group = [self._loaded.popleft() for _ in range(len(self._loaded))]
            lines: dict[int, list[bytes]] = {}
            for partition, payload in pack((one.load for one in group), self._partitions):
                lines.setdefault(partition, []).append(payload)
            await asyncio.gather(*(self._send(partition, line) for partition, line in lines.items()))
            for one in group:
                self.pending -= one.load.size
                if not one.stored.done():
                    one.stored.set_result(None)

    async def _send(self, partition: int, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            while True:
                try:
                    await self._broker.send(EVENTS, payload, partition)
                    break
                except Unavailable:
                    await asyncio.sleep(_AGAIN_S)
