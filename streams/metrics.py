"""What each number means: the one catalogue behind columns, rules, tiles and documentation.

A metric is a name, a unit, one sentence, and where it stands: its column in ClickHouse and its tile on the board. The formulas
below the catalogue work on a `Window`: a merge of panes, so that any two windows merge exactly. Source: METRICS.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Protocol, TypeVar

_K = TypeVar("_K", str, int)

FORMULA = "tidewatch-1"
"""Id of the service-level formula; every stored row carries it."""

COUNTS = (
    "messages", "customer_messages", "agent_messages", "bot_messages",
    "opened", "closed", "moved_in", "moved_out",
    "arrivals", "offered", "answered", "answered_in_target", "abandoned", "short_abandoned",
    "closed_unanswered", "waiting", "undecided", "connected", "dropped",
    "frt_n", "frt_sum_ms", "reopen_frt_n", "reopen_frt_sum_ms",
    "resolved", "ratings", "csat_good", "score_sum", "sentiment_sum", "negative",
)  # fmt: skip
"""The additive columns of `minutes`, in order."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of the product."""

    name: str
    unit: str
    """`count`, `ms`, `s`, `share` (0 to 1), `per_min`, `score`, `flag`."""
    means: str
    source: str
    """Section of METRICS.md."""
    column: str
    """`table.column` in ClickHouse where the same number is found."""
    tile: str
    """Where it stands on the board."""
    zh: str
    en: str
    windowed: bool = True
    """Has a value per window; otherwise it stands as of now."""


def _m(name: str, unit: str, source: str, tile: str, names: tuple[str, str], means: str, column: str = "", windowed: bool = True) -> Metric:
    return Metric(name, unit, means, source, column or f"minutes.{name}", tile, names[0], names[1], windowed)


CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _m("messages", "count", "§8", "tide", ("消息", "messages"), "Public messages of every author, by `at`."),
        _m("customer_messages", "count", "§8", "tide", ("客户消息", "customer messages"), "Public messages of customers, by `at`."),
        _m("agent_messages", "count", "§1", "tide", ("坐席消息", "agent messages"), "Public messages of people who answer, by `at`."),
        _m("bot_messages", "count", "§1", "tide", ("机器人消息", "bot messages"), "Public messages of bots, by `at`."),
        _m("opened", "count", "§4", "table", ("新开咨询", "opened"), "Episodes that opened."),
        _m("closed", "count", "§4", "table", ("已关闭", "closed"), "Episodes that closed, in the queue where they closed."),
        _m("moved_in", "count", "§4", "table", ("转入", "moved in"), "Open episodes that came from another queue."),
        _m("moved_out", "count", "§4", "table", ("转出", "moved out"), "Open episodes that went to another queue."),
        _m("arrivals", "count", "§8", "tide", ("咨询量", "arrivals"), "Episodes by `d`, in the queue that had them then."),
        _m("offered", "count", "§1", "service_level", ("人工咨询量", "offered"), "Episodes by `d`, in the queue that has the credit."),
        _m("answered", "count", "§3", "service_level", ("已响应", "answered"), "Offered ones that a person answered."),
        _m("answered_in_target", "count", "§6", "service_level", ("达标响应", "answered in target"), "Answered within T."),
        _m("abandoned", "count", "§5", "abandon", ("已放弃", "abandoned"), "Offered ones whose customer left before the first human reply."),
        _m("short_abandoned", "count", "§5", "abandon", ("短放弃", "short abandons"), "Abandoned within S; left out of the rates."),
        _m("closed_unanswered", "count", "§3", "service_level", ("未响应即关闭", "closed unanswered"), "Offered ones closed without a human reply."),
        _m("waiting", "count", "§4", "backlog", ("等待中", "waiting"), "Offered ones that still wait for their first response."),
        _m("undecided", "count", "§6", "service_level", ("未定", "undecided"), "Still waiting, and for less than T."),
        _m("connected", "count", "§6", "service_level", ("已接通", "connected"), "Offered ones that left the queue within T."),
        _m("dropped", "count", "§5", "abandon", ("中途离开", "dropped"), "Customers who left after the first human reply, by the minute of leaving."),
        _m("frt_n", "count", "§3", "first_response", ("首次响应数", "first responses"), "First responses, without the reopened."),
        _m("frt_sum_ms", "ms", "§3", "first_response", ("首次响应总时长", "first response sum"), "Their sum."),
        _m("reopen_frt_n", "count", "§3", "first_response", ("重新打开的首次响应数", "first responses of reopened"), "First responses of reopened episodes."),
        _m("reopen_frt_sum_ms", "ms", "§3", "first_response", ("重新打开的首次响应总时长", "first response sum of reopened"), "Their sum."),
        _m("resolved", "count", "§7", "table", ("已解决", "resolved"), "Closed episodes that were resolved."),
        _m("ratings", "count", "§7", "csat", ("评价数", "ratings"), "Ratings, the last of each episode."),
        _m("csat_good", "count", "§7", "csat", ("好评数", "good ratings"), "Ratings of 4 or 5."),
        _m("score_sum", "count", "§7", "csat", ("评分总和", "score sum"), "Sum of the ratings."),
        _m("sentiment_sum", "score", "§7", "sentiment", ("情绪总和", "sentiment sum"), "Sum over customer messages, −1 to 1 each."),
        _m("negative", "count", "§7", "sentiment", ("负面消息", "negative"), "Customer messages with negative sentiment."),
        _m("frt_avg_ms", "ms", "§3", "first_response", ("平均首次响应时长", "mean first response"), "frt_sum_ms ÷ frt_n.", "frt_by_hour.frt_avg_ms"),
        _m("frt_p50_ms", "ms", "§1", "first_response", ("首次响应中位数", "median first response"), "Nearest rank over the answered ones.", "minutes.frt_hist"),
        _m("frt_p90_ms", "ms", "§1", "first_response", ("首次响应 P90", "first response P90"), "Nearest rank over the answered ones.", "minutes.frt_hist"),
        _m("frt_p50_km_ms", "ms", "§3", "first_response", ("首次响应中位数（含等待）", "median first response, waiting counted in"), "Kaplan–Meier over answered and waiting.", "episodes.frt_ms"),
        _m("frt_p90_km_ms", "ms", "§3", "first_response", ("首次响应 P90（含等待）", "first response P90, waiting counted in"), "Kaplan–Meier over answered and waiting.", "episodes.frt_ms"),
        _m("service_level", "share", "§6", "service_level", ("服务水平", "service level"), "answered_in_target ÷ (offered − short_abandoned − undecided).", "service_level_by_day.service_level"),
        _m("connect", "share", "§6", "service_level", ("接通率", "connect"), "connected ÷ offered.", "outcomes_by_day.connect"),
        _m("answered_only", "share", "§6", "service_level", ("仅已响应", "answered only"), "answered_in_target ÷ answered.", "outcomes_by_day.answered_only"),
        _m("abandon_rate", "share", "§5", "abandon", ("放弃率", "abandon rate"), "(abandoned − short_abandoned) ÷ (offered − short_abandoned).", "minutes.abandoned"),
        _m("csat", "share", "§7", "csat", ("满意度", "CSAT"), "csat_good ÷ ratings.", "outcomes_by_day.csat"),
        _m("open", "count", "§4", "table", ("进行中", "open"), "Open episodes.", "backlog_now.open", windowed=False),
        _m("with_bot", "count", "§4", "table", ("机器人接待中", "with bot"), "Open, with a bot engaged and nobody asked for.", "backlog_now.with_bot", windowed=False),
        _m("awaiting_first", "count", "§4", "backlog", ("等待首次响应", "awaiting first"), "Wait for their first response.", "backlog_now.awaiting_first", windowed=False),
        _m("awaiting_reply", "count", "§4", "backlog", ("等待回复", "awaiting reply"), "Were answered, and wait again.", "backlog_now.awaiting_reply", windowed=False),
        _m("waiting_on_customer", "count", "§4", "table", ("等客户回复", "waiting on customer"), "Open, and all else.", "backlog_now.waiting_on_customer", windowed=False),
        _m("backlog", "count", "§4", "backlog", ("待处理", "backlog"), "awaiting_first + awaiting_reply, of any age.", "minutes.backlog", windowed=False),
        _m("oldest_ms", "ms", "§4", "oldest", ("最长等待", "oldest wait"), "Now − the smallest `waiting_since` in the backlog.", "minutes.oldest_ms", windowed=False),
        _m("unassigned", "count", "§4", "backlog", ("未分配", "unassigned"), "In the backlog, held by nobody.", "backlog_now.unassigned", windowed=False),
        _m("over_target", "count", "§4", "backlog", ("等待超时", "over target"), "In the backlog for T or longer.", "backlog_now.over_target", windowed=False),
        _m("drain_s", "s", "§4", "backlog", ("预计清空", "drain time"), "Backlog ÷ the excess of closing over arrival rate in 30 min.", "minutes.closed", windowed=False),
        _m("rate_per_min", "per_min", "§8", "tide", ("每分钟客户消息", "customer messages a minute"), "Customer messages a minute, now.", "minutes.customer_messages", windowed=False),
    )
}  # fmt: skip


def bucket(ms: int) -> int:
    """Lower bound of the histogram bucket that holds `ms`: its eight leading bits, so at most 0.8 % below. Below 256 ms exact."""
    if ms < 256:
        return ms
    shift = ms.bit_length() - 8
    return (ms >> shift) << shift


class Part(Protocol):
    """What a window is merged from: a `PaneRow`, or a `Window`."""

    counts: dict[str, int]
    frt_hist: dict[int, int]
    answered_waits: dict[int, int]
    censored_waits: dict[int, int]


@dataclass(slots=True)
class Window:
    """A merge of panes. Integers, so sums and replays are exact."""

    counts: dict[str, int] = field(default_factory=dict)
    frt_hist: dict[int, int] = field(default_factory=dict)
    answered_waits: dict[int, int] = field(default_factory=dict)
    censored_waits: dict[int, int] = field(default_factory=dict)

    def add(self, part: Part, sign: int = 1) -> None:
        """Merge a pane, one partition's part of it, or another window; or take it out again (sign −1)."""
        _sum(self.counts, part.counts, sign)
        _sum(self.frt_hist, part.frt_hist, sign)
        _sum(self.answered_waits, part.answered_waits, sign)
        _sum(self.censored_waits, part.censored_waits, sign)


def _sum(into: dict[_K, int], more: Mapping[_K, int], sign: int = 1) -> None:
    for key, n in more.items():
        total = into.get(key, 0) + sign * n
        if total:
            into[key] = total
        else:
            into.pop(key, None)


def service_level(counts: Mapping[str, int]) -> float | None:
    """Share of the waits that a person answered within target, 0 to 1; None while there is none to judge. METRICS §6."""
    judged = counts.get("offered", 0) - counts.get("short_abandoned", 0) - counts.get("undecided", 0)
    return counts.get("answered_in_target", 0) / judged if judged else None


def connect(counts: Mapping[str, int]) -> float | None:
    """Share of the offered that left the queue within T, by a person or by giving up. METRICS §6."""
    return _share(counts.get("connected", 0), counts.get("offered", 0))


def answered_only(counts: Mapping[str, int]) -> float | None:
    """Share of the answered that were answered within T: flatters, and stands only beside the service level. METRICS §6."""
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
    """Nearest rank: the smallest value that the share `q` of all does not exceed, within 1 %. None of nothing. METRICS §1."""
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


def kaplan_meier(answered: Mapping[int, int], censored: Mapping[int, int], quantiles: Iterable[float]) -> list[tuple[int | None, bool]]:
    """For each quantile: the smallest t with F(t) ≥ q, and whether it is "longer than" instead (the curve never gets there).

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


def derived(window: Window, waiting: Mapping[int, int]) -> dict[str, object]:
    """What CONTRACT §2 puts beside the columns of a window. `waiting`: waits so far of those still waiting, ms → how many."""
    counts = window.counts
    censored = dict(window.censored_waits)
    _sum(censored, waiting)
    (p50, p50_censored), (p90, p90_censored) = kaplan_meier(window.answered_waits, censored, (0.5, 0.9))
    low, high = wilson(counts.get("csat_good", 0), counts.get("ratings", 0))
    return {
        "frt_avg_ms": frt_avg_ms(counts),
        "frt_p50_ms": percentile(window.frt_hist, 0.5),
        "frt_p90_ms": percentile(window.frt_hist, 0.9),
        "frt_p50_km_ms": p50,
        "frt_p50_km_censored": p50_censored,
        "frt_p90_km_ms": p90,
        "frt_p90_km_censored": p90_censored,
        "frt_km_n": sum(window.answered_waits.values()) + sum(censored.values()),
        "service_level": service_level(counts),
        "connect": connect(counts),
        "answered_only": answered_only(counts),
        "provisional": counts.get("undecided", 0) > 0,
        "abandon_rate": abandon_rate(counts),
        "csat": _share(counts.get("csat_good", 0), counts.get("ratings", 0)),
        "csat_low": low,
        "csat_high": high,
    }
