"""Labels in, topics out, from outside: what agents said teaches the model, and it outlives the worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, snapshot, wait
from tidewatch.embedded import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
TENANT = "words"
START = 1_772_445_600_000
ASKED = {
    "delivery": (
        "我的快递还没到",
        "物流信息不动了",
        "where is my parcel, tracking says nothing",
        "包裹丢了吗 快递单号查不到",
    ),
    "refund": ("我要退款", "退款什么时候到账", "I want my money back, refund please", "申请退款被拒绝了"),
}
NEW = {"d": ("包裹到哪里了，快递太慢了", "delivery"), "r": ("退款还没到账，太差劲了", "refund"), "h": ("你好", None)}


def lesson(name: str, at: int, topic: str, text: str) -> list[Row]:
    """A conversation that an agent closed with a topic."""
    given: Row = {"conversation": name, "tenant": TENANT}
    return [
        {**given, "id": "1", "kind": "message", "at": at, "author": "customer", "text": text},
        {**given, "id": "2", "kind": "message", "at": at + 1_000, "author": "agent", "author_id": "amy", "text": "好"},
        {**given, "id": "3", "kind": "closed", "at": at + 2_000, "agent": "amy", "topic": topic},
    ]


def asked(prefix: str, at: int) -> list[Row]:
    """New conversations that nobody has labelled, and one customer who sends a picture."""
    given: Row = {"kind": "message", "at": at, "author": "customer", "tenant": TENANT}
    said = [{**given, "id": "1", "conversation": f"{prefix}{name}", "text": text} for name, (text, _) in NEW.items()]
    return [*said, {**given, "id": "2", "conversation": f"{prefix}d", "at": at + 5, "text": "x", "type": "image"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    stack = RunningStack(Stack(Path(tmp_path_factory.mktemp("words")) / "data", port=0))
    stack.start()
    yield stack
    stack.stop()


def send(access: Row, events: list[Row], tick: int) -> None:
    sender = Sender(access)
    sender.send([{"events": events}, {"tick": rfc3339(tick), "tenant": TENANT}])
    assert sender.rejected == []


def topics_of(history: History, prefix: str) -> dict[str, Any]:
    rows = history.rows("SELECT conversation, topic FROM episodes WHERE startsWith(conversation, %(p)s)", p=prefix)
    return {row["conversation"].removeprefix(prefix): row["topic"] for row in rows}


def learned(running: RunningStack, prefix: str, at: int) -> dict[str, Any]:
    """Ask again under new names until the model has heard the labels: they come by a topic of their own."""
    access, history = dict(running.access), History(dict(running.access))
    for turn in range(20):
        name = f"{prefix}{turn}-"
        send(access, asked(name, at + turn * 60_000), at + turn * 60_000 + 1_000)
        wait("episodes", lambda name=name: len(topics_of(history, name)) == len(NEW))  # type: ignore[misc]
        found = topics_of(history, name)
        if found["d"] is not None:
            return found | {"last": name, "at": at + turn * 60_000}
    raise AssertionError("nothing was learned")


def test_labels_teach_and_what_is_learned_outlives_the_worker(running: RunningStack) -> None:
    access, history = dict(running.access), History(dict(running.access))
    lessons = [(topic, text) for topic, texts in ASKED.items() for text in texts]
    events = [
        one for n, (topic, text) in enumerate(lessons) for one in lesson(f"l{n}", START + n * 10_000, topic, text)
    ]
    send(access, events, START + 100_000)
    found = learned(running, "a", START + 120_000)
    assert (found["d"], found["r"], found["h"]) == ("delivery", "refund", None)

    rows = history.rows(
        "SELECT id, model_topic, sentiment, keywords FROM events WHERE conversation = %(c)s", c=f"{found['last']}d"
    )
    by_id = {row["id"]: row for row in rows}
    assert by_id["1"]["model_topic"] == "delivery"
    assert {"包裹", "快递"} <= set(by_id["1"]["keywords"])
    assert (by_id["2"]["model_topic"], by_id["2"]["sentiment"], by_id["2"]["keywords"]) == (None, None, [])
    angry = history.rows("SELECT sentiment FROM events WHERE conversation = %(c)s", c=f"{found['last']}r")
    assert angry[0]["sentiment"] < -0.3

    running.kill("worker")
    again = learned(running, "b", found["at"] + 600_000)
    assert (again["d"], again["r"], again["h"]) == ("delivery", "refund", None)
    assert again["last"] == "b0-", "what was learned before the kill is there at once"


def test_the_feed_and_the_history_say_the_same_of_words(running: RunningStack) -> None:
    access, history = dict(running.access), History(dict(running.access))
    keys = {(key["tenant"], key["queue"], key["channel"]): key for key in snapshot(access)["keys"]}
    key = keys[TENANT, "*", "*"]
    assert {topic["topic"] for topic in key["topics"]} == {"delivery", "refund"}
    sums = history.rows(
        "SELECT sum(sentiment_sum) AS s, sum(negative) AS neg, sum(sentiment_n) AS n FROM minutes WHERE tenant = %(t)s",
        t=TENANT,
    )
    events = history.rows(
        "SELECT sum(sentiment) AS s, countIf(sentiment < -0.3) AS neg, count(sentiment) AS n FROM events"
        " WHERE tenant = %(t)s",
        t=TENANT,
    )
    today = key["windows"]["today"]
    for name, column in (("s", "sentiment_sum"), ("neg", "negative"), ("n", "sentiment_n")):
        assert sums[0][name] == pytest.approx(events[0][name]) == pytest.approx(today[column]), column
    assert today["negative"] > 0


def test_the_events_are_enough_to_come_to_the_same_topics_again(running: RunningStack) -> None:
    history = History(dict(running.access))
    assert history.rows("SELECT count() AS n FROM episodes WHERE tenant = %(t)s AND topic IS NOT NULL", t=TENANT)[0][
        "n"
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tidewatch.cli", "verify", "--data", str(running.directory), "--tenant", TENANT],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
