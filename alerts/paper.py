"""A letter as HTML, for mail: plain tables and inline colours, as mail programs want it. Everything is escaped once.

Nothing is fetched from anywhere: the one picture comes with the letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from alerts.letters import Language, Letter, plain
from alerts.render import amount, span

_COLOURS = {"critical": "#b42318", "warning": "#b54708", "info": "#175cd3"}
_OVER = "#067647"
_FONT = "font-family:-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',sans-serif"
_MESSAGES = {
    "zh": "最近三小时每分钟客户消息；阴影为通常范围，竖线为开始时刻。",
    "en": "Customer messages a minute, last three hours; shaded: the usual range, upright line: when it began.",
}
_COURSE = {
    "zh": "{name}，最近 {span}；{bound}竖线为开始时刻。",
    "en": "{name}, last {span}; {bound}upright line: when it began.",
}
_BOUND = {"zh": "虚线为阈值 {limit}，", "en": "broken line: the limit, {limit}; "}
_SAID = {"zh": "客户原话（已脱敏）", "en": "What customers write (masked)"}


def caption(chart: Mapping[str, Any], language: Language) -> str:
    """What the picture of a chart shows."""
    if "values" not in chart:
        return _MESSAGES[language]
    name = plain(str(chart["name"][language]))
    minutes = len(chart["values"]) * int(chart["step_s"]) // 60
    limit = None if chart.get("limit") is None else amount(chart["limit"], str(chart["unit"]), language)
    return _COURSE[language].format(
        name=name[:1].upper() + name[1:],
        span=span(minutes * 60_000, language),
        bound="" if limit is None else _BOUND[language].format(limit=limit),
    )


def page(told: Letter, language: Language, picture: tuple[str, str] | None = None) -> str:
    """The letter. `picture`: the content id of the chart that comes with it, and what it shows."""
    colour = _OVER if told.resolved else _COLOURS.get(told.severity, _COLOURS["info"])
    parts = [
        (
            f'<div style="border-left:6px solid {colour};padding:4px 14px;font-size:18px;font-weight:600">'
            f"{escape(told.title)}</div>"
        ),
        _lines(told.lines),
    ]
    if picture is not None:
        parts.append(
            f'<p style="margin:14px 0 4px"><img src="cid:{escape(picture[0])}" width="640" alt="{escape(picture[1])}" '
            f'style="max-width:100%;height:auto"></p>'
            f'<p style="margin:0;color:#667085;font-size:12px">{escape(picture[1])}</p>'
        )
    if told.said:
        rows = "".join(f"<li>{escape(line)}</li>" for line in told.said)
        parts.append(f'<p style="margin:14px 0 4px;color:#667085">{escape(_SAID[language])}</p><ul>{rows}</ul>')
    if told.links:
        shown = " · ".join(f'<a href="{escape(url)}">{escape(name)}</a>' for name, url in told.links)
        parts.append(f'<p style="margin:16px 0 0">{shown}</p>')
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"></head>'
        f'<body style="margin:16px;color:#101828;font-size:14px;line-height:1.5;{_FONT}">{"".join(parts)}</body></html>'
    )


def _lines(lines: tuple[str, ...]) -> str:
    shown = "".join(f'<tr><td style="padding:2px 0">{escape(line)}</td></tr>' for line in lines)
    return f'<table role="presentation" style="margin:12px 0 0 20px;border-collapse:collapse">{shown}</table>'
