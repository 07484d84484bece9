"""FAULTS T-08 through a whole stack: the notifier stands for ten minutes, then reads what it missed at full speed.

A second notifier, with a memory of its own, lives through the same ten minutes: what it fired is what the first must
come to. `TIDEWATCH_BACKLOG_MIN` may say more minutes than ten, not fewer: the freshness limit is five.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from alerts.notices import FRESH_MS
from alerts.state import CATCHING_UP
from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.alarmed import SECRET, Receiver, receiving, stack_with
from tests.integration.outside import Sender, wait
from tests.rig import long
from tests.rig.processes import STARTED

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(7_200)]
AWAY_MIN = max(10.0, long.BACKLOG_MIN)
RULES = 'rules:\n  - {name: waits, metric: backlog, scope: {queue: "*"}, fire: "> 2", for: 30s}\n'
OVER, STANDS, FRESH = "over", "stands", "fresh"
"""Queues: what is over long before the notifier is back, what still stands then, what fired shortly before."""


def wires(queue: str, author: str) -> list[Row]:
    """Three customers of a queue write now, or are answered."""
    now = round(time.time() * 1000)
    return [
        {
            "id": f"{author}{n}", "kind": "message", "at": now, "tenant": "shop", "conversation": f"{queue}{n}",
            "queue": queue, "author": author, "author_id": f"{author}{n}", "text": "?",
        }
        for n in range(3)
    ]  # fmt: skip


@contextmanager
def second(stack: RunningStack, folder: Path, receiver: Receiver) -> Iterator[Path]:
    """A notifier beside the stack's own, with another memory and another webhook; its directory."""
    data = folder / "data"
    data.mkdir(parents=True)
    (folder / "rules.yaml").write_text(RULES)
    (folder / "tidewatch.toml").write_text(
        f'rules = "rules.yaml"\n[[channels]]\nname = "hook"\ntype = "webhook"\nurl = "{receiver.url}"\n'
        f'secret = "{SECRET}"\nallow_private = true\n'
    )
    away = {"TIDEWATCH_DATA": str(data), "TIDEWATCH_REDIS__URL": "redis://127.0.0.1:1/0"}
    with (folder / "log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tidewatch.cli", "notifier", "--config", str(folder / "tidewatch.toml")],
            env={**stack.environment, **away}, stdout=output, stderr=output,
        )  # fmt: skip
    STARTED.append(process)
    try:
        wait("the second notifier", lambda: "notifier_ready" in (folder / "log").read_text(), 60)
        yield data
    finally:
        process.terminate()
        process.wait(30)
        STARTED.remove(process)


def changed(data: Path) -> set[tuple[str, str]]:
    """(alert, state) of all that was written for the history about the rule, as the notifier's memory has it."""
    with closing(sqlite3.connect(f"file:{data / 'notifier.db'}?mode=ro", uri=True)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM outbox WHERE channel = '@topic'")]
    return {(body["alert"], body["state"]) for body in bodies if body["rule"] == "waits"}


def told(receiver: Receiver) -> list[Row]:
    """What the webhook was posted."""
    return [json.loads(body) for _, body in receiver.posts]


def states(bodies: list[Row], queue: str) -> list[tuple[str, str]]:
    """(alert, state) of what was told of a queue."""
    return [(body["alert"], body["state"]) for body in bodies if body["queue"] == queue]


def ended(receiver: Receiver) -> bool:
    """Whether the ends of what stood to the last were told."""
    return len(states(told(receiver), STANDS)) == len(states(told(receiver), FRESH)) == 2


def until(began: float, minutes: float) -> None:
    """Live on until so many minutes after the beginning: the ten minutes are the machine's own."""
    time.sleep(max(0.0, began + 60 * minutes - time.monotonic()))


def test_t08_ten_minutes_of_backlog_give_the_alerts_of_the_live_run_and_no_old_news(tmp_path: Path) -> None:
    with (
        receiving() as late,
        receiving() as live,
        stack_with(tmp_path, RULES, late) as stack,
        second(stack, tmp_path / "second", live) as reference,
    ):
        sender = Sender(dict(stack.access), replay=False)
        sender.send([{"events": [{**wires("calm", "customer")[0], "author": "system"}]}])
        own = stack.pid("notifier")
        assert own is not None
        wait("both at work", lambda: stack.missing() == [], 60)
        os.kill(own, signal.SIGSTOP)
        try:
            began = time.monotonic()
            sender.send([{"events": wires(OVER, "customer")}])
            until(began, 1.5)
            sender.send([{"events": wires(OVER, "agent")}, {"events": wires(STANDS, "customer")}])
            until(began, AWAY_MIN - 2)
            sender.send([{"events": wires(FRESH, "customer")}])
            until(began, AWAY_MIN)
        finally:
            os.kill(own, signal.SIGCONT)
        assert (live_posts := told(live))
        wait("both after it are told", lambda: states(told(late), FRESH) and states(told(late), STANDS), 120)
        assert stack.pid("notifier") == own, "it was not started anew"
        sender.send([{"events": [*wires(STANDS, "agent"), *wires(FRESH, "agent")]}])
        for receiver in (live, late):
            wait("the ends", partial(ended, receiver), 60)
        wait("both have come to the same", lambda: changed(reference) == changed(stack.directory), 60)
        assert len(changed(reference)) == 6, "three alerts, each with its end"
        bodies = told(late)
        print([(body["rule"], body["queue"], body["state"], body["as_of"]) for body in bodies])
        assert [state for _, state in states(live_posts, OVER)] == ["firing", "resolved"]
        assert states(bodies, OVER) == [], "over before anybody could be told"
        for queue in (STANDS, FRESH):
            assert states(bodies, queue) == states(told(live), queue), "the same id, each state once"
        assert [body["state"] for body in bodies if body["rule"] == CATCHING_UP] == ["firing"], "one note"
        back = (began + 60 * AWAY_MIN - time.monotonic()) * 1000 + time.time() * 1000
        assert all(_as_of_ms(body) >= back - FRESH_MS - 5_000 for body in bodies if body["rule"] == "waits")


def _as_of_ms(body: Row) -> float:
    return datetime.fromisoformat(body["as_of"]).timestamp() * 1000
