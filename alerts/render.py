"""An alert as others see it: the object of the contract, and words for people. Nothing here knows how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from alerts.readings import METRICS, SUM
from alerts.state import ACKNOWLEDGED, CATCHING_UP, CHANNEL_DOWN, RESOLVED, RULES_REFUSED, UNREAD, Alert
from alerts.words import filled, has_fields
from config.settings import Labels

LANGUAGES = ("zh", "en")
IMPACT: Mapping[str, Any] = {
    "backlog": None, "oldest_ms": None, "frt_p90_ms": None, "agents_needed": None, "drain_s": None,
    "drain_plus": {"1": None, "2": None},
}  # fmt: skip
_WORDS = {
    ACKNOWLEDGED: {"zh": "已确认", "en": "Acknowledged"},
    RESOLVED: {"zh": "已恢复", "en": "Resolved"},
}
_SEVERITIES = {
    "critical": ("▲", {"zh": "严重", "en": "Critical"}),
    "warning": ("◆", {"zh": "警告", "en": "Warning"}),
    "info": ("●", {"zh": "提示", "en": "Note"}),
}
_REASONS = {
    "restated": {"zh": "数据已修正", "en": "the numbers were corrected"},
    "gone": {"zh": "已无数据", "en": "nothing left to judge"},
    "no_cases": {"zh": "无可计样本", "en": "nothing left to judge"},
    "too_few": {"zh": "样本过少", "en": "too few cases to judge"},
    "off_duty": {"zh": "不在监控时段", "en": "outside its hours"},
    "rule_removed": {"zh": "规则已删除", "en": "its rule was removed"},
}


def instant(ms: int | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(ms: int | None, zone: str) -> str:
    """An instant as a person in a zone reads it off a clock; the offset says which clock it is."""
    if ms is None:
        return ""
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone))
    ahead = at.strftime("%z")
    offset = "" if ahead == "+0000" else f"{ahead[0]}{int(ahead[1:3])}{'' if ahead[3:] == '00' else ':' + ahead[3:]}"
    return f"{at.strftime('%Y-%m-%d %H:%M:%S')} UTC{offset}"


def to_object(alert: Alert, labels: Labels, board_base: str = "", zone: str = "UTC") -> dict[str, Any]:
    """The alert object of the contract, and what else the doors need to put it into words."""
    rule, tenant, queue, channel, topic = alert.slot
    return {
        "v": 1,
        "alert": alert.id,
        "rule": rule,
        "metric": alert.metric,
        "state": str(alert.state),
        "severity": alert.severity,
        "tenant": tenant,
        "queue": queue,
        "channel": channel,
        "topic": topic,
        "since": instant(alert.since),
        "at": instant(alert.changed_at),
        "as_of": instant(alert.at),
        "fired_at": instant(alert.fired_at),
        "value": _tidy(alert.value),
        "peak": _tidy(alert.peak),
        "expected": _tidy(alert.facts.expected),
        "low": _tidy(alert.facts.low),
        "high": _tidy(alert.facts.high),
        "unit": alert.unit,
        "summary": {language: summary(alert, labels, language, zone) for language in LANGUAGES},
        "advice": {language: advice(alert, labels, language, zone) for language in LANGUAGES},
        "zone": zone,
        "drivers": [dict(driver) for driver in alert.facts.drivers],
        "names": _names(alert, labels),
        "at_peak": _at_peak(alert),
        "keywords": list(alert.facts.keywords),
        "samples": list(alert.facts.samples),
        "impact": {**IMPACT, **alert.facts.impact},
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_at": instant(alert.acknowledged_at),
        "silenced_by": alert.silenced_by,
        "inhibited_by": alert.inhibited_by,
        "flapping": alert.flapping,
        "grade": alert.grade,
        "resolved_at": instant(alert.resolved_at),
        "reason": alert.reason,
        "group": alert.group,
        "labels": dict(alert.labels),
        "runbook": alert.runbook,
        "board": board(alert, board_base),
    }


def _at_peak(alert: Alert) -> dict[str, Any] | None:
    """What was usual at the peak, and what drove it: the drivers of a dimension sum to peak − expected. Also how much
    customers wrote then, and how many people were at work, where that is known.
    """
    worst = alert.worst
    if worst.expected is None and not any(value is not None for value in worst.impact.values()):
        return None
    drivers = [dict(driver) for driver in worst.drivers]
    told = {"expected": _tidy(worst.expected), "drivers": drivers, "keywords": list(worst.keywords)}
    return {**told, **{name: _tidy(value) for name, value in worst.impact.items()}}


def _names(alert: Alert, labels: Labels) -> dict[str, dict[str, dict[str, str]]]:
    """What people call the drivers: dimension → id → language → name, of those that have one."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for driver in (*alert.facts.drivers, *alert.worst.drivers):
        known = getattr(labels, str(driver["dimension"]), {}).get(str(driver["value"]))
        if known is not None:
            found.setdefault(str(driver["dimension"]), {})[str(driver["value"])] = {"zh": known.zh, "en": known.en}
    return found


def _tidy(value: float | None) -> float | None:
    """Whole numbers without a point, as they stand in the feed."""
    return int(value) if value is not None and value == int(value) else value


def board(alert: Alert, base: str) -> str:
    """The link that shows what the alert is about."""
    parts = {"queue": alert.slot.queue, "channel": alert.slot.channel, "topic": alert.slot.topic, "alert": alert.id}
    return f"{base.rstrip('/')}/?{urlencode({name: value for name, value in parts.items() if value != SUM})}"


def summary(alert: Alert, labels: Labels, language: str, zone: str = "UTC") -> str:
    """One sentence: what is wrong, where, and how much."""
    ours = _about_us(alert, language)
    if ours is not None:
        return ours
    if alert.summary is None:
        what = _what(alert, language)
    elif has_fields(alert.summary[language]):
        return filled(alert.summary[language], _known(alert, labels, language, zone))
    else:
        what = alert.summary[language]
    return f"{where(alert, labels, language)}{'：' if language == 'zh' else ': '}{what}{_how_much(alert, language)}"


def advice(alert: Alert, labels: Labels, language: str, zone: str = "UTC") -> str | None:
    """What to do first; None: the rule says nothing."""
    ours = _ADVICE.get(alert.slot.rule.partition("/")[0] + "/")
    if ours is not None:
        return ours[language]
    if alert.advice is None:
        return None
    return filled(alert.advice[language], _known(alert, labels, language, zone))


def _what(alert: Alert, language: str) -> str:
    metric = METRICS.get(alert.metric)
    what = str(getattr(metric, language)) if metric else alert.metric
    return what[:1].upper() + what[1:]


def _known(alert: Alert, labels: Labels, language: str, zone: str) -> dict[str, str]:
    """The fields a rule's words may name."""

    def number(value: float | None) -> str:
        return "" if value is None else amount(value, alert.unit, language)

    slot, until = alert.slot, alert.at if alert.resolved_at is None else alert.resolved_at
    return {
        "where": where(alert, labels, language),
        "tenant": slot.tenant,
        "queue": _named(labels.queue, slot.queue, language),
        "channel": _named(labels.channel, slot.channel, language),
        "topic": _named(labels.topic, slot.topic, language),
        "what": _what(alert, language),
        "value": number(alert.value),
        "peak": number(alert.peak),
        "limit": number(alert.facts.high if alert.upward else alert.facts.low),
        "usual": number(alert.facts.expected),
        "since": local(alert.since, zone),
        "lasted": span(until - alert.since, language),
    }


def _about_us(alert: Alert, language: str) -> str | None:
    """What is said of Tidewatch itself; None: it is about chat."""
    rule, zh, over = alert.slot.rule, language == "zh", alert.state is RESOLVED
    if rule.startswith(CHANNEL_DOWN):
        name = rule.removeprefix(CHANNEL_DOWN)
        if over:
            return f"通知渠道 {name} 已恢复" if zh else f"Channel {name} can be reached again"
        return f"通知渠道 {name} 无法送达" if zh else f"Channel {name} cannot be reached"
    if rule == RULES_REFUSED:
        if over:
            return "告警设置已更正并生效" if zh else "The settings of alerts are right again, and in force"
        return "告警设置有误，沿用旧的" if zh else "The settings of alerts have a mistake; the old ones stay"
    if rule == CATCHING_UP:
        if over:
            return "数据已追平" if zh else "Caught up"
        behind = span(round(alert.peak or 0), language)
        return f"正在补读：数据落后 {behind}" if zh else f"Catching up: the numbers are {behind} behind"
    if rule.startswith(UNREAD):
        return _unread(alert, language)
    return None


def _unread(alert: Alert, language: str) -> str:
    """What is said of records that a role has not read."""
    role, _, mark = alert.slot.rule.removeprefix(UNREAD).partition("/")
    zh, over, much = language == "zh", alert.state is RESOLVED, amount(alert.peak or 0, alert.unit, language)
    if mark == "lost":
        if zh:
            return (
                f"{role} 已恢复读取；此前有 {much} 条记录未读即被删除"
                if over
                else f"{role} 有 {much} 条记录未读即被删除"
            )
        return (
            f"{role} reads again; {much} records were deleted unread"
            if over
            else f"{much} records that {role} has not read were deleted"
        )
    if over:
        return f"{role} 的积压已离开保留期限" if zh else f"What {role} has not read is far from being deleted again"
    if zh:
        return f"{role} 积压：最早未读的记录已用去保留时间的 {much}"
    return f"{role} is behind: the oldest record it has not read is {much} of the way to being deleted"


_ADVICE: Mapping[str, Mapping[str, str]] = {
    CATCHING_UP: {
        "zh": "无需处理：追平之前新告警暂不发送，追平后只发仍成立的。",
        "en": "Nothing to do: new alerts wait until it has caught up; then only what still holds is told.",
    },
    UNREAD: {
        "zh": "先确认该角色在运行、它写入的 ClickHouse 或 Kafka 可用；一时修不好，就先把该主题的 retention.ms 调大。",
        "en": "See that the role runs, and that what it writes to can be reached; until it is, raise the topic's "
        "retention.ms.",
    },
    RULES_REFUSED: {
        "zh": "用 tidewatch rules check（规则）或 tidewatch doctor（渠道）查看错误并改正，无需重启。",
        "en": "See it with tidewatch rules check (of channels: tidewatch doctor) and correct it; no restart is needed.",
    },
}


def where(alert: Alert, labels: Labels, language: str) -> str:
    """The tenant, queue and channel it is about, by their names."""
    queue, channel = alert.slot.queue, alert.slot.channel
    parts = [] if alert.slot.tenant in ("default", "*") else [alert.slot.tenant]
    if queue != SUM:
        parts.append(_named(labels.queue, queue, language))
    if channel != SUM:
        parts.append(_named(labels.channel, channel, language))
    if alert.slot.topic != SUM:
        parts.append(_named(labels.topic, alert.slot.topic, language))
    if queue == channel == alert.slot.topic == SUM:
        parts.append("全部" if language == "zh" else "All")
    return " · ".join(parts)


def _named(names: Mapping[str, Any], id_: str, language: str) -> str:
    found = names.get(id_)
    return str(getattr(found, language)) if found is not None else id_


def _how_much(alert: Alert, language: str) -> str:
    if alert.value is None:
        return ""
    zh, bound = language == "zh", alert.facts.high if alert.upward else alert.facts.low
    now = ("，现为" if zh else ", now") if alert.state is RESOLVED else ""
    text = f"{now} {amount(alert.value, alert.unit, language)}"
    if alert.facts.expected is not None:
        usual = amount(alert.facts.expected, alert.unit, language)
        return text + (f"（通常 {usual}）" if zh else f" (usually {usual})")
    if bound is None:
        return text
    limit = amount(bound, alert.unit, language)
    return text + (f"（阈值 {limit}）" if zh else f" (limit {limit})")


def amount(value: float, unit: str, language: str) -> str:
    """A number with its unit, as a person says it."""
    zh = language == "zh"
    match unit:
        case "ms":
            return span(round(value), language)
        case "s":
            return span(round(value * 1000), language)
        case "ratio":
            return f"{value * 100:.1f}".removesuffix(".0") + "%"
        case "per_min":
            return f"{value:.0f} 条/分钟" if zh else f"{value:.0f} per min"
        case "score":
            return f"{value:+.2f}"
        case "times":
            return f"{value:.1f} 倍" if zh else f"{value:.1f} times the usual"
        case _:
            return f"{value:.0f}"


def span(ms: int, language: str) -> str:
    """A length of time in its two greatest units."""
    names = ("天", "小时", "分", "秒") if language == "zh" else (" d", " h", " min", " s")
    seconds = round(ms / 1000)
    parts = (seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60, seconds % 60)
    shown = [f"{part}{name}" for part, name in zip(parts, names, strict=True) if part]
    return ("" if language == "zh" else " ").join(shown[:2]) or f"0{names[3]}"


def console_line(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the console's log line says of an alert: ids and numbers, no words of customers."""
    keys = ("alert", "rule", "state", "severity", "tenant", "queue", "channel", "value", "peak", "low", "high", "since")
    return {key: body.get(key) for key in (*keys, "reason")}


def headline(body: Mapping[str, Any], language: str) -> str:
    """The first line for people: the state, the severity's shape, what, and why it ended."""
    severity, state = str(body["severity"]), str(body["state"])
    mark, known = _SEVERITIES[severity]
    word = next((words[language] for phase, words in _WORDS.items() if phase == state), known[language])
    by = body.get("acknowledged_by") if state == "acknowledged" else None
    if by:
        word = f"{by} {word}：" if language == "zh" else f"{word} by {by}:"
    text = f"{'✓' if state == 'resolved' else mark} {word} {body['summary'][language]}".replace("： ", "：")
    reason = _REASONS.get(str(body.get("reason"))) if state == "resolved" else None
    return text + (f" ({reason[language]})" if reason else "")
