"""`/v1/conversation`: one conversation, its waits to scale, masked and by role; notes absent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.asked import Wrong
from gateway.drill import instant, now_of
from gateway.questions import Questions, Row
from gateway.timeline import WHY, Drawing, draw, stand

MOST_EVENTS = 2_000

EPISODES = """
SELECT * EXCEPT (tenant, opened_at, demand_at, first_reply_at, closed_at, waiting_since, holds),
    toUnixTimestamp64Milli(opened_at) AS opened_ms, toUnixTimestamp64Milli(demand_at) AS demand_ms,
    toUnixTimestamp64Milli(first_reply_at) AS first_reply_ms, toUnixTimestamp64Milli(closed_at) AS closed_ms,
    toUnixTimestamp64Milli(waiting_since) AS waiting_ms
FROM episodes
WHERE tenant = {tenant:String} AND conversation = {conversation:String}
ORDER BY episode"""
EVENTS = """
SELECT
    e.id AS id, e.kind AS kind, toUnixTimestamp64Milli(e.event_time) AS ms,
    toUnixTimestamp64Milli(e.at) AS given_ms, toUnixTimestamp64Milli(e.received_at) AS received_ms, e.seq AS seq,
    e.author AS author, e.author_id AS author_id, e.text AS text, e.comment AS comment, e.type AS type,
    e.private AS private, e.channel AS channel, e.queue AS queue, e.customer AS customer, e.agent AS agent, e.by AS by,
    e.resolved AS resolved, e.topic AS topic, e.score AS score, if(a.id != '', a.episode, e.episode) AS episode,
    e.late AS late, e.clock_suspect AS clock_suspect, e.sentiment AS sentiment
FROM (SELECT * FROM events_base FINAL WHERE tenant = {tenant:String} AND subject = {subject:String}) AS e
LEFT JOIN
(
    SELECT id, episode FROM amendments_base FINAL WHERE tenant = {tenant:String} AND subject = {subject:String}
) AS a ON a.id = e.id
ORDER BY e.event_time, e.seq, e.id
LIMIT {limit:UInt32}"""
"""The rows of one conversation as the view `events` has them, found by their key."""

_TOLD = (
    "conversation", "episode", "channel", "queue", "credit_queue", "customer", "agent", "state", "outcome", "reopen",
    "outbound", "first_reply_agent", "frt_ms", "frt_business_ms", "frt_customer_ms", "frt_any_ms", "greeting_ms",
    "handle_ms", "abandon_wait_ms", "censored_wait_ms", "queue_left_ms", "target_ms", "short_ms", "customer_messages",
    "agent_messages", "bot_messages", "transfers", "resolved", "csat", "topic", "agent_topic", "sentiment",
    "formula_id", "version",
)  # fmt: skip


async def stored(questions: Questions, tenant: str, conversation: str) -> tuple[int | None, list[Row], list[Row]]:
    """A conversation as it is stored: the tenant's clock in ms, its episodes, its events in their order.

    Raises:
        Wrong: there is none, or it is another tenant's.
        Away, TooMuch: nobody can say.
    """
    named = {"tenant": tenant, "conversation": conversation}
    now, episodes, events = await asyncio.gather(
        now_of(questions, tenant),
        questions.rows(EPISODES, **named),
        questions.rows(EVENTS, tenant=tenant, subject=f"c:{conversation}", limit=MOST_EVENTS + 1),
    )
    if not episodes and not events:
        raise Wrong("there is no such conversation", "look for its id in the list behind a number", 404)
    return now, episodes, events


async def conversation(questions: Questions, tenant: str, name: str, reads: bool) -> dict[str, Any]:
    """The answer of `/v1/conversation`. `reads`: whether what was written may be shown.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    now, episodes, events = await stored(questions, tenant, name)
    cut, events = len(events) > MOST_EVENTS, events[:MOST_EVENTS]
    public = [event for event in events if not event["private"]]
    counted = [event for event in public if not event["late"]]
    stand(counted)
    clock = max(now or 0, *(event["ms"] for event in events), 0)
    drawings = {one["episode"]: draw(one, _of(counted, one["episode"]), clock) for one in episodes}
    last = episodes[-1] if episodes else None
    return {
        "tenant": tenant, "conversation": name, "as_of": instant(now), "text": reads, "cut": cut,
        "channel": last["channel"] if last else "web", "customer": last["customer"] if last else None,
        "episodes": [_episode(one, drawings[one["episode"]], clock) for one in episodes],
        "events": [_event(one, drawings.get(one["episode"]), reads) for one in public],
        "hidden": len(events) - len(public),
    }  # fmt: skip


def _of(events: Iterable[Row], number: int) -> list[Row]:
    return [event for event in events if event["episode"] == number]


def _episode(row: Row, drawing: Drawing, now: int) -> dict[str, Any]:
    waits = [
        {name: value for name, value in wait.items() if name not in ("from_ms", "to_ms")}
        | {"from": instant(wait["from_ms"]), "to": instant(wait["to_ms"])}
        for wait in drawing.waits
    ]
    first = next((wait for wait in drawing.waits if wait["kind"] == "first_reply"), None)
    turn = None if row["waiting_ms"] is None else max(now - row["waiting_ms"], 0)
    return {
        **{name: row[name] for name in _TOLD},
        "opened_at": instant(row["opened_ms"]), "demand_at": instant(row["demand_ms"]),
        "first_reply_at": instant(row["first_reply_ms"]), "closed_at": instant(row["closed_ms"]),
        "wait_ms": turn if turn is not None else first["ms"] if first else None,
        "waiting": turn is not None, "met": first["met"] if first else None,
        "waits": waits, "exact": drawing.exact,
    }  # fmt: skip


def _event(row: Row, drawing: Drawing | None, reads: bool) -> dict[str, Any]:
    reasons = _reasons(row, drawing)
    return {
        "id": row["id"], "at": instant(row["ms"]), "kind": row["kind"], "role": row["author"],
        "given_at": instant(row["given_ms"]) if row["given_ms"] != row["ms"] else None,
        "who": row["author_id"], "text": (row["text"] or row["comment"]) if reads else None, "type": row["type"],
        "queue": row["queue"], "agent": row["agent"], "by": row["by"], "topic": row["topic"], "score": row["score"],
        "episode": row["episode"], "late": row["late"], "clock_suspect": row["clock_suspect"],
        "counts": bool({"demand", "turn", "first", "reply", "left"} & set(reasons)),
        "why": [dict(zip(("zh", "en"), WHY[reason], strict=True)) for reason in reasons],
        "sentiment": row["sentiment"],
    }  # fmt: skip


def _reasons(row: Row, drawing: Drawing | None) -> Sequence[str]:
    if row["late"]:
        return ("late",)
    found = drawing.why.get(row["id"], []) if drawing else ["outside"]
    return [*(["suspect"] if row["clock_suspect"] else []), *found]
