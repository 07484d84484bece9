"""Buttons in Slack: what was pressed becomes an order like the board's, if whoever pressed may give one.

Who may is said by the channel's `people`: their Slack id → the name the audit has. An alert can be acted on from a
channel that was told of it, and from no other. Every press is audited, those that are refused too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from alerts.letters import Language, plain
from alerts.notifiers import Rejected, Unavailable, language_of
from alerts.outbox import Store
from alerts.slack import ACK, BOARD, SILENCE
from alerts.slack_api import Api
from alerts.watch import Watch
from config.settings import Channel

log = structlog.get_logger()

MINUTES = 60
REMEMBERED = 2_000
"""Presses remembered, so that one that is delivered twice counts once."""
_DO = {ACK: "ack", SILENCE: "silence"}
_NOT_YOURS = {"zh": "您不在可操作人员名单中", "en": "you are not among those who may do this"}
_DONE = {"ack": {"zh": "已确认", "en": "Acknowledged"}, "silence": {"zh": "已静默 1 小时", "en": "Silent for 1 h"}}


class Buttons:
    """Carries out what is pressed in one channel's messages."""

    def __init__(self, channel: Channel, api: Api, watch: Watch, store: Store) -> None:
        self.name, self._people, self._api = channel.name, channel.people, api
        self._watch, self._store = watch, store
        self._language: Language = language_of((channel.url or "").partition("#")[2], "en")
        self._seen: OrderedDict[str, None] = OrderedDict()

    def knows(self, id_: str) -> bool:
        """Whether the channel was told of an alert."""
        return self.name in {row[0] for row in self._store.told(id_)}

    async def pressed(self, payload: Mapping[str, Any]) -> None:
        """Carry out an interaction as Slack tells it, and say to whoever pressed what came of it."""
        user = str(_in(payload, "user", "id") or "")
        for action in _actions(payload):
            press = f"{user} {action.get('action_id')} {action.get('action_ts')} {action.get('value')}"
            if action.get("action_id") == BOARD or press in self._seen:
                continue
            self._seen[press] = None
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            said = self._carry_out(str(action.get("action_id")), str(action.get("value")), user)
            await self._store.safe()
            await self._say(payload, user, said)

    def _carry_out(self, action: str, id_: str, user: str) -> str:
        """Have it done, or refused; the words for whoever pressed."""
        order: dict[str, Any] = {
            "do": _DO.get(action, action[:40]),
            "alert": id_[:64],
            "from": f"slack {plain(user)[:40]}",
        }
        by = self._people.get(user)
        alert = self._watch.find(id_) if self.knows(id_) else None
        if by is None or alert is None or action not in _DO:
            refused = _NOT_YOURS["en"] if by is None else "there is no such alert in this channel"
            self._watch.command({**order, "tenant": "*", "by": by or f"slack {plain(user)[:40]}", "refused": refused})
            return _NOT_YOURS[self._language] if by is None else refused
        order |= {"tenant": alert.slot.tenant, "by": by}
        if order["do"] == "silence":
            rule, tenant, queue, channel, topic = alert.slot
            match = {"rule": rule, "tenant": tenant, "queue": queue, "channel": channel, "topic": topic}
            order |= {"match": match, "minutes": MINUTES, "reason": "Slack"}
        answer = self._watch.command(order)
        return _DONE[str(order["do"])][self._language] if answer["ok"] else str(answer["error"])

    async def _say(self, payload: Mapping[str, Any], user: str, text: str) -> None:
        """Only to whoever pressed. That it cannot be said changes nothing: the message shows what came of it."""
        where = _in(payload, "channel", "id") or _in(payload, "container", "channel_id")
        try:
            await self._api.call("chat.postEphemeral", {"channel": where, "user": user, "text": text})
        except (Unavailable, Rejected) as error:
            log.info("press_not_answered", channel=self.name, reason=str(error))


def _actions(payload: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = payload.get("actions") if payload.get("type") == "block_actions" else None
    return [one for one in found if isinstance(one, dict)][:5] if isinstance(found, list) else []


def _in(payload: Mapping[str, Any], *path: str) -> Any:
    found: Any = payload
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
