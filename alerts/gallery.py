"""What the messages look like, made by the very renderers that send them, from three alerts that might be real.

`python -m alerts.gallery` writes them into docs/alerts.md; a test keeps the page true.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from alerts.alertmanager import entry
from alerts.facts import Facts
from alerts.letters import Language, letter
from alerts.mail import Marks, compose, picture_of
from alerts.ourselves import channel_down
from alerts.render import console_line, to_object
from alerts.robots import Kind, event, robot_message
from alerts.rule import Rule
from alerts.rules import load
from alerts.slack import buttons, message, words_of
from alerts.state import ACKNOWLEDGED, FIRING, RESOLVED, Alert, Slot, State
from config.settings import Label, Labels
from streams.events import REAL

PAGE = Path(__file__).parent.parent / "docs" / "alerts.md"
BEGIN, END = "<!-- messages: written by `python -m alerts.gallery` -->", "<!-- end of messages -->"
ZONE, BOARD = "Asia/Shanghai", "https://tide.example"
LABELS = Labels(
    queue={"refund": Label(zh="退款", en="Refunds"), "billing": Label(zh="账单", en="Billing")},
    channel={"web": Label(zh="网页", en="Web"), "app": Label(zh="APP", en="App")},
    topic={"not-received": Label(zh="退款未到账", en="Refund not received")},
)
_AT = round(datetime(2026, 11, 20, 19, 12, tzinfo=UTC).timestamp() * 1000)
"""12 past 3 in the night, in Shanghai."""
_MINUTE = 60_000
_LINK = re.compile(r"<(https?:[^|>]*)\|([^>]*)>")
ROBOTS: tuple[tuple[Kind, str], ...] = (("wecom", "企业微信"), ("dingtalk", "钉钉"), ("feishu", "飞书"))


def _rule(name: str) -> Rule:
    return load(None).by_name[name]


def _of(rule: Rule, queue: str, **more: Any) -> Alert:
    known = {
        "severity": rule.severity, "unit": rule.metric.unit, "summary": rule.summary, "advice": rule.advice,
        "runbook": rule.runbook,
        "fired_at": _AT, "changed_at": _AT, "id": "9f3c51d2a4b86e07",
    }  # fmt: skip
    alert = Alert(Slot(rule.name, "acme", queue, "*"), rule.metric.name, FIRING, REAL, _AT, _AT)
    return replace(alert, **{**known, **more})


def surge() -> Alert:
    """A surge of refunds, eight minutes old, of which it is known why."""
    drivers = (
        {"dimension": "topic", "value": "not-received", "excess": 58.0, "share": 0.83},
        {"dimension": "topic", "value": "other", "excess": 12.0, "share": 0.17},
        {"dimension": "channel", "value": "app", "excess": 61.0, "share": 0.87},
        {"dimension": "channel", "value": "other", "excess": 9.0, "share": 0.13},
    )
    at_peak = (
        {"dimension": "topic", "value": "not-received", "excess": 65.0, "share": 0.83},
        {"dimension": "topic", "value": "other", "excess": 13.0, "share": 0.17},
        {"dimension": "channel", "value": "app", "excess": 68.0, "share": 0.87},
        {"dimension": "channel", "value": "other", "excess": 10.0, "share": 0.13},
    )
    impact = {
        "backlog": 74, "oldest_ms": 11 * _MINUTE, "frt_p90_ms": 6 * _MINUTE, "agents_needed": 4, "drain_s": None,
        "drain_plus": {"1": None, "2": 4_100, "4": 840}, "sentiment": -0.41, "sentiment_change": -0.33,
        "rate_per_min": 96.0, "usual_per_min": 26.0, "at_work": 6,
    }  # fmt: skip
    said = ("退款三天了还没到账，什么时候能到？", "refund [order] still not in my account")
    words = ("退款", "没到账", "三天")
    facts, worst = Facts(26.0, 12.0, 41.0, drivers, words, said, impact), Facts(26.0, 12.0, 41.0, at_peak, words)
    return _of(
        _rule("surge"), "refund", facts=facts, worst=worst, value=96.0, peak=104.0, since=_AT - 8 * _MINUTE,
        runbook="https://wiki.example/refund-surge",
    )  # fmt: skip


def backlog() -> Alert:
    """A queue that grows though no more is written than usual: too few are there."""
    impact = {"backlog": 27, "oldest_ms": 9 * _MINUTE, "frt_p90_ms": 4 * _MINUTE, "agents_needed": 1, "drain_s": None}
    around = {"rate_per_min": 11.0, "usual_per_min": 12.0, "at_work": 2}
    facts = Facts(high=20.0, impact={**impact, "drain_plus": {"1": 790, "2": 410}, **around})
    return _of(
        _rule("backlog-high"), "billing", facts=facts, worst=Facts(impact=around), value=27, peak=27,
        since=_AT - 2 * _MINUTE, id="1c0de5a7e2b94f10",
    )  # fmt: skip


def worked_off() -> Alert:
    """The backlog, when it was over."""
    before, end = backlog(), _AT + 26 * _MINUTE
    return replace(before, state=RESOLVED, resolved_at=end, at=end, changed_at=end, reason="cleared", value=8, peak=34)


def unhappy() -> Alert:
    """A queue whose customers sound displeased, with what they say."""
    impact = {
        "backlog": 9, "oldest_ms": 3 * _MINUTE, "frt_p90_ms": 2 * _MINUTE, "agents_needed": 0, "drain_s": None,
        "drain_plus": {"1": 300, "2": 150}, "sentiment": -0.46, "sentiment_change": -0.4,
        "rate_per_min": 14.0, "usual_per_min": 12.0, "at_work": 4,
    }  # fmt: skip
    said = ("第三次坏了，客服还让我自己修", "still broken after the update, this is a joke")
    facts = Facts(low=-0.3, keywords=("坏了", "update"), samples=said, impact=impact)
    return _of(
        _rule("negative-sentiment"), "refund", facts=facts, value=-0.41, peak=-0.47, since=_AT - 10 * _MINUTE,
        upward=False, id="77aa01c3d9e0b452",
    )  # fmt: skip


def standstill() -> Alert:
    """No tick comes any more, and nobody has taken it."""
    rule = _rule("stream-stopped")
    facts = Facts(high=rule.fire.value)
    found = _of(
        rule, "*", facts=facts, value=672_000.0, peak=672_000.0, since=_AT - 11 * _MINUTE, id="e2f4907b11c8aa36"
    )
    return replace(found, slot=Slot(rule.name, "*", "*", "*"))


def over() -> Alert:
    """The surge, when it was over."""
    before, end = surge(), _AT + 33 * _MINUTE
    return replace(before, state=RESOLVED, resolved_at=end, at=end, changed_at=end, reason="cleared", value=22.0)


def taken() -> Alert:
    """The surge, when somebody had it."""
    return replace(surge(), state=ACKNOWLEDGED, acknowledged_by="lin", acknowledged_at=_AT + _MINUTE)


def dead_channel() -> Alert:
    """A channel of alerts that takes nothing any more."""
    _, (change,) = channel_down(State(), "mail", "answered 535", _AT, _rule("channel-down"))
    return change.alert


def body_of(alert: Alert) -> dict[str, Any]:
    """The alert object, as the doors get it."""
    told = dict(msgspec.json.decode(msgspec.json.encode(to_object(alert, LABELS, BOARD, ZONE))))
    return {**told, **MORE.get(alert.id, {})}


MORE: Mapping[str, Mapping[str, Any]] = {
    standstill().id: {"notice": {"kind": "escalation", "waited_ms": 10 * _MINUTE}},
}
"""Alert → what its notice says beside it."""


STORIES = {
    ("突增", "A surge"): [surge],
    ("已有人处理", "Somebody has it"): [taken],
    ("已恢复", "Over"): [over],
    ("积压", "A backlog"): [backlog],
    ("积压已恢复", "A backlog is over"): [worked_off],
    ("客户情绪变差", "Displeased customers"): [unhappy],
    ("数据流停止，无人确认，已升级", "The stream stands still, nobody has taken it, and it is escalated"): [standstill],
    ("告警渠道失效", "A dead channel"): [dead_channel],
    ("中断后的汇总", "One summary after an outage"): [backlog, surge, over, dead_channel],
}


def section() -> str:
    """The page's part, as Markdown."""
    parts = [BEGIN, ""]
    for (zh, en), made in STORIES.items():
        bodies = [body_of(one()) for one in made]
        parts += [f"### {en} · {zh}", ""]
        for language in ("zh", "en"):
            parts += _shown(_mail(bodies, language))
    parts += ["### As each channel has it · 各渠道的样子", ""]
    for title, shown in _channels():
        parts += [f"**{title}**", "", *_shown(shown)]
    return "\n".join([*parts, END])


def _shown(text: str) -> list[str]:
    return ["```text", text.rstrip(), "```", ""]


def _mail(bodies: list[dict[str, Any]], language: Language) -> str:
    """The text part of the letter, under its subject; a letter has every word that any channel has."""
    mail = compose(letter(bodies, language), Marks(["a"], "<a@b>", _AT), "a@b", ["c@d"], language)
    plain = mail.get_body(("plain",))
    return "" if plain is None else str(plain.get_content()).replace("\r\n", "\n")


def _channels() -> Iterator[tuple[str, str]]:
    body = body_of(surge())
    for language in ("zh", "en"):
        yield f"E-mail ({language})", _letter("zh" if language == "zh" else "en")
    for language, name in (("zh", "Slack · 中文"), ("en", "Slack · English")):
        yield name, _slack(body, "zh" if language == "zh" else "en")
    for kind, name in ROBOTS:
        for language in ("zh", "en"):
            told = letter([body], "zh" if language == "zh" else "en")
            yield f"{name} ({language})", _text_of(robot_message(kind, told, None, 0))
    yield "PagerDuty", _json(event(body, "…"))
    at = datetime.fromtimestamp(_AT / 1000, UTC)
    for language in ("zh", "en"):
        yield f"Alertmanager ({language})", _json(entry(body, language, at))
    yield "Console", " ".join(f"{name}={value}" for name, value in console_line(body).items() if value is not None)
    yield "Webhook", _json(body)


def _letter(language: Language) -> str:
    """A letter with its headers, and the words under its picture."""
    course = {
        "from": _AT - 179 * _MINUTE, "step_s": 60, "values": [6.0] * 160 + [float(n) for n in range(8, 28)],
        "unit": "count", "limit": 20, "name": {"zh": "待处理", "en": "backlog"},
    }  # fmt: skip
    body = body_of(backlog()) | {"chart": course}
    marks = Marks([body["alert"]], "<5b1d…@alerts.tidewatch>", _AT)
    picture = picture_of([body], language)
    mail = compose(letter([body], language), marks, "tide@shop.example", ["ops@shop.example"], language, picture)
    names = ("Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References")
    plain = mail.get_body(("plain",))
    text = "" if plain is None else str(plain.get_content()).replace("\r\n", "\n")
    shown = "" if picture is None else f"[chart.png: {picture.caption}]"
    return "\n".join([*(f"{name}: {mail[name]}" for name in names), "", text, shown])


def _slack(body: Mapping[str, Any], language: Language) -> str:
    """The message with its buttons, and what stands in its thread."""
    told = letter([body], language)
    lines = [_blocks(message(replace(told, said=()))), _blocks({"blocks": [buttons(body, language)]})]
    story = words_of(told)
    if story is not None:
        lines += ["  ↳ " + line for line in _blocks(story).splitlines()]
    return "\n".join(lines)


def _blocks(shown: Mapping[str, Any]) -> str:
    """Blocks as people see them."""
    lines = []
    for block in shown["blocks"]:
        if block["type"] == "actions":
            lines.append(" ".join(f"[ {part['text']['text']} ]" for part in block["elements"]))
        parts = [block.get("text"), *(block.get("elements", ()) if block["type"] == "context" else ())]
        lines += [_LINK.sub(r"\2", part["text"]).replace("*", "") for part in parts if part is not None]
    return "\n".join(lines).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _text_of(made: Mapping[str, Any]) -> str:
    """What a robot's message shows."""
    if "text" in made:
        return str(made["text"]["content"])
    post = made["content"]["post"]["zh_cn"]
    return "\n".join([post["title"], *(part["text"] for line in post["content"] for part in line)])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def page(text: str) -> str:
    """The page with its messages as they are now."""
    return text[: text.index(BEGIN)] + section() + text[text.index(END) + len(END) :]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
