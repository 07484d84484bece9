"""`/v1/…` by plain GET: a question that was let in → its answer, as JSON. Every way it can go wrong has its own answer.

The entrance has judged who asks before anything comes here; here is judged whose numbers are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from websockets.datastructures import Headers
from websockets.http11 import Response

from config.settings import Settings
from gateway import asked, openapi
from gateway.alarms import alarms
from gateway.asked import Asked, Wrong
from gateway.auth import Claims
from gateway.boards import METRICS, RIBBONS, TILES, Boards
from gateway.catalogue import keys, shown
from gateway.dialogue import conversation
from gateway.drill import conversations
from gateway.frames import Scope, rights
from gateway.links import Links
from gateway.mirror import Mirror
from gateway.outcomes import outcomes
from gateway.past import history
from gateway.questions import Away, Questions, TooMuch
from gateway.receipts import of_episode, of_key
from gateway.routes import Route
from streams.policy import Policies

log = structlog.get_logger()

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Cookie, Authorization",
}
"""On every answer: nobody else's page may read it, and no cache keeps it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and whose numbers: all that an answer needs beside the question."""

    tenant: str
    """`*`: all that the token may see, where the route is not about one tenant."""
    drills: bool
    """Whether what customers wrote may be shown."""
    sub: str = ""
    roles: frozenset[str] = frozenset()


Answers = Callable[[Asked, Asker], Awaitable[Mapping[str, Any] | bytes]]


class Api:
    """Answers questions. `routes` says which; the table in `gateway.routes` says which there must be.

    `differs` is told of every receipt whose number came to something else when it was reckoned anew.
    """

    def __init__(
        self,
        settings: Settings,
        mirror: Mirror,
        boards: Boards,
        links: Links,
        differs: Callable[[], None] = lambda: None,
    ) -> None:
        self.questions = Questions(settings)
        self._mirror = mirror
        self._boards = boards
        self._differs = differs
        self._links = links
        self._policies = Policies(settings)
        self.routes: dict[str, Answers] = {
            "/v1/openapi.json": self._document,
            "/v1/live": self._snapshot,
            "/v1/keys": self._keys,
            "/v1/conversations": self._conversations,
            "/v1/conversation": self._conversation,
            "/v1/history": self._history,
            "/v1/outcomes": self._outcomes,
            "/v1/receipt": self._receipt,
            "/v1/boards": self._all_boards,
            "/v1/boards/{name}": self._board,
            "/v1/links": self._all_links,
            "/v1/alerts": self._alerts,
        }

    async def answer(self, route: Route, part: str, query: str, claims: Claims | None) -> Response:
        """The answer to a question that was let in. Never raises."""
        try:
            question = asked.read(route, part, query)
            return said(200, await self.routes[route.path](question, self._asker(question, claims)))
        except Wrong as wrong:
            return refusal(wrong.status, str(wrong), wrong.mend)
        except Away as away:
            return refusal(503, str(away), "the question is good: ask again later", away.retry_s)
        except TooMuch:
            return refusal(
                503, "the answer would be too large, or take too long", "ask for a shorter span or one key", 30
            )
        except Exception as error:
            log.exception("answer_failed", path=route.path, error=type(error).__name__)
            return refusal(500, "internal error", "look into the gateway's log")

    async def close(self) -> None:
        """Let go of the connections."""
        await self.questions.close()

    def _asker(self, question: Asked, claims: Claims | None) -> Asker:
        if claims is None:
            return Asker("", False)
        known = self._mirror.held.tenants()
        given = question.maybe("tenant")
        tenanted = question.route.tenanted or given is not None
        tenant = asked.whose(given, claims.tenant, known) if tenanted else claims.tenant
        return Asker(tenant, "drill" in rights(claims.roles), claims.sub, claims.roles)

    async def _document(self, _question: Asked, _asker: Asker) -> bytes:
        return openapi.served()

    async def _snapshot(self, _question: Asked, asker: Asker) -> bytes:
        feed = self._mirror.feed(Scope(asker.tenant, reads=asker.drills))
        return b"".join(feed.snapshot(self._mirror.held, self._mirror.now(), asker.sub, asker.roles))

    async def _conversations(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        answer = await conversations(self.questions, question, asker.tenant, self._policies(asker.tenant))
        return answer | shown(self._mirror.held, question, asker.tenant, answer["window"])

    async def _conversation(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        return await conversation(self.questions, asker.tenant, question.text("conversation"), asker.drills)

    async def _history(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        return await history(self.questions, question, asker.tenant)

    async def _outcomes(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        return await outcomes(self.questions, question, asker.tenant)

    async def _receipt(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        answer = await self._receipt_of(question, asker)
        if answer["settled"] and answer["difference"]:
            self._differs()
            log.error("receipt_differs", tenant=asker.tenant, metric=answer["metric"], by=answer["difference"])
        return answer

    async def _receipt_of(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        policy = self._policies(asker.tenant)
        if question.maybe("conversation") is not None:
            return await of_episode(self.questions, question, asker.tenant, policy)

        def live(window: str | None) -> tuple[float | None, str | None]:
            found = shown(self._mirror.held, question, asker.tenant, window)
            return found["shown"], found["shown_as_of"]

        return await of_key(self.questions, question, asker.tenant, policy, live)

    async def _alerts(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        now = time.time_ns() // 1_000_000
        return await alarms(self.questions, question, asker.tenant, now, asker.drills)

    async def _all_boards(self, _question: Asked, asker: Asker) -> Mapping[str, Any]:
        boards, problems = self._boards.all_of(asker.tenant)
        told = {"boards": [board.told() for board in boards], "problems": problems}
        return told | {"tiles": TILES, "metrics": METRICS, "ribbons": RIBBONS}

    async def _board(self, question: Asked, asker: Asker) -> Mapping[str, Any]:
        board = self._boards.one(question.part, asker.tenant)
        fault = self._boards.fault(question.part, asker.tenant) if board is None else None
        if fault is not None:
            raise Wrong(
                fault, "mend this file in the directory of boards; /v1/boards lists all that cannot be used", 409
            )
        if board is None:
            raise Wrong("there is no such board", "/v1/boards lists those there are", 404)
        return board.told()

    async def _all_links(self, _question: Asked, asker: Asker) -> Mapping[str, Any]:
        return {"links": [link.told() for link in self._links.of(asker.tenant)]}

    async def _keys(self, _question: Asked, asker: Asker) -> Mapping[str, Any]:
        return keys(self._mirror.held, asker.tenant)


def said(status: int, body: Mapping[str, Any] | bytes, more: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(raw)), **SAFE}
    return Response(status, HTTPStatus(status).phrase, Headers(headers | dict(more or {})), raw)


def refusal(status: int, error: str, mend: str, retry_s: int | None = None) -> Response:
    """Why there is no answer, and what to do about it."""
    more = {} if retry_s is None else {"Retry-After": str(retry_s)}
    if status == 401:
        more["WWW-Authenticate"] = "Bearer"
    return said(status, {"error": error, "mend": mend}, more)
