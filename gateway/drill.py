"""`/v1/conversations`: the conversations behind a number, and the number itself from the same rows."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

from gateway.asked import Asked, Wrong
from gateway.behind import BEHIND, PAGE, TOTALS, WAITS, Reckoned, Source, statement
from gateway.questions import Questions, Row, Value, copied
from gateway.routes import MOST_DAYS, NARROWER
from streams.metrics import CATALOGUE, kaplan_meier, percentile, wilson
from streams.policy import Policy
from streams.waits import bucket
from streams.windows import DAY, MINUTE, first_pane, pane_of, rfc3339

NOW = "SELECT toUnixTimestamp64Milli(any(as_of)) AS now_ms FROM clocks WHERE tenant = {tenant:String}"
_FLOWING = ("rate_per_min", "expected", "low", "high", "surge", "lull", "novelty")
_DEFAULT = "30m"
_START = (0, -(2**63), "", 0)


@dataclass(frozen=True, slots=True)
class Span:
    """The span that a question is about, ms; `window` where it is one of the live feed's."""

    window: str | None
    since: int
    until: int
    now: int | None


def span_of(question: Asked, now: int | None, zone: ZoneInfo, standing: bool, flowing: bool = False) -> Span:
    """The span of a question, as of `now` (ms; None: the tenant has no clock yet).

    Raises:
        Wrong: a window and a span at once, a span that ends before it begins, or one of what stands open now.
    """
    window, since, until = question.maybe("window"), question.maybe_ms("from"), question.maybe_ms("to")
    if since is None and until is not None:
        raise Wrong("to: without from", "say from and to, or window")
    if since is not None and window is not None:
        raise Wrong("window: beside from", "say one of the two")
    if standing:
        if since is not None:
            raise Wrong(
                "from: this number is of what stands open now", "leave out from and to; /v1/history has the past"
            )
        return Span(None, 0, 0, now)
    if since is not None:
        end = until if until is not None else (pane_of(now) + MINUTE if now is not None else since + 1)
        if not since < end <= since + MOST_DAYS * DAY:
            raise Wrong("to: not after from, or too far from it", f"a span of at most {MOST_DAYS} days")
        return Span(None, since, end, now)
    if now is None:
        return Span(window or _DEFAULT, 0, 0, now)
    if window is None and flowing:
        return Span(None, pane_of(now) - MINUTE, pane_of(now) + MINUTE, now)
    return Span(window or _DEFAULT, first_pane(window or _DEFAULT, now, zone), pane_of(now) + MINUTE, now)


def bound(tenant: str, question: Asked, span: Span, policy: Policy) -> dict[str, Value]:
    """The values of the statements about a number."""
    return {
        "tenant": tenant,
        "queue": question.text("queue"),
        "channel": question.text("channel"),
        "since": span.since,
        "until": span.until,
        "asynchronous": sorted(policy.asynchronous),
    }


async def now_of(questions: Questions, tenant: str) -> int | None:
    """The clock of a tenant as ClickHouse has it, ms."""
    found = (await questions.rows(NOW, tenant=tenant))[0]["now_ms"]
    return None if found is None else int(found)


async def conversations(questions: Questions, question: Asked, tenant: str, policy: Policy) -> dict[str, Any]:
    """The answer of `/v1/conversations`, without what the live feed shows.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    name = question.text("metric")
    now = await now_of(questions, tenant)
    span = span_of(question, now, policy.zone, BEHIND[name].source is Source.STANDING, name in _FLOWING)
    by = {one.name: question.text(one.name) for one in NARROWER if one.name in question.values}
    values = bound(tenant, question, span, policy) | by
    after, limit = _after(question.maybe("cursor")), question.whole("limit")
    page = values | dict(zip(("waiting", "rank", "conversation", "episode"), after, strict=True)) | {"limit": limit + 1}
    number, rows = await asyncio.gather(
        value_of(questions, name, values, span, by), questions.rows(statement(name, PAGE, by), **page)
    )
    metric = CATALOGUE[name]
    queue = question.text("queue")
    return {
        "tenant": tenant, "queue": queue, "channel": question.text("channel"), "as_of": instant(now),
        "topic": by.get("topic"), "agent": by.get("agent"),
        "metric": name, "unit": metric.unit, "means": metric.means, "zh": metric.zh, "en": metric.en,
        "window": span.window, "from": instant(span.since or None), "to": instant(span.until or None),
        "counted": BEHIND[name].counted, **number, "target_ms": policy.target(queue),
        "items": [_item(row) for row in rows[:limit]],
        "next": _cursor(rows[limit - 1]) if len(rows) > limit else None,
        "sql": copied(statement(name, PAGE, by), page),
    }  # fmt: skip


async def value_of(
    questions: Questions, name: str, values: Mapping[str, Value], span: Span, by: Collection[str] = ()
) -> dict[str, Any]:
    """`n`, `conversations`, `value` and `censored` of a number, from the rows behind it, narrowed `by` topic, agent."""
    how = BEHIND[name].reckoned
    if how in (Reckoned.P50, Reckoned.P90, Reckoned.KM50, Reckoned.KM90):
        totals, waits = await asyncio.gather(
            questions.rows(statement(name, TOTALS, by), **values), questions.rows(statement(name, WAITS, by), **values)
        )
        value, censored = _ranked(how, waits)
    else:
        totals = await questions.rows(statement(name, TOTALS, by), **values)
        value, censored = _reckoned(how, totals[0], span), False
    return {"n": int(totals[0]["n"]), "conversations": totals[0]["conversations"], "value": value, "censored": censored}


def _ranked(how: Reckoned, waits: Sequence[Row]) -> tuple[float | None, bool]:
    """A percentile: of the answered ones by the stream's buckets, or with those still waiting counted in."""
    answered: dict[int, int] = {}
    censored: dict[int, int] = {}
    for row in waits:
        into = answered if row["answered"] else censored
        into[int(row["wait_ms"])] = into.get(int(row["wait_ms"]), 0) + int(row["times"])
    q = 0.5 if how in (Reckoned.P50, Reckoned.KM50) else 0.9
    if how in (Reckoned.KM50, Reckoned.KM90):
        return kaplan_meier(answered, censored, (q,))[0]
    hist: dict[int, int] = {}
    for ms, n in answered.items():
        hist[bucket(ms)] = hist.get(bucket(ms), 0) + n
    return percentile(hist, q), False


def _reckoned(how: Reckoned, row: Row, span: Span) -> float | None:
    n, hits, adds = int(row["n"]), int(row["hits"]), row["adds"] or 0
    match how:
        case Reckoned.COUNT:
            return n
        case Reckoned.SUM:
            return float(adds)
        case Reckoned.SHARE:
            return hits / n if n else None
        case Reckoned.MEAN:
            return adds / n if n else None
        case Reckoned.LOW | Reckoned.HIGH:
            return wilson(hits, n)[how is Reckoned.HIGH]
        case Reckoned.OLDEST:
            return cast(float | None, row["longest"])
        case Reckoned.RATE if span.now is not None:
            return n * MINUTE / max(min(span.now, span.until) - span.since, 1)
        case _:
            return None


def _item(row: Row) -> dict[str, Any]:
    wait, target, waiting = row["wait_ms"], row["target_ms"], bool(row["waiting"])
    met = None if wait is None or target is None else wait <= target if row["outcome"] == "answered" else False
    if waiting and wait is not None and target is not None and wait < target:
        met = None
    return {
        **{name: row[name] for name in _PLAIN},
        "opened_at": instant(row["opened_ms"]) if row["state"] else None,
        "demand_at": instant(row["demand_ms"]),
        "first_reply_at": instant(row["first_reply_ms"]),
        "closed_at": instant(row["closed_ms"]),
        "waiting": waiting, "met": met, "hit": bool(row["hits"]), "count": row["n"],
    }  # fmt: skip


_PLAIN = (
    "conversation", "episode", "channel", "queue", "credit_queue", "agent", "state", "outcome", "reopen", "outbound",
    "target_ms", "wait_ms", "topic", "sentiment", "csat",
)  # fmt: skip


def instant(ms: int | None) -> str | None:
    """An instant as the contract writes it."""
    return None if ms is None else rfc3339(int(ms))


def _cursor(row: Row) -> str:
    last = [int(row["waiting"]), row["rank"], row["conversation"], row["episode"] or 0]
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")


def _after(cursor: str | None) -> tuple[int, int, str, int]:
    if cursor is None:
        return _START
    try:
        waiting, rank, conversation, episode = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not (isinstance(conversation, str) and waiting in (0, 1) and 0 <= episode < 2**32 and abs(rank) < 2**63):
            raise ValueError
        return int(waiting), int(rank), conversation, int(episode)
    except (ValueError, TypeError, binascii.Error, UnicodeDecodeError):
        raise Wrong("cursor: not one of ours", "take next of the page before, or leave it out") from None
