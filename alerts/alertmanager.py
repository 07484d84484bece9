"""Alertmanager's API v2: the alert among those of the machines, for a place that routes everything through it.

Each state is one post of the whole alert; labels name it and stay the same from firing to resolved. An alert that is
never ended here (this process is gone for good) ends there a day after the last word.
Source: github.com/prometheus/alertmanager, api/v2/openapi.yaml, `postAlerts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from aiohttp.abc import AbstractResolver

from alerts.letters import Body, cut, is_link, letter, plain
from alerts.notifiers import language_of
from alerts.outbox import Row
from alerts.posting import Http, checked_url, judge_status
from config.settings import Channel

PATH = "/api/v2/alerts"
STANDS = timedelta(hours=24)
"""How long it stands there without another word: six of the repeats that renew it."""
MOST = 1_000
"""Graphemes of an annotation."""


def entry(body: Body, language: str, now: datetime) -> dict[str, Any]:
    """The alert as Alertmanager takes it."""
    names = ("severity", "tenant", "queue", "channel", "topic")
    own = {_label(name): _shown(str(value)) for name, value in (body.get("labels") or {}).items()}
    labels = {
        **own, "alertname": str(body["rule"]), "tidewatch": str(body["alert"]),
        **{name: _shown(str(body[name])) for name in names if body.get(name)},
    }  # fmt: skip
    told = letter([body], "zh" if language == "zh" else "en")
    over = body["state"] == "resolved"
    made = {
        "labels": labels,
        "annotations": {
            "summary": cut(plain(str(body["summary"][language])), MOST),
            "description": cut("\n".join(told.lines), MOST),
            **({"runbook_url": str(body["runbook"])} if is_link(body.get("runbook")) else {}),
        },
        "startsAt": str(body["since"]),
        "endsAt": str(body["resolved_at"]) if over else (now + STANDS).isoformat(timespec="seconds"),
    }
    return made | ({"generatorURL": str(body["board"])} if is_link(body.get("board")) else {})


def _shown(value: str) -> str:
    """A label's value as it is, so that routes there match it, but for what cannot be seen."""
    return "".join(char for char in value if char.isprintable())


def _label(name: str) -> str:
    """A label's name as Prometheus allows it."""
    made = "".join(char if char.isascii() and (char.isalnum() or char == "_") else "_" for char in name)
    return f"_{made}" if not made or made[0].isdigit() else made


class Alertmanager:
    """One Alertmanager. `secret`, where given, is its bearer token. Many alerts are one post."""

    batch, gap_ms, steady = 100, 0, False

    def __init__(self, channel: Channel, resolver: AbstractResolver | None = None) -> None:
        parts = urlsplit(checked_url(channel))
        path = parts.path.rstrip("/")
        self._url = urlunsplit((*parts[:2], path if path.endswith(PATH) else path + PATH, parts.query, ""))
        self._language = language_of(parts.fragment, "en")
        self._token = channel.secret.get_secret_value() if channel.secret else None
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """Post the last state of every alert in the rows."""
        last = {row.alert: row for row in rows}
        now = datetime.now(UTC)
        content = msgspec.json.encode(
            [entry(msgspec.json.decode(row.body), self._language, now) for row in last.values()]
        )
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        judge_status(await self._http.post(self._url, content, headers, read=False))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
