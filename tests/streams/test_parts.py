"""Old panes are packed, and nobody can tell: every number is that of a present which packs nothing."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from itertools import chain

import pytest

from config.settings import Settings, TenantSettings
from streams import present as module
from streams.events import REAL, PaneRow, Reading, Segment
from streams.metrics import Window
from streams.notifier import Reader
from streams.parity import _live
from streams.parts import Parts, packed, unpacked
from streams.policy import Policies, Policy
from streams.present import AT_ONCE, KEPT, MOST_LOOSE, WARM, Present, View
from streams.waits import Waits, bucket
from streams.windows import DAY, HOUR, MINUTE
from tests.streams.watching import MONDAY

LEAVES = [("a", "web"), ("a", "app"), ("b", "web")]
PARTITIONS = 3
STEP = 7 * MINUTE


class Said:
    """Rows as partitions say them: absolute totals, each version of its own, old ones restated or said again."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._rows: dict[tuple[int, str, str, int], list[PaneRow]] = {}

    def rows(self, now: int) -> list[tuple[int, PaneRow]]:
        """What comes up to `now`: mostly of this minute, also of any before it in the last day."""
        chance, found = self._chance, []
        for _ in range(chance.randrange(1, 7)):
            back = chance.choice([0, 0, 0, STEP, chance.randrange(DAY)])
            partition, leaf = chance.randrange(PARTITIONS), chance.choice(LEAVES)
            versions = self._rows.setdefault((partition, *leaf, (now - back) // MINUTE * MINUTE), [])
            if versions and chance.random() < 0.3:
                found.append((partition, chance.choice(versions)))
                continue
            versions.append(self._row(*leaf, (now - back) // MINUTE * MINUTE, len(versions) + 1))
            found.append((partition, versions[-1]))
        return found

    def _row(self, queue: str, channel: str, minute: int, version: int) -> PaneRow:
        chance = self._chance
        waits = [chance.randrange(1, 900_000) for _ in range(chance.randrange(4))]
        plain: Waits = {bucket(ms): 1 for ms in waits}
        bucketed, gone = array("q", plain).tobytes(), {chance.randrange(1, 9_000): 2}
        return PaneRow(
            "shop", queue, channel, minute, version,
            counts={
                "customer_messages": chance.randrange(1, 9), "frt_n": len(waits), "frt_sum_ms": sum(waits),
                "sentiment_sum": chance.randrange(-900, 900), "sentiment_n": 1, "of_tomorrow": chance.randrange(3),
            },
            frt_hist=plain if chance.random() < 0.5 else bucketed,
            answered_waits=array("q", waits).tobytes(),
            censored_waits=gone if chance.random() < 0.5 else b"",
            restated=chance.randrange(2) if version > 1 else 0,
            topics={"refund": 1} if chance.random() < 0.5 else {},
        )  # fmt: skip


class Two:
    """A present that packs, and one that does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        policy = Policy(TenantSettings())
        self.packing, self.plain = Present(PARTITIONS, lambda _: policy), Present(PARTITIONS, lambda _: policy)
        self._monkeypatch = monkeypatch

    def take(self, partition: int, segment: Segment) -> None:
        self.packing.take(partition, segment)
        self.plain.take(partition, segment)

    def forget(self, now: int) -> None:
        for one, warm in ((self.packing, 0), (self.plain, 2 * KEPT)):
            with self._monkeypatch.context() as patched:
                patched.setattr(module, "WARM", warm)
                one.view("shop").forget(now)

    def same(self, of: Callable[[View], object]) -> None:
        assert of(self.packing.view("shop")) == of(self.plain.view("shop"))


def everything(view: View, now: int) -> list[object]:
    """Whatever a view says as of an instant."""
    keys = sorted(view.keys)
    return [
        sorted(view.active(now)),
        [view.key(key, now) for key in keys],
        [view.series(key, now) for key in keys],
        [view.topic_counts(key, 500, now) for key in keys],
        [view.pane_topics(key, now // HOUR * HOUR) for key in keys],
        {where: _live(parts.values()) for *where_, parts in view.panes.between(0, now) for where in [tuple(where_)]},
        view.panes.first(),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_present_that_packs_says_what_one_says_that_does_not(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, said, two = random.Random(seed), Said(seed), Two(monkeypatch)
    now = MONDAY
    for number in range(400):
        now += chance.choice([0, STEP, STEP, STEP, -STEP])
        for partition, row in said.rows(now):
            two.take(partition, Segment(panes=[row], base=chance.random() < 0.2))
        if chance.random() < 0.5:
            two.forget(now)
        if chance.random() < 0.1 or number == 399:
            two.same(lambda view: everything(view, now))  # noqa: B023 - asked at once
        else:
            two.same(lambda view: view.key(("*", "*"), now))  # noqa: B023
    packing = two.packing.view("shop").panes
    assert any(isinstance(kept, bytes) for minute in packing._minutes.values() for kept in minute.values())


def test_in_whatever_order_versions_come_the_latest_of_each_partition_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    said, two, now = Said(1), Two(monkeypatch), MONDAY + DAY
    rows = list(chain.from_iterable(said.rows(now) for _ in range(200)))
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        for partition, row in rows:
            two.packing.take(partition, Segment(panes=[row], base=True))
            two.packing.view("shop").forget(now + KEPT - DAY)
        for partition, row in rows:
            two.plain.take(partition, Segment(panes=[row], base=True))
        two.same(lambda view: [view.key(key, now) for key in sorted(view.keys)])


def test_a_window_comes_out_as_it_went_in() -> None:
    window = Window({"messages": 3, "sentiment_sum": -7, "of_tomorrow": 1}, {256: 1}, {1_000: 2}, {}, {"refund": 1})
    assert unpacked(packed(window)) == window
    assert unpacked(packed(Window())) == Window()


def test_no_more_is_packed_at_once_than_is_allowed_and_in_the_end_all_of_it() -> None:
    parts = Parts("shop")
    for number in range(10):
        parts.put(0, PaneRow("shop", "q", f"c{number}", MONDAY, 1))
    assert [len(list(parts.pack(MONDAY + MINUTE, 4))) for _ in range(4)] == [4, 4, 2, 0]
    assert [len(rows) for *_, rows in parts.between(0, MONDAY + 1)] == [1] * 10
    parts.put(1, PaneRow("shop", "q", "c3", MONDAY, 1))
    assert list(parts.pack(MONDAY + MINUTE, 4)) == [(("q", "c3"), MONDAY)]
    assert parts.of("q", "c3", MONDAY).keys() == {0, 1}


def of_minute(minute: int) -> Reading:
    """One partition's minute, with its tick."""
    row = PaneRow("shop", "q", "web", minute, 1, {"customer_messages": 1})
    return Reading(0, minute, [Segment(panes=[row], tick=minute + MINUTE - 1)])


def test_who_stands_by_forgets_what_no_window_shows_and_packs_what_is_old() -> None:
    reader = Reader(1, Policies(Settings()))
    for minute in range(MONDAY, MONDAY + KEPT + 3 * HOUR, MINUTE):
        reader._take_in(of_minute(minute))
        reader.judged_elsewhere({REAL: minute + MINUTE - 1})
        reader._forgot_at = -1.0
        reader._forget()
    for present in (reader.shown, reader._judged.present):
        view = present.views["shop"]
        kept = view.panes._minutes
        assert len(kept) <= KEPT // MINUTE + 1
        assert sum(not isinstance(parts, bytes) for parts in kept[min(kept)].values()) == 0
        loose = [
            minute for minute, leaves in kept.items() if not all(isinstance(one, bytes) for one in leaves.values())
        ]
        assert len(loose) <= WARM // MINUTE + 1
        assert all(len(key.panes) <= KEPT // MINUTE + 1 and not key._changes for key in view.keys.values())
        assert not view.changed_panes
    assert reader._judged.present.views["shop"].dirty, "whoever begins to judge reckons every key"


def test_a_backlog_is_packed_in_steps() -> None:
    view = Present(1, lambda _: Policy(TenantSettings())).view("shop")
    for number in range(AT_ONCE + 10):
        view.take_pane(0, PaneRow("shop", f"q{number}", "web", MONDAY, 1, {"messages": 1}))
    view.forget(MONDAY + DAY)
    left = sum(not isinstance(kept, bytes) for kept in view.panes._minutes[MONDAY].values())
    assert left == 10
    view.forget(MONDAY + DAY)
    assert view.key(("*", "*"), MONDAY)["windows"]["today"]["messages"] == AT_ONCE + 10
    assert not view.panes._loose


def test_a_whole_day_said_at_once_is_packed_as_it_comes() -> None:
    plain, view = (Present(PARTITIONS, lambda _: Policy(TenantSettings())).view("shop") for _ in range(2))
    for minute in range(MONDAY, MONDAY + DAY, MINUTE):
        for partition in range(PARTITIONS):
            row = PaneRow("shop", "q", "web", minute, 1, {"messages": partition}, answered_waits=bytes([1]) + bytes(7))
            view.take_pane(partition, row, base=True)
            plain.panes.put(partition, row)
            for key in module._above("q", "web"):
                plain._key(key).change(minute, Window.between(None, row), 1)
        assert view.panes.loose() <= MOST_LOOSE
    assert not any(key._changes for key in view.keys.values()), "nobody has looked"
    now = MONDAY + DAY - 1
    assert [view.key(key, now) for key in view.keys] == [plain.key(key, now) for key in view.keys]
    assert view.key(("*", "*"), now)["windows"]["today"]["messages"] == 3 * DAY // MINUTE
