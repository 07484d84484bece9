"""Hands a viewer's order to the notifier, through Redis, and waits for what came of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError

from gateway.orders import Refused

ORDERS, REPLY = "tw:orders", "tw:reply:"
ANSWER_S = 5


class Handover:
    """The line to the notifier."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=ANSWER_S + 3, socket_connect_timeout=3)

    async def hand_in(self, order: dict[str, Any]) -> None:
        """Return once the notifier has carried it out and written it down.

        Raises:
            Refused: it was refused, with the notifier's reason; or nobody answered.
        """
        name = uuid.uuid4().hex
        try:
            await self._redis.rpush(ORDERS, json.dumps({"id": name, "order": order}))
            item = await self._redis.blpop([REPLY + name], timeout=ANSWER_S)
        except (RedisError, OSError):
            item = None
        if item is None:
            raise Refused("the notifier does not answer; look whether it was done before you try again")
        answer = json.loads(item[1])
        if not answer.get("ok"):
            raise Refused(str(answer.get("error") or "refused"))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()
