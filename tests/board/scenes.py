"""Presents to look at: plausible numbers as the gateways read them from Redis, each a function of the moment."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

MINUTE = 60_000
TARGET_MS = 60_000

Present = dict[str, Any]
"""`keys` (without series), `series` by [tenant, queue, channel], `lists` by tenant, `meta`."""

# id, zh, en, rate, expected, low, high, surge, learning, states (with_bot, awaiting_first, awaiting_reply,
# waiting_on_customer), ages, oldest s, unassigned, cohort (answered, in target, abandoned, short, waiting, unanswered,
# undecided, closed), percentiles s (p50, p90, p90 km, censored), sentiment, ratings, good
QUEUES: list[tuple[Any, ...]] = [
    ("returns", "退货退款", "Returns", 96, 31, 24, 39, True, False, (9, 44, 14, 38), (21, 37, 0, 0, 0, 0), 406, 41,
     (402, 151, 22, 2, 44, 3, 17, 368), (34, 171, 228, False), -0.46, 31, 19),
    ("delivery", "物流配送", "Delivery", 48, 46, 37, 56, False, False, (12, 5, 8, 44), (8, 5, 0, 0, 0, 0), 131, 2,
     (214, 181, 7, 1, 5, 1, 3, 209), (22, 74, 79, False), -0.12, 36, 31),
    ("tech", "技术支持", "Tech", 19, 18, 12, 25, False, False, (3, 2, 5, 31), (2, 2, 3, 0, 0, 0), 848, 1,
     (78, 58, 3, 1, 2, 0, 1, 74), (38, 129, 139, False), -0.21, 14, 11),
    ("billing", "账单支付", "Billing", 22, 21, 15, 28, False, False, (6, 2, 4, 22), (5, 1, 0, 0, 0, 0), 96, 0,
     (97, 85, 2, 0, 2, 0, 2, 95), (19, 58, 60, False), -0.08, 22, 20),
    ("presales", "售前咨询", "Pre-sales", 27, 29, 21, 38, False, False, (15, 1, 3, 26), (4, 0, 0, 0, 0, 0), 44, 0,
     (126, 117, 3, 2, 1, 0, 1, 124), (14, 39, 39, False), 0.22, 28, 26),
    ("account", "账户登录", "Account", 14, 15, 9, 21, False, False, (5, 1, 2, 12), (3, 0, 0, 0, 0, 0), 51, 0,
     (61, 55, 2, 1, 1, 0, 1, 61), (18, 61, 62, False), -0.05, 9, 8),
    ("vip", "会员专线", "VIP", 6, 6, 2, 11, False, True, (0, 0, 0, 7), (0, 0, 0, 0, 0, 0), None, 0,
     (24, 23, 0, 0, 0, 0, 0, 24), (9, 24, 24, False), 0.31, 3, 3),
]  # fmt: skip
TOPICS = {
    "refund_missing": ("退款未到账", "Refund not received"),
    "pickup_late": ("上门取件迟到", "Pickup is late"),
    "track_parcel": ("查询物流", "Where is my parcel"),
    "change_address": ("修改地址", "Change address"),
    "coupon": ("优惠券无法使用", "Coupon not accepted"),
    "invoice": ("开具发票", "Invoice"),
}
THRESHOLDS = {
    "backlog": (12, 20, 40),
    "oldest_ms": (180e3, 600e3, 1200e3),
    "frt_p90_km_ms": (60e3, 120e3, 180e3),
    "service_level": (0.85, 0.8, 0.6),
    "abandon_rate": (0.03, 0.05, 0.1),
    "sentiment": (-0.15, -0.3, -0.4),
    "unassigned": (3, 10, 30),
}


def instant(ms: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def empty(now: int) -> Present:
    """Connected, and nothing ever came."""
    return {"keys": [], "series": {}, "lists": {}, "meta": _meta(now, [])}


def surge(now: int, tenant: str = "demo") -> Present:
    """A shop on a bad morning: returns are far over what is usual, one customer of tech support waits very long."""
    keys = [_key(tenant, row, now) for row in QUEUES]
    keys.insert(0, _sum(tenant, now))
    series = {
        (tenant, row[0], "*"): _series(now, row[3], row[4], row[5], row[6], row[7], at) for at, row in enumerate(QUEUES)
    }
    series[tenant, "*", "*"] = _total(list(series.values()))
    lists = {
        "agents": _agents(now),
        "alerts": _alerts(now, tenant),
        "silences": [],
        "events": [
            {
                "name": "双11返场",
                "from": instant(now + 2 * 60 * MINUTE),
                "to": instant(now + 5 * 60 * MINUTE),
                "factor": 1.6,
                "match": {"queue": "presales"},
            }
        ],
    }
    return {"keys": keys, "series": series, "lists": {tenant: lists}, "meta": _meta(now, [tenant])}


def calm(now: int, tenant: str = "demo") -> Present:
    """The same shop with nothing wrong."""
    present = surge(now, tenant)
    for key in present["keys"]:
        key["volume"] |= {"surge": False, "since": None, "rate_per_min": key["volume"]["expected"]}
        key |= {
            "oldest_ms": 40_000 if key["backlog"] else None,
            "backlog": min(key["backlog"], 6),
            "unassigned": 0,
            "over_target": 0,
        }
        key["ages"] = [key["backlog"], 0, 0, 0, 0, 0]
        for window in key["windows"].values():
            window |= {"service_level": 0.914, "frt_p90_km_ms": 52_000, "frt_p90_ms": 50_000, "abandon_rate": 0.012}
    lists = present["lists"][tenant]
    lists["alerts"] = [alert for alert in lists["alerts"] if alert["state"] == "resolved"]
    row = QUEUES[0]
    present["series"][tenant, row[0], "*"] = _series(now, row[4], row[4], row[5], row[6], False, 0)
    present["series"][tenant, "*", "*"] = _total([part for key, part in present["series"].items() if key[1] != "*"])
    return present


def unlearned(now: int, tenant: str = "demo") -> Present:
    """Numbers flow, and no model has said anything yet: no expectation, no topics, no sentiment, no thresholds."""
    present = surge(now, tenant)
    for key in present["keys"]:
        key["volume"] = {"rate_per_min": key["volume"]["rate_per_min"]} | dict.fromkeys(
            ("expected", "low", "high", "surge", "lull", "since", "learning", "learned_days")
        )
        key |= {"thresholds": {}, "topics": None, "keywords": None, "sentiment": None, "sentiment_n": 0, "restated": []}
    for part in present["series"].values():
        part |= {name: [None] * 180 for name in ("expected", "low", "high")}
    present["lists"][tenant] |= {"alerts": [], "events": []}
    present["meta"]["labels"] = {}
    return present


def huge(now: int, tenant: str = "demo", many: int = 500) -> Present:
    """Very many queues in three channels, two of them in a surge, a few with somebody who waits long."""
    roll = random.Random(21)
    kinds = ("returns", "delivery", "tech", "billing", "presales", "account", "vip", "b2b")
    keys, series = [_sum(tenant, now)], {}
    for at in range(many):
        hot = at in (137, 402)
        pick = 0 if hot else 1 + roll.randrange(6)
        row, part = QUEUES[pick], 0.75 if hot else roll.random() ** 18
        key = _key(tenant, row, now)
        backlog = int(roll.random() * 7 + part * 70)
        name = f"{('cn', 'hk', 'sg', 'eu', 'us')[at % 5]}-{roll.choice(kinds)}-{at + 1:03}"
        key |= {"queue": name, "backlog": backlog, "unassigned": int(backlog * part)}
        key["oldest_ms"] = int(20 + backlog * 9 + part * 700) * 1000 if backlog else None
        key["volume"]["learning"] = not hot and at % 41 == 0
        keys += [key, *(key | {"channel": channel} for channel in ("app", "web", "wechat"))]
        series[tenant, name, "*"] = _series(now, row[3], row[4], row[5], row[6], hot, at)
    series[tenant, "*", "*"] = _total(list(series.values())[:7])
    lists = {"agents": _agents(now), "alerts": [], "silences": [], "events": []}
    return {"keys": keys, "series": series, "lists": {tenant: lists}, "meta": _meta(now, [tenant])}


HOSTILE = (
    '<img src=x onerror="document.title=1"><script>document.title=2</script>{{7*7}}'
    '<svg onload="document.title=5"><a href="javascript:document.title=6">x</a></svg>'
    '"\' onmouseover="document.title=7" autofocus onfocus="document.title=8" x="'
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=document.title=9&gt;">'
)
"""An element, a script, a template, a drawing, a link, an attribute; markup that becomes one when written again."""


def hostile(now: int, tenant: str = "demo") -> Present:
    """Names that try to become code."""
    present = surge(now, tenant)
    bad = HOSTILE
    present["meta"]["labels"] = {"queue": {"tech": {"zh": bad, "en": bad}}, "channel": {}, "topic": {}, "agent": {}}
    for key in present["keys"]:
        if key["queue"] == "delivery":
            key["queue"] = bad[:100]
        key["topics"] = [{"topic": bad, "count": 3, "share": 0.5, "change": 2.0}]
    for alert in present["lists"][tenant]["alerts"]:
        alert |= {"summary": {"zh": bad, "en": bad}, "keywords": [bad], "samples": [bad], "acknowledged_by": bad}
        alert |= {"runbook": "javascript:document.title=3", "board": "javascript:document.title=4"}
    return present


def crowded(now: int, tenant: str = "demo") -> Present:
    """Far more alerts than anybody reads, a queue that fell silent, a silence; and a tenant of last year, in replay."""
    present, other = surge(now, tenant), surge(now - 400 * 86_400_000, "replayed")
    present["keys"] += other["keys"]
    present["series"] |= other["series"]
    lists = present["lists"][tenant]
    for at in range(12):
        alert = lists["alerts"][0] | {"alert": f"many-{at}", "severity": ("critical", "warning", "info")[at % 3]}
        lists["alerts"].append(alert | {"queue": QUEUES[at % 7][0], "rule": f"r-{at}", "group": "returns"})
    silence = {
        "id": "s-1",
        "match": {"queue": "tech"},
        "until": instant(now + 3_600_000),
        "by": "李敏",
        "reason": "演练",
    }
    lists["silences"] = [silence]
    present["lists"]["replayed"] = other["lists"]["replayed"]
    vip = next(key for key in present["keys"] if key["queue"] == "vip")
    vip["volume"] |= {"lull": True, "since": instant(now - 600_000), "rate_per_min": 0, "learning": False}
    present["meta"]["clocks"] = {tenant: instant(now), "replayed": instant(now - 400 * 86_400_000)}
    present["meta"]["replaying"], present["meta"]["ingest_lag_ms"] = ["replayed"], 12_900
    present["meta"]["zones"]["replayed"] = "Europe/Berlin"
    present["meta"]["partitions"]["behind"] = 2
    fault = {"tenant": tenant, "queue": "tech", "channel": "*", "minute": instant(now - 7 * MINUTE)}
    present["meta"]["parity"]["by"] = {tenant: {"faults": 2, "first_fault": fault}}
    return present


SCENES: dict[str, Callable[[int], Present]] = {
    "surge": surge, "calm": calm, "empty": empty, "unlearned": unlearned, "huge": huge, "hostile": hostile,
    "crowded": crowded,
}  # fmt: skip


def _meta(now: int, tenants: list[str]) -> dict[str, Any]:
    names = {row[0]: {"zh": row[1], "en": row[2]} for row in QUEUES}
    topics = {name: {"zh": zh, "en": en} for name, (zh, en) in TOPICS.items()}
    channels = {
        "app": {"zh": "App", "en": "App"},
        "web": {"zh": "网页", "en": "Web"},
        "wechat": {"zh": "微信", "en": "WeChat"},
    }
    return {
        "clocks": {tenant: instant(now) for tenant in tenants},
        "real": instant(now),
        "replaying": [],
        "zones": dict.fromkeys(tenants, "Asia/Shanghai"),
        "partitions": {"total": 12, "behind": 0},
        "ingest_lag_ms": 120,
        "written_at": instant(now),
        "parity": {"checked_at": instant(now), "compared": 1_250, "by": {}},
        "labels": {"queue": names, "channel": channels, "topic": topics, "agent": {}},
    }


def _window(
    rate: int, cohort: tuple[int, ...], percentiles: tuple[Any, ...], ratings: int, good: int
) -> dict[str, Any]:
    answered, in_target, abandoned, short, waiting, unanswered, undecided, closed = cohort
    p50, p90, km, censored = percentiles
    offered = answered + abandoned + unanswered + waiting
    judged, left = offered - short - undecided, offered - short
    low, high = _wilson(good, ratings)
    messages = rate * 26
    return {
        "messages": messages * 21 // 10, "customer_messages": messages, "agent_messages": messages * 9 // 10,
        "bot_messages": messages // 5, "opened": offered + 4, "closed": closed, "moved_in": 2, "moved_out": 2,
        "arrivals": offered, "offered": offered, "answered": answered, "answered_in_target": in_target,
        "abandoned": abandoned, "short_abandoned": short, "closed_unanswered": unanswered, "waiting": waiting,
        "undecided": undecided, "dropped": 1, "frt_n": answered, "frt_sum_ms": answered * 41_000, "frt_hist": {},
        "reopen_frt_n": 0, "reopen_frt_sum_ms": 0, "resolved": closed * 8 // 10, "ratings": ratings, "csat_good": good,
        "score_sum": ratings * 4, "sentiment_sum": 0, "negative": messages // 8,
        "formula_id": "tidewatch-1", "version": 1,
        "frt_avg_ms": 41_000 if answered else None, "frt_p50_ms": p50 * 1000, "frt_p90_ms": p90 * 1000,
        "frt_p50_km_ms": p50 * 1350, "frt_p50_km_censored": False, "frt_p90_km_ms": km * 1000,
        "frt_p90_km_censored": censored, "frt_km_n": offered,
        "service_level": in_target / judged if judged else None, "connect": in_target / offered if offered else None,
        "answered_only": in_target / answered if answered else None, "provisional": undecided > 0,
        "abandon_rate": (abandoned - short) / left if left else None,
        "csat": good / ratings if ratings else None, "csat_low": low, "csat_high": high,
    }  # fmt: skip


def _wilson(good: int, n: int) -> tuple[float | None, float | None]:
    if not n:
        return None, None
    z, p = 1.959964, good / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def _thresholds() -> dict[str, Any]:
    names = ("near", "warning", "critical")
    return {name: dict(zip(names, limits, strict=True)) | {"min_n": 20} for name, limits in THRESHOLDS.items()}


def _key(tenant: str, row: tuple[Any, ...], now: int) -> dict[str, Any]:
    (
        queue,
        _,
        _,
        rate,
        expected,
        low,
        high,
        hot,
        learning,
        states,
        ages,
        oldest,
        unassigned,
        cohort,
        pct,
        mood,
        n,
        good,
    ) = row
    with_bot, first, reply, customer = states
    window = _window(rate, cohort, pct, n, good)
    topics = [("refund_missing", 1124, 0.27, 3.6), ("pickup_late", 431, 0.1, 2.1)] if queue == "returns" else []
    return {
        "tenant": tenant, "queue": queue, "channel": "*", "open": sum(states), "with_bot": with_bot,
        "awaiting_first": first, "awaiting_reply": reply, "waiting_on_customer": customer, "backlog": first + reply,
        "unassigned": unassigned, "over_target": sum(ages[1:]), "oldest_ms": oldest and oldest * 1000 + now % 1000,
        "ages": list(ages), "drain_s": None if queue == "returns" else 420,
        "targets": {"target_ms": TARGET_MS, "service_level": 0.8}, "thresholds": _thresholds(),
        "windows": {name: dict(window) for name in ("1m", "5m", "30m", "today")},
        "volume": {
            "rate_per_min": rate, "expected": expected, "low": low, "high": high, "surge": hot, "lull": False,
            "since": instant(now - 381_000) if hot else None, "learning": learning,
            "learned_days": 5 if learning else 14,
        },
        "restated": [{"minute": (now // MINUTE - 78) * MINUTE, "field": "customer_messages", "old": 28, "new": 30}]
        if queue == "returns" else [],
        "topics": [dict(zip(("topic", "count", "share", "change"), topic, strict=True)) for topic in topics],
        "keywords": ["没到账", "银行"] if queue == "returns" else [], "sentiment": mood, "sentiment_n": rate * 26,
    }  # fmt: skip


def _sum(tenant: str, now: int) -> dict[str, Any]:
    columns = [sum(row[at] for row in QUEUES) for at in (3, 4)]
    cohort = tuple(sum(row[13][at] for row in QUEUES) for at in range(8))
    states = tuple(sum(row[9][at] for row in QUEUES) for at in range(4))
    ages = tuple(sum(row[10][at] for row in QUEUES) for at in range(6))
    row = ("*", "", "", columns[0], columns[1], 138, 194, False, False, states, ages, 848,
           sum(row[12] for row in QUEUES), cohort, (24, 115, 222, False), -0.18,
           sum(row[16] for row in QUEUES), sum(row[17] for row in QUEUES))  # fmt: skip
    key = _key(tenant, row, now)
    topics = [("refund_missing", 1124, 0.27, 3.6), ("pickup_late", 431, 0.1, 2.1), ("track_parcel", 968, 0.23, 1.04),
              ("coupon", 402, 0.1, 0.97), ("invoice", 288, 0.07, 0.88)]  # fmt: skip
    key["topics"] = [dict(zip(("topic", "count", "share", "change"), topic, strict=True)) for topic in topics]
    key["thresholds"] |= {"backlog": {"near": 60, "warning": 70, "critical": 80, "min_n": 0}}
    return key


def _series(now: int, rate: int, expected: int, low: int, high: int, hot: bool, seed: int) -> dict[str, Any]:
    roll = random.Random(seed)
    ramp = (0.38, 0.52, 0.7, 0.84, 0.95, 1.02, 0.985, 1)
    panes: dict[str, list[Any]] = {
        name: [] for name in ("customer_messages", "arrivals", "expected", "low", "high", "version")
    }
    for at in range(180):
        shape = 0.72 + 0.28 * math.sin(at / 180 * math.pi * 0.5)
        value = (expected + (roll.random() + roll.random() + roll.random() - 1.5) * (high - low) * 0.34) * shape
        if hot and at >= 172:
            value = rate * ramp[at - 172]
        panes["customer_messages"].append(max(0, round(value)))
        panes["arrivals"].append(max(0, round(value / 4)))
        for name, level in (("expected", expected), ("low", low), ("high", high)):
            panes[name].append(round(level * shape, 1))
        panes["version"].append(1)
    return {"from": instant((now // MINUTE - 179) * MINUTE), "step_s": 60} | panes


def _total(parts: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("customer_messages", "arrivals", "expected", "low", "high")
    columns = {
        name: [round(sum(pane), 1) for pane in zip(*(part[name] for part in parts), strict=True)] for name in names
    }
    return {"from": parts[0]["from"], "step_s": 60} | columns | {"version": [1] * 180}


def _agents(now: int) -> list[dict[str, Any]]:
    roll = random.Random(7)
    agents = []
    for at in range(42):
        status = "online" if at < 27 else "busy" if at < 34 else "away" if at < 38 else "offline"
        held = {"offline": 0, "away": 1}.get(status, 3 + int(roll.random() * 2.9))
        agents.append({
            "agent": f"a-{101 + at}", "queues": [QUEUES[at % 7][0]], "status": status, "open": held,
            "capacity": None if at in (3, 9) else 5, "since": instant(now - (3 + at) * 7 * MINUTE),
        })  # fmt: skip
    return agents


def _alerts(now: int, tenant: str) -> list[dict[str, Any]]:
    def driver(dimension: str, value: str, excess: int) -> dict[str, Any]:
        return {"dimension": dimension, "value": value, "excess": excess, "share": excess / 65}

    common = {"v": 1, "tenant": tenant, "channel": "*", "at": instant(now), "drivers": [], "keywords": [],
              "samples": [],
              "acknowledged_by": None, "acknowledged_at": None, "silenced_by": None, "grade": None, "resolved_at": None,
              "reason": None, "expected": None, "low": None, "high": None}  # fmt: skip
    return [
        common | {
            "alert": "9f3c51", "rule": "surge", "state": "firing", "severity": "critical", "queue": "returns",
            "since": instant(now - 381_000), "value": 96, "peak": 98, "expected": 31, "low": 24, "high": 39,
            "unit": "per_min",
            "summary": {"zh": "退货退款 客户消息突增", "en": "Surge of customer messages in Returns"},
            "drivers": [driver("topic", "refund_missing", 44), driver("topic", "pickup_late", 14),
                        driver("topic", "other", 7),
                        driver("channel", "app", 41), driver("channel", "web", 20), driver("channel", "wechat", 4)],
            "keywords": ["没到账", "原路退回", "银行", "三天了"],
            "samples": ["退款说原路退回，三天了还没到账，订单 ［编号］"],
            "impact": {"backlog": 58, "oldest_ms": 406_000, "frt_p90_ms": 228_000, "agents_needed": 4, "drain_s": None,
                       "drain_plus": {"1": None, "2": 2280, "4": 900}},
            "group": "returns", "runbook": "https://example.invalid/runbook/surge", "board": "/?queue=returns",
        },
        common | {
            "alert": "44aa07", "rule": "oldest_wait", "state": "acknowledged", "severity": "warning", "queue": "tech",
            "since": instant(now - 488_000), "value": 848_000, "peak": 848_000, "high": 600_000, "unit": "ms",
            "summary": {"zh": "技术支持：最长等待超过 10 分", "en": "Tech: oldest wait over 10 min"},
            "impact": {"backlog": 7, "oldest_ms": 848_000, "frt_p90_ms": 139_000, "agents_needed": 0},
            "acknowledged_by": "李敏", "acknowledged_at": instant(now - 351_000), "group": "tech",
            "runbook": "", "board": "",
        },
        common | {
            "alert": "1b20de", "rule": "service_level", "state": "resolved", "severity": "warning", "queue": "billing",
            "since": instant(now - 1_440_000), "value": 0.81, "low": 0.8, "unit": "ratio", "peak": 0.724,
            "summary": {"zh": "账单支付：服务水平低于目标", "en": "Billing: service level below target"},
            "impact": {"backlog": 6, "oldest_ms": 96_000, "frt_p90_ms": 60_000, "agents_needed": 0},
            "resolved_at": instant(now - 930_000), "group": "billing", "runbook": "", "board": "",
        },
    ]  # fmt: skip
