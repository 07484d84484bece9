"""Past alerts in their last state, and what people thought of each rule."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from gateway.alarms import alarms
from gateway.asked import Wrong, read
from gateway.questions import Questions
from gateway.routes import find
from sinks.rows import ALERTS, decode_alert
from tests.conformance.cases import Row, rfc3339
from tests.gateway.test_behind import House
from tests.sinks.conftest import base, engine, shared  # noqa: F401 - fixtures
from tests.sinks.stage import Base

pytestmark = pytest.mark.slow

START = 1_795_226_400_000
NOW = START + 86_400_000


def change(alert: str, at_s: int, state: str, **more: Any) -> Row:
    """One change of state, as the notifier says it."""
    said = {
        "alert": alert,
        "rule": "backlog-high",
        "severity": "warning",
        "tenant": "shop",
        "queue": "a",
        "channel": "*",
    }
    body = {"state": state, "at": rfc3339(START + at_s * 1_000), "since": rfc3339(START), "samples": ["masked"], **more}
    return decode_alert(json.dumps(said | {"summary": {"zh": "积压", "en": "Backlog"}} | body).encode())  # type: ignore[return-value]


@pytest.fixture(scope="module")
def house(shared: Base) -> House:  # noqa: F811
    rows = [
        change("one", 0, "firing"), change("one", 60, "acknowledged", acknowledged_by="ada"),
        change("one", 600, "resolved", acknowledged_by="ada", grade="useful", resolved_at=rfc3339(START + 600_000)),
        change("two", 100, "firing"),
        change("two", 100, "resolved", grade="noise", resolved_at=rfc3339(START + 100_000)),
        change("three", 200, "firing", rule="surge", severity="critical", queue="b"),
        change("four", 300, "firing", tenant="rival"),
    ]  # fmt: skip
    shared.write({ALERTS: rows})  # type: ignore[dict-item]
    return House(shared)


def ask(house: House, query: str = "", tenant: str = "shop", reads: bool = True) -> Row:
    """The answer of `/v1/alerts`."""
    found = find("/v1/alerts")
    assert found is not None
    return asyncio.run(alarms(cast(Questions, house), read(*found, query), tenant, NOW, reads))


def names(answer: Row) -> list[str]:
    return [item["alert"] for item in answer["items"]]


def test_the_last_to_begin_comes_first_each_once_in_its_last_state(house: House) -> None:
    answer = ask(house)
    assert names(answer) == ["three", "two", "one"]
    one = answer["items"][-1]
    assert (one["state"], one["acknowledged_by"], one["grade"]) == ("resolved", "ada", "useful")
    assert [step["state"] for step in one["changes"]] == ["firing", "acknowledged", "resolved"]
    assert one["summary"] == {"zh": "积压", "en": "Backlog"}
    assert answer["items"][1]["state"] == "resolved"


def test_each_rule_has_its_share_of_useful_ones(house: House) -> None:
    rules = {row["rule"]: row for row in ask(house)["rules"]}
    high = rules["backlog-high"]
    assert (high["fired"], high["graded"], high["useful"], high["noise"]) == (2, 2, 1, 1)
    assert (high["useful_share"], high["graded_share"], high["acknowledged"]) == (0.5, 1.0, 1)
    assert (rules["surge"]["useful_share"], rules["surge"]["median_s"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("rule=surge", ["three"]), ("severity=warning", ["two", "one"]), ("queue=b", ["three"]),
        ("state=firing", ["three"]), ("channel=web", []), (f"from={START + 150_000}", ["three"]),
        (f"from={START}&to={START + 1}", ["one"]),
    ],
)  # fmt: skip
def test_a_filter_leaves_what_fits(house: House, query: str, want: list[str]) -> None:
    answer = ask(house, query)
    assert names(answer) == want
    assert answer["n"] == len(want)


def test_pages_follow_each_other(house: House) -> None:
    first = ask(house, "limit=2")
    rest = ask(house, f"limit=2&cursor={first['next']}")
    assert names(first) + names(rest) == ["three", "two", "one"]
    assert rest["next"] is None
    with pytest.raises(Wrong):
        ask(house, "cursor=nonsense")


def test_nobody_sees_anothers_and_who_may_not_read_sees_no_sample(house: House) -> None:
    assert names(ask(house, tenant="rival")) == ["four"]
    assert len(names(ask(house, tenant="*"))) == 4
    assert all(item["samples"] == [] for item in ask(house, reads=False)["items"])
    assert all(item["samples"] == ["masked"] for item in ask(house)["items"])
