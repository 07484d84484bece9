"""Models at work on made-up panes: no shards, no broker, no clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from config.settings import TenantSettings
from models.moments import Days
from streams.events import REAL, PaneRow, Segment
from streams.insight import Insight
from streams.policy import Policy
from streams.present import Present
from streams.saying import Saying
from streams.shelf import Memory, Shelf
from streams.usual_row import UsualRow, read
from streams.windows import MINUTE, pane_of

MONDAY = 1_772_409_600_000
POLICY = Policy(TenantSettings())
Counts = Mapping[tuple[str, str], int]


@cache
def _runner() -> asyncio.Runner:
    """One loop for all: a queue belongs to the loop that first waited for it."""
    return asyncio.Runner()


class Broker:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    async def send_and_wait(self, topic: str, value: bytes) -> None:
        """Take a record."""
        assert topic == "chat.usual"
        self.records.append(value)


class Stage:
    """One partition's readings, the two presents and the models on them. `again` starts anew on the same shelf."""

    def __init__(self, shelf: Shelf | None = None, broker: Broker | None = None, days: Days | None = None) -> None:
        self.shelf = shelf or Memory()
        self.broker = broker or Broker()
        self.judged, self.shown = Present(1, lambda _: POLICY), Present(1, lambda _: POLICY)
        self.saying = Saying(self.shelf, self.broker, lambda: MONDAY)
        self.days = days or Days()
        self.insight = Insight(self.judged, self.shown, self.shelf, self.saying, lambda _: POLICY, lambda _: self.days)
        self.insight.save_every_s = 0.0  # made-up minutes pass in no time, and each is to be kept
        self.version = 0
        self.told: list[Segment] = []
        self._begun = False

    def again(self, *, hearing: bool = True) -> Stage:
        """The same after a kill; `hearing`: what was said before is heard once more."""
        other = Stage(self.shelf, self.broker, self.days)
        if hearing:
            other.hear(self.told)
        return other

    def hear(self, segments: Iterable[Segment]) -> None:
        """Take segments as they come; return when all that is to be said is said."""
        _runner().run(self._hear(segments))

    async def take(self, segments: Iterable[Segment]) -> None:
        """The same, for those who have a loop of their own."""
        await self._hear(segments)

    async def _hear(self, segments: Iterable[Segment]) -> None:
        if not self._begun:
            self._begun = True
            await self.saying.again()
        sending = asyncio.create_task(self.saying.work())
        for segment in segments:
            self.told.append(segment)
            self.shown.take(0, segment)
            self.judged.take(0, segment)
            if segment.tick is not None:
                await self.insight.ticked(segment.clock, segment.tick)
        async with asyncio.timeout(10):
            while not self.saying.idle:
                await asyncio.sleep(0)
        sending.cancel()

    def segment(
        self, minutes: Mapping[int, Counts], tick: int | None, tenant: str = "shop", clock: str = REAL
    ) -> Segment:
        """What minutes (by start, ms) had so far, and then a tick."""
        self.version += 1
        panes = [
            PaneRow(tenant, queue, channel, minute, self.version, {"messages": n, "customer_messages": n})
            for minute, counts in minutes.items()
            for (queue, channel), n in counts.items()
        ]
        return Segment(clock=clock, panes=panes, tick=tick)

    def minutes(self, first: int, series: Iterable[Counts], tenant: str = "shop") -> Iterator[Segment]:
        """Whole minutes on the real clock, each in its last second, with a tick in its middle and one at its end."""
        for minute, counts in zip(range(first, 2**62, MINUTE), series, strict=False):
            yield self.segment({}, minute + MINUTE // 2, tenant)
            yield self.segment({minute: counts}, minute + MINUTE, tenant)

    def filling(self, minute: int, counts: Counts, step_s: int = 10, tenant: str = "shop") -> list[Segment]:
        """A minute as it fills evenly, with a tick every `step_s` seconds."""
        return [
            self.segment({minute: {key: n * s // 60 for key, n in counts.items()}}, minute + s * 1000, tenant)
            for s in range(step_s, 61, step_s)
        ]

    @property
    def rows(self) -> dict[tuple[str, str, str, int], UsualRow]:
        """Table `minutes_usual`: the last saying stands."""
        said = [row for record in self.broker.records for row in read(record).rows]
        return {(row.tenant, row.queue, row.channel, row.minute): row for row in said}

    def key(self, queue: str = "*", channel: str = "*", tenant: str = "shop", *, shown: bool = True) -> dict[str, Any]:
        """A key object, as of the tenant's clock."""
        present = self.shown if shown else self.judged
        now = present.as_of(tenant)
        assert now is not None
        return present.views[tenant].key((queue, channel), now)

    def series(self, queue: str = "*", channel: str = "*", tenant: str = "shop") -> dict[int, tuple[Any, Any, Any]]:
        """Minute → expected, low and high of a key's series."""
        now = self.shown.as_of(tenant)
        assert now is not None
        found = self.shown.views[tenant].series((queue, channel), now)
        bands = zip(found["expected"], found["low"], found["high"], strict=True)
        return dict(zip(range(found["from"], pane_of(now) + MINUTE, MINUTE), bands, strict=True))
