"""Answers of `/v1/…` to look at: one plausible answer to every question the page asks, as functions of the moment.

They have the fields of `gateway.routes`, neither more nor fewer; `test_pages` holds them against it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.board.scenes import HOSTILE, MINUTE, instant, surge

Answer = dict[str, Any]
HOUR = 60 * MINUTE

_METRICS = {
    "backlog": ("count", "待处理", "Backlog", 58),
    "oldest_ms": ("ms", "最长等待", "Oldest wait", 848_000),
    "frt_p90_km_ms": ("ms", "首次响应 P90（含等待）", "First reply P90", 228_000),
    "service_level": ("ratio", "服务水平", "Service level", 0.334),
    "csat": ("ratio", "满意度", "CSAT", 0.82),
    "abandon_rate": ("ratio", "放弃率", "Abandon rate", 0.042),
    "unassigned": ("count", "未分配", "Unassigned", 41),
    "customer_messages": ("count", "客户消息", "Customer messages", 2_496),
    "sentiment": ("score", "情绪", "Sentiment", -0.46),
    "frt_ms": ("ms", "首次响应时长", "First response time", 271_100),
}
_WAITS = (271_100, 252_000, 228_000, 220_000, 177_000, 151_000, 104_000, 52_000)
_TALK: tuple[tuple[float, str, str | None, str | None, Answer], ...] = (
    (-360, "message", "customer", "你好，我的退款还没到账", {}),
    (-357, "message", "bot", "您好，我是智能助手。请问是哪一笔订单的退款？", {}),
    (-331, "message", "customer", "订单［编号］，转人工", {}),
    (-329, "handoff", None, None, {"queue": "returns"}),
    (-202, "message", "customer", "在吗？", {}),
    (
        -172,
        "message",
        "system",
        "当前咨询较多，请稍候",
        {"why": [{"zh": "自动回复，不算响应", "en": "an auto-reply: no response"}]},
    ),
    (-71, "assigned", None, None, {"agent": "a-101"}),
    (-57.9, "message", "agent", "您好，我是客服周倩，马上为您查看这笔退款。", {"who": "a-101"}),
    (-42, "message", "customer", "三天了，银行说没有收到你们的退款", {}),
    (-15, "message", "agent", "查到了：退款已于 18 日提交银行，我已为您登记加急。", {"who": "a-101"}),
    (-4, "message", "customer", "好的，大概多久能到？", {}),
)


def _names(metric: str) -> Answer:
    unit, zh, en, _ = _METRICS.get(metric, ("count", metric, metric, 12))
    return {"metric": metric, "unit": unit, "zh": zh, "en": en, "means": "as docs/metrics.md defines it"}


def _value(metric: str) -> float | None:
    return _METRICS.get(metric, ("count", "", "", 12))[3]


def _asked(now: int, ask: Mapping[str, str]) -> Answer:
    return {
        "tenant": ask.get("tenant", "demo"),
        "queue": ask.get("queue", "*"),
        "channel": ask.get("channel", "*"),
        "as_of": instant(now),
    }


def _episode(now: int, at: int, wait: int, waiting: bool) -> Answer:
    d = now - wait - at * 61_000
    return {
        "conversation": f"c-{(81, 77, 92, 64, 103, 58, 110, 49)[at % 8] + at // 8 * 100}",
        "episode": 1,
        "channel": ("web", "app", "wechat")[at % 3],
        "queue": "returns",
        "credit_queue": "returns",
        "agent": None if waiting else f"a-{101 + at}",
        "opened_at": instant(d - 30_000),
        "demand_at": instant(d),
        "first_reply_at": None if waiting else instant(d + wait),
        "closed_at": None,
        "state": "awaiting_first" if waiting else "waiting_on_customer",
        "outcome": "waiting" if waiting else "answered",
        "reopen": False,
        "outbound": False,
        "target_ms": 60_000,
        "wait_ms": wait,
        "waiting": waiting,
        "met": wait <= 60_000,
        "hit": wait <= 60_000,
        "count": 1,
        "topic": "refund_missing",
        "sentiment": -0.4,
        "csat": None,
    }


def conversations(now: int, ask: Mapping[str, str]) -> Answer:
    """Behind a number."""
    metric = ask["metric"]
    items = [_episode(now, at, wait, False) for at, wait in enumerate(_WAITS)]
    items += [_episode(now, 8 + at, 30_000 * (6 - at), True) for at in range(4)]
    standing = metric in ("backlog", "oldest_ms", "unassigned", "over_target")
    second = "cursor" in ask
    return (
        _asked(now, ask)
        | _names(metric)
        | {
            "window": None if standing else ask.get("window", "30m"),
            "from": None if standing else instant(now - 30 * MINUTE),
            "to": None if standing else instant(now),
            "topic": ask.get("topic"),
            "agent": ask.get("agent"),
            "counted": "messages" if metric == "customer_messages" else "episodes",
            "n": 471,
            "value": _value(metric),
            "censored": False,
            "conversations": 465,
            "target_ms": 60_000,
            "items": [one | {"conversation": one["conversation"] + "-2"} for one in items] if second else items,
            "next": None if second else "more",
            "sql": "SELECT …",
            "shown": _value(metric),
            "shown_as_of": instant(now),
        }
    )


def conversation(now: int, ask: Mapping[str, str]) -> Answer:
    """One conversation, of two episodes."""
    name = ask["conversation"]
    answered = _episode(now, 0, 271_100, False)
    d, first = now - 329_000, now - 57_900
    facts = dict.fromkeys(
        ("frt_business_ms", "abandon_wait_ms", "censored_wait_ms", "handle_ms", "agent_topic", "resolved")
    )
    episode = (
        {key: value for key, value in answered.items() if key not in ("hit", "count")}
        | facts
        | {
            "conversation": name,
            "demand_at": instant(d),
            "first_reply_at": instant(first),
            "opened_at": instant(now - 360_000),
            "first_reply_agent": "a-101",
            "agent": "a-101",
            "frt_ms": 271_100,
            "frt_customer_ms": 302_100,
            "frt_any_ms": 3_000,
            "greeting_ms": 13_100,
            "queue_left_ms": 258_000,
            "short_ms": 10_000,
            "transfers": 0,
            "customer_messages": 5,
            "agent_messages": 2,
            "bot_messages": 1,
            "formula_id": "tidewatch-1",
            "version": 1,
            "customer": "cust-9",
            "state": "awaiting_reply",
            "waiting": True,
            "wait_ms": 4_000,
            "exact": True,
            "waits": [
                _wait("bot", now - 357_000, d),
                _wait("queue", d, now - 71_000, queue="returns", ended_by="taken"),
                _wait("first_reply", d, first, target_ms=60_000, met=False, ended_by="reply", agent="a-101"),
                _wait("reply", now - 42_000, now - 15_000, ended_by="reply", agent="a-101"),
                _wait("reply", now - 4_000, None, now),
            ],
        }
    )
    return {
        "tenant": ask.get("tenant", "demo"),
        "conversation": name,
        "as_of": instant(now),
        "channel": "web",
        "customer": "cust-9",
        "text": True,
        "episodes": [episode],
        "hidden": 1,
        "cut": False,
        "events": [_event(now, at, *line) for at, line in enumerate(_TALK)],
    }


def _wait(kind: str, since: int, until: int | None, now: int = 0, **more: Any) -> Answer:
    empty = dict.fromkeys(("queue", "agent", "target_ms", "met", "ended_by"))
    end = None if until is None else instant(until)
    return {"kind": kind, "from": instant(since), "to": end, "ms": (until or now) - since} | empty | more


def _event(now: int, at: int, seconds: float, kind: str, role: str | None, text: str | None, more: Answer) -> Answer:
    return {
        "id": f"e-{at}",
        "at": instant(now + int(seconds * 1000)),
        "given_at": None,
        "kind": kind,
        "role": role,
        "who": None,
        "text": text,
        "type": "text" if text else None,
        "queue": None,
        "agent": None,
        "by": None,
        "topic": None,
        "score": None,
        "episode": 1,
        "late": False,
        "clock_suspect": False,
        "counts": role == "agent",
        "why": [],
        "sentiment": None,
    } | more


def receipt(now: int, ask: Mapping[str, str]) -> Answer:
    """How a number came about."""
    metric, one = ask["metric"], "conversation" in ask
    value = _value(metric)
    return (
        _asked(now, ask)
        | _names(metric)
        | {
            "conversation": ask.get("conversation"),
            "episode": int(ask["episode"]) if one else None,
            "window": None if one else ask.get("window"),
            "from": instant(now - 329_000),
            "to": instant(now - 57_900),
            "value": value,
            "target_ms": 60_000,
            "met": False if one else None,
            "minute": instant((now - 329_000) // MINUTE * MINUTE) if one else None,
            "in_queue": "returns" if one else None,
            "in_channel": "web" if one else None,
            "parts": {} if one else {"offered": 471, "answered_in_target": 151, "short_abandoned": 2, "undecided": 17},
            "excluded": [
                {"zh": "机器人消息", "en": "messages of the bot", "n": 1, "ms": None},
                {"zh": "系统消息", "en": "system messages", "n": 1, "ms": None},
            ],
            "formula_id": "tidewatch-1",
            "formula": "first public agent message after d, minus d",
            "version": 1,
            "sql": f"SELECT {metric}, version\nFROM tidewatch.episodes\nWHERE conversation = 'c-81'",
            "stored": value,
            "recomputed": value,
            "recomputed_sql": "SELECT …",
            "difference": 0,
            "settled": True,
            "value_as_of": instant(now),
        }
    )


def off(now: int, ask: Mapping[str, str]) -> Answer:
    """A receipt that does not agree."""
    return receipt(now, ask) | {"recomputed": 274_100, "difference": 3_000}


def history(now: int, ask: Mapping[str, str]) -> Answer:
    """Series of a period."""
    since, until, step = _ms(ask["from"]), _ms(ask["to"]), int(ask["step"]) * 1000
    at = list(range(since, until, step))
    metrics = ask["metric"].split(",")
    usual: Answer = {name: [] for name in ("expected", "low", "high", "surge")}
    if "customer_messages" in metrics:
        levels = [_course("customer_messages", t, step, 0.0) for t in at]
        usual = {
            "expected": levels,
            "low": [x * 0.8 for x in levels],
            "high": [x * 1.2 for x in levels],
            "surge": [False] * len(at),
        }
    return _asked(now, ask) | {
        "from": ask["from"],
        "to": ask["to"],
        "step_s": step // 1000,
        "at": [instant(t) for t in at],
        "usual": usual,
        "series": [_series(metric, at, step) for metric in metrics],
        "restated": [{"at": instant(at[len(at) // 3]), "times": 2}, {"at": instant(at[len(at) // 2]), "times": 1}],
    }


def outcomes(now: int, ask: Mapping[str, str]) -> Answer:
    """What came of a period."""
    since, until, bar = _ms(ask["from"]), _ms(ask["to"]), int(ask.get("bar", 10)) * 1000
    counts = [40, 380, 820, 1_180, 1_040, 720, 470, 300, 210, 150, 110, 84, 60, 44, 32, 24, 18, 14, 10, 46]
    days = [instant(at)[:10] for at in range(since + 43_200_000, max(until, since + 43_200_001), 86_400_000)]
    closed = [
        {"day": day, "closed": 900 + 37 * at, "resolved": 810 + 31 * at, "judged": 870 + 35 * at,
         "stayed": 770 + 30 * at, "resolution_rate": (770 + 30 * at) / (870 + 35 * at),
         "provisional": at >= len(days) - 3}
        for at, day in enumerate(days)
    ]  # fmt: skip
    shares = {"track_parcel": 31, "refund_missing": 18, "coupon": 12, "invoice": 8, "other": 9}
    items = []
    for at, (topic, share) in enumerate(shares.items()):
        daily = [
            share * 10 + (day * (at + 3)) % 17 * (4 if topic == "refund_missing" else 1) for day in range(len(days))
        ]
        items.append({"topic": topic, "n": sum(daily), "counts": daily})
    return _asked(now, ask) | {
        "from": ask["from"], "to": ask["to"],
        "first_replies": {"n": sum(counts), "bar_ms": bar, "counts": counts},
        "days": closed,
        "topics": {"days": days, "messages": [1_000] * len(days), "items": items},
    }  # fmt: skip


def _series(metric: str, at: list[int], step: int) -> Answer:
    unit = _METRICS.get(metric, ("ms" if metric.endswith("_ms") else "count",))[0]
    values = [_course(metric, t, step, 0.08) for t in at]
    n = [60 * step // HOUR] * len(values)
    return {"metric": metric, "unit": unit, "values": values, "n": n, "censored": [False] * len(at)}


def _course(metric: str, t: int, step: int, noise: float) -> float:
    hour, roll = (t // HOUR + 8) % 24 + t % HOUR / HOUR, random.Random(t ^ len(metric))
    busy = 0.1 if hour < 7 else 0.6 + 0.4 * math.exp(-((hour - 10) ** 2) / 8) + 0.5 * math.exp(-((hour - 20) ** 2) / 6)
    busy = 1.0 if step > 20 * HOUR else busy
    level = (
        0.93
        - 0.16 * math.exp(-((hour - 10) ** 2) / 5)
        - 0.2 * math.exp(-((hour - 20) ** 2) / 4)
        + (roll.random() - 0.5) * noise
    )
    level = 0.816 if step > 20 * HOUR else level
    offered = 0 if hour < 6 and step <= 4 * HOUR else round(290 * busy * step / HOUR)
    return {
        "service_level": level,
        "answered_in_target": offered * level,
        "offered": offered,
        "short_abandoned": 0,
        "undecided": 0,
        "abandon_rate": 0.032,
        "csat": 0.85,
        "frt_p90_ms": 98_000,
        "resolved": offered * 0.8,
        "closed": offered,
        "customer_messages": round(1800 * busy * step / HOUR * (1 + (roll.random() - 0.5) * noise)),
    }.get(metric, 10 * busy)


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def alerts(now: int, ask: Mapping[str, str]) -> Answer:
    """Past alerts, and what people thought of the rules."""
    over = next(one for one in surge(now)["lists"]["demo"]["alerts"] if one["state"] == "resolved")
    past = [
        over
        | {
            "alert": f"old-{at}",
            "since": instant(now - (26 + 9 * at) * HOUR),
            "resolved_at": instant(now - (26 + 9 * at) * HOUR + 700_000),
            "grade": (None, "useful", "noise")[at % 3],
            "changes": [],
        }
        for at in range(6)
    ]
    rules = [
        ("surge", 7, 5, 1, 540),
        ("oldest_wait", 12, 4, 4, 610),
        ("service_level", 9, 2, 0, 1_260),
        ("backlog-high", 3, 0, 0, 420),
    ]
    return {
        "tenant": ask.get("tenant"),
        "from": ask.get("from", instant(now - 168 * HOUR)),
        "to": instant(now),
        "n": len(past),
        "items": past,
        "next": None,
        "rules": [
            {
                "rule": name,
                "fired": fired,
                "graded": useful + noise,
                "useful": useful,
                "noise": noise,
                "useful_share": useful / (useful + noise) if useful + noise else None,
                "graded_share": (useful + noise) / fired,
                "acknowledged": useful,
                "median_s": median,
            }
            for name, fired, useful, noise, median in rules
        ],
    }


BOARD: Answer = {
    "name": "returns-team",
    "title": {"zh": "退货组", "en": "Returns team"},
    "tenant": "demo",
    "tiles": ["backlog", "oldest", "frt", "sl"],
    "queues": ["returns", "b*"],
    "channels": [],
    "thresholds": [
        {"metric": "backlog", "queue": "*", "channel": "*", "near": 100, "warning": 200, "critical": 300, "min_n": 0}
    ],
    "rotate": {"every_s": 20, "ribbons": ["queues", "topics"]},
    "table": [],
    "version": "a1b2",
}


def boards(now: int, ask: Mapping[str, str]) -> Answer:
    """The boards there are."""
    other = BOARD | {
        "name": "night",
        "title": {"zh": "夜班", "en": "Night shift"},
        "queues": [],
        "thresholds": [],
        "tiles": ["backlog", "frt", "slots"],
    }
    return {
        "boards": [BOARD, other],
        "problems": ["late.toml: tiles: 'x' is not known"],
        "tiles": ["backlog", "oldest", "frt", "sl", "abandon", "csat", "slots"],
        "ribbons": ["queues", "topics", "agents"],
        "metrics": ["backlog", "oldest_ms"],
    }


def links(now: int, ask: Mapping[str, str]) -> Answer:
    """The TV links there are."""
    one = {
        "id": "l-1",
        "name": "一楼大厅",
        "tenant": "demo",
        "by": "李敏",
        "made_at": instant(now - 48 * HOUR),
        "until": instant(now + 2_000 * HOUR),
        "opened_at": instant(now - 47 * HOUR),
        "revoked_at": None,
    }
    return {"links": [one, one | {"id": "l-2", "name": "old", "revoked_at": instant(now - HOUR)}]}


ANSWERS: dict[str, Callable[[int, Mapping[str, str]], Answer]] = {
    "/v1/conversations": conversations,
    "/v1/conversation": conversation,
    "/v1/receipt": receipt,
    "/v1/history": history,
    "/v1/alerts": alerts,
    "/v1/boards": boards,
    "/v1/outcomes": outcomes,
    "/v1/links": links,
    "/v1/boards/returns-team": lambda now, ask: BOARD,
}


def hostile(answer: Any) -> Any:
    """The same answer with every text a name could stand in trying to become code."""
    if isinstance(answer, dict):
        kept = {"metric", "unit", "kind", "role", "state", "outcome", "counted", "severity", "window", "tenant", "name"}
        kept |= {"at", "as_of", "from", "to", "minute", "since", "until"}
        return {key: value if key in kept or key.endswith("_at") else hostile(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [hostile(one) for one in answer]
    return HOSTILE if isinstance(answer, str) else answer
