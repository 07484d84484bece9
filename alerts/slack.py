"""Slack: an incoming webhook, or a bot that edits one message per alert in place and tells its story in the thread.

Text is escaped once (`&`, `<`, `>`); what customers wrote goes into `plain_text`, where nothing is bold or a mention.
Source: docs.slack.dev, "Formatting message text", "Rate limits" (about one message a second and channel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import msgspec
from aiohttp.abc import AbstractResolver

from alerts.letters import Body, Letter, collapse, cut, letter
from alerts.notifiers import Notes, Rejected, Unavailable, language_of
from alerts.outbox import Row
from alerts.posting import Answer, Http, checked_url, judge_status, read_json
from config.settings import Channel, SettingsError

LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""Errors in a 200 answer that pass by themselves."""
MOST_SECTION = 3_000
"""Characters of a section: Slack's own limit."""
MOST_EDITED = 20
"""Messages edited beside one summary: Slack takes about 50 edits a minute."""
MOST_LINE = 250
"""Graphemes of a line."""


def escape(text: str) -> str:
    """Text in which Slack finds no mention, no link and no command. Escape once, and last."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(told: Letter) -> dict[str, Any]:
    """The letter as Slack takes it."""
    lines = [escape(_unmarked(cut(line, MOST_LINE))) for line in (told.title, *told.lines)]
    blocks: list[dict[str, Any]] = [{"type": "section", "text": _mrkdwn(_joined([f"*{lines[0]}*", *lines[1:]]))}]
    if told.said:
        said = _joined([escape(cut(line, MOST_LINE)) for line in told.said])
        blocks.append({"type": "section", "text": {"type": "plain_text", "text": said, "emoji": False}})
    if told.links:
        shown = " · ".join(f"<{escape(url).replace('|', '%7C')}|{escape(name)}>" for name, url in told.links)
        blocks.append({"type": "context", "elements": [_mrkdwn(shown)]})
    return {"text": lines[0], "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _joined(lines: Sequence[str]) -> str:
    """As many whole lines as a section holds."""
    text = ""
    for line in lines:
        if len(text) + len(line) + 1 > MOST_SECTION:
            break
        text += ("\n" if text else "") + line
    return text or "…"


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _unmarked(text: str) -> str:
    """Without the signs that would make parts of it bold or code."""
    return "".join("’" if char == "`" else "∗" if char == "*" else char for char in text)


class Slack:
    """One Slack channel. Many alerts at once are one message."""

    batch, gap_ms, steady = 1_000, 1_000, False

    def __init__(self, channel: Channel, notes: Notes, resolver: AbstractResolver | None = None) -> None:
        parts = urlsplit(checked_url(channel))
        self._name, self._notes, self._language = channel.name, notes, language_of(parts.fragment, "en")
        self._to = parse_qs(parts.query).get("channel", [None])[0]
        self._url = urlunsplit((*parts[:2], parts.path.rstrip("/"), "" if self._to else parts.query, ""))
        self._token = channel.secret.get_secret_value() if channel.secret else None
        if self._to and not self._token:
            raise SettingsError(f"channels: {channel.name}: secret is missing (allowed: the bot's token, xoxb-…)")
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """One message for all rows; with a bot, the one message of a lone alert."""
        bodies = [msgspec.json.decode(row.body) for row in rows]
        told = message(letter(bodies, self._language))
        if self._to is None:
            judge_status(await self._post(self._url, told, {}))
        else:
            await self._as_bot(bodies, told)

    async def _as_bot(self, bodies: Sequence[Body], told: Mapping[str, Any]) -> None:
        alerts = collapse(bodies)
        if len(alerts) > 1:
            await self._call("chat.postMessage", {"channel": self._to, **told})
            for body in alerts[:MOST_EDITED]:
                await self._edit_if_can(body)
            return
        id_ = str(alerts[0]["alert"])
        before = self._notes.note(self._name, id_)
        if before is None or not await self._edit(before, told):
            where = await self._call("chat.postMessage", {"channel": self._to, **told})
            self._notes.take_note(self._name, id_, f"{where.get('channel')} {where.get('ts')}")
        else:
            channel, _, ts = before.partition(" ")
            await self._call("chat.postMessage", {"channel": channel, "thread_ts": ts, **told})
        if alerts[0]["state"] == "resolved":
            self._notes.take_note(self._name, id_, None)

    async def _edit(self, where: str, told: Mapping[str, Any]) -> bool:
        """Edit the message; False: it cannot be edited any more."""
        channel, _, ts = where.partition(" ")
        try:
            await self._call("chat.update", {"channel": channel, "ts": ts, **told})
        except Rejected:
            return False
        return True

    async def _edit_if_can(self, body: Body) -> None:
        """Edit an alert's message beside a summary that was posted: a failure must not post the summary again."""
        where = self._notes.note(self._name, str(body["alert"]))
        if where is None:
            return
        try:
            await self._edit(where, message(letter([body], self._language)))
        except Unavailable:
            return
        if body["state"] == "resolved":
            self._notes.take_note(self._name, str(body["alert"]), None)

    async def _call(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call of the Web API, which says what went wrong in a 200."""
        answer = await self._post(f"{self._url}/{method}", body, {"Authorization": f"Bearer {self._token}"})
        judge_status(answer)
        said = read_json(answer)
        if said.get("ok") is True:
            return said
        error = str(said.get("error"))[:40]
        if error in LATER:
            raise Unavailable(f"answered {error}")
        raise Rejected(f"answered {error}")

    async def _post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        content = {"Content-Type": "application/json; charset=utf-8"}
        return await self._http.post(url, msgspec.json.encode(body), {**content, **headers})

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
