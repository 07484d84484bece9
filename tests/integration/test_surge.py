"""Surges through the real stack: history is learned and stored, and a killed notifier changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, ms, snapshot, wait
from tidewatch.embedded import Stack

START = 1_772_445_600_000
MINUTE = 60_000
HOURS = 8
RATE = 9
END = START + HOURS * 60 * MINUTE


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with the shipped rules, alone."""
    root: Path = tmp_path_factory.mktemp("surge")
    running = RunningStack(Stack(root / "data", port=0))
    running.start()
    yield running
    running.stop()


def messages(tenant: str, first: int, last: int, factor: int = 1) -> list[Row]:
    """Customers' messages of the minutes `[first, last)`, some three a conversation, the same for every tenant."""
    out: list[Row] = []
    for minute in range(first, last):
        chance = random.Random(minute)
        for n in range(sum(chance.random() < 0.5 for _ in range(2 * RATE * factor))):
            at = START + minute * MINUTE + chance.randrange(MINUTE)
            name = f"{minute // 3}-{n}"
            out.append({
                "id": f"{minute}-{n}", "kind": "message", "at": at, "tenant": tenant, "conversation": name,
                "queue": "billing", "author": "customer", "author_id": name, "text": "我的订单还没到",
            })  # fmt: skip
    return sorted(out, key=lambda event: event["at"])


def tick(tenant: str, at: int) -> Row:
    """A tick of a replay."""
    return {"tick": rfc3339(at), "tenant": tenant}


def framed(events: list[Row]) -> list[Row]:
    """Frames of events."""
    return [{"events": events[start : start + 500]} for start in range(0, len(events), 500)]


def said(history: History, tenant: str) -> dict[tuple[str, str, int], tuple[float, float, float, bool]]:
    """What ClickHouse has of minutes."""
    rows = history.rows("SELECT * FROM minutes_usual FINAL WHERE tenant = {t:String}", t=tenant)
    return {(r["queue"], r["channel"], r["minute"]): (r["expected"], r["low"], r["high"], r["surge"]) for r in rows}


def fill(stack: RunningStack, tenant: str, every: int) -> None:
    """Fill in the history: a tick every so many minutes, and one at its end."""
    parts: list[Row] = []
    for first in range(0, HOURS * 60, every):
        last = min(first + every, HOURS * 60)
        parts += [*framed(messages(tenant, first, last)), tick(tenant, START + last * MINUTE)]
    Sender(dict(stack.access)).send(parts)


def learned(stack: RunningStack, tenant: str, at: int) -> bool:
    """Whether the models have seen the minute that ended a minute before."""
    rows = History(dict(stack.access)).rows(
        "SELECT max(minute) AS last FROM minutes_usual FINAL WHERE tenant = {t:String}", t=tenant
    )
    return bool(rows and rows[0]["last"] == at - 2 * MINUTE)


@pytest.mark.slow
def test_one_tick_over_all_says_what_a_tick_a_minute_says(stack: RunningStack) -> None:
    fill(stack, "often", 1)
    fill(stack, "once", HOURS * 60)
    for tenant in ("often", "once"):
        wait(f"{tenant} is learned", lambda tenant=tenant: learned(stack, tenant, END), 120)  # type: ignore[misc]
    history = History(dict(stack.access))
    often, once = said(history, "often"), said(history, "once")
    assert once == often
    assert len(once) == 4 * (HOURS * 60 - 30 - 1), "all but the first half hour, and the last minute"
    minutes = history.rows("SELECT * FROM minutes WHERE tenant = 'once' AND minute >= {m:Int64}", m=END - 60 * MINUTE)
    shown = [(row["expected"], row["low"], row["high"], row["surge"]) for row in minutes]
    assert all(row in once.values() for row in shown[:-1])


@pytest.mark.slow
def test_a_surge_fires_in_time_though_the_notifier_is_killed_in_it(stack: RunningStack) -> None:
    access = dict(stack.access)
    for tenant in ("calm", "killed"):
        fill(stack, tenant, HOURS * 60)
        wait(f"{tenant} is learned", lambda tenant=tenant: learned(stack, tenant, END), 120)  # type: ignore[misc]
    steps = range(10_000, 6 * MINUTE + 1, 10_000)
    for tenant in ("calm", "killed"):
        events = messages(tenant, HOURS * 60, HOURS * 60 + 6, 5)
        done = 0
        for step in steps:
            upto = [event for event in events if done <= event["at"] - END < step]
            done = step
            Sender(access).send([*framed(upto), tick(tenant, END + step)])
            if tenant == "killed" and step in (40_000, 150_000):
                pid = stack.pid("notifier")
                stack.kill("notifier")
                wait("another notifier", lambda pid=pid: stack.pid("notifier") not in (None, pid), 60)  # type: ignore[misc]
    history = History(access)
    found = {}
    for tenant in ("calm", "killed"):
        wait("the surge in the history", lambda tenant=tenant: alerts(history, tenant), 60)  # type: ignore[misc]
        wait("all is learned", lambda tenant=tenant: learned(stack, tenant, END + 6 * MINUTE), 60)  # type: ignore[misc]
        found[tenant] = alerts(history, tenant)
        assert min(row["at"] for row in found[tenant]) - END <= 90_000
        assert {row["rule"] for row in found[tenant]} == {"surge", "surge-all"}
    without = [{key: row[key] for key in ("rule", "at", "value", "expected")} for row in found["calm"]]
    assert without == [{key: row[key] for key in ("rule", "at", "value", "expected")} for row in found["killed"]]
    assert said(history, "calm") == said(history, "killed")
    volume = next(key for key in snapshot(access)["keys"] if (key["tenant"], key["queue"]) == ("killed", "billing"))
    assert volume["volume"]["surge"]
    assert END < (ms(volume["volume"]["since"]) or 0) <= END + 90_000


def alerts(history: History, tenant: str) -> list[Row]:
    """The first state of every alert on volume, from the view `alerts`."""
    return history.rows(
        "SELECT rule, at, value, expected FROM alerts WHERE tenant = {t:String} AND state = 'firing'"
        " AND metric = 'surge' ORDER BY rule",
        t=tenant,
    )
