"""Models in the stream: what they learn, when they say so, and that nothing that happens to the process changes it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping

import pytest

from models.moments import Days, Planned
from streams.events import Segment
from streams.shelf import File, Memory
from streams.windows import MINUTE
from tests.models.streams import counts
from tests.streams.watching import MONDAY, Broker, Counts, Stage

LEAF, QUEUE, ALL = ("billing", "web"), ("billing", "*"), ("*", "*")
RATE = 40.0
HOURS = 8
HISTORY = counts(HOURS * 60, RATE, seed=4)
NOW = MONDAY + HOURS * 60 * MINUTE


def web(series: list[int]) -> Iterator[Counts]:
    """Counts of billing on the web."""
    return ({LEAF: n} for n in series)


@pytest.fixture(scope="module")
def history() -> list[Segment]:
    return list(Stage().minutes(MONDAY, web(HISTORY)))


@pytest.fixture
def stage(history: list[Segment]) -> Stage:
    """A stage that has lived through a working morning."""
    made = Stage()
    made.hear(history)
    made.version = len(history)
    return made


def surge(stage: Stage, minute: int, factor: float, minutes: int) -> list[tuple[int, bool]]:
    """Live through a surge; (second, whether it is shown)."""
    usual = stage.key()["volume"]["expected"]
    shown = []
    for n in range(minutes):
        start = minute + n * MINUTE
        for segment in stage.filling(start, {LEAF: round(factor * usual)}):
            stage.hear([segment])
            assert segment.tick is not None
            shown.append(((segment.tick - minute) // 1000, stage.key()["volume"]["surge"]))
    return shown


def test_a_clear_surge_shows_within_ninety_seconds_and_in_its_minutes(stage: Stage) -> None:
    shown = surge(stage, NOW, 5.0, 4)
    assert min(second for second, on in shown if on) <= 60
    since = stage.key()["volume"]["since"]
    assert since is not None
    surge(stage, NOW + 4 * MINUTE, 5.0, 2)
    assert stage.key()["volume"]["since"] == since, "it stands since it began"
    flagged = {row.minute for row in stage.rows.values() if (row.queue, row.channel) == ALL and row.surge}
    assert flagged == {NOW + n * MINUTE for n in range(5)}
    assert stage.key()["windows"]["5m"]["surge"]


def test_every_surface_says_the_same_of_a_minute(stage: Stage) -> None:
    rows = stage.rows
    closed = max(minute for *_, minute in rows)
    assert closed == NOW - 2 * MINUTE, "the last one that ended a minute ago"
    for queue, channel in (LEAF, QUEUE, ALL):
        series = stage.series(queue, channel)
        assert len(series) == 180
        for minute in range(closed - 170 * MINUTE, closed + MINUTE, MINUTE):
            row = rows["shop", queue, channel, minute]
            assert series[minute] == (row.expected, row.low, row.high)
        assert None not in series[NOW], "the pane in progress has its expectation, too"
        half_hour = stage.key(queue, channel)["windows"]["30m"]
        assert half_hour["expected"] == pytest.approx(sum(series[NOW - n * MINUTE][0] for n in range(30)))
        today = stage.key(queue, channel)["windows"]["today"]
        said = sum(row.expected for (_, q, c, _), row in rows.items() if (q, c) == (queue, channel))
        assert today["expected"] == pytest.approx(said + series[NOW - MINUTE][0] + series[NOW][0])
    volume = stage.key()["volume"]
    assert volume["low"] < volume["expected"] < volume["high"]
    assert volume["learning"]
    assert 0.2 < volume["learned_days"] < 0.4


def test_a_silent_queue_shows_a_lull(stage: Stage) -> None:
    for n in range(6):
        stage.hear(stage.filling(NOW + n * MINUTE, {LEAF: 0}))
    assert stage.key()["volume"]["lull"]
    assert not stage.key()["volume"]["surge"]


def test_a_single_tick_over_days_says_what_a_tick_a_minute_says(history: list[Segment]) -> None:
    minute_by_minute, at_once = Stage(), Stage()
    series = counts(30 * 60, 20.0, seed=6)
    series[1000:1010] = [n * 6 + 60 for n in series[1000:1010]]
    panes = {MONDAY + i * MINUTE: {LEAF: n} for i, n in enumerate(series)}
    for start, counted in panes.items():
        minute_by_minute.hear([minute_by_minute.segment({start: counted}, start + MINUTE, clock="shop")])
    at_once.hear([at_once.segment(panes, MONDAY + len(series) * MINUTE, clock="shop")])
    assert at_once.rows == minute_by_minute.rows
    assert any(row.surge for row in at_once.rows.values())


def test_who_watches_while_a_single_tick_brings_days_gets_the_usual_of_all_minutes_shown() -> None:
    """A board has the counts before the models have closed their minutes: what they then say must reach it."""
    stage = Stage()
    panes = {MONDAY + i * MINUTE: {LEAF: n} for i, n in enumerate(counts(30 * 60, 20.0, seed=6))}
    stage.hear([stage.segment(panes, None, clock="shop")])
    view = stage.shown.views["shop"]
    view.changed_panes.clear()  # they were shown
    stage.hear([stage.segment({}, MONDAY + len(panes) * MINUTE, clock="shop")])
    now = stage.shown.as_of("shop")
    assert now is not None
    for key in (LEAF, QUEUE, ALL):
        told = view.series(key, now, view.changed_panes[key])
        assert len(told["expected"]) == 180
        assert None not in told["expected"]


@pytest.mark.parametrize("heard", [True, False], ids=["with what was said before", "with an empty broker"])
def test_a_kill_at_any_time_changes_nothing(history: list[Segment], heard: bool) -> None:
    """Killed after a minute was closed, between two ticks, and in the middle of a surge."""
    whole = Stage()
    whole.hear(history)
    usual = whole.key()["volume"]["expected"]
    whole.version = len(history)
    story = [s for n in range(4) for s in whole.filling(NOW + n * MINUTE, {LEAF: round(4 * usual)})]
    story += [s for n in range(4, 12) for s in whole.filling(NOW + n * MINUTE, {LEAF: round(usual)})]
    whole.hear(story)
    for kill in (1, 6, 9 if heard else 8, 13, 25, 60):  # an empty broker has no ticks: half a minute of them is no gap
        killed = Stage()
        killed.hear([*history, *story[:kill]])
        other = killed.again(hearing=heard)
        if not heard:
            other.judged, other.shown = killed.judged, killed.shown  # a worker says all that stands again
            other = Stage(killed.shelf, killed.broker)
            other.hear([base(killed)])
        other.hear(story[kill:])
        assert other.rows == whole.rows
        mine, theirs = other.key(), whole.key()
        if heard:
            assert mine["volume"] == theirs["volume"]
        assert mine["volume"]["surge"] == theirs["volume"]["surge"]
        assert mine["windows"] == theirs["windows"]
        assert other.series() == whole.series()


class Killed(Exception):
    """The end of a process."""


class Fragile(Memory):
    """Ends the process once a tenant was written so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def keep(self, rows: Mapping[str, bytes | None]) -> None:
        """Take these, or die of it."""
        super().keep(rows)
        if any(name.startswith("tenant/") for name in rows):
            self.left -= 1
            if self.left == 0:
                raise Killed


@pytest.mark.parametrize("minutes", [0, 200, 405, 598])
def test_a_kill_in_the_middle_of_one_long_tick_costs_nothing_that_was_kept_and_changes_nothing(
    minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick over ten hours, the first of its tenant. Here what is closed is kept at every minute."""
    series = counts(10 * 60, RATE, seed=9)
    series[400:412] = [5 * n for n in series[400:412]]
    panes = {MONDAY + i * MINUTE: {LEAF: n, ("returns", "app"): n // 9} for i, n in enumerate(series)}
    segment = Stage().segment(panes, MONDAY + len(series) * MINUTE, clock="shop")
    whole, killed = Stage(), Stage(Fragile(minutes + 1))
    whole.hear([segment])
    killed.insight.meanwhile_s = 0.0
    monkeypatch.setattr("streams.insight.KEEPING_MOST", 1e9)
    with pytest.raises(Killed):
        killed.hear([segment])
    resumed = Stage(killed.shelf)
    assert resumed.insight.learned("shop") == MONDAY + minutes * MINUTE, "it goes on from there"
    resumed.hear([segment])
    assert resumed.rows == whole.rows
    assert any(row.surge for row in whole.rows.values())
    assert resumed.key()["volume"] == whole.key()["volume"]
    assert resumed.key()["windows"] == whole.key()["windows"]
    assert resumed.series() == whole.series()


def base(stage: Stage) -> Segment:
    """All panes, said again."""
    everything = stage.judged.views["shop"].panes.between(0, 1 << 60)
    rows = [part for _, _, _, parts in everything for part in parts.values()]
    return Segment(panes=rows, base=True)


def test_minutes_in_which_the_stack_was_down_teach_nothing(stage: Stage) -> None:
    before = stage.key()["volume"]["expected"]
    back = NOW + 90 * MINUTE
    stage.hear([stage.segment({}, back)])
    assert not stage.key()["volume"]["lull"], "nobody was there to hear"
    stage.hear(stage.minutes(back, web([40] * 5)))
    said = {minute for *_, minute in stage.rows}
    assert not {minute for minute in said if NOW <= minute <= back}
    assert back + 2 * MINUTE in said
    assert stage.key()["volume"]["expected"] == pytest.approx(before, rel=0.3)
    assert not stage.key()["volume"]["lull"]


def test_what_comes_late_is_counted_but_teaches_nothing(stage: Stage) -> None:
    before, expected = dict(stage.rows), stage.insight._lookouts["shop"].usual.save()
    stage.hear([stage.segment({NOW - 30 * MINUTE: {LEAF: 5_000}}, NOW + 1_000)])
    assert stage.rows == before
    assert stage.key()["windows"]["today"]["customer_messages"] > 5_000
    again = stage.insight._lookouts["shop"].usual.save()
    assert expected or again is not None
    assert not stage.key()["volume"]["surge"]


def test_a_tenant_that_goes_live_goes_on_with_what_its_history_taught(history: list[Segment]) -> None:
    stage = Stage()
    panes = {MONDAY + i * MINUTE: {LEAF: n} for i, n in enumerate(HISTORY)}
    stage.hear([stage.segment(panes, NOW, clock="shop"), Segment(clock="shop", live="shop")])
    stage.hear(s for n in range(3) for s in stage.filling(NOW + n * MINUTE, {LEAF: 40}))
    assert {minute for *_, minute in stage.rows} >= {NOW - MINUTE, NOW, NOW + MINUTE}
    assert stage.key()["volume"]["learned_days"] > 0.3
    assert not stage.key()["volume"]["surge"]
    surge(stage, NOW + 3 * MINUTE, 5.0, 2)
    assert stage.key()["volume"]["surge"]


def test_a_jump_of_a_replays_clock_over_years_costs_no_time_and_teaches_nothing(history: list[Segment]) -> None:
    stage = Stage()
    panes = {MONDAY + i * MINUTE: {LEAF: n} for i, n in enumerate(HISTORY)}
    panes[MONDAY + 40 * 365 * 1440 * MINUTE] = {LEAF: 3}
    stage.hear([stage.segment(panes, MONDAY + (40 * 365 * 1440 + 9) * MINUTE, clock="shop")])
    assert len(stage.rows) < 4 * (HOURS * 60 + 2 * 3 * 1440)


def test_a_damaged_model_starts_afresh_and_spares_the_others(stage: Stage) -> None:
    shelf = stage.shelf
    assert isinstance(shelf, Memory)
    name = 'key/["shop", "billing", "web"]'
    shelf.keep({name: shelf.rows[name][:-9]})
    other = stage.again(hearing=False)
    other.hear([base(stage), *other.filling(NOW, {LEAF: 40})])
    assert other.key("*", "*")["volume"]["learned_days"] > 0.3
    assert other.key("billing", "web")["volume"]["learned_days"] < 0.05


def test_what_an_empty_broker_forgot_is_said_again_at_a_start(stage: Stage) -> None:
    other = Stage(stage.shelf, Broker())
    other.hear([])
    assert other.rows == stage.rows
    assert len(stage.rows) > 1_000


def test_a_planned_event_lifts_what_is_expected(stage: Stage) -> None:
    before = stage.key()["volume"]["expected"]
    stage.days = Days(planned=(Planned(NOW, NOW + 60 * MINUTE, 5.0),))
    shown = surge(stage, NOW, 5.0, 4)
    assert stage.key()["volume"]["expected"] == pytest.approx(5 * before, rel=0.2)
    assert not any(on for _, on in shown)


def test_a_damaged_file_is_set_aside(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("shelf") / "usual.db"
    with File(path) as shelf:
        shelf.keep({f"key/{n}": bytes(500) for n in range(200)})
    data = bytearray(path.read_bytes())
    data[4096:20_000] = b"\xaa" * (20_000 - 4096)
    path.write_bytes(data)
    with File(path) as shelf:
        assert list(shelf.kept("")) == []
        shelf.keep({"a": b"1", "b": b"2"})
        shelf.keep({"a": None})
        assert list(shelf.kept("")) == [("b", b"2")]
    assert path.with_name("usual.db.damaged").exists()


def test_thousands_of_keys_that_appear_and_vanish_stay_within_bounds_and_spare_the_old(stage: Stage) -> None:
    stage.insight.limit = 200
    for n in range(20):
        flood = {(f"q{n}-{i}", "web"): 2 for i in range(100)}
        stage.hear(stage.minutes(NOW + n * MINUTE, [{LEAF: 40, **flood}]))
        assert len(stage.insight) <= 200
    assert stage.key("billing", "web")["volume"]["learned_days"] > 0.3
    assert isinstance(stage.shelf, Memory)
    assert sum(name.startswith("key/") for name in stage.shelf.rows) <= 200, "what is forgotten is not kept either"


def test_a_tenant_that_comes_late_finds_room_beside_a_flood() -> None:
    stage = Stage()
    stage.insight.limit = 100
    flood: Counts = {(f"q{i}", "web"): 2 for i in range(300)}
    stage.hear(stage.minutes(NOW, [flood] * 3, "loud"))
    calm = stage.minutes(NOW + 3 * MINUTE, [{LEAF: 3}] * 4, "calm")
    for n, segment in enumerate(calm):
        stage.hear([stage.segment({NOW + (3 + n // 2) * MINUTE: flood}, None, "loud"), segment])
    assert len(stage.insight) <= 100
    assert len(stage.insight._lookouts["calm"].usual) == 4


@pytest.mark.parametrize(
    "series",
    [[0] * 400, [7] * 400, [0] * 390 + [500] + [0] * 60, [10**12, 5, 10**18] * 100, [3] * 300 + [10**9] + [3] * 100],
    ids=["silence", "constant", "zeros with one spike", "absurd counts", "one absurd count"],
)
def test_odd_series_are_no_storm(series: list[int]) -> None:
    stage, flips, before = Stage(), 0, False
    for segment in stage.minutes(MONDAY, web(series)):
        stage.hear([segment])
        now = stage.key("billing", "web")["volume"]["surge"] if LEAF in stage.shown.view("shop").keys else False
        flips += now and not before
        before = now
    assert flips <= 1


def test_the_loop_goes_on_while_weeks_are_learned() -> None:
    """What else runs in the process is never held up for long."""
    stage = Stage()
    keys = [(f"q{i}", "web") for i in range(8)]
    chance = random.Random(1)
    panes = {MONDAY + i * MINUTE: {key: chance.randrange(9) for key in keys} for i in range(600)}
    segment = stage.segment(panes, MONDAY + 600 * MINUTE, clock="shop")
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - began)

    async def go() -> None:
        stage.judged.take(0, segment)
        beating, sending = asyncio.create_task(beat()), asyncio.create_task(stage.saying.run())
        await asyncio.sleep(0)
        await stage.insight.ticked("shop", MONDAY + 600 * MINUTE)
        beating.cancel()
        sending.cancel()

    asyncio.run(go())
    assert longest < 0.5
