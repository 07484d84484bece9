"""`/v1/outcomes`: what came of a key in a span: how long first replies took, topics day by day, what was resolved.

Days are those of the tenant's zone. Everything is counted, so a sum over queues is a sum; a share is of the sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.asked import Asked, Wrong
from gateway.drill import instant, now_of
from gateway.questions import Questions, Row, Value
from gateway.routes import MOST_DAYS
from streams.windows import DAY, HOUR, MINUTE, SECOND

BARS = 20
"""Of the histogram; the last one has no end."""
MOST_TOPICS = 8
REOPENABLE = 72 * HOUR
"""So long after its closing an episode may still count as not resolved. Source: METRICS §7."""

_ZONE = "(SELECT any(zone) FROM clocks WHERE tenant = {tenant:String})"
_KEY = """tenant = {tenant:String} AND ({queue:String} = '*' OR queue = {queue:String})
    AND ({channel:String} = '*' OR channel = {channel:String})"""
_IN_SPAN = """
    minute >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND minute < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"""

REPLIES = "\n".join((
    "SELECT sumMap(m.frt_hist) AS frt_hist",
    "FROM minutes AS m WHERE " + _KEY + " AND" + _IN_SPAN,
))  # fmt: skip
TOPICS = "\n".join((
    "SELECT day, whole, pair.1 AS topic, pair.2 AS n FROM (",
    "    SELECT formatDateTime(minute, '%F', " + _ZONE + ") AS day, sum(b.customer_messages) AS whole,",
    "        arrayZip(mapKeys(sumMap(b.topics) AS topics), mapValues(topics)) AS pairs",
    "    FROM minutes_base AS b FINAL WHERE " + _KEY + " AND" + _IN_SPAN,
    "    GROUP BY day",
    ") LEFT ARRAY JOIN pairs AS pair ORDER BY day, n DESC, topic",
))  # fmt: skip
DAYS = "\n".join((
    "WITH seen AS (",
    "    SELECT e.*, leadInFrame(toNullable(toUnixTimestamp64Milli(e.opened_at))) OVER following AS next_ms,",
    "        leadInFrame(e.reopen) OVER following AS next_reopen",
    "    FROM episodes AS e WHERE e.tenant = {tenant:String}",
    "    WINDOW following AS (PARTITION BY e.conversation ORDER BY e.episode",
    "        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
    "), ended AS (",
    "    SELECT formatDateTime(assumeNotNull(closed_at), '%F', " + _ZONE + ") AS day,",
    "        toUnixTimestamp64Milli(assumeNotNull(closed_at)) AS closed_ms, ifNull(resolved, false) AS is_resolved,",
    "        demand_at IS NOT NULL AS had_demand,",
    "        is_resolved AND next_reopen AND ifNull(next_ms < closed_ms + {reopenable:Int64}, false) AS again",
    "    FROM seen WHERE " + _KEY + " AND closed_at IS NOT NULL AND",
    "        closed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
    "        AND closed_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
    ")",
    "SELECT day, count() AS closed, countIf(is_resolved) AS resolved, countIf(had_demand) AS judged,",
    "    countIf(is_resolved AND had_demand AND NOT again) AS stayed, max(closed_ms) AS last_ms",
    "FROM ended GROUP BY day ORDER BY day",
))  # fmt: skip


async def outcomes(questions: Questions, question: Asked, tenant: str) -> dict[str, Any]:
    """The answer of `/v1/outcomes`.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    now = await now_of(questions, tenant)
    since, until = _span(question, now)
    key: dict[str, Value] = {
        "tenant": tenant, "queue": question.text("queue"), "channel": question.text("channel"),
        "since": since, "until": until,
    }  # fmt: skip
    replies, topics, days = await asyncio.gather(
        questions.rows(REPLIES, **key),
        questions.rows(TOPICS, **key),
        questions.rows(DAYS, **key, reopenable=REOPENABLE),
    )
    return {
        "tenant": tenant, "queue": question.text("queue"), "channel": question.text("channel"), "as_of": instant(now),
        "from": instant(since), "to": instant(until),
        "first_replies": spread(replies[0]["frt_hist"], question.whole("bar") * SECOND),
        "days": [day_of(row, now) for row in days],
        "topics": by_topic(topics),
    }  # fmt: skip


def _span(question: Asked, now: int | None) -> tuple[int, int]:
    since, given = question.whole("from"), question.maybe_ms("to")
    until = given if given is not None else now + 1 if now is not None else since + MINUTE
    if not since < until <= since + MOST_DAYS * DAY:
        raise Wrong("to: not after from, or too far from it", f"a span of at most {MOST_DAYS} days")
    return since, until


def spread(hist: Mapping[Any, Any] | None, bar_ms: int) -> dict[str, Any]:
    """How many first replies took how long: `counts[i]` took from `i` bars on, within the buckets' one percent."""
    counts = [0] * BARS
    for lower, n in (hist or {}).items():
        counts[min(int(lower) // bar_ms, BARS - 1)] += int(n)
    return {"n": sum(counts), "bar_ms": bar_ms, "counts": counts}


def day_of(row: Row, now: int | None) -> dict[str, Any]:
    """A day's closings; provisional while one of them may still be reopened."""
    judged, stayed = int(row["judged"]), int(row["stayed"])
    return {
        "day": str(row["day"]), "closed": int(row["closed"]), "resolved": int(row["resolved"]), "judged": judged,
        "stayed": stayed, "resolution_rate": stayed / judged if judged else None,
        "provisional": now is not None and int(row["last_ms"]) + REOPENABLE > now,
    }  # fmt: skip


def by_topic(rows: Sequence[Row]) -> dict[str, Any]:
    """Customer messages by topic and day, most first; what is beyond the first few is `other` together."""
    days = sorted({str(row["day"]) for row in rows})
    whole = {str(row["day"]): int(row["whole"]) for row in rows}
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["topic"]:
            counts.setdefault(str(row["topic"]), {})[str(row["day"])] = int(row["n"])
    most = sorted(counts, key=lambda name: (-sum(counts[name].values()), name))
    shown = {name: [counts[name].get(day, 0) for day in days] for name in most[:MOST_TOPICS]}
    rest = [sum(counts[name].get(day, 0) for name in most[MOST_TOPICS:]) for day in days]
    if any(rest):
        shown["other"] = [a + b for a, b in zip(shown.get("other", [0] * len(days)), rest, strict=True)]
    return {
        "days": days, "messages": [whole[day] for day in days],
        "items": [{"topic": name, "n": sum(counts_), "counts": counts_} for name, counts_ in shown.items()],
    }  # fmt: skip
