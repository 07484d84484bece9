"""After an absence all that was open may end at one tick: it is done in parts, and comes to the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from config.settings import TenantSettings
from streams.events import Event, PaneRow, Reading, Record, Tick
from streams.policy import Policy
from streams.shard import Shard
from streams.windows import HOUR, MINUTE
from tests.streams.line import Shelf

T0 = 1_772_445_600_000
AT_ONCE = 400
MANY = AT_ONCE + 20
APART = 5_000
"""From one that asks to the next, ms."""
ASKED = MANY * APART // MINUTE + 3
"""Minutes until the target of the last one is over."""
EXPIRE = 48 * HOUR
BACK = T0 + EXPIRE + 24 * HOUR
POLICY = Policy(TenantSettings(expire_backlog_s=EXPIRE / 1_000))


class Absence:
    """One partition in which many wait for a person, and what it says and keeps from then on."""

    def __init__(self, replay: bool = False) -> None:
        self.shelf = Shelf()
        self.shard = Shard(0, lambda _: POLICY, self.shelf)
        self.shard.most_woken = AT_ONCE
        self.tenant = "t" if replay else None
        self.backlog: dict[int, tuple[int, int | None]] = {}
        """Minute → those in the backlog at its end, and since when the first of them."""
        self._position = 0
        asked = [self._question(number, replay) for number in range(MANY)]
        for first in range(0, MANY, 10):
            self._step(Record(events=asked[first : first + 10]))
        for minute in range(1, ASKED + 1):
            self.tick(T0 + minute * MINUTE)

    def _question(self, number: int, replay: bool) -> Event:
        at = T0 + number * APART
        return Event(
            id="m", kind="message", at=at, tenant="t", conversation=f"c{number}", author="customer", text="?",
            queue="a", received_at=at, replay=replay,
        )  # fmt: skip

    def _step(self, record: Record) -> None:
        self._position += 1
        self.shard.step(self._position, record)

    def tick(self, at: int) -> None:
        """Time passes; what is to be said is said and kept."""
        self._step(Record(tick=Tick(at, self.tenant)))
        reading = self.shard.reading()
        assert reading is not None
        self._hear(reading)
        self.shelf.keep(self.shard.changes())

    def _hear(self, reading: Reading) -> None:
        for run in [run for segment in reading.segments for run in segment.runs]:
            for minute in range(run.since, run.until, MINUTE):
                assert minute not in self.backlog, "said once"
                self.backlog[minute] = (run.backlog, run.oldest_since)

    def restart(self) -> None:
        """Begin anew from what was kept."""
        self.shard = Shard(0, lambda _: POLICY, self.shelf, self.shard.position)
        self.shard.most_woken = AT_ONCE
        self.shard.load()

    def late(self) -> None:
        """Somebody asks now."""
        self._step(Record(events=[self._question(0, False), self._another()]))

    def _another(self) -> Event:
        return Event(
            id="m", kind="message", at=BACK, tenant="t", conversation="new", author="customer", text="?", queue="a",
            received_at=BACK,
        )  # fmt: skip

    def open(self) -> int:
        """How many stand open."""
        (line,) = self.shard._lines.values()
        return sum(gauge.open for gauge in line.gauges.values())

    def totals(self) -> dict[int, Counter[str]]:
        """Minute → the counts that are kept of it."""
        rows = [row for row in self.shelf.rows.values() if row.kind == "pane"]
        panes = [msgspec.msgpack.decode(row.value, type=PaneRow) for row in rows]
        return {pane.minute: Counter(pane.counts) for pane in panes}


def lived(ticks: Iterable[int]) -> Absence:
    """One that was never away for long."""
    one = Absence()
    for at in ticks:
        one.tick(at)
    return one


def test_what_ends_in_an_absence_ends_in_parts_and_comes_to_the_same() -> None:
    ending = range(T0 + EXPIRE, T0 + EXPIRE + ASKED * MINUTE, MINUTE)
    present = lived([*ending, BACK, BACK + 1_000])
    away = Absence()
    away.tick(BACK)
    assert away.open() == MANY - AT_ONCE
    assert max(away.backlog) < T0 + EXPIRE + AT_ONCE * APART, "a minute is not over before all of it is known"
    away.tick(BACK + 1_000)
    assert away.open() == present.open() == 0
    assert away.totals() == present.totals()
    assert away.backlog == present.backlog
    assert sum(counts["closed_unanswered"] for counts in away.totals().values()) == MANY


def test_nor_does_a_start_between_the_parts_change_anything() -> None:
    straight, stopped = Absence(), Absence()
    for one in (straight, stopped):
        one.tick(BACK)
    stopped.restart()
    for one in (straight, stopped):
        one.late()
        one.tick(BACK + 1_000)
        one.tick(BACK + 5 * MINUTE)
    assert stopped.open() == straight.open() == 1
    assert stopped.totals() == straight.totals()
    assert stopped.backlog == straight.backlog


def test_a_replay_waits_for_no_other_tick() -> None:
    """There may be none."""
    replayed = Absence(replay=True)
    replayed.tick(BACK)
    assert replayed.open() == 0
