"""TV links: a screen on the wall that may look and nothing else, until its link is revoked or ends.

A link is known in Redis (hash `tw:links`), so every gateway and the command line see the same ones. What is printed is
a ticket: signed, good for ten minutes and for one opening. The session it opens names its link, and lives only as long
as that link does: revoking closes its screens within `FRESH_S` and a moment.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from gateway.auth import Claims, sign_ticket
from streams.windows import rfc3339

log = structlog.get_logger()

LINKS, USED = "tw:links", "tw:ticket:"
TICKET_S = 600
"""From printing a link to opening it on the screen."""
FRESH_S = 1.0
"""How old what is known of the links may be."""
MOST_LINKS, MOST_DAYS = 1_000, 400
VIEWER = ("viewer",)


class Impossible(Exception):
    """A link cannot be made or revoked. The message says why."""


class Link(msgspec.Struct):
    """One link. Instants in ms."""

    id: str
    name: str
    tenant: str
    by: str
    made_at: int
    until: int
    opened_at: int | None = None
    revoked_at: int | None = None

    def told(self) -> dict[str, Any]:
        """As `/v1/links` has it."""
        instants = {name: _instant(getattr(self, name)) for name in ("made_at", "until", "opened_at", "revoked_at")}
        return {"id": self.id, "name": self.name, "tenant": self.tenant, "by": self.by, **instants}


class Links:
    """The links, as of a second ago; `run` keeps them so."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self.known: dict[str, Link] = {}

    async def run(self) -> None:
        """Follow Redis until cancelled. Without it, what was known last stands."""
        while True:
            try:
                await self.refresh()
            except Impossible:
                log.debug("links_unknown")
            await asyncio.sleep(FRESH_S)

    async def refresh(self) -> None:
        """Read them now.

        Raises:
            Impossible: Redis does not answer.
        """
        raw: Mapping[bytes, bytes] = await self._ask(self._redis.hgetall(LINKS))
        self.known = {key.decode(): msgspec.json.decode(value, type=Link) for key, value in raw.items()}

    def lives(self, id_: str, now: float) -> bool:
        """Whether a link still opens anything. `now` in seconds since the epoch."""
        link = self.known.get(id_)
        return link is not None and link.revoked_at is None and link.until > now * 1_000

    def of(self, tenant: str) -> list[Link]:
        """The links of a tenant (`*`: all), the last made first."""
        found = [link for link in self.known.values() if tenant in ("*", link.tenant)]
        return sorted(found, key=lambda link: (-link.made_at, link.id))

    async def make(self, name: str, tenant: str, by: str, days: int, secret: str) -> tuple[Link, str]:
        """A new link, and its ticket.

        Raises:
            Impossible: Redis does not answer, or there are too many.
        """
        await self.refresh()
        if len(self.known) >= MOST_LINKS:
            raise Impossible(f"there are {MOST_LINKS} links already: revoke some")
        now = time.time()
        link = Link(secrets.token_hex(8), name, tenant, by, int(now * 1_000), int((now + days * 86_400) * 1_000))
        await self._put(link)
        return link, sign_ticket(secret, f"tv:{name}", tenant, VIEWER, TICKET_S, now, link=link.id)

    async def revoke(self, id_: str, tenant: str) -> Link:
        """End a link of a tenant (`*`: of any) for good.

        Raises:
            Impossible: there is none, or Redis does not answer.
        """
        await self.refresh()
        link = self.known.get(id_)
        if link is None or tenant not in ("*", link.tenant):
            raise Impossible("there is no such link")
        if link.revoked_at is None:
            link.revoked_at = int(time.time() * 1_000)
            await self._put(link)
        return link

    async def open(self, ticket: Claims) -> Claims | None:
        """Whom a ticket lets in, once; None: it was used, or its link is no more.

        Raises:
            Impossible: Redis does not answer.
        """
        await self.refresh()
        if not self.lives(ticket.link, time.time()):
            return None
        if not await self._ask(self._redis.set(USED + ticket.link, "1", nx=True)):
            return None
        link = self.known[ticket.link]
        link.opened_at = int(time.time() * 1_000)
        await self._put(link)
        return Claims(ticket.sub, link.tenant, frozenset(VIEWER), link.until / 1_000, link=link.id)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _put(self, link: Link) -> None:
        await self._ask(self._redis.hset(LINKS, link.id, msgspec.json.encode(link)))
        self.known[link.id] = link

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except (RedisError, OSError) as error:
            raise Impossible(f"Redis does not answer ({type(error).__name__})") from None


def _instant(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
