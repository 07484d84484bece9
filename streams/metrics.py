"""What each number means: the one catalogue behind columns, rules, tiles and documentation.

A metric is a name, a unit, one sentence, and where it stands: its column in ClickHouse, its tile on the board, its
place in the live feed, where rules find it. The formulas below the catalogue work on a `Window`: a merge of panes, so
that any two windows merge exactly. `python -m streams.metrics > docs/metrics.md` writes the documentation.
Source: METRICS.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil, sqrt
from typing import Final, Protocol, TypeVar

from streams.waits import Waits, apart, bucket, counted

_K = TypeVar("_K", str, int)

FORMULA = "tidewatch-1"
"""Id of the service-level formula; every stored row carries it."""

COUNTS = (
    "messages", "customer_messages", "agent_messages", "bot_messages",
    "opened", "closed", "moved_in", "moved_out",
    "arrivals", "offered", "answered", "answered_in_target", "abandoned", "short_abandoned",
    "closed_unanswered", "waiting", "undecided", "connected", "dropped",
    "frt_n", "frt_sum_ms", "reopen_frt_n", "reopen_frt_sum_ms",
    "resolved", "ratings", "csat_good", "score_sum", "sentiment_sum", "negative", "sentiment_n",
)  # fmt: skip
"""The additive columns of `minutes`, in order. Integers all: `sentiment_sum` is in thousandths until it is `shown`."""

NEGATIVE: Final = -300
"""A message below this, in thousandths, counts as negative. Source: BOARD §3, where a mean below −0.30 is abnormal."""


class Place(StrEnum):
    """Where the live feed has a metric, and so where a rule finds it."""

    GAUGE = "gauge"
    """In a key: as of now."""
    WINDOW = "window"
    """In each window of a key."""
    VOLUME = "volume"
    """In the `volume` of a key: as of now."""
    FLAG = "flag"
    """There too, yes or no; a rule on it needs no bound, and its alert tells the rate."""
    TENANT = "tenant"
    """Of a tenant or the stack as a whole: as of now."""
    COUNTER = "counter"
    """The same, ever rising: a rule judges the increase over its window."""
    TOPIC = "topic"
    """In each entry of a key's `topics`: as of now."""
    PEOPLE = "people"
    """Reckoned from a key and who is at work, where a rule asks: as of now."""


UNITS: Mapping[str, str] = {
    "count": "a number of things",
    "ms": "milliseconds",
    "s": "seconds",
    "ratio": "a share, 0 to 1",
    "per_min": "per minute",
    "score": "−1 to 1",
    "times": "a multiple of what is usual",
}
"""Every unit there is, and what it says."""

TILES: Mapping[str, str] = {
    "tide": "the tide",
    "backlog": "backlog",
    "oldest": "oldest wait",
    "frt": "first reply P90",
    "sl": "service level",
    "abandon": "abandon rate",
    "csat": "CSAT",
    "sentiment": "sentiment",
    "strip": "the strip with the clock",
    "alerts": "alerts",
}
"""The board's tiles that show metrics, by the names they have there."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of the product."""

    name: str
    place: Place
    unit: str
    """One of `UNITS`; of a flag that of the value its alert tells."""
    source: str
    """Section of METRICS.md."""
    tile: str
    """The tile of the board whose number this is, or is made of."""
    zh: str
    en: str
    means: str
    """The definition, in a sentence."""
    column: str
    """`table.column` in ClickHouse where the same number is found, or what it is reckoned from."""
    cases: tuple[str, ...] = ()
    """Numbers beside it whose first, less the others, is how many cases are behind the value. None: no such number."""
    made_of: tuple[str, ...] = ()
    """Further columns it is made of: where one of them is restated, the value was."""


def _count(name: str, source: str, tile: str, zh: str, en: str, means: str, unit: str = "count") -> Metric:
    """A column of `minutes` that adds up."""
    return Metric(name, Place.WINDOW, unit, source, tile, zh, en, means, f"minutes.{name}")


def _now(name: str, tile: str, zh: str, en: str, means: str, column: str = "", unit: str = "count") -> Metric:
    """What stands open."""
    return Metric(name, Place.GAUGE, unit, "§4", tile, zh, en, means, column or f"backlog_now.{name}")


_JUDGED = ("offered", "short_abandoned", "undecided")
_VOLUME = ("customer_messages",)

# fmt: off
_COUNTED = (
    _count("messages", "§8", "tide", "消息", "messages", "Public messages of every author, by `at`."),
    _count("customer_messages", "§8", "tide", "客户消息", "customer messages",
           "Public messages of customers, by `at`."),
    _count("agent_messages", "§1", "tide", "坐席消息", "agent messages",
           "Public messages of people who answer, by `at`."),
    _count("bot_messages", "§1", "tide", "机器人消息", "bot messages", "Public messages of bots, by `at`."),
    _count("opened", "§4", "backlog", "新开咨询", "opened", "Episodes that opened."),
    _count("closed", "§4", "backlog", "已关闭", "closed", "Episodes that closed, in the queue where they closed."),
    _count("moved_in", "§4", "backlog", "转入", "moved in", "Open episodes that came from another queue."),
    _count("moved_out", "§4", "backlog", "转出", "moved out", "Open episodes that went to another queue."),
    _count("arrivals", "§8", "tide", "咨询量", "arrivals", "Episodes by `d`, in the queue that had them then."),
    _count("offered", "§1", "sl", "人工咨询量", "offered", "Episodes by `d`, in the queue that has the credit."),
    _count("answered", "§3", "sl", "已响应", "answered", "Of offered: a person answered."),
    _count("answered_in_target", "§6", "sl", "达标响应", "answered in target", "Of answered: within T."),
    _count("abandoned", "§5", "abandon", "已放弃", "abandoned",
           "Of offered: the customer left before the first human reply."),
    _count("short_abandoned", "§5", "abandon", "短放弃", "short abandons",
           "Of abandoned: within S; left out of the rates."),
    _count("closed_unanswered", "§3", "sl", "未响应即关闭", "closed unanswered",
           "Of offered: closed without a human reply."),
    _count("waiting", "§4", "backlog", "等待中", "waiting", "Of offered: still waiting for the first response."),
    _count("undecided", "§6", "sl", "未定", "undecided", "Of waiting: for less than T."),
    _count("connected", "§6", "sl", "已接通", "connected", "Of offered: left the queue within T."),
    _count("dropped", "§5", "abandon", "中途离开", "dropped",
           "Customers who left after the first human reply, by the minute of leaving."),
    _count("frt_n", "§3", "frt", "首次响应数", "first responses", "First responses, without the reopened."),
    _count("frt_sum_ms", "§3", "frt", "首次响应总时长", "first response sum", "Their sum.", "ms"),
    _count("reopen_frt_n", "§3", "frt", "重新打开的首次响应数", "first responses of reopened",
           "First responses of reopened episodes."),
    _count("reopen_frt_sum_ms", "§3", "frt", "重新打开的首次响应总时长", "first response sum of reopened",
           "Their sum.", "ms"),
    _count("resolved", "§7", "csat", "已解决", "resolved", "Closed episodes that were resolved."),
    _count("ratings", "§7", "csat", "评价数", "ratings", "Ratings, the last of each episode."),
    _count("csat_good", "§7", "csat", "好评数", "good ratings", "Ratings of 4 or 5."),
    _count("score_sum", "§7", "csat", "评分总和", "score sum", "Sum of the ratings, 1 to 5 each."),
    _count("sentiment_sum", "§7", "sentiment", "情绪总和", "sentiment sum",
           "Sum over customer messages, −1 to 1 each, in three decimals.", "score"),
    _count("negative", "§7", "sentiment", "负面消息", "negative", "Customer messages with a sentiment below −0.3."),
    _count("sentiment_n", "§7", "sentiment", "有情绪值的消息", "with sentiment",
           "Customer messages that have a sentiment: those of text."),
)
_DERIVED = (
    Metric("frt_avg_ms", Place.WINDOW, "ms", "§3", "frt", "平均首次响应时长", "mean first response",
           "frt_sum_ms ÷ frt_n.", "frt_by_hour.frt_avg_ms", ("frt_n",), ("frt_sum_ms",)),
    Metric("frt_p50_ms", Place.WINDOW, "ms", "§1", "frt", "首次响应中位数", "median first response",
           "Nearest rank over the answered ones.", "minutes.frt_hist", ("frt_n",), ("frt_sum_ms",)),
    Metric("frt_p90_ms", Place.WINDOW, "ms", "§1", "frt", "首次响应 P90", "first response P90",
           "Nearest rank over the answered ones.", "minutes.frt_hist", ("frt_n",), ("frt_sum_ms",)),
    Metric("frt_p50_km_ms", Place.WINDOW, "ms", "§3", "frt", "首次响应中位数（含等待）",
           "median first response, waiting counted in",
           "Kaplan–Meier over answered and waiting.", "episodes.frt_ms", ("frt_km_n",), ("frt_n", "offered")),
    Metric("frt_p90_km_ms", Place.WINDOW, "ms", "§3", "frt", "首次响应 P90（含等待）",
           "first response P90, waiting counted in",
           "Kaplan–Meier over answered and waiting.", "episodes.frt_ms", ("frt_km_n",), ("frt_n", "offered")),
    Metric("service_level", Place.WINDOW, "ratio", "§6", "sl", "服务水平", "service level",
           "answered_in_target ÷ (offered − short_abandoned − undecided).", "service_level_by_day.service_level",
           _JUDGED, ("answered_in_target",)),
    Metric("connect", Place.WINDOW, "ratio", "§6", "sl", "接通率", "connect",
           "connected ÷ offered.", "outcomes_by_day.connect", ("offered",), ("connected",)),
    Metric("answered_only", Place.WINDOW, "ratio", "§6", "sl", "仅已响应", "answered only",
           "answered_in_target ÷ answered: flatters, so it stands only beside the service level.",
           "outcomes_by_day.answered_only", ("answered",), ("answered_in_target",)),
    Metric("abandon_rate", Place.WINDOW, "ratio", "§5", "abandon", "放弃率", "abandon rate",
           "(abandoned − short_abandoned) ÷ (offered − short_abandoned).", "service_level_by_day.abandon_rate",
           ("offered", "short_abandoned"), ("abandoned",)),
    Metric("csat", Place.WINDOW, "ratio", "§7", "csat", "满意度", "CSAT",
           "csat_good ÷ ratings.", "outcomes_by_day.csat", ("ratings",), ("csat_good",)),
    Metric("csat_low", Place.WINDOW, "ratio", "§7", "csat", "满意度下限", "CSAT, lower end",
           "Lower end of its Wilson 95 % interval.", "outcomes_by_day.csat_low", ("ratings",), ("csat_good",)),
    Metric("csat_high", Place.WINDOW, "ratio", "§7", "csat", "满意度上限", "CSAT, upper end",
           "Upper end of its Wilson 95 % interval.", "outcomes_by_day.csat_high", ("ratings",), ("csat_good",)),
)
_STANDING = (
    _now("open", "backlog", "进行中", "open", "Open episodes."),
    _now("with_bot", "backlog", "机器人接待中", "with bot", "Of open: a bot is engaged and nobody asked for."),
    _now("awaiting_first", "backlog", "等待首次响应", "awaiting first", "Of open: wait for their first response."),
    _now("awaiting_reply", "backlog", "等待回复", "awaiting reply", "Of open: were answered, and wait again."),
    _now("waiting_on_customer", "backlog", "等客户回复", "waiting on customer", "Of open: all else."),
    _now("backlog", "backlog", "待处理", "backlog", "awaiting_first + awaiting_reply, of any age.", "minutes.backlog"),
    _now("oldest_ms", "oldest", "最长等待", "oldest wait",
         "Now − the smallest `waiting_since` in the backlog.", "minutes.oldest_ms", "ms"),
    _now("unassigned", "backlog", "未分配", "unassigned", "Of backlog: held by nobody."),
    _now("over_target", "backlog", "等待超时", "over target", "Of backlog: for T or longer."),
    _now("drain_s", "backlog", "预计清空", "drain time",
         "Backlog ÷ the excess of the closing over the arrival rate of 30 min.", "minutes.closed", "s"),
    Metric("sentiment", Place.GAUGE, "score", "§7", "sentiment", "情绪", "Sentiment",
           "Mean over customer messages, now.", "episodes.sentiment", ("sentiment_n",)),
    Metric("agents_needed", Place.PEOPLE, "count", "§4", "alerts", "人手缺口", "people needed",
           "How many more people it takes; the `impact` of an alert says the same.", "minutes.closed"),
)
_TOPICS = (
    Metric("topic_count", Place.TOPIC, "count", "§8", "alerts", "话题消息数", "messages about the topic",
           "Customer messages about the topic, lately.", "events.model_topic"),
    Metric("topic_share", Place.TOPIC, "ratio", "§8", "alerts", "话题占比", "share of the topic",
           "The topic's share of all customer messages, lately.", "events.model_topic", ("topic_count",)),
    Metric("topic_change", Place.TOPIC, "times", "§8", "alerts", "话题激增", "topic on the rise",
           "The topic's count ÷ what is usual for it now.", "events.model_topic", ("topic_count",)),
)
_FLOWING = (
    Metric("rate_per_min", Place.VOLUME, "per_min", "§8", "tide", "每分钟客户消息", "customer messages a minute",
           "Customer messages a minute, now.", "minutes.customer_messages", made_of=_VOLUME),
    Metric("expected", Place.VOLUME, "per_min", "§8", "tide", "通常水平", "Usual volume",
           "What is usual for this key at this time.", "minutes.expected"),
    Metric("low", Place.VOLUME, "per_min", "§8", "tide", "正常范围下限", "normal range, lower end",
           "Below it the volume is unusual.", "minutes.low"),
    Metric("high", Place.VOLUME, "per_min", "§8", "tide", "正常范围上限", "normal range, upper end",
           "Above it the volume is unusual.", "minutes.high"),
    Metric("surge", Place.FLAG, "per_min", "§8", "tide", "客户消息突增", "Surge of customer messages",
           "The rate is well above what is usual, and stays there.", "minutes.surge", made_of=_VOLUME),
    Metric("lull", Place.FLAG, "per_min", "§8", "tide", "客户消息骤减", "Lull of customer messages",
           "Its mirror image: a channel that fell silent.", "alerts.metric", made_of=_VOLUME),
    Metric("arrivals_surge", Place.FLAG, "per_min", "§8", "tide", "新咨询突增", "Surge of arrivals",
           "The same of arrivals: more people come than is usual. Judged where a rule asks for it.", "alerts.metric",
           made_of=("arrivals",)),
    Metric("arrivals_lull", Place.FLAG, "per_min", "§8", "tide", "新咨询骤减", "Lull of arrivals",
           "Its mirror image: fewer come than is usual, though those who are there may write.", "alerts.metric",
           made_of=("arrivals",)),
    Metric("novelty", Place.FLAG, "per_min", "§8", "alerts", "异常形态", "Unusual pattern",
           "A pattern of messages that this key has not shown before.", "alerts.metric"),
)
_STACK = (
    Metric("ingest_lag", Place.TENANT, "ms", "§8", "strip", "接入延迟", "Ingest lag",
           "How far the tick that all partitions have applied is behind the clock.", "clocks.as_of"),
    Metric("no_data", Place.TENANT, "ms", "§1", "alerts", "没有数据", "No data",
           "How long nothing has been heard of the tenant.", "events.received_at"),
    Metric("stream_age", Place.TENANT, "ms", "§1", "alerts", "数据流停止", "The stream stands still",
           "How long no tick has come.", "clocks.as_of"),
    Metric("channel_failing", Place.TENANT, "ms", "§1", "alerts", "通知渠道无法送达", "An alert channel is dead",
           "How long a channel of alerts has taken nothing.", "alerts.rule"),
    Metric("parity_faults", Place.TENANT, "count", "§1", "strip", "两处不一致", "Numbers that differ",
           "Rows of closed minutes in which the board and ClickHouse differ.", "minutes.version"),
    Metric("dead_letters", Place.COUNTER, "count", "§1", "alerts", "无法读取的消息", "Dead letters",
           "Records and events that nobody can read.", "dead_letters.at"),
    Metric("late_total", Place.COUNTER, "count", "§1", "alerts", "迟到事件", "Late events",
           "Events that came too late to count.", "late.late_total"),
)
# fmt: on

CATALOGUE: Mapping[str, Metric] = {
    metric.name: metric for metric in (*_COUNTED, *_DERIVED, *_STANDING, *_TOPICS, *_FLOWING, *_STACK)
}
"""Every metric by its name: the numbers of a window, what stands open, the volume, and what is known of the stack."""


class Part(Protocol):
    """What a window is merged from: a `PaneRow`, or a `Window`."""

    counts: dict[str, int]
    topics: dict[str, int]

    @property
    def frt_hist(self) -> Waits:
        """First responses by bucket."""

    @property
    def answered_waits(self) -> Waits:
        """Waits that ended by an answer."""

    @property
    def censored_waits(self) -> Waits:
        """Waits that ended otherwise."""


@dataclass(slots=True)
class Window:
    """A merge of panes. Integers, so sums and replays are exact."""

    counts: dict[str, int] = field(default_factory=dict)
    frt_hist: dict[int, int] = field(default_factory=dict)
    answered_waits: dict[int, int] = field(default_factory=dict)
    censored_waits: dict[int, int] = field(default_factory=dict)
    topics: dict[str, int] = field(default_factory=dict)

    def add(self, part: Part, sign: int = 1) -> None:
        """Merge a pane, one partition's part of it, or another window; or take it out again (sign −1)."""
        _sum(self.counts, part.counts, sign)
        _sum(self.frt_hist, counted(part.frt_hist), sign)
        _sum(self.answered_waits, counted(part.answered_waits), sign)
        _sum(self.censored_waits, counted(part.censored_waits), sign)
        if part.topics:
            _sum(self.topics, part.topics, sign)

    @classmethod
    def between(cls, before: Part | None, after: Part) -> Window:
        """What to add where `before` counts (None: nothing does) for `after` to count there instead."""
        out = cls()
        if before is None:
            out.add(after)
            return out
        for into, old, new in (
            (out.frt_hist, before.frt_hist, after.frt_hist),
            (out.answered_waits, before.answered_waits, after.answered_waits),
            (out.censored_waits, before.censored_waits, after.censored_waits),
        ):
            gone, come = apart(old, new)
            _sum(into, counted(come))
            _sum(into, counted(gone), -1)
        _sum(out.counts, after.counts)
        _sum(out.counts, before.counts, -1)
        _sum(out.topics, after.topics)
        _sum(out.topics, before.topics, -1)
        return out


def _sum(into: dict[_K, int], more: Mapping[_K, int], sign: int = 1) -> None:
    for key, n in more.items():
        total = into.get(key, 0) + sign * n
        if total:
            into[key] = total
        else:
            into.pop(key, None)


def shown(counts: Mapping[str, int]) -> dict[str, int | float]:
    """Every additive column as it is shown: integers, and the sum of sentiments in its own unit."""
    return {name: counts.get(name, 0) for name in COUNTS} | {"sentiment_sum": counts.get("sentiment_sum", 0) / 1_000}


def sentiment(counts: Mapping[str, int]) -> float | None:
    """Mean over the customer messages that have one, −1 to 1. METRICS §7."""
    return _share(counts.get("sentiment_sum", 0), 1_000 * counts.get("sentiment_n", 0))


def service_level(counts: Mapping[str, int]) -> float | None:
    """Share of the waits that a person answered within target, 0 to 1; None while there is none to judge.

    Source: METRICS §6.
    """
    judged = counts.get("offered", 0) - counts.get("short_abandoned", 0) - counts.get("undecided", 0)
    return counts.get("answered_in_target", 0) / judged if judged else None


def connect(counts: Mapping[str, int]) -> float | None:
    """Share of the offered that left the queue within T, by a person or by giving up. METRICS §6."""
    return _share(counts.get("connected", 0), counts.get("offered", 0))


def answered_only(counts: Mapping[str, int]) -> float | None:
    """Share of the answered that were answered within T: flattering, so it never stands alone. METRICS §6."""
    return _share(counts.get("answered_in_target", 0), counts.get("answered", 0))


def abandon_rate(counts: Mapping[str, int]) -> float | None:
    """Share of the offered that gave up, without those who gave up within S. METRICS §5."""
    short = counts.get("short_abandoned", 0)
    return _share(counts.get("abandoned", 0) - short, counts.get("offered", 0) - short)


def frt_avg_ms(counts: Mapping[str, int]) -> float | None:
    """Mean first response, without the reopened."""
    return _share(counts.get("frt_sum_ms", 0), counts.get("frt_n", 0))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def percentile(hist: Mapping[int, int], q: float) -> int | None:
    """Nearest rank: the smallest value that the share `q` of all does not exceed, within 1 %. None of nothing.

    Source: METRICS §1.
    """
    n = sum(hist.values())
    rank = ceil(q * n - 1e-9)
    seen = 0
    for value in sorted(hist):
        seen += hist[value]
        if seen >= rank:
            return value
    return None


EXACT_WAITS = 1_000
"""Up to so many waits the live percentiles are from exact ones, from buckets beyond. METRICS §3."""


def kaplan_meier(
    answered: Mapping[int, int], censored: Mapping[int, int], quantiles: Iterable[float]
) -> list[tuple[int | None, bool]]:
    """For each quantile: the smallest t with F(t) ≥ q; or the longest wait and True, where the curve never gets there.

    `answered` and `censored` are waits in ms → how many. At equal times the censored come after the answers.
    Source: Kaplan and Meier 1958; METRICS §3.
    """
    at_risk = sum(answered.values()) + sum(censored.values())
    if at_risk > EXACT_WAITS:
        answered, censored = _bucketed(answered), _bucketed(censored)
    if not at_risk:
        return [(None, False) for _ in quantiles]
    times = sorted(answered.keys() | censored.keys())
    curve: list[tuple[int, float]] = []
    survival = 1.0
    for t in times:
        events = answered.get(t, 0)
        if events:
            survival *= 1 - events / at_risk
            curve.append((t, 1 - survival))
        at_risk -= events + censored.get(t, 0)
    longest = times[-1]
    return [next(((t, False) for t, f in curve if f >= q - 1e-12), (longest, True)) for q in quantiles]


def _bucketed(waits: Mapping[int, int]) -> dict[int, int]:
    out: dict[int, int] = {}
    for ms, n in waits.items():
        lower = bucket(ms)
        out[lower] = out.get(lower, 0) + n
    return out


Z = 1.959964
"""Two-sided 95 %. Source: METRICS §7."""


def wilson(good: int, n: int) -> tuple[float | None, float | None]:
    """95 % interval of a share. Source: Wilson 1927; METRICS §7."""
    if not n:
        return None, None
    p, z2 = good / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def derived(window: Window, waiting: Mapping[int, int], ahead: Mapping[int, int] | None = None) -> dict[str, object]:
    """What CONTRACT §2 puts beside the columns of a window.

    `waiting`: the waits so far of those still waiting, ms → how many; `ahead`: those of the window that were answered
    after its end.
    """
    answered, censored = dict(window.answered_waits), dict(window.censored_waits)
    _sum(answered, ahead or {})
    _sum(censored, waiting)
    n = sum(answered.values()) + sum(censored.values())
    return described(window, kaplan_meier(answered, censored, (0.5, 0.9)), n)


def described(window: Window, curve: Sequence[tuple[int | None, bool]], n: int) -> dict[str, object]:
    """The same, where it is known what `kaplan_meier` says of its `n` waits for 0.5 and 0.9."""
    counts = window.counts
    (p50, p50_censored), (p90, p90_censored) = curve
    low, high = wilson(counts.get("csat_good", 0), counts.get("ratings", 0))
    return {
        "frt_avg_ms": frt_avg_ms(counts),
        "frt_p50_ms": percentile(window.frt_hist, 0.5),
        "frt_p90_ms": percentile(window.frt_hist, 0.9),
        "frt_p50_km_ms": p50,
        "frt_p50_km_censored": p50_censored,
        "frt_p90_km_ms": p90,
        "frt_p90_km_censored": p90_censored,
        "frt_km_n": n,
        "service_level": service_level(counts),
        "connect": connect(counts),
        "answered_only": answered_only(counts),
        "provisional": counts.get("undecided", 0) > 0,
        "abandon_rate": abandon_rate(counts),
        "csat": _share(counts.get("csat_good", 0), counts.get("ratings", 0)),
        "csat_low": low,
        "csat_high": high,
    }


_PLACES: Mapping[Place, tuple[str, str]] = {
    Place.WINDOW: (
        "In a window",
        "The live feed has them in each of `1m`, `5m`, `30m` and `today`; a rule names its window.",
    ),
    Place.GAUGE: ("As of now", "The live feed has them in the key itself; a window has no say."),
    Place.VOLUME: ("Volume", "In the `volume` of a key, as of now; all of customer messages."),
    Place.FLAG: ("Flags of the volume", "Yes or no: a rule on one needs no bound, and its alert tells the rate."),
    Place.TENANT: ("Of a tenant, or of the stack", "As of now; for rules and alerts."),
    Place.COUNTER: ("Counters", "They only rise; a rule judges the increase over its window."),
    Place.TOPIC: ("Topics", "In each entry of the `topics` of a key, as of now; a rule's scope names the topics."),
    Place.PEOPLE: ("People", "Reckoned for a key from its numbers and who is at work, as in an alert's `impact`."),
}

_OPENING = """\
<!-- Written by `python -m streams.metrics > docs/metrics.md`; change streams/metrics.py instead. -->

# Metrics

Every number has one name: in ClickHouse, in the live feed, in rules and here. The rules that all of them keep (event
time, panes of one minute, the moment `d` from which a person is needed, restatements) are in METRICS.md, to whose
sections (§) the tables point. T is the target of a queue, S the span of a short abandon.

*Column* is where ClickHouse has the same number, or what it is reckoned from. *Tile* is the board's tile whose number
it is, or is made of. *Cases* is what `min_n` of a rule counts.
"""


def page() -> str:
    """The catalogue as Markdown."""
    units = "\n".join(f"- `{unit}`: {says}" for unit, says in UNITS.items())
    sections = [_section(place, *words) for place, words in _PLACES.items()]
    return "\n".join([_OPENING, "Units:\n", units, *sections]) + "\n"


def _section(place: Place, title: str, says: str) -> str:
    rows = [_row(metric) for metric in CATALOGUE.values() if metric.place is place]
    head = "| name | 中文 | English | unit | what it is | cases | column | tile | § |"
    return "\n".join([f"\n## {title}\n", says, "", head, "|---" * 9 + "|", *rows])


def _row(metric: Metric) -> str:
    cases = " − ".join(f"`{name}`" for name in metric.cases) or "–"
    cells = (
        f"`{metric.name}`", metric.zh, metric.en, f"`{metric.unit}`", metric.means, cases, f"`{metric.column}`",
        TILES[metric.tile], metric.source,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
