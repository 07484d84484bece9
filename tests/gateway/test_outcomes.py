"""What came of a key is what the stored rows and the day's view come to, for every worked case."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from gateway.asked import Wrong, read
from gateway.outcomes import BARS, MOST_TOPICS, by_topic, day_of, outcomes, spread
from gateway.questions import Questions
from gateway.routes import find
from tests.conformance.cases import Row
from tests.gateway.test_behind import House, Told, house, told  # noqa: F401 - fixtures
from tests.sinks.conftest import base, engine, shared  # noqa: F401 - fixtures

HOUR = 3_600_000


def ask(house: House, tenant: str, query: str) -> Row:  # noqa: F811
    found = find("/v1/outcomes")
    assert found is not None
    work: Coroutine[Any, Any, Row] = outcomes(cast(Questions, house), read(*found, query), tenant)
    return asyncio.run(work)


@pytest.mark.slow
def test_days_and_first_replies_are_those_of_the_views(house: House, told: dict[str, Told]) -> None:  # noqa: F811
    rows = asyncio.run(house.rows(
        "SELECT tenant, queue, channel, toString(day) AS day, closed, resolved, resolution_rate FROM outcomes_by_day "
        "WHERE closed > 0 ORDER BY tenant, queue, channel, day"
    ))  # fmt: skip
    wanted = {(row["tenant"], row["queue"], row["channel"]): [] for row in rows}  # type: ignore[var-annotated]
    for row in rows:
        wanted[row["tenant"], row["queue"], row["channel"]].append(row)
    assert len(wanted) > 20
    rates = set()
    for tenant, queue, channel in sorted(wanted)[::4]:
        year = (told[tenant].now // (365 * 24 * HOUR)) + 1970
        span = f"from={year - 1}-06-01T00:00:00Z&to={told[tenant].now + 1}"
        answer = ask(house, tenant, f"queue={queue}&channel={channel}&{span}")
        names = ("day", "closed", "resolved", "resolution_rate")
        assert [{name: day[name] for name in names} for day in answer["days"]] == [
            {name: row[name] for name in names} for row in wanted[tenant, queue, channel]
        ], (tenant, queue, channel)
        rates |= {day["resolution_rate"] for day in answer["days"]}
        (stored,) = asyncio.run(house.rows(
            "SELECT sum(frt_n) AS n FROM minutes WHERE tenant = {tenant:String} AND queue = {queue:String} "
            "AND channel = {channel:String}", tenant=tenant, queue=queue, channel=channel,
        ))  # fmt: skip
        assert answer["first_replies"]["n"] == stored["n"]
    assert len(rates) > 2


@pytest.mark.slow
def test_a_sum_over_queues_is_the_sum(house: House, told: dict[str, Told]) -> None:  # noqa: F811
    tenant = max(told, key=lambda name: len(told[name].view.keys))
    span = f"from={told[tenant].now - 300 * 24 * HOUR}&to={told[tenant].now + 1}"
    keys = [key for key in told[tenant].view.keys if "*" not in key]
    whole = ask(house, tenant, span)
    parts = [ask(house, tenant, f"queue={queue}&channel={channel}&{span}") for queue, channel in keys]
    assert len(parts) > 1
    assert whole["first_replies"]["counts"] == [
        sum(column) for column in zip(*(part["first_replies"]["counts"] for part in parts), strict=True)
    ]
    assert sum(day["closed"] for day in whole["days"]) == sum(day["closed"] for part in parts for day in part["days"])


def test_each_first_reply_stands_in_one_bar() -> None:
    replies = spread({0: 1, 9_999: 2, 10_000: 4, 60_000: 8, 190_000: 16, 10**9: 32}, 10_000)
    assert replies["n"] == sum(replies["counts"]) == 63
    assert len(replies["counts"]) == BARS
    assert [replies["counts"][at] for at in (0, 1, 6, BARS - 1)] == [3, 4, 8, 48]
    assert spread(None, 1)["n"] == spread({}, 1)["n"] == 0


def test_a_day_is_provisional_while_an_episode_of_it_may_be_reopened() -> None:
    row = {"day": "2026-11-21", "closed": 5, "resolved": 4, "judged": 4, "stayed": 3, "last_ms": 1_000 * HOUR}
    assert day_of(row, 1_072 * HOUR - 1)["provisional"]
    assert not day_of(row, 1_072 * HOUR)["provisional"]
    assert day_of(row, None)["resolution_rate"] == 0.75
    assert day_of(row | {"judged": 0, "stayed": 0}, None)["resolution_rate"] is None


def test_topics_beyond_the_first_few_are_other_together_and_nothing_is_lost() -> None:
    rows = [
        {"day": day, "whole": 100, "topic": f"t{at:02}", "n": 12 - at}
        for day in ("2026-11-20", "2026-11-21") for at in range(12)
    ]  # fmt: skip
    rows.append({"day": "2026-11-22", "whole": 7, "topic": "", "n": 0})
    topics = by_topic(rows)
    assert topics["days"] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert topics["messages"] == [100, 100, 7]
    assert [item["topic"] for item in topics["items"]] == [*(f"t{at:02}" for at in range(MOST_TOPICS)), "other"]
    assert sum(item["n"] for item in topics["items"]) == 2 * sum(range(1, 13))
    assert all(item["counts"][2] == 0 for item in topics["items"])


@pytest.mark.slow
def test_a_span_that_is_none_is_refused(house: House) -> None:  # noqa: F811
    with pytest.raises(Wrong, match="not after from"):
        ask(house, "nobody", "from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z")
