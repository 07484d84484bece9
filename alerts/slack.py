"""Slack: an incoming webhook, or a bot that edits one message per alert in place and tells its story in the thread.

Text is escaped once (`&`, `<`, `>`); what customers wrote goes into `plain_text`, where nothing is bold or a mention.
Source: docs.slack.dev, "Formatting message text", "Rate limits" (about one message a second and channel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from aiohttp.abc import AbstractResolver

from alerts.letters import Body, Language, Letter, collapse, cut, is_link, letter
from alerts.notifiers import Notes, Rejected, Unavailable, language_of
from alerts.outbox import Row
from alerts.posting import Http, checked_url, judge_status
from alerts.slack_api import Api
from config.settings import Channel, SettingsError

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


def words_of(told: Letter) -> dict[str, Any] | None:
    """What customers wrote, as a message of its own; None: nothing is known of it."""
    if not told.said:
        return None
    only = replace(told, lines=(), links=())
    return {**message(only), "blocks": [message(only)["blocks"][1]]}


ACK, SILENCE, BOARD = "tidewatch_ack", "tidewatch_silence", "tidewatch_board"
"""The buttons' names, as Slack says them when they are pressed."""
_WORDS = {ACK: ("确认", "Acknowledge"), SILENCE: ("静默 1 小时", "Silence 1 h"), BOARD: ("打开看板", "Open board")}


def buttons(body: Body, language: Language) -> dict[str, Any]:
    """What can be done about an alert: take it, keep it quiet, look at it."""

    def button(name: str, **more: str) -> dict[str, Any]:
        text = {"type": "plain_text", "text": _WORDS[name][0 if language == "zh" else 1]}
        return {"type": "button", "action_id": name, "text": text, **more}

    id_ = str(body["alert"])
    shown = [button(ACK, value=id_, style="primary")] if body["state"] == "firing" else []
    shown.append(button(SILENCE, value=id_))
    if is_link(body.get("board")):
        shown.append(button(BOARD, value=id_, url=str(body["board"])))
    return {"type": "actions", "block_id": "tidewatch", "elements": shown}


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
        self._buttons = bool(channel.people and (channel.app_token or channel.signing_secret))
        self._api = Api(channel, resolver)
        self._url = urlunsplit((*parts[:4], ""))
        if self._api.to and not channel.secret:
            raise SettingsError(f"channels: {channel.name}: secret is missing (allowed: the bot's token, xoxb-…)")
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """One message for all rows; with a bot, the one message of a lone alert."""
        bodies = [msgspec.json.decode(row.body) for row in rows]
        if self._api.to is not None:
            await self._as_bot(bodies)
            return
        told = msgspec.json.encode(message(letter(bodies, self._language)))
        judge_status(await self._http.post(self._url, told, {"Content-Type": "application/json; charset=utf-8"}))

    async def _as_bot(self, bodies: Sequence[Body]) -> None:
        alerts = collapse(bodies)
        if len(alerts) > 1:
            told = message(letter(bodies, self._language))
            await self._api.call("chat.postMessage", {"channel": self._api.to, **told})
            for body in alerts[:MOST_EDITED]:
                await self._edit_if_can(body)
            return
        (body,) = alerts
        before = self._notes.note(self._name, str(body["alert"]))
        if before is None or not await self._edit(before, body):
            where = await self._api.call("chat.postMessage", {"channel": self._api.to, **self._card(body)})
            before = f"{where.get('channel')} {where.get('ts')}"
            self._notes.take_note(self._name, str(body["alert"]), before)
            story = words_of(letter([body], self._language))
        else:
            story = message(letter([body], self._language))
        if story is not None:
            channel, _, ts = before.partition(" ")
            await self._api.call("chat.postMessage", {"channel": channel, "thread_ts": ts, **story})
        if body["state"] == "resolved":
            self._notes.take_note(self._name, str(body["alert"]), None)

    def _card(self, body: Body) -> dict[str, Any]:
        """The one message of an alert: how it stands, and what can be done. What customers wrote is in its thread."""
        told = message(replace(letter([body], self._language), said=()))
        if self._buttons and body["state"] != "resolved":
            told["blocks"] = [*told["blocks"], buttons(body, self._language)]
        return told

    async def _edit(self, where: str, body: Body) -> bool:
        """Edit the message; False: it cannot be edited any more."""
        channel, _, ts = where.partition(" ")
        try:
            await self._api.call("chat.update", {"channel": channel, "ts": ts, **self._card(body)})
        except Rejected:
            return False
        return True

    async def _edit_if_can(self, body: Body) -> None:
        """Edit an alert's message beside a summary that was posted: a failure must not post the summary again."""
        where = self._notes.note(self._name, str(body["alert"]))
        if where is None:
            return
        try:
            await self._edit(where, body)
        except Unavailable:
            return
        if body["state"] == "resolved":
            self._notes.take_note(self._name, str(body["alert"]), None)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
        await self._api.close()
