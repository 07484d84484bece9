"""A backtest as one HTML page: no network, both languages, readable without a mouse. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from zoneinfo import ZoneInfo

from alerts.rule import SEVERITIES
from tidewatch.backtest_result import Result
from tidewatch.backtest_score import Score
from tidewatch.backtest_svg import chart
from tidewatch.backtest_words import both, cells, clock, number

_LISTED = 500

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--dim:#5b6b7a;--line:#d5dce3;--back:#fff;--seen:#1f6feb;--band:#1f6feb22;
--fire:#d1242f;--told:#d1242f33;--incident:#bf8700}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa7b4;--line:#30363d;--back:#0d1117;--seen:#58a6ff;
--band:#58a6ff2e;--fire:#ff7b72;--told:#ff7b7244;--incident:#e3b341}}
body{font:15px/1.5 system-ui,"Noto Sans SC","PingFang SC","Microsoft YaHei",sans-serif;color:var(--ink);
background:var(--back);max-width:1180px;margin:24px auto;padding:0 16px}
h1{font-size:22px}h2{font-size:17px;margin:28px 0 8px}h3{font-size:14px;margin:18px 0 2px;font-weight:600}
p,.dim{color:var(--dim)}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}th{text-align:right;font-weight:500;color:var(--dim);white-space:nowrap}
td{text-align:right;white-space:nowrap}
th,td{padding:4px 10px;border-bottom:1px solid var(--line)}th:first-child,td:first-child,.t{text-align:left}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--dim)}.seen{stroke:var(--seen);fill:none}
.expected{stroke:var(--dim);fill:none;stroke-dasharray:5 4}.band{fill:var(--band)}.fire{fill:var(--told)}
.mark{fill:var(--fire)}.quiet{fill:var(--dim)}.incident{fill:var(--incident)}.bound{stroke:var(--fire);
stroke-dasharray:2 3}.grid{stroke:var(--line)}
.key{display:inline-block;width:14px;height:10px;margin:0 4px 0 14px;border-radius:2px}
.lang{float:right}button{font:inherit;color:inherit;background:none;border:1px solid var(--line);border-radius:6px;
padding:2px 10px;cursor:pointer}html[lang=zh] .en,html[lang=en] .zh{display:none}
"""
_SCRIPT = """
const root=document.documentElement,asked=new URLSearchParams(location.search).get('lang');
root.lang=asked==='zh'||asked==='en'?asked:(navigator.language||'').startsWith('zh')?'zh':'en';
document.querySelector('#lang').onclick=()=>{root.lang=root.lang==='zh'?'en':'zh'};
"""


def page(result: Result, drawn: int) -> str:
    """The whole page; the first `drawn` panels have a chart."""
    zone = ZoneInfo(result.zone)
    body = [
        f'<div class="lang"><button id="lang">中文 / English</button></div><h1>{both("title")}</h1>',
        _head(result, zone),
        f"<h2>{both('rules')}</h2>{_table(result.scores)}",
        f"<h2>{both('charts')}</h2>{_legend()}",
    ]
    if not result.panels:
        body.append(f"<p>{both('nothing')}</p>")
    body += [chart(panel, result, zone) for panel in result.panels[:drawn]]
    if rest := len(result.panels) - drawn if len(result.panels) > drawn else 0:
        body.append(f"<p>{both('more')} {rest}</p>")
    body.append(_fires(result, zone))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Tidewatch · backtest · 回测</title><style>{_STYLE}</style></head><body>{''.join(body)}"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _head(result: Result, zone: ZoneInfo) -> str:
    return (
        f"<p>{both('judged')}: {clock(result.since, zone)} – {clock(result.until, zone)} ({escape(result.zone)}) · "
        f"{both('learned')}: {clock(result.learned_from, zone)} · {result.events:,} {both('events')} · "
        f"{escape(result.rules)}</p>"
    )


_COLUMNS = ("rule", "severity", "fires", "told", "minutes", "week", "night", "right", "found", "lead", "grades")


def _table(scores: Sequence[Score]) -> str:
    head = "".join(f"<th>{both(name)}</th>" for name in _COLUMNS)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{both(cell) if cell in SEVERITIES else escape(cell)}</td>" for cell in cells(score))
        + "</tr>"
        for score in scores
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _legend() -> str:
    marks = (("seen", "--seen"), ("band", "--band"), ("fire", "--fire"), ("incident", "--incident"))
    keys = (f'<span class="key" style="background:var({color})"></span>{both(name)}' for name, color in marks)
    return f"<p>{''.join(keys)} · – – {both('expected')} · ⋯ {both('bound')}</p>"


def _fires(result: Result, zone: ZoneInfo) -> str:
    names = ("rule", "where", "from", "to", "peak", "expected", "why")
    head = "".join(f'<th class="t">{both(name)}</th>' for name in names)
    rows = []
    for fire in result.fires[:_LISTED]:
        drivers = ", ".join(f"{one.get('value')} {float(one.get('excess') or 0):+.1f}" for one in fire.drivers[:3])
        words = (
            fire.rule, f"{fire.tenant} · {fire.queue} · {fire.channel}",
            clock(fire.since, zone), clock(fire.until, zone),
            "" if fire.peak is None else number(fire.peak), "" if fire.expected is None else number(fire.expected),
            "; ".join(part for part in (drivers, " ".join(fire.keywords[:5])) if part),
        )  # fmt: skip
        rows.append("<tr>" + "".join(f'<td class="t">{escape(word)}</td>' for word in words) + "</tr>")
    if not rows:
        return ""
    count = f"{min(len(result.fires), _LISTED)} / {len(result.fires)}"
    return (
        f'<h2>{both("list")} <span class="dim">{count}</span></h2><div class="wide"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def data(result: Result) -> str:
    """The scores and fires as JSON, for programs."""
    scores = [asdict(score) | {"useful_rate": score.useful_rate} for score in result.scores]
    told = {
        "since": result.since, "until": result.until, "learned_from": result.learned_from, "events": result.events,
        "ticks": result.ticks, "rules": scores, "fires": [asdict(fire) for fire in result.fires],
        "incidents": [asdict(incident) for incident in result.incidents],
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"
