"""`/v1/alerts`: past alerts in their last state, and per rule how often it fired and what people thought of it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

from gateway.asked import Asked, Wrong
from gateway.drill import instant
from gateway.questions import Questions, Row, Value
from streams.windows import DAY

RECENT = 7 * DAY
_INSTANTS = ("since", "at", "acknowledged_at", "resolved_at")
_WORDS = ("summary", "drivers", "impact")
"""Columns that hold JSON."""

_LAST = """
SELECT
    tenant, alert, min(a.at) AS began, max(a.at) AS last_at,
    arraySort(groupArray((toUnixTimestamp64Milli(a.at), a.state))) AS changes,
    argMax((a.state, a.rule, a.severity, a.queue, a.channel, a.grade, a.resolved_at, a.acknowledged_by),
        (a.at, a.state = 'resolved', a.state = 'acknowledged')) AS last
FROM alerts AS a
WHERE ({tenant:String} = '*' OR tenant = {tenant:String})
GROUP BY tenant, alert
HAVING began >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND began < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND ({rule:String} = '' OR last.2 = {rule:String}) AND ({severity:String} = '' OR last.3 = {severity:String})
    AND ({queue:String} = '' OR last.4 = {queue:String}) AND ({channel:String} = '' OR last.5 = {channel:String})
    AND ({state:String} = '' OR last.1 = {state:String})"""
PAGE = """
WITH picked AS («last»
    AND (toUnixTimestamp64Milli(began), alert) < ({before:Int64}, {beside:String})
    ORDER BY began DESC, alert DESC LIMIT {limit:UInt32}
)
SELECT
    p.changes AS changes, toUnixTimestamp64Milli(p.began) AS began_ms,
    a.tenant AS tenant, a.alert AS alert,
    a.* EXCEPT (tenant, alert, at, since, acknowledged_at, resolved_at), toUnixTimestamp64Milli(a.at) AS at_ms,
    toUnixTimestamp64Milli(a.since) AS since_ms, toUnixTimestamp64Milli(a.acknowledged_at) AS acknowledged_at_ms,
    toUnixTimestamp64Milli(a.resolved_at) AS resolved_at_ms
FROM picked AS p INNER JOIN alerts AS a ON a.tenant = p.tenant AND a.alert = p.alert
WHERE a.at = p.last_at AND a.state = p.last.1
ORDER BY p.began DESC, a.alert DESC""".replace("«last»", _LAST)
RULES = """
SELECT
    rule, count() AS fired, countIf(grade = 'useful') AS useful, countIf(grade = 'noise') AS noise,
    countIf(taken != '') AS acknowledged, quantileExactIf(0.5)(lasted_ms, lasted_ms IS NOT NULL) AS median_ms
FROM
(
    SELECT
        last.2 AS rule, last.6 AS grade, ifNull(last.8, '') AS taken,
        toUnixTimestamp64Milli(last.7) - toUnixTimestamp64Milli(began) AS lasted_ms
    FROM («last»)
)
GROUP BY rule
ORDER BY fired DESC, rule""".replace("«last»", _LAST)


async def alarms(questions: Questions, question: Asked, tenant: str, now: int, reads: bool) -> dict[str, Any]:
    """The answer of `/v1/alerts`, of a tenant or (`*`) of all. `now` in ms; `reads`: whether samples may be shown.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    until = question.maybe_ms("to") or now + 1
    since = question.maybe_ms("from") or until - RECENT
    if since >= until:
        raise Wrong("to: not after from", "a span that ends after it begins")
    filters = {name: question.maybe(name) or "" for name in ("rule", "severity", "queue", "channel", "state")}
    values: dict[str, Value] = {"tenant": tenant, "since": since, "until": until, **filters}
    before, beside = _after(question.maybe("cursor"))
    limit = question.whole("limit")
    rows, rules = await asyncio.gather(
        questions.rows(PAGE, **values, before=before, beside=beside, limit=limit + 1), questions.rows(RULES, **values)
    )
    return {
        "tenant": None if tenant == "*" else tenant, "from": instant(since), "to": instant(until),
        "n": sum(int(row["fired"]) for row in rules), "items": [_item(row, reads) for row in rows[:limit]],
        "next": _cursor(rows[limit - 1]) if len(rows) > limit else None, "rules": [_rule(row) for row in rules],
    }  # fmt: skip


def _item(row: Row, reads: bool) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if not name.endswith("_ms")}
    told = kept | {name: instant(row[name + "_ms"]) for name in _INSTANTS}
    told |= {name: _json(row[name]) for name in _WORDS}
    told["changes"] = [{"state": state, "at": instant(at)} for at, state in row["changes"]]
    return told if reads else told | {"samples": []}


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _rule(row: Row) -> dict[str, Any]:
    fired, useful, noise = int(row["fired"]), int(row["useful"]), int(row["noise"])
    graded, median = useful + noise, row["median_ms"]
    return {
        "rule": row["rule"], "fired": fired, "graded": graded, "useful": useful, "noise": noise,
        "useful_share": useful / graded if graded else None, "graded_share": graded / fired if fired else None,
        "acknowledged": int(row["acknowledged"]), "median_s": None if median is None else median / 1_000,
    }  # fmt: skip


def _cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(json.dumps([row["began_ms"], row["alert"]]).encode()).decode().rstrip("=")


def _after(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 2**62, ""
    try:
        before, beside = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not (isinstance(before, int) and isinstance(beside, str) and abs(before) < 2**62):
            raise ValueError
        return before, beside
    except (ValueError, TypeError, binascii.Error, UnicodeDecodeError):
        raise Wrong("cursor: not one of ours", "take next of the page before, or leave it out") from None
