"""The list behind every number of the worked cases adds up to the number on the board."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import pytest

from config.settings import TenantSettings
from gateway.asked import read
from gateway.behind import BEHIND, Reckoned, Source
from gateway.drill import conversations
from gateway.questions import Questions
from gateway.routes import METRICS, find
from streams.policy import Policy
from streams.present import View
from tests.conformance.cases import Row, events_of, load_cases, now_ms
from tests.sinks.conftest import base, engine, shared  # noqa: F401 - fixtures
from tests.sinks.stage import Base, Recorded
from tests.sinks.test_views import line_of
from tests.streams.line import event_of

pytestmark = pytest.mark.slow

CASES = load_cases()
EACH = int(os.environ.get("TIDEWATCH_EACH", "12"))
"""Every twelfth case; 1: all of them, which takes some minutes."""
UNSAID = {"sentiment", "sentiment_n", "sentiment_sum", "negative"}
"""What the worked cases say nothing of."""
FLOWING = {"rate_per_min", "expected", "low", "high", "surge", "lull", "novelty"}


@dataclass
class Told:
    """A case, stored: what the board has of it, and how to ask."""

    view: View
    now: int
    policy: Policy
    tenant: str


class House:
    """The database, asked without its door."""

    def __init__(self, base: Base) -> None:  # noqa: F811
        self._base = base

    async def rows(self, sql: str, **values: Any) -> list[Row]:
        """As `Questions.rows`."""
        answer = self._base.client.query(sql, parameters=values)
        return [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]

    def ask(self, told: Told, query: str) -> Row:
        """The answer of `/v1/conversations` to a query."""
        found = find("/v1/conversations")
        assert found is not None
        work: Coroutine[Any, Any, Row] = conversations(
            cast(Questions, self), read(*found, query), told.tenant, told.policy
        )
        return asyncio.run(work)


@pytest.fixture(scope="module")
def house(shared: Base) -> House:  # noqa: F811
    return House(shared)


@pytest.fixture(scope="module")
def told(shared: Base) -> dict[str, Told]:  # noqa: F811
    """Every case, each a tenant of its own, all stored together."""
    found: dict[str, Told] = {}
    zones = {case["name"]: (case.get("settings") or {}).get("zone", "UTC") for case in CASES}
    lines = {case["name"]: line_of(case) for case in CASES}
    shared.store(*(one for line in lines.values() for one in line.readings), zone=lambda name: zones.get(name, "UTC"))
    for case in CASES:
        name = case["name"]
        policy = Policy(TenantSettings.model_validate(case.get("settings") or {}))
        found[name] = Told(lines[name].present.view(name), now_ms(case), policy, name)
    return found


def board(told: Told, metric: str, key: tuple[str, str], window: str) -> Any:
    """What the board has."""
    shown = told.view.key(key, told.now)
    return shown[metric] if BEHIND[metric].source is Source.STANDING else shown["windows"][window][metric]


def windows_of(metric: str, key: tuple[str, str]) -> tuple[str, ...]:
    """The windows to ask about: the sum over all says the same of the day as its parts."""
    if metric in UNSAID | FLOWING or BEHIND[metric].reckoned is Reckoned.NONE:
        return ()
    return ("",) if BEHIND[metric].source is Source.STANDING else ("30m",) if key == ("*", "*") else ("today",)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES[::EACH]])
def test_the_rows_behind_every_number_add_up_to_it(house: House, told: dict[str, Told], case: Row) -> None:
    one = told[case["name"]]
    wrong, nothing = [], 0
    for key in [key for key in one.view.keys if "*" not in key or key == ("*", "*")]:
        for metric, window in [(name, window) for name in METRICS for window in windows_of(name, key)]:
            want = board(one, metric, key, window)
            nothing += not want
            if not want and nothing % 8:
                continue
            query = f"metric={metric}&queue={key[0]}&channel={key[1]}&limit=500"
            answer = house.ask(one, query + (f"&window={window}" if window else ""))
            counted = sum(item["count"] for item in answer["items"])
            if answer["value"] != (want if want is None else pytest.approx(want, abs=1e-9)):
                wrong.append((metric, key, window, answer["value"], want))
            if counted != answer["n"] or (BEHIND[metric].reckoned is Reckoned.COUNT and counted != want):
                wrong.append((metric, key, window, counted, answer["n"]))
    assert wrong == []


def test_what_an_agent_has_open_is_the_list_narrowed_to_that_agent(house: House, told: dict[str, Told]) -> None:
    held = {
        (name, row["agent"]): row["open"]
        for name, one in told.items()
        for row in one.view.agent_rows()
        if row["open"]
    }  # fmt: skip
    assert len(held) > 3
    asked = dict(sorted(held.items())[:: max(1, len(held) // 12)])
    found = {who: house.ask(told[who[0]], "metric=open&agent=" + quote(who[1])) for who in asked}
    assert {who: answer["value"] for who, answer in found.items()} == asked
    assert all({item["agent"] for item in answer["items"]} == {who[1]} for who, answer in found.items())


def test_messages_about_a_topic_are_those_the_model_said_so_of_and_no_others(house: House, shared: Base) -> None:  # noqa: F811
    tenant, case = "narrow", next(case for case in CASES if case["name"] == "service level with everything in it")
    line = Recorded(case.get("settings") or {})
    for event in events_of(case):
        line.send([event_of(event, tenant)])
        line.flush()
    line.tick(now_ms(case), tenant)
    line.flush()
    said = [
        row for reading in line.readings for part in reading.segments for row in part.events
        if (row.event.kind, row.event.author, row.event.private) == ("message", "customer", False)
    ]  # fmt: skip
    for at, row in enumerate(said):
        row.model_topic = ("refund", "login", None)[at % 3]
    shared.store(*line.readings)
    one = Told(line.present.view(tenant), now_ms(case), Policy(TenantSettings()), tenant)
    window = "metric=customer_messages&window=today&limit=500"
    whole, refund, login = [house.ask(one, window + more) for more in ("", "&topic=refund", "&topic=login")]
    assert whole["n"] == len(said) > 5
    assert (refund["n"], login["n"]) == (len(said[::3]), len(said[1::3]))
    assert sum(item["count"] for item in refund["items"]) == refund["n"]
    assert (whole["topic"], refund["topic"], refund["agent"]) == (None, "refund", None)
    assert {item["conversation"] for item in refund["items"]} == {row.event.conversation for row in said[::3]}
    assert house.ask(one, window + "&topic=refund'%20OR%201=1%20--")["n"] == 0
    assert "model_topic = 'refund'" in refund["sql"]
    offered = "metric=offered&window=today&limit=500"
    everybody = [item["agent"] for item in house.ask(one, offered)["items"]]
    held = {agent: everybody.count(agent) for agent in everybody if agent}
    assert held
    assert {agent: house.ask(one, offered + "&agent=" + quote(agent))["n"] for agent in held} == held
