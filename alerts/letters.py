"""Alerts in words, for a person: a letter of one alert, or of many. No surface's syntax: escaping is the door's.

What customers wrote (`said`) is kept apart from our own words, so that each door can treat it as what it is: the one
part that somebody hostile may have written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from alerts.facts import AROUND
from alerts.render import amount, headline, local, span
from alerts.state import CHANNEL_DOWN
from alerts.troubles import why

Language = Literal["zh", "en"]
MOST_LISTED = 20
"""Alerts named in one letter; the rest is a number: nobody reads a hundred lines on a telephone."""
MOST_SAID = 200
"""Graphemes of one sample."""
JOINER = "\u2060"
"""Takes no room, and keeps what looks like a link from becoming one."""

Body = Mapping[str, Any]
"""An alert object."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What to tell a person."""

    title: str
    lines: tuple[str, ...]
    said: tuple[str, ...]
    """Masked words of customers."""
    links: tuple[tuple[str, str], ...]
    severity: str
    resolved: bool


def collapse(bodies: Iterable[Body]) -> list[Body]:
    """The last word on each alert, in the order in which they were first spoken of."""
    last: dict[str, Body] = {}
    for body in bodies:
        last[str(body["alert"])] = body
    return list(last.values())


def letter(bodies: Sequence[Body], language: Language) -> Letter:
    """A letter about alerts, at least one."""
    alerts = collapse(bodies)
    return _about_one(alerts[0], language) if len(alerts) == 1 else _about_many(alerts, language)


def _about_one(body: Body, language: Language) -> Letter:
    links = [("看板" if language == "zh" else "Board", body.get("board"))]
    links.append(("处置手册" if language == "zh" else "Runbook", body.get("runbook")))
    over = body["state"] == "resolved"
    return Letter(
        title=plain(headline(body, language)),
        lines=tuple(plain(line) for line in (_ending(body, language) if over else _details(body, language))),
        said=() if over else tuple(_said(body)),
        links=tuple((name, str(url)) for name, url in links if is_link(url)),
        severity=str(body["severity"]),
        resolved=over,
    )


def _about_many(bodies: Sequence[Body], language: Language) -> Letter:
    going = [body for body in bodies if body["state"] != "resolved"]
    over = len(bodies) - len(going)
    title = (
        f"{len(bodies)} 条告警：{len(going)} 条未恢复，{over} 条已恢复"
        if language == "zh"
        else f"{len(bodies)} alerts: {len(going)} open, {over} resolved"
    )
    ranked = sorted(bodies, key=lambda body: (body["state"] == "resolved", _RANK[str(body["severity"])]))
    lines = [f"{plain(headline(body, language))}{_begun(body, language)}" for body in ranked[:MOST_LISTED]]
    if len(ranked) > MOST_LISTED:
        more = len(ranked) - MOST_LISTED
        lines.append(f"另有 {more} 条" if language == "zh" else f"and {more} more")
    worst = min((str(body["severity"]) for body in going or bodies), key=lambda name: _RANK[name])
    board = ranked[0].get("board")
    links = (("看板" if language == "zh" else "Board", str(board)),) if is_link(board) else ()
    return Letter(title, tuple(lines), (), links, worst, not going)


def _begun(body: Body, language: Language) -> str:
    """Since when, in a list: the time of day is enough; of what is over, how long it was and how bad it got."""
    zh = language == "zh"
    if body["state"] == "resolved":
        lasted = span(_span(body, "since", "resolved_at"), language)
        told = [f"持续 {lasted}" if zh else f"lasted {lasted}"]
        if body.get("peak") is not None:
            worst = f"{_worst(body, language)} {amount(body['peak'], str(body['unit']), language)}"
            told.append(worst if zh else worst[:1].lower() + worst[1:])
        return f"（{'，'.join(told)}）" if zh else f" ({', '.join(told)})"
    time = _when(body, "since")[11:16]
    return f"（{time} 起）" if language == "zh" else f" (since {time})"


_RANK = {"critical": 0, "warning": 1, "info": 2}


def _details(body: Body, language: Language) -> Iterable[str]:
    """Since when, how bad, why, what it does to people, and what to do: in the order somebody woken would ask."""
    zh, unit = language == "zh", str(body["unit"])
    yield from _again(body, language)
    yield f"{'开始于' if zh else 'Since'} {_when(body, 'since')}{_lasted(body, language)}"
    if body.get("peak") is not None and body["peak"] != body.get("value"):
        yield f"{_worst(body, language)}{'：' if zh else ': '}{amount(body['peak'], unit, language)}"
    if body.get("reason"):
        yield f"{'原因：' if zh else 'Why: '}{why(str(body['reason']), language)}"
    if str(body["rule"]).startswith(CHANNEL_DOWN):
        yield (
            "影响：只靠它收告警的人现在什么也收不到"
            if zh
            else "Impact: who hears of alerts only through it hears of none"
        )
    yield from _drivers(body, language)
    yield from _around(body, body.get("impact") or {}, ("背景：", "Behind it: "), language)
    yield from _impact(body, language)
    yield from _to_do(body, language)


def _again(body: Body, language: Language) -> Iterable[str]:
    """That nobody has taken it, where that is why it is told again, or to somebody else."""
    notice = body.get("notice") or {}
    if notice:
        zh, waited = language == "zh", span(int(notice["waited_ms"]), language)
        if notice["kind"] == "escalation":
            yield (
                f"已升级给你：{waited}无人确认" if zh else f"Escalated to you: nobody has acknowledged it for {waited}"
            )
        else:
            yield f"仍未解决：{waited}无人确认" if zh else f"Still so: nobody has acknowledged it for {waited}"


def _worst(body: Body, language: Language) -> str:
    """What the worst value is called: a peak, or of what fires below a bound the lowest."""
    falls = (body.get("high") is None and body.get("low") is not None) or str(body.get("metric")).endswith("lull")
    return "Worst" if language == "en" else "最低" if falls else "峰值"


def _around(body: Body, known: Mapping[str, Any], begin: tuple[str, str], language: Language) -> Iterable[str]:
    """What goes on there: how much customers write (where that is not the alert itself), and how many are at work."""
    zh, rate, usual, staff = language == "zh", *(known.get(name) for name in AROUND)
    parts = []
    if rate is not None and body["unit"] != "per_min":
        against = "" if usual is None else f"（通常 {usual:.0f}）" if zh else f" (usually {usual:.0f})"
        parts.append(f"客户消息 {rate:.0f} 条/分钟{against}" if zh else f"{rate:.0f} messages per min{against}")
    if staff is not None:
        parts.append(f"在岗 {staff} 人" if zh else f"{staff} at work")
    if parts:
        yield begin[0 if zh else 1] + ("，" if zh else ", ").join(parts)


def _when(body: Body, field: str) -> str:
    """An instant of the alert on the clock of its tenant."""
    return local(round(datetime.fromisoformat(str(body[field])).timestamp() * 1000), str(body.get("zone") or "UTC"))


def _lasted(body: Body, language: Language) -> str:
    """For how long, so that nobody has to reckon with zones."""
    ms = _span(body, "since", "as_of")
    if ms < 1_000:
        return ""
    return f"（已持续 {span(ms, language)}）" if language == "zh" else f", for {span(ms, language)}"


def _span(body: Body, first: str, last: str) -> int:
    if not body.get(first) or not body.get(last):
        return 0
    passed = datetime.fromisoformat(str(body[last])) - datetime.fromisoformat(str(body[first]))
    return round(passed.total_seconds() * 1000)


def _drivers(body: Body, language: Language) -> Iterable[str]:
    zh = language == "zh"
    for dimension, names in _DIMENSIONS.items():
        parts = [driver for driver in body.get("drivers") or () if driver["dimension"] == dimension]
        if parts:
            named = (body.get("names") or {}).get(dimension) or {}
            said = [f"{_name(named, str(part['value']), language)} {part['excess']:+.0f}" for part in parts]
            shares = ("、" if zh else ", ").join(said)
            yield f"{names[0 if zh else 1]}{'：' if zh else ': '}{shares}"


def _name(named: Mapping[str, Mapping[str, str]], id_: str, language: Language) -> str:
    return named[id_][language] if id_ in named else "其他" if (id_, language) == ("other", "zh") else id_


def _impact(body: Body, language: Language) -> Iterable[str]:
    zh, impact = language == "zh", body.get("impact") or {}
    waits = [
        ("待处理" if zh else "backlog", impact.get("backlog"), "count"),
        ("最长等待" if zh else "oldest", impact.get("oldest_ms"), "ms"),
        ("首次响应 P90" if zh else "first response P90", impact.get("frt_p90_ms"), "ms"),
    ]
    told = [f"{name} {amount(value, kind, language)}" for name, value, kind in waits if value is not None]
    mood, change = impact.get("sentiment"), impact.get("sentiment_change")
    if mood is not None:
        against = "" if change is None else f"（较今日 {change:+.2f}）" if zh else f" ({change:+.2f} against today)"
        told.append(f"{'近 5 分钟情绪' if zh else 'mood of the last 5 min'} {mood:+.2f}{against}")
    if told:
        yield ("影响：" if zh else "Impact: ") + ("，" if zh else ", ").join(told)


def _to_do(body: Body, language: Language) -> Iterable[str]:
    zh, impact = language == "zh", body.get("impact") or {}
    needed, plus = impact.get("agents_needed"), impact.get("drain_plus") or {}
    if needed:
        emptied = plus.get(str(needed))
        after = "" if emptied is None else _roughly(emptied, language)
        hint = (f"，约 {after}清空" if zh else f"; the line is then gone in about {after}") if after else ""
        yield (f"建议增加 {needed} 人{hint}" if zh else f"People needed: {needed} more{hint}")
    advised = (body.get("advice") or {}).get(language)
    if advised:
        yield f"{'处置：' if zh else 'To do: '}{advised}"


def _roughly(seconds: float, language: Language) -> str:
    """A span that was reckoned: its seconds say nothing."""
    return span(max(1, round(seconds / 60)) * 60_000, language)


_DIMENSIONS = {
    "topic": ("主要话题", "Topics"),
    "channel": ("主要渠道", "Channels"),
    "queue": ("主要队列", "Queues"),
    "segment": ("主要客群", "Segments"),
}


def _ending(body: Body, language: Language) -> Iterable[str]:
    """Of what is over: for how long it was, how bad it got, and what drove it."""
    zh, lasted = language == "zh", _span(body, "since", "resolved_at")
    if body.get("resolved_at") and body.get("since"):
        since = f"{'，自 ' if zh else ', since '}{_when(body, 'since')}"
        yield f"{'持续' if zh else 'Lasted'} {span(lasted, language)}{since}"
    if body.get("peak") is not None:
        yield f"{_worst(body, language)} {amount(body['peak'], str(body['unit']), language)}"
    at_peak = body.get("at_peak") or {}
    yield from _drivers({**body, "drivers": at_peak.get("drivers") or body.get("drivers")}, language)
    yield from _around(body, at_peak, ("最严重时：", "At its worst: "), language)


def _said(body: Body) -> Iterable[str]:
    words = [str(word) for word in body.get("keywords") or () if word]
    if words:
        yield tame(" · ".join(words))
    for sample in list(body.get("samples") or ())[:3]:
        yield tame(str(sample))


def is_link(url: object) -> bool:
    """Whether it may be shown as a link."""
    return isinstance(url, str) and url.startswith(("https://", "http://")) and url.isprintable() and " " not in url


def plain(text: str) -> str:
    """One line that is what it looks like: nothing unseen, nothing that turns text around, no link and no mention.

    Queues are named by whoever sends events.
    """
    shown = "".join("" if unicodedata.category(char) == "Cf" and char != "\u200d" else char for char in text)
    shown = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in shown)
    for sign in ("://", "@", "www."):
        shown = shown.replace(sign, sign[0] + JOINER + sign[1:])
    return shown


def tame(text: str) -> str:
    """What a customer wrote, as one short line."""
    return cut(" ".join(plain(text).split()), MOST_SAID)


_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def cut(text: str, most: int) -> str:
    """At most so many graphemes, and eight times as many characters; what is longer ends in an ellipsis."""
    if len(text) <= most:
        return text
    ends: list[int] = []
    flags = 0
    for at, char in enumerate(text):
        flags = flags + 1 if _is_flag(char) else 0
        if at and not _joins(char, text[at - 1]) and not (flags and flags % 2 == 0):
            ends.append(at)
        if len(ends) >= most or at >= 8 * most:
            break
    else:
        return text
    room = [end for end in ends[: most - 1] if end < 8 * most]
    return text[: room[-1] if room else 0] + "…"


def _is_flag(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def _joins(char: str, before: str) -> bool:
    """Whether a character belongs to the grapheme before it. Flags are pairs, which the caller counts."""
    mark = unicodedata.category(char) in ("Mn", "Me", "Mc") or 0x1F3FB <= ord(char) <= 0x1F3FF
    return mark or char == "\u200d" or before == "\u200d"
