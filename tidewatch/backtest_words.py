"""The words of a backtest's page, in both languages; the script of the page shows one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tidewatch.backtest_score import Score

WORDS = {
    "title": ("规则回测", "Backtest of alert rules"),
    "rules": ("规则", "Rules"),
    "charts": ("图", "Charts"),
    "rule": ("规则", "rule"),
    "severity": ("级别", "severity"),
    "fires": ("触发", "fires"),
    "told": ("通知", "told"),
    "minutes": ("触发分钟数", "minutes firing"),
    "week": ("每周", "a week"),
    "night": ("夜间", "at night"),
    "right": ("命中的触发", "fires in an incident"),
    "found": ("发现的事件", "incidents found"),
    "lead": ("提前量（中位数）", "median lead"),
    "grades": ("有用 / 噪音", "useful / noise"),
    "seen": ("实际", "seen"),
    "expected": ("预期", "expected"),
    "band": ("正常范围", "usual range"),
    "bound": ("阈值", "threshold"),
    "fire": ("触发", "fired"),
    "incident": ("已确认的事件", "confirmed incident"),
    "nothing": ("没有规则触发。", "No rule fired."),
    "info": ("提示", "info"),
    "warning": ("警告", "warning"),
    "critical": ("严重", "critical"),
    "more": ("另有图表未画出：", "Not drawn: "),
    "of": ("共", "of"),
    "events": ("条消息与事件", "events"),
    "judged": ("判定时段", "judged"),
    "learned": ("学习起点", "learned from"),
    "list": ("每次触发", "Every fire"),
    "from": ("开始", "from"),
    "to": ("结束", "to"),
    "where": ("位置", "where"),
    "peak": ("峰值", "peak"),
    "why": ("主要原因", "main drivers"),
}


def both(word: str) -> str:
    """A word; both languages stand on the page, and one is shown."""
    return pair(*WORDS[word])


def pair(zh: str, en: str) -> str:
    """The same, of words that are HTML already."""
    return f'<span class="zh">{zh}</span><span class="en">{en}</span>'


def clock(at: int, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """An instant (ms) in a zone."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime(form)


def number(value: float) -> str:
    """Three digits that count."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.3g}"


def cells(score: Score) -> list[str]:
    """One rule's row, as text; a dash where nothing can be said."""
    return [
        score.rule,
        score.severity,
        str(score.fires),
        str(score.told),
        f"{score.minutes:.0f}",
        f"{score.per_week:.1f}",
        str(score.night),
        "–" if score.right is None else f"{score.right} / {score.fires}",
        "–" if score.found is None else f"{score.found} / {score.incidents}",
        "–" if score.lead_ms is None else f"{score.lead_ms / 60_000:+.1f} min",
        "–" if score.useful_rate is None else f"{score.useful} / {score.noise} ({score.useful_rate:.0%})",
    ]
