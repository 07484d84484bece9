"""`/v1/receipt`: how one number came about, and the same number reckoned anew, with the difference.

A number of an episode is reckoned anew from its stored events, folded once more. One of a key and a span comes from
`minutes` (what stands there already) and is reckoned anew from the episodes and events behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.asked import Asked, Wrong
from gateway.behind import BEHIND, TOTALS, WAITS, Reckoned, Source, statement
from gateway.dialogue import EPISODES, stored
from gateway.drill import Span, bound, instant, now_of, span_of, value_of
from gateway.past import MERGED, number_in
from gateway.questions import Questions, Row, Value, copied
from gateway.refold import refold
from gateway.routes import FACTS
from streams.metrics import CATALOGUE, COUNTS, FORMULA, Place
from streams.policy import Policy
from streams.windows import pane_of

SETTLING_S, PAUSE_S, STOOD = 2.5, 0.2, 3
"""So long a difference is looked at again, until both sides have stood still so many times: neither is ever as of the
same instant as the other while messages come."""

Shown = Callable[[str | None], tuple[float | None, str | None]]
"""Window → the number as the live feed has it now, and as of when."""

FACT_WORDS: Mapping[str, tuple[str, str, str]] = {
    "frt_ms": ("首次响应时长", "first response time", "first public human message after d, minus d"),
    "frt_customer_ms": ("首次响应时长（客户）", "first response to the customer", "it minus the customer's first"),
    "frt_any_ms": ("首次任意响应", "first response by anyone", "first bot or human message minus the customer's first"),
    "greeting_ms": ("接入后首句时长", "greeting", "first human message minus the last assignment before it"),
    "handle_ms": ("处理时长", "handle time", "first assignment or human message to the close"),
    "abandon_wait_ms": ("放弃前等待", "wait before giving up", "left minus d"),
    "censored_wait_ms": ("未响应等待", "wait that nobody answered", "close minus d"),
    "queue_left_ms": ("离开队列用时", "time to leave the queue", "a person takes it, it moves on or gives up; minus d"),
}  # fmt: skip
"""Chinese, English, definition. Source: METRICS §3."""

_STANDING_NOW = """
SELECT sum(b.open) AS open, sum(b.with_bot) AS with_bot, sum(b.awaiting_first) AS awaiting_first,
    sum(b.awaiting_reply) AS awaiting_reply, sum(b.waiting_on_customer) AS waiting_on_customer,
    sum(b.backlog) AS backlog, sum(b.unassigned) AS unassigned, sum(b.over_target) AS over_target,
    max(b.oldest_ms) AS oldest_ms
FROM backlog_now AS b
WHERE tenant = {tenant:String} AND ({queue:String} = '*' OR queue = {queue:String})
    AND ({channel:String} = '*' OR channel = {channel:String})"""
_REPLY = """
SELECT toUnixTimestamp64Milli(min(e.event_time)) - toUnixTimestamp64Milli(any(o.demand_at)) AS frt_ms
FROM events AS e INNER JOIN episodes AS o USING (tenant, conversation, episode)
WHERE tenant = {tenant:String} AND conversation = {conversation:String} AND episode = {episode:UInt32}
    AND e.kind = 'message' AND e.author = 'agent' AND NOT e.private AND NOT e.late AND e.event_time >= o.demand_at"""
_ITS_EVENTS = """
SELECT event_time, kind, author, author_id, agent, queue, private, late, episode FROM events
WHERE tenant = {tenant:String} AND conversation = {conversation:String}
ORDER BY event_time, seq, id"""


async def of_episode(questions: Questions, question: Asked, tenant: str, policy: Policy) -> dict[str, Any]:
    """The receipt of one number of one episode.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    name, conversation = question.text("metric"), question.text("conversation")
    number = question.maybe_ms("episode")
    if number is None:
        raise Wrong("episode: missing", "say which one of the conversation")
    if name not in FACTS:
        raise Wrong(f"metric: {name} is of a key, not of one episode", f"allowed: {', '.join(FACTS)}")
    now, episodes, events = await stored(questions, tenant, conversation)
    episode = next((one for one in episodes if one["episode"] == number), None)
    if episode is None:
        raise Wrong("there is no such episode", f"this conversation has {len(episodes)}", 404)
    clock = max([now or 0, *(event["ms"] for event in events)])
    anew = refold(tenant, conversation, events, policy, clock).get(number)
    found = None if anew is None else msgspec.structs.asdict(anew)[name]
    named: dict[str, Value] = {"tenant": tenant, "conversation": conversation, "episode": number}
    zh, en, means = FACT_WORDS[name]
    since, until = _instants(name, episode, [event for event in events if event["episode"] == number])
    closes = name == "handle_ms"
    stands = episode["closed_ms"] if closes else episode["demand_ms"]
    return {
        "tenant": tenant, "queue": "*", "channel": "*", "as_of": instant(now), "metric": name, "unit": "ms",
        "means": means, "zh": zh, "en": en, "conversation": conversation, "episode": number, "window": None,
        "from": instant(since), "to": instant(until), "value": episode[name], "target_ms": episode["target_ms"],
        "met": _met(name, episode), "minute": None if stands is None else instant(pane_of(stands)),
        "in_queue": episode["queue"] if closes else episode["credit_queue"], "in_channel": episode["channel"],
        "parts": {}, "excluded": _left_out(episode, events, since, until), "formula_id": episode["formula_id"],
        "formula": means, "version": episode["version"], "sql": copied(EPISODES, named), "stored": episode[name],
        "recomputed": found, "difference": _difference(found, episode[name]), "settled": True,
        "recomputed_sql": copied(_REPLY if name == "frt_ms" else _ITS_EVENTS, named), "value_as_of": instant(now),
    }  # fmt: skip


def _difference(found: float | None, value: float | None) -> float | None:
    if found is None and value is None:
        return 0
    return None if found is None or value is None else found - value


def _met(name: str, episode: Row) -> bool | None:
    if episode["target_ms"] is None or name not in ("frt_ms", "abandon_wait_ms", "censored_wait_ms"):
        return None
    return name == "frt_ms" and episode["frt_ms"] is not None and episode["frt_ms"] <= episode["target_ms"]


def _instants(name: str, episode: Row, events: list[Row]) -> tuple[int | None, int | None]:
    """The two instants whose difference the number is."""
    value = episode[name]
    public = [event for event in events if event["kind"] == "message" and not event["private"] and not event["late"]]
    firsts = {
        role: next((one["ms"] for one in public if one["author"] == role), None) for role in ("customer", "agent")
    }
    ends = {"handle_ms": episode["closed_ms"], "greeting_ms": firsts["agent"]}
    if value is None:
        return None, None
    if name in ends:
        end = ends[name]
        return (None if end is None else end - value), end
    begin = firsts["customer"] if name in ("frt_customer_ms", "frt_any_ms") else episode["demand_ms"]
    return begin, None if begin is None else begin + value


def _left_out(episode: Row, events: list[Row], since: int | None, until: int | None) -> list[dict[str, Any]]:
    """What lies between the two instants and does not count, each with its reason."""
    between = [event for event in events if since is not None and since <= event["ms"] <= (until or event["ms"])]
    own = [event for event in between if event["episode"] == episode["episode"] and event["kind"] == "message"]
    count = {
        "bot": sum(one["author"] == "bot" and not one["private"] for one in own),
        "system": sum(one["author"] == "system" and not one["private"] for one in own),
        "note": sum(bool(one["private"]) for one in own),
        "late": sum(bool(one["late"]) for one in events),
    }
    words = {
        "bot": ("机器人消息：不结束等待", "bot messages: end no wait"),
        "system": ("系统消息：不结束等待", "system messages: end no wait"),
        "note": ("内部备注：任何指标都看不到", "internal notes: no metric sees them"),
        "late": ("来得太晚的事件：不计入任何数字", "events that came too late: count in no number"),
    }
    found = [_one(*words[name], n=n) for name, n in count.items() if n]
    if episode["frt_business_ms"] is not None and episode["frt_ms"] is not None:
        closed_hours = episode["frt_ms"] - episode["frt_business_ms"]
        found.append(_one("非营业时间（只在营业时长中扣除）", "outside business hours (left out of business time only)",
                          ms=closed_hours))  # fmt: skip
    if episode["reopen"]:
        found.append(_one("重新打开：不在首次响应的主指标中", "reopened: stands beside the headline, not in it"))
    return found


def _one(zh: str, en: str, n: int | None = None, ms: int | None = None) -> dict[str, Any]:
    return {"zh": zh, "en": en, "n": n, "ms": ms}


async def of_key(questions: Questions, question: Asked, tenant: str, policy: Policy, shown: Shown) -> dict[str, Any]:
    """The receipt of a number of a key, over a span or as of now.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    name = question.text("metric")
    if name in FACTS:
        raise Wrong(f"metric: {name} is of one episode", "say conversation and episode")
    if question.maybe_ms("episode") is not None:
        raise Wrong("episode: without conversation", "say both, or neither")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLING_S
    stood = 0
    before: Any = None
    while True:
        answer = await _receipt(questions, question, tenant, policy, shown)
        stood = stood + 1 if before == (answer["value"], answer["recomputed"]) else 0
        before = (answer["value"], answer["recomputed"])
        if answer["difference"] == 0:
            return answer
        if loop.time() > deadline or (answer["settled"] and stood >= STOOD):
            return answer | {"settled": answer["settled"] and stood >= STOOD}
        await asyncio.sleep(PAUSE_S)


async def _receipt(questions: Questions, question: Asked, tenant: str, policy: Policy, shown: Shown) -> dict[str, Any]:
    name, queue = question.text("metric"), question.text("queue")
    behind, metric = BEHIND[name], CATALOGUE[name]
    now = await now_of(questions, tenant)
    span = span_of(question, now, policy.zone, behind.source is Source.STANDING, metric.place in _FLOWING)
    values = bound(tenant, question, span, policy)
    live, live_as_of = shown(span.window) if "from" not in question.values else (None, None)
    kept, number, after = await asyncio.gather(
        _kept(questions, name, values, span), value_of(questions, name, values, span), now_of(questions, tenant)
    )
    row, sql = kept
    stands = number_in(name, row) if behind.source is not Source.STANDING else _standing(name, row)
    stands = None if behind.reckoned in (Reckoned.KM50, Reckoned.KM90, Reckoned.NONE, Reckoned.RATE) else stands
    value, as_of = (live, live_as_of) if live is not None else (stands, instant(now))
    recomputed = number["value"]
    select = WAITS if behind.reckoned in _RANKED else TOTALS
    return {
        "tenant": tenant, "queue": queue, "channel": question.text("channel"), "as_of": instant(now), "metric": name,
        "unit": metric.unit, "means": metric.means, "zh": metric.zh, "en": metric.en, "conversation": None,
        "episode": None, "window": span.window, "from": instant(span.since or None), "to": instant(span.until or None),
        "value": value, "target_ms": policy.target(queue), "met": _reaches(name, value, policy, queue),
        "minute": instant(span.since or None), "in_queue": queue, "in_channel": question.text("channel"),
        "parts": _parts(name, row) | {"n": number["n"]}, "excluded": _excluded(name, row),
        "formula_id": (row or {}).get("formula_id") or FORMULA, "formula": metric.means,
        "version": int((row or {}).get("version") or 0) or None, "sql": sql, "stored": stands,
        "recomputed": recomputed, "recomputed_sql": copied(statement(name, select), values),
        "difference": _close(recomputed, value), "settled": now == after and as_of == instant(now),
        "value_as_of": as_of,
    }  # fmt: skip


_FLOWING = (Place.VOLUME, Place.FLAG)
_RANKED = (Reckoned.P50, Reckoned.P90, Reckoned.KM50, Reckoned.KM90)


async def _kept(questions: Questions, name: str, values: Mapping[str, Any], span: Span) -> tuple[Row | None, str]:
    """What stands stored already: the minutes of the span merged, or what stands open; and the query of it."""
    if BEHIND[name].source is Source.STANDING:
        asked = {key: values[key] for key in ("tenant", "queue", "channel")}
        return (await questions.rows(_STANDING_NOW, **asked))[0], copied(_STANDING_NOW, asked)
    asked = {key: values[key] for key in ("tenant", "queue", "channel", "since", "until")}
    asked |= {"step": max(span.until - span.since, 1), "closed": span.until}
    rows = await questions.rows(MERGED, **asked)
    return (rows[0] if rows else None), copied(MERGED, asked)


def _standing(name: str, row: Row | None) -> float | None:
    value = (row or {}).get(name)
    return None if value is None else float(value)


def _close(recomputed: float | None, value: float | None) -> float | None:
    """Their difference; what floating point adds in another order is none."""
    difference = _difference(recomputed, value)
    return 0 if difference is not None and abs(difference) < 1e-9 else difference


def _parts(name: str, row: Row | None) -> dict[str, float]:
    """The columns of `minutes` that the number is made of."""
    metric = CATALOGUE[name]
    columns = dict.fromkeys((name, *metric.cases, *metric.made_of))
    return {column: (row or {}).get(column) or 0 for column in columns if column in COUNTS}


_EXCLUDED = {
    "short_abandoned": ("S 内放弃：不计入比率", "given up within S: left out of the rate"),
    "undecided": ("未定：等待未满 T", "undecided: they wait for less than T yet"),
    "reopen_frt_n": ("重新打开：另列", "reopened: stand beside it"),
}
_LEAVES_OUT = {
    "service_level": ("short_abandoned", "undecided"),
    "abandon_rate": ("short_abandoned",),
    **dict.fromkeys(("frt_n", "frt_sum_ms", "frt_avg_ms", "frt_p50_ms", "frt_p90_ms", "frt_p50_km_ms", "frt_p90_km_ms"),
                    ("reopen_frt_n",)),
}  # fmt: skip


def _excluded(name: str, row: Row | None) -> list[dict[str, Any]]:
    if row is None:
        return []
    counted = {column: int(row.get(column) or 0) for column in _LEAVES_OUT.get(name, ())}
    return [_one(*_EXCLUDED[column], n=n) for column, n in counted.items() if n]


def _reaches(name: str, value: float | None, policy: Policy, queue: str) -> bool | None:
    if value is None:
        return None
    if name == "service_level":
        return value >= policy.service_level(queue)
    return (
        value <= policy.target(queue)
        if name.startswith("frt_") and name.endswith("_ms") and "sum" not in name
        else None
    )
