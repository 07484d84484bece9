"""What people do with alerts, through real sockets: what is shown of it, posted, and kept in the history."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.alarmed import MINUTE, Receiver, message, receiving, stack_with, tick
from tests.integration.outside import History, Sender, wait
from tests.integration.test_orders import ask, lists
from tests.tidewatch.test_cli import assert_one_line, tidewatch
from tidewatch.access import make_token
from tidewatch.directory import signing_secret

RULES = """
rules:
  - {name: one-waits, metric: backlog, scope: {tenant: "alarm", queue: "*"}, fire: ">= 1", severity: critical}
  - {name: always-late, metric: ingest_lag, fire: ">= 0", severity: info}
  - {name: far-behind, metric: ingest_lag, fire: "> 12s", severity: info}
  - {name: stands-still, metric: stream_age, fire: "> 8s", severity: critical}
"""
AWAY_S = 16
"""Longer than `far-behind` allows the stream to be."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A webhook receiver."""
    with receiving() as one:
        yield one


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningStack]:
    """A stack with a rule for a tenant, one about the stack as a whole, and a webhook; the tenant's alert fires."""
    heartbeat = f'[heartbeat]\nurl = "{receiver.url}"\nevery_s = 1\nallow_private = true\n'
    with stack_with(tmp_path_factory.mktemp("staffed"), RULES, receiver, heartbeat) as running:
        Sender(dict(running.access)).send([{"events": [message(1, 0, "customer")]}, tick(MINUTE)])
        yield running


def alerts(access: Row, rule: str) -> list[Row]:
    """The alerts of a rule in the feed."""
    return [alert for alert in lists(access, "alerts") if alert["rule"] == rule]


def posted(receiver: Receiver, rule: str) -> list[Row]:
    """What the webhook was posted of a rule."""
    return [body for body in (json.loads(raw) for _, raw in receiver.posts) if body.get("rule") == rule]


def beats(receiver: Receiver) -> int:
    """How often the heartbeat was heard."""
    return sum(b'"heartbeat"' in body for _, body in receiver.posts)


def test_who_acknowledges_is_shown_posted_and_kept(staffed: RunningStack, receiver: Receiver) -> None:
    access: Row = dict(staffed.access)
    (fired,) = wait("the alert", lambda: alerts(access, "one-waits"), 60)
    assert fired["state"] == "firing"
    assert ask(access, {"ack": fired["alert"]}) == {"kind": "reply", "ok": True}
    (shown,) = wait(
        "it in the feed", lambda: [one for one in alerts(access, "one-waits") if one["state"] == "acknowledged"], 90
    )
    assert (shown["alert"], shown["acknowledged_by"]) == (fired["alert"], "board")
    wait("two posts", lambda: len(posted(receiver, "one-waits")) == 2, 90)
    first, second = posted(receiver, "one-waits")
    assert [first["state"], second["state"]] == ["firing", "acknowledged"]
    assert second == {**first, **{name: shown[name] for name in ("state", "at", "acknowledged_by", "acknowledged_at")}}
    history = History(access)
    query = "SELECT alert, state, acknowledged_by FROM alerts WHERE rule = 'one-waits' ORDER BY state"
    rows = wait("both in the history", lambda: rows if len(rows := history.rows(query)) == 2 else None, 90)
    assert [(row["alert"], row["state"], row["acknowledged_by"]) for row in rows] == [
        (fired["alert"], "acknowledged", "board"),
        (fired["alert"], "firing", None),
    ]


def test_a_grade_is_shown_and_every_deed_is_kept_with_who_whence_and_what_came_of_it(staffed: RunningStack) -> None:
    access: Row = dict(staffed.access)
    (fired,) = wait("the alert", lambda: alerts(access, "one-waits"), 60)
    assert ask(access, {"grade": fired["alert"], "as": "useful"}) == {"kind": "reply", "ok": True}
    wait("the grade in the feed", lambda: alerts(access, "one-waits")[0]["grade"] == "useful", 90)
    silence = {"match": {"tenant": "alarm", "queue": "vip*"}, "minutes": 5, "reason": "drill"}
    assert ask(access, {"silence": silence})["ok"]
    history = History(access)
    query = (
        "SELECT tenant, at, actor, action, object, detail FROM audit WHERE action IN ('grade', 'silence') ORDER BY at"
    )
    graded, silenced = wait("both deeds", lambda: rows if len(rows := history.rows(query)) == 2 else None, 90)
    assert (graded["tenant"], graded["actor"], graded["object"]) == ("alarm", "board", fired["alert"])
    detail = json.loads(graded["detail"])
    known = {"alert": fired["alert"], "as": "useful", "from": "127.0.0.1", "result": "ok"}
    assert {name: detail[name] for name in known} == known
    assert json.loads(silenced["detail"])["reason"] == "drill"


def test_what_concerns_the_whole_stack_is_in_the_feed_of_those_who_see_all_of_it(staffed: RunningStack) -> None:
    access: Row = dict(staffed.access)
    late = wait("the alert", lambda: alerts(access, "always-late"), 60)
    assert [alert["tenant"] for alert in late] == ["*"]
    secret = signing_secret(staffed.directory) or ""
    one = {**access, "board_token": make_token(secret, "li", "alarm", ("supervisor",), timedelta(minutes=5))}
    assert {alert["rule"] for alert in lists(one, "alerts")} == {"one-waits"}
    assert ask(one, {"ack": late[0]["alert"]}) == {"kind": "reply", "ok": False, "error": "there is no such alert"}
    assert ask(access, {"ack": late[0]["alert"]}) == {"kind": "reply", "ok": True}
    wait("it in the feed", lambda: alerts(access, "always-late")[0]["acknowledged_by"] == "board", 90)


def test_the_command_line_lists_and_does_what_the_board_can(staffed: RunningStack) -> None:
    access: Row = dict(staffed.access)
    (fired,) = wait("the alert", lambda: alerts(access, "one-waits"), 60)

    def alert(*words: str) -> subprocess.CompletedProcess[str]:
        return tidewatch("alert", *words, "--data", str(staffed.directory))

    listed = alert("list", "--tenant", "alarm", "--lang", "en")
    assert (listed.returncode, listed.stderr) == (0, "")
    names, row = (line.split("\t") for line in listed.stdout.splitlines()[:2])
    shown = dict(zip(names, row, strict=True))
    assert (shown["alert"], shown["rule"], shown["queue"]) == (fired["alert"], "one-waits", "billing")
    assert shown["summary"] == alerts(access, "one-waits")[0]["summary"]["en"]

    made = alert("silence", "--match", "queue=gold*", "--minutes", "5", "--reason", "by hand")
    assert (made.returncode, made.stderr) == (0, "")
    (silence,) = [one for one in lists(access, "silences") if one["reason"] == "by hand"]
    assert made.stdout == f"silenced for 5 minutes: {silence['id']}\n"
    assert silence["id"] in alert("list").stdout
    assert alert("unsilence", silence["id"]).stdout == f"the silence {silence['id']} has ended\n"

    assert alert("grade", fired["alert"], "noise").stdout == f"graded {fired['alert']} as noise\n"
    assert_one_line(alert("ack", "no-such"), 1, "tidewatch: there is no such alert")
    asked = ("alert", "list", "--url", access["url"], "--key")
    assert_one_line(tidewatch(*asked, access["ingest_token"]), 1, f"tidewatch: {access['url']}: the token lacks")
    assert_one_line(tidewatch(*asked, "nonsense"), 1, f"tidewatch: {access['url']}: the token is not (or no longer)")


def test_what_the_gateway_refuses_is_kept_too_and_the_record_is_whole(staffed: RunningStack) -> None:
    access: Row = dict(staffed.access)
    (fired,) = wait("the alert", lambda: alerts(access, "one-waits"), 60)
    secret = signing_secret(staffed.directory) or ""
    looker = {**access, "board_token": make_token(secret, "eve", "alarm", ("analyst",), timedelta(minutes=5))}
    answer = ask(looker, {"ack": fired["alert"]})
    assert answer == {"kind": "reply", "ok": False, "error": "ack: your role does not allow it"}
    history = History(access)
    query = "SELECT tenant, actor, action, detail FROM audit WHERE actor = 'eve'"
    (kept,) = wait("the refusal", lambda: history.rows(query), 90)
    assert (kept["tenant"], kept["action"]) == ("alarm", "ack")
    assert json.loads(kept["detail"])["result"] == "ack: your role does not allow it"
    wait("the whole record", lambda: tidewatch("audit", "verify", "--data", str(staffed.directory)).returncode == 0, 60)


def test_rules_are_exchanged_without_a_restart_and_a_mistake_keeps_the_old_ones(staffed: RunningStack) -> None:
    access: Row = dict(staffed.access)
    path, pid = staffed.directory.parent / "rules.yaml", staffed.pid("notifier")
    path.write_text(RULES + "  - {name: broken, metric: backlogg, fire: '> 1'}\n")
    (refused,) = wait("the mistake", lambda: alerts(access, "rules-refused/"), 90)
    assert "rules.yaml:7" in refused["reason"]
    assert alerts(access, "one-waits")[0]["state"] != "resolved"
    path.write_text(RULES + "  - {name: newer, metric: ingest_lag, fire: '>= 0', severity: info}\n")
    wait("the newer rule", lambda: alerts(access, "newer"), 90)
    wait("the end of the mistake", lambda: alerts(access, "rules-refused/")[0]["state"] == "resolved", 90)
    path.write_text(RULES)
    wait("the end of the newer rule", lambda: alerts(access, "newer")[0]["reason"] == "rule_removed", 90)
    assert staffed.pid("notifier") == pid


def standing(access: Row) -> list[Row]:
    """The alerts; their links without the address: with a free port it is known from the second start on."""
    return [alert | {"board": alert["board"].partition("/?")[2]} for alert in alerts(access, "one-waits")]


def test_a_notifier_that_was_away_keeps_what_stands_and_tells_nothing_of_its_own_absence(
    staffed: RunningStack, receiver: Receiver
) -> None:
    access: Row = dict(staffed.access)
    before, told = standing(access), len(posted(receiver, "one-waits"))
    pid = staffed.pid("notifier")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(AWAY_S)  # ticks pass that nobody judges
    staffed.kill("notifier")
    wait("another notifier", lambda: staffed.pid("notifier") not in (None, pid), 60)
    wait("the stack at work", lambda: staffed.missing() == [], 60)
    wait("the same alerts", lambda: standing(access) == before, 90)
    (late,) = alerts(access, "always-late")
    assert late["acknowledged_by"] == "board"
    assert len(posted(receiver, "one-waits")) == told
    assert posted(receiver, "far-behind") == alerts(access, "far-behind") == []


def test_a_stream_that_stands_still_is_told_and_its_heart_stops(staffed: RunningStack, receiver: Receiver) -> None:
    access: Row = dict(staffed.access)
    heard = beats(receiver)
    wait("the heart", lambda: beats(receiver) > heard, 90)
    pid = staffed.pid("worker")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        (alert,) = wait("the alert in the feed", lambda: alerts(access, "stands-still"), 40)
        assert (alert["tenant"], alert["state"]) == ("*", "firing")
        wait("the post", lambda: [post["state"] for post in posted(receiver, "stands-still")] == ["firing"], 90)
        heard = beats(receiver)
        time.sleep(3)
        assert beats(receiver) == heard
    finally:
        os.kill(pid, signal.SIGCONT)
    wait("its end", lambda: alerts(access, "stands-still")[0]["state"] == "resolved", 60)
    wait("the heart again", lambda: beats(receiver) > heard, 90)
