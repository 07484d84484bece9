"""Delivery: what stands in the outbox leaves, once, in order, whatever one channel does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from alerts import notifier
from alerts.notices import Policy
from alerts.notifiers import Rejected, Unavailable
from alerts.outbox import TOPIC, Row, Store
from alerts.policy import CONSOLE
from alerts.readings import EVERYWHERE, TenantReading
from alerts.state import State
from alerts.tell import LONGEST_BACKOFF_MS, Tell, backoff_ms, now_ms
from alerts.watch import Watch
from alerts.webhook import Webhook
from config.settings import Channel, Route, Settings
from streams.events import ALERTS, REAL
from tests.alerts.build import BACKLOG, S, key, readings, rules
from tests.alerts.receiver import Receiver, hangs, raw, receiver, row, run, until


class Broker:
    """What is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, dict[str, Any]]] = []

    async def send_and_wait(self, topic: str, value: bytes, key: bytes) -> None:
        self.sent.append((topic, key, json.loads(value)))


class Fake:
    """A door that does as it is told, and notes what it was given."""

    batch, gap_ms, steady = 1, 0, False

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.got = list(answers), list[tuple[str, str]]()
        self.at: list[float] = []

    async def send(self, rows: Sequence[Row]) -> None:
        answer = self.answers.pop(0) if self.answers else None
        self.at.append(time.monotonic())
        if answer is not None:
            raise answer
        self.got += [(sent.alert, sent.state) for sent in rows]

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def telling(store: Store, **doors: Any) -> AsyncIterator[list[tuple[str, str | None]]]:
    """Deliver while the body runs; what was said of channels."""
    said: list[tuple[str, str | None]] = []
    tell = Tell(store, doors, lambda name, reason: said.append((name, reason)))
    task = asyncio.create_task(tell.run())
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_rows_leave_in_order_and_each_once(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row(f"a{n}", created_at=now_ms()) for n in range(20)])
            door = Fake()
            async with telling(store, ops=door):
                await until(lambda: store.unsettled() == {})
            assert door.got == [(f"a{n}", "firing") for n in range(20)]

    run(story())


def test_what_fails_is_tried_again_until_it_is_taken_and_nothing_overtakes_it(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row(f"a{n}", created_at=now_ms()) for n in range(3)])
            door = Fake(Unavailable("answered 500"), Unavailable("answered 503"))
            async with telling(store, ops=door):
                await until(lambda: store.unsettled() == {})
            assert door.got == [("a0", "firing"), ("a1", "firing"), ("a2", "firing")]
            assert len(door.at) == 5

    run(story())


@pytest.mark.slow
def test_the_other_side_says_how_long_to_wait(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row(created_at=now_ms())])
            door = Fake(Unavailable("answered 429", retry_ms=1500))
            async with telling(store, ops=door):
                await until(lambda: store.unsettled() == {})
            assert 1.45 <= door.at[1] - door.at[0] < 10

    run(story())


def test_what_is_rejected_is_given_up_and_the_next_goes_out(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row("a0", created_at=now_ms()), row("a1", created_at=now_ms())])
            door = Fake(Rejected("answered 404"))
            async with telling(store, ops=door) as said:
                await until(lambda: store.unsettled() == {})
            assert door.got == [("a1", "firing")]
            assert store.told("a0") == [("ops", "firing", "rejected: answered 404")]
            assert said == [("ops", "answered 404"), ("ops", None)]

    run(story())


def test_a_mistake_of_ours_in_one_door_closes_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            rows = [row("a0", channel=name, created_at=now_ms()) for name in ("bad", "good")]
            store.commit(State(), State(), rows)
            good = Fake()
            async with telling(store, bad=Fake(ZeroDivisionError()), good=good) as said:
                await until(lambda: store.unsettled() == {})
            assert good.got == [("a0", "firing")]
            assert ("bad", "failed: ZeroDivisionError") in said

    run(story())


def test_after_a_day_nobody_needs_to_be_told_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(
                State(), State(), [row("old", created_at=now_ms() - 86_401_000), row("new", created_at=now_ms())]
            )
            door = Fake(Unavailable("answered 500"))
            async with telling(store, ops=door):
                await until(lambda: store.unsettled() == {})
            assert door.got == [("new", "firing")]
            assert store.told("old") == [("ops", "firing", "given up: answered 500")]

    run(story())


def test_rows_of_a_channel_that_is_no_longer_there_are_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row("a0", channel="gone", created_at=now_ms())])
            async with telling(store, ops=Fake()):
                await until(lambda: store.unsettled() == {})
            assert store.told("a0") == [("gone", "firing", "no channel")]

    run(story())


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_double_up_to_half_a_minute_and_are_never_less_than_half(attempts: int, chance: float) -> None:
    full = min(LONGEST_BACKOFF_MS, 500 * 2 ** min(attempts, 16))
    assert full / 2 <= backoff_ms(attempts, chance) <= full


def test_a_sending_under_way_comes_to_its_end_before_the_end(tmp_path: Path) -> None:
    """So that a clean stop repeats nothing."""

    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row(created_at=now_ms())])
            begun, door = asyncio.Event(), Fake()

            async def send(rows: Sequence[Row]) -> None:
                begun.set()
                await asyncio.sleep(0.3)
                await Fake.send(door, rows)

            door.send = send  # type: ignore[method-assign]  # to see the moment
            async with telling(store, ops=door):
                await begun.wait()
            assert door.got == [("a1", "firing")]
            assert store.told("a1") == [("ops", "firing", "sent")]

    run(story())


def test_history_is_never_given_up_and_a_broker_that_is_away_is_no_dead_channel(tmp_path: Path) -> None:
    async def story() -> None:
        with Store(tmp_path / "n.db") as store:
            store.commit(State(), State(), [row("old", channel=TOPIC, created_at=now_ms() - 10 * 86_400_000)])
            door = Fake(Unavailable("KafkaError"), Rejected("KafkaError"))
            async with telling(store, **{TOPIC: door}) as said:
                await until(lambda: store.unsettled() == {})
            assert len(door.at) == 2
            assert said == []

    run(story())


def test_a_dead_channel_that_is_no_longer_configured_is_no_alert_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with desk(settings_with(tmp_path)) as (watch, _, _broker):
            watch.trouble("gone", "answered 404")
            assert [alert["state"] for alert in watch.open_alerts()] == ["firing"]
        async with desk(settings_with(tmp_path)) as (watch, _, _broker):
            assert [alert["state"] for alert in watch.open_alerts()] == ["resolved"]

    run(story())


@contextmanager
def nothing_written(path: Path, store: Store) -> Iterator[None]:
    """The file takes nothing, as on a full disk."""
    store._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_while_nothing_can_be_written_nothing_is_believed_and_nothing_sent_twice(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "n.db"
        with Store(path) as store:
            watch, at = Watch(store, rules(BACKLOG), Policy(("ops",))), now_ms()
            with nothing_written(path, store):
                assert watch.judge(REAL, at, readings([key(backlog=30)])) == []
                assert watch.command({"do": "ack", "tenant": "shop", "by": "li", "alert": "x"})["ok"] is False
                assert watch.open_alerts() == []
            (change,) = watch.judge(REAL, at + S, readings([key(backlog=30)]))
            door = Fake()
            sent = asyncio.Event()

            async def send(rows: Sequence[Row]) -> None:
                await Fake.send(door, rows)
                sent.set()

            door.send = send  # type: ignore[method-assign]  # to see the moment
            with nothing_written(path, store):
                async with telling(store, ops=door, **{TOPIC: Fake()}):
                    await sent.wait()
                    await asyncio.sleep(1.2)  # a round of trying again
                    assert store.unsettled()["ops"] == 1
            assert door.got == [(change.alert.id, "firing")]

    run(story())


@pytest.mark.slow
def test_after_an_outage_people_get_one_summary_and_never_more_than_a_message_a_second(tmp_path: Path) -> None:
    """An hour of a surge by the ticks' clock: two hundred queues fire, forty of them end before it is over."""

    async def story() -> None:
        async with receiver() as slack:
            slack.answer = lambda _: web.Response(status=503)
            tried: list[float] = []

            async def note(_: web.Request) -> None:
                tried.append(time.monotonic())

            slack.before = note
            hooked = Channel(name="slack", type="slack", url=slack.url, allow_private=True)
            async with desk(settings_with(tmp_path, hooked)) as (watch, store, _):
                at, fired, began = now_ms(), set[str](), time.monotonic()
                for minute in range(1, 61):
                    calm = [minute > 55 and n % 5 == 0 for n in range(200)]
                    keys = [key(f"q{n}", backlog=0 if calm[n] else 30) for n in range(min(200, minute * 4))]
                    fired |= {one.alert.id for one in watch.judge(REAL, at + minute * 60 * S, readings(keys))}
                    await asyncio.sleep(0)
                await until(lambda: len(slack.posts) >= 2)
                before = len(slack.posts)
                slack.answer = lambda _: web.Response(text="ok")
                await until(lambda: store.unsettled() == {})
                assert len(slack.posts) - before == 1
                assert slack.posts[-1].json["text"].startswith(f"{len(fired)} alerts: 160 open, 40 resolved"), (
                    "none missed"
                )
                assert len(fired) == 200
                assert all(one > began + number * 0.98 for number, one in enumerate(tried)), tried

    run(story())


@pytest.mark.slow
def test_a_storm_of_two_thousand_alerts_is_at_most_twenty_posts_to_people_and_none_is_missed(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as slack:
            hooked = Channel(name="slack", type="slack", url=slack.url, allow_private=True)
            async with desk(settings_with(tmp_path, hooked)) as (watch, store, _):
                before, at = psutil.Process().memory_info().rss, now_ms()
                for step in range(1, 11):
                    watch.judge(REAL, at + step, readings([key(f"q{n}", backlog=30) for n in range(200 * step)]))
                    await asyncio.sleep(0.2)
                await until(lambda: store.unsettled() == {})
                assert len(slack.posts) <= 20
                titles = [post.json["text"] for post in slack.posts]
                counts = [int(found[1]) if (found := re.match(r"(\d+) alerts", title)) else 1 for title in titles]
                assert sum(counts) == 2000
                assert psutil.Process().memory_info().rss - before < 50 * 2**20

    run(story())


# The whole desk, against real sockets


def settings_with(tmp_path: Path, *channels: Channel, routes: Sequence[Route] = (), ruleset: str = BACKLOG) -> Settings:
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n" + "\n".join(f"  {line}" for line in ruleset.strip().splitlines()), encoding="utf-8")
    return Settings(rules=path, channels=list(channels), routes=list(routes), data=tmp_path)


def hook(there: Receiver | str, name: str = "ops", timeout_s: float = 1) -> Channel:
    url = there if isinstance(there, str) else there.url
    return Channel(name=name, type="webhook", url=url, secret="s" * 32, allow_private=True, timeout_s=timeout_s)


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[tuple[Watch, Store, Broker]]:
    """Everything that judges and tells, at work."""
    broker = Broker()
    assert settings.data is not None
    with notifier.store_in(settings.data) as store:
        made = notifier.set_up(settings, store, broker)
        async with notifier.at_work(made):
            yield made.watch, store, broker


def test_each_change_of_state_is_posted_and_published(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there, desk(settings_with(tmp_path, hook(there))) as (watch, store, broker):
            at = now_ms()
            watch.judge(REAL, at, readings([key(backlog=30, oldest_ms=5000)]))
            await until(lambda: len(there.posts) == 1)
            watch.command({"do": "ack", "tenant": "shop", "by": "li", "alert": there.posts[0].json["alert"]})
            await until(lambda: len(there.posts) == 2)
            watch.judge(REAL, at + S, readings([key(backlog=0)]))
            await until(lambda: len(there.posts) == 3 and store.unsettled() == {})
            bodies = [post.json for post in there.posts]
            assert [body["state"] for body in bodies] == ["firing", "acknowledged", "resolved"]
            assert len({body["alert"] for body in bodies}) == 1
            assert bodies[0]["value"] == 30
            assert bodies[0]["impact"]["oldest_ms"] == 5000
            assert [body for topic, _, body in broker.sent if topic == ALERTS] == bodies

    run(story())


@pytest.mark.slow
def test_one_dead_channel_slows_no_other_and_is_told_through_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as gone, receiver() as well, raw(hangs) as stuck:
            gone.answer = lambda _: web.Response(status=404)
            channels = (hook(gone, "gone"), hook(stuck, "stuck", timeout_s=15), hook(well, "well"))
            async with desk(settings_with(tmp_path, *channels)) as (watch, _, _broker):
                watch.judge(REAL, now_ms(), readings([key(backlog=30)]))
                await until(lambda: len(well.posts) == 2)
                told = well.posts[1].json
                assert told["rule"] == "channel-down/gone"
                assert told["summary"]["en"] == "Channel gone cannot be reached"
                assert [post.json["rule"] for post in gone.posts] == ["backlog-high"]

    run(story())


@pytest.mark.slow
def test_while_one_channel_hangs_no_other_waits_for_it_and_it_gets_all_once_it_answers(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as stuck, receiver() as well:
            awake = asyncio.Event()

            async def hang(_: web.Request) -> None:
                await awake.wait()

            settings = settings_with(tmp_path, hook(stuck, "stuck", timeout_s=15), hook(well, "well"))
            async with desk(settings) as (watch, store, _):
                stuck.before = hang
                watch.judge(REAL, now_ms(), readings([key("q0", backlog=30)]))
                await until(lambda: len(stuck.posts) == len(well.posts) == 1)
                for n in (1, 2):
                    watch.judge(REAL, now_ms() + n, readings([key(f"q{m}", backlog=30) for m in range(n + 1)]))
                    await until(lambda n=n: len(well.posts) > n)  # type: ignore[misc]  # as it stands in this round
                assert len(stuck.posts) == 1, "all of it while the first try still hung"
                stuck.before = None
                awake.set()
                await until(lambda: store.unsettled() == {})
                assert {post.json["queue"] for post in stuck.posts} == {f"q{n}" for n in range(3)}
                assert len(well.posts) == 3

    run(story())


def test_a_channel_that_works_again_is_told_too_and_gets_what_it_missed(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there, receiver() as other:
            there.answers = [web.Response(status=403)]
            settings = settings_with(tmp_path, hook(there, "there"), hook(other, "other"))
            async with desk(settings) as (watch, _, _broker):
                at = now_ms()
                watch.judge(REAL, at, readings([key(backlog=30)]))
                await until(lambda: len(other.posts) == 2)
                watch.judge(REAL, at + S, readings([key(backlog=0)]))
                await until(lambda: len(other.posts) == 4)
                stories = {(p.json["rule"], p.json["state"]) for p in other.posts}
                assert ("channel-down/there", "resolved") in stories

    run(story())


def test_routes_choose_the_channels(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as one, receiver() as two:
            settings = settings_with(
                tmp_path,
                hook(one, "one"),
                hook(two, "two"),
                routes=[Route(match={"queue": "bill*"}, channels=["one"]), Route(match={}, channels=["two"])],
            )
            async with desk(settings) as (watch, store, _):
                watch.judge(REAL, now_ms(), readings([key("billing", backlog=30), key("returns", backlog=30)]))
                await until(lambda: len(two.posts) == 2 and store.unsettled() == {})
                assert [post.json["queue"] for post in one.posts] == ["billing"]

    run(story())


def test_without_channels_alerts_go_to_the_console(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with desk(settings_with(tmp_path)) as (watch, store, _):
            watch.judge(REAL, now_ms(), readings([key(backlog=30)]))
            await until(lambda: store.unsettled() == {})
            ((_, alert),) = watch.state.alerts.items()
            assert set(store.told(alert.id)) == {(TOPIC, "firing", "sent"), (CONSOLE, "firing", "sent")}

    run(story())


def test_a_restart_tells_nothing_twice_and_still_tells_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there:
            settings, at = settings_with(tmp_path, hook(there)), now_ms()
            async with desk(settings) as (watch, store, _):
                watch.judge(REAL, at, readings([key(backlog=30)]))
                await until(lambda: store.unsettled() == {})
            async with desk(settings) as (watch, store, _):
                assert watch.judge(REAL, at, readings([key(backlog=0)])) == []  # judged before
                watch.judge(REAL, at + S, readings([key(backlog=31)]))
                watch.judge(REAL, at + 2 * S, readings([key(backlog=0)]))
                await until(lambda: len(there.posts) == 2 and store.unsettled() == {})
            assert [post.json["state"] for post in there.posts] == ["firing", "resolved"]

    run(story())


def test_a_silence_is_kept_over_a_restart_and_its_end_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with receiver() as there:
            settings, at = settings_with(tmp_path, hook(there)), now_ms()
            order = {"do": "silence", "tenant": "shop", "by": "li", "match": {"queue": "ret*"}, "reason": "演练"}
            async with desk(settings) as (watch, store, _):
                assert watch.command(order)["ok"]
                watch.judge(REAL, at, readings([key(backlog=30)]))
                assert watch.open_alerts()[0]["silenced_by"] == "li"
            async with desk(settings) as (watch, store, _):
                (silence,) = watch.silences("shop")
                assert watch.silences("other") == []
                assert (silence["by"], silence["reason"], silence["match"]) == ("li", "演练", {"queue": "ret*"})
                await until(lambda: store.unsettled() == {})
                assert there.posts == []
                watch.command({"do": "unsilence", "tenant": "shop", "by": "li", "id": silence["id"]})
                await until(lambda: len(there.posts) == 1)
                assert [(deed["who"], deed["what"]) for deed in store.audit()] == [
                    ("li", "silence"),
                    ("li", "unsilence"),
                ]
                assert all("演练" in deed["detail"] for deed in store.audit() if deed["what"] == "silence")

    run(story())


def test_a_silence_that_runs_out_after_a_restart_is_told_of_at_the_next_second(tmp_path: Path) -> None:
    at = now_ms()
    order = {"do": "silence", "tenant": "shop", "by": "li", "match": {"queue": "*"}, "minutes": 1, "reason": "drill"}
    with Store(tmp_path / "n.db") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda: at)
        assert watch.command(order)["ok"]
        watch.judge(REAL, at, readings([key(backlog=30)]))
    told = []
    with Store(tmp_path / "n.db") as store:
        for second in range(58, 63):
            watch = Watch(store, rules(BACKLOG), Policy(("ops",)), now=lambda second=second: at + second * S)  # type: ignore[misc]  # this second
            watch.beat()
            told += [second] * store.unsettled().get("ops", 0)
            store.settle({one.id: "sent" for one in store.due("ops", 1 << 62, 9)}, at)
    assert told == [60]


def test_an_order_that_cannot_be_carried_out_is_answered_and_audited(tmp_path: Path) -> None:
    async def story() -> None:
        async with desk(settings_with(tmp_path)) as (watch, store, _):
            answer = watch.command({"do": "ack", "tenant": "shop", "by": "li", "alert": "nope"})
            assert answer == {"kind": "reply", "ok": False, "error": "there is no such alert"}
            assert watch.command({"do": "dance", "tenant": "shop", "by": "li"})["ok"] is False
            assert watch.command({})["ok"] is False
            assert next(deed["result"] for deed in store.audit()) == "there is no such alert"

    run(story())


@pytest.mark.slow
def test_a_stream_that_stops_is_told_though_no_tick_comes(tmp_path: Path) -> None:
    async def story() -> None:
        ruleset = "- {name: stopped, metric: stream_age, fire: '> 5s', severity: critical}"
        async with receiver() as there, desk(settings_with(tmp_path, hook(there), ruleset=ruleset)) as (watch, _, _b):
            watch.judge(REAL, now_ms(), readings([key()]))
            await until(lambda: len(there.posts) == 1)
            assert there.posts[0].json["value"] > 5_000
            assert (there.posts[0].json["rule"], there.posts[0].json["tenant"]) == ("stopped", "*")
            watch.judge(REAL, now_ms(), readings([key()]))
            await until(lambda: len(there.posts) == 2)
            assert there.posts[1].json["state"] == "resolved"

    run(story())


def test_a_stream_that_stops_is_told_at_the_second_at_which_the_bound_is_passed(tmp_path: Path) -> None:
    at, passed = now_ms(), 0
    ruleset = "- {name: stopped, metric: stream_age, fire: '> 60s', severity: critical}"
    with Store(tmp_path / "n.db") as store:
        watch = Watch(store, rules(ruleset), Policy(("ops",)), now=lambda: at + passed * S)
        watch.judge(REAL, at, readings([key()]))
        for passed in range(1, 62):
            assert bool(watch.beat()) is (passed == 61)
        assert store.unsettled()["ops"] == 1


def test_the_feed_has_what_is_open_and_what_was_resolved_lately_of_the_viewers_tenant(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        watch = Watch(store, rules(BACKLOG), Policy((CONSOLE,)))
        at = now_ms()
        watch.judge(
            REAL, at, readings([key("a", backlog=30), key("b", backlog=30), key("a", "*", "other", backlog=30)])
        )
        watch.judge(REAL, at + S, readings([key("a"), key("b", backlog=31), key("a", "*", "other", backlog=30)]))
        assert sorted((a["queue"], a["state"]) for a in watch.open_alerts("shop")) == [
            ("a", "resolved"),
            ("b", "firing"),
        ]
        assert len(watch.open_alerts()) == 3
        watch.judge(REAL, at + 40 * 60_000, readings([], shop=TenantReading(), **{EVERYWHERE: TenantReading()}))
        assert [a["state"] for a in watch.open_alerts("shop")] == ["resolved"]


# Killed around a sending. The child judges one tick that fires, and dies by SIGKILL where it is told to.

CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from alerts import notifier
from alerts.tell import now_ms
from config.settings import Channel, Settings
from streams.events import REAL
from tests.alerts.build import key, readings

class Broker:
    async def send_and_wait(self, topic, value, key):
        pass

async def main(data, url, die):
    hook = Channel(name="ops", type="webhook", url=url, secret="s" * 32, allow_private=True, timeout_s=5)
    settings = Settings(rules=data / "rules.yaml", channels=[hook], data=data)
    with notifier.store_in(data) as store:
        desk = notifier.set_up(settings, store, Broker())
        desk.watch.judge(REAL, int(sys.argv[4]), readings([key(backlog=30)]))
        if die == "before_send":
            os.kill(os.getpid(), signal.SIGKILL)
        async with notifier.at_work(desk):
            while store.unsettled():
                await asyncio.sleep(0.01)
        if die == "after_log":
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


AROUND = [("before_send", 1), ("after_send", 2), ("after_log", 1)]


async def killed_around_a_sending(tmp_path: Path, die: str, most: int) -> None:
    """One life that dies where it is told to, and one after it: nothing is lost, and at most one post repeated."""

    async def child(url: str, where: str, at: int) -> asyncio.subprocess.Process:
        command = (sys.executable, "-c", CHILD, str(tmp_path), url, where, str(at))
        return await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONPATH": "."})

    at = now_ms()
    async with receiver() as there:
        process: list[asyncio.subprocess.Process] = []

        async def kill_then_answer(request: web.Request) -> None:
            process[0].send_signal(signal.SIGKILL)
            await process[0].wait()

        there.before = kill_then_answer if die == "after_send" else None
        process.append(await child(there.url, die, at))
        assert await process[0].wait() == -signal.SIGKILL
        there.before = None
        again = await child(there.url, "not", at)
        assert await again.wait() == 0
        assert 1 <= len(there.posts) <= most
        assert {(p.json["alert"], p.json["state"]) for p in there.posts} == {(there.posts[0].json["alert"], "firing")}


@pytest.mark.slow
@pytest.mark.parametrize(("die", "most"), AROUND)
def test_a_kill_around_a_sending_loses_none_and_repeats_at_most_one_with_the_same_id(
    tmp_path: Path, die: str, most: int
) -> None:
    settings_with(tmp_path)
    run(killed_around_a_sending(tmp_path, die, most))


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(30))
@pytest.mark.parametrize(("die", "most"), AROUND)
def test_ninety_kills_around_a_sending(tmp_path: Path, die: str, most: int, number: int) -> None:
    settings_with(tmp_path)
    run(killed_around_a_sending(tmp_path, die, most))


def test_a_webhook_door_is_what_a_webhook_channel_gets() -> None:
    with Store(":memory:") as store:
        made = notifier.doors([hook("http://127.0.0.1:1")], store)
    assert isinstance(made["ops"], Webhook)
    assert CONSOLE in made
