"""A rule, a replay, a webhook: the alert fires at the tick at which its numbers were so, once, signed, and resolves."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.alarmed import MINUTE, SECRET, START, Receiver, message, receiving, stack_with, tick
from tests.integration.outside import History, Sender, wait

RULES = """
rules:
  - name: three-wait
    metric: backlog
    scope: {tenant: "alarm", queue: "*"}
    fire: ">= 3"
    clear: "<= 1"
    for: 2m
    severity: warning
    runbook: https://runbooks.example/three-wait
  - name: answered-late
    metric: service_level
    scope: {tenant: "late", queue: "*"}
    window: 30m
    fire: "< 60%"
    clear: ">= 75%"
    keep_firing_for: 30m
    min_n: 3
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """The receiver."""
    with receiving() as one:
        yield one


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningStack]:
    """A stack with one rule and the webhook."""
    with stack_with(tmp_path_factory.mktemp("alarmed"), RULES, receiver) as running:
        yield running


def test_an_alert_fires_when_its_numbers_held_and_resolves_when_they_cleared(
    alarmed: RunningStack, receiver: Receiver
) -> None:
    access: Row = dict(alarmed.access)
    parts: list[Row] = [{"events": [message(number, 0, "customer") for number in range(3)]}]
    parts += [tick(minute * MINUTE) for minute in range(1, 6)]
    parts.append({"events": [message(number, 5 * MINUTE + 1_000, "agent") for number in (0, 1)]})
    parts += [tick(minute * MINUTE) for minute in range(6, 9)]
    Sender(access).send(parts)  # all at once: the ticks, not the wall clock, say when
    wait("two posts", lambda: len(receiver.posts) >= 2, 60)
    firing, resolved = (json.loads(body) for _, body in receiver.posts)
    assert [firing["state"], resolved["state"]] == ["firing", "resolved"]
    assert firing["alert"] == resolved["alert"]
    assert (firing["rule"], firing["tenant"], firing["queue"], firing["value"]) == ("three-wait", "alarm", "billing", 3)
    assert firing["at"] == rfc3339(START + 3 * MINUTE), "two minutes after the first tick that saw it"
    assert resolved["resolved_at"] == rfc3339(START + 6 * MINUTE)
    assert all(firing["summary"][language] for language in ("zh", "en"))
    assert firing["board"].startswith(f"{access['url']}/?"), "whole, though the port was free to choose"
    for signature, body in receiver.posts:
        fields = dict(part.split("=", 1) for part in signature.split(","))
        want = hmac.new(SECRET.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(fields["v1"], want)
    history = History(access)
    wait(
        "both changes in ClickHouse", lambda: len(history.rows("SELECT state FROM alerts WHERE tenant = 'alarm'")) == 2
    )
    assert len(receiver.posts) == 2


def test_a_restarted_notifier_says_nothing_twice(alarmed: RunningStack, receiver: Receiver) -> None:
    before = len(receiver.posts)
    pid = alarmed.pid("notifier")
    alarmed.kill("notifier")
    wait("another notifier", lambda: alarmed.pid("notifier") not in (None, pid), 60)
    wait("the stack at work", lambda: alarmed.missing() == [], 60)
    assert len(receiver.posts) == before


def test_late_answers_take_the_ground_away_and_end_it_at_once_with_that_reason(
    alarmed: RunningStack, receiver: Receiver
) -> None:
    """Four who seem to wait beyond the target were answered after ten seconds, as comes out ten minutes later."""

    def of(row: Row) -> Row:
        return {**row, "tenant": "late"}

    def told() -> list[Row]:
        return [body for _, raw in list(receiver.posts) if (body := json.loads(raw))["rule"] == "answered-late"]

    sender, access = Sender(dict(alarmed.access)), dict(alarmed.access)
    parts: list[Row] = [{"events": [of(message(number, 0, "customer")) for number in range(4)]}]
    sender.send(parts + [of(tick(minute * MINUTE)) for minute in range(1, 11)])
    wait("it fires", lambda: len(told()) == 1, 60)
    answers: list[Row] = [{"events": [of(message(number, 10_000, "agent")) for number in range(4)]}]
    Sender(access).send([*answers, of(tick(11 * MINUTE))])
    wait("its end", lambda: len(told()) == 2, 60)
    firing, over = told()
    assert (firing["state"], firing["value"]) == ("firing", 0)
    assert (over["alert"], over["state"], over["reason"]) == (firing["alert"], "resolved", "restated")
    assert over["resolved_at"] == rfc3339(START + 11 * MINUTE), "though it goes on firing for half an hour elsewhere"
    asked = "SELECT state, reason FROM alerts WHERE tenant = 'late' ORDER BY at"
    wait("both in ClickHouse", lambda: len(History(access).rows(asked)) == 2, 60)
    assert History(access).rows(asked)[1]["reason"] == "restated"
