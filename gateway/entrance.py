"""What becomes of a request, before anything is served: routes, tokens, origins. Denied by default.

Every path is in the table of `gateway.routes`; everything else is 404. A socket's token is judged here; who came with a
token in a subprotocol and is refused gets an open socket that closes at once, so that a page can tell why.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qs, parse_qsl, urlencode

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway import api, auth, routes
from gateway.metrics import Metrics

log = structlog.get_logger()

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise."""

_ANY = auth.Door(auth.VIEWERS)
LIVE = "/v1/live"
METHODS = ("GET", "HEAD")
"""HEAD is what balancers and monitors ask: judged and answered as GET is, without the body; it opens no ticket."""

_REFUSED = {
    401: ("not signed in", "send a token in Authorization: Bearer, or open the board by its link"),
    403: ("your role does not allow this", "ask an admin for a token of another role"),
}


@dataclass(frozen=True, slots=True)
class Plain:
    """A question by plain GET that was let in."""

    route: routes.Route
    part: str
    query: str
    claims: auth.Claims | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A TV link is being opened; whether it may be is for Redis to say."""

    ticket: auth.Claims
    headers: Headers
    query: str


Page = Callable[[str, str, Mapping[str, str], auth.Claims | None], Response | None]
"""The board: path, query, headers, who reads → the answer, or None where the path is none of its own."""
Checks = Callable[[], tuple[bool, dict[str, str]]]
"""Whether the gateway is ready; and what it needs → `ok`, or why that is not there."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What requests are judged by."""

    secret: str
    origins: frozenset[str]
    run: Callable[[], str]
    """The run of the stack that goes on."""
    lives: Callable[[str, float], bool] = lambda _link, _now: False
    """Whether a TV link still opens anything."""


def asking(headers: Headers) -> auth.Asking:
    """The headers that say who asks."""
    named = ",".join(headers.get_all("Sec-WebSocket-Protocol"))
    return auth.Asking(
        authorization=tuple(headers.get_all("Authorization")),
        protocols=tuple(name.strip() for name in named.split(",") if name.strip()),
        cookie="; ".join(headers.get_all("Cookie")),
        origin=tuple(headers.get_all("Origin")),
        host=tuple(headers.get_all("Host")),
    )


def choose_subprotocol(_: ServerConnection, offered: object) -> Subprotocol | None:
    """`tidewatch.v1` where it is offered; a token is never chosen, so never sent back."""
    return Subprotocol(auth.SUBPROTOCOL) if isinstance(offered, list | tuple) and auth.SUBPROTOCOL in offered else None


def answer(status: int, text: str, kind: str = "text/plain; charset=utf-8", more: Mapping[str, str] = SAFE) -> Response:
    """An HTTP answer with the headers every one has."""
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), **more})
    return Response(status, HTTPStatus(status).phrase, headers, body)


def refuse(status: int) -> Response:
    """One shape for every refusal, whatever the reason was."""
    more = {**SAFE, "WWW-Authenticate": "Bearer"} if status == 401 else SAFE
    more = {**more, "Allow": ", ".join(METHODS)} if status == 405 else more
    return answer(status, HTTPStatus(status).phrase + "\n", more=more)


class Entrance:
    """Judges requests. `sockets` holds, for each connection that may open, who it is and by what it came."""

    def __init__(self, rules: Rules, page: Page, checks: Checks, metrics: Metrics) -> None:
        self._rules = rules
        self._page = page
        self._checks = checks
        self._metrics = metrics
        self._said = Seldom()
        self.room: Callable[[str, str], bool] = lambda _address, _path: True
        """Whether one more connection from this address may open at this path."""

    def judge(self, request: Request, address: str) -> auth.Verdict | Response | Plain | Opening:
        """The answer to a request; or for a socket whether it opens; or what is to be asked before there is one."""
        path, _, query = request.path.partition("?")
        head = request.method == "HEAD"
        if request.method not in METHODS or (head and is_upgrade(request.headers)):
            return refuse(405)
        if head and path == "/":
            query = ""
        if not path.startswith("/") or len(request.headers.get_all("Host")) > 1:
            return refuse(400)
        found = routes.find(path)
        if found is None:
            return refuse(404)
        try:
            if found[0].answer is not None and not (path == LIVE and is_upgrade(request.headers)):
                return self._plain(Plain(*found, query, None), request.headers, address)
            door = auth.door_of(path, query)
            if door is None:
                return self._get(path, query, request.headers)
            verdict = self._verdict(request.headers, door)
        except (ValueError, MultipleValuesError):
            return refuse(400)
        if verdict.status:
            self._metrics.denied.labels(status=str(verdict.status)).inc()
            self._said.warning("request_denied", path=path, status=verdict.status, reason=verdict.reason, by=address)
            return verdict if verdict.close_code else refuse(verdict.status)
        if not is_upgrade(request.headers):
            return answer(426, "Upgrade Required\n", more={**SAFE, "Upgrade": "websocket"})
        return verdict if self.room(address, path) else refuse(503)

    def _plain(self, plain: Plain, headers: Headers, address: str) -> Response | Plain:
        """Let a question in, or say why not: whose roles suffice, by token or by a browser's session."""
        if not plain.route.roles:
            return plain
        door = auth.Door(plain.route.roles, cookies=True, socket=False)
        verdict = self._verdict(headers, door)
        if verdict.claims is None:
            self._metrics.denied.labels(status=str(verdict.status)).inc()
            path = plain.route.path
            self._said.warning("request_denied", path=path, status=verdict.status, reason=verdict.reason, by=address)
            return api.refusal(verdict.status, *_REFUSED[verdict.status])
        return replace(plain, claims=verdict.claims)

    def _verdict(self, headers: Headers, door: auth.Door) -> auth.Verdict:
        now = time.time()
        verdict = auth.judge(asking(headers), door, self._rules.secret, now, self._rules.origins)
        if verdict.claims is not None and verdict.claims.link and not self._rules.lives(verdict.claims.link, now):
            return auth.Verdict(None, verdict.way, 401, "the TV link has ended")
        return verdict

    def _tv_ticket(self, query: str) -> auth.Claims | None:
        """The ticket of a TV link that a request brings."""
        tickets = parse_qs(query).get("ticket", [])
        try:
            found = auth.check(tickets[0], self._rules.secret, time.time(), auth.TICKET) if tickets else None
        except auth.Denied:
            return None
        return found if found is not None and found.link else None

    def opened(self, opening: Opening, claims: auth.Claims | None) -> Response:
        """The answer to an opening. With `claims`: the session, and the page under an address without the ticket.

        Without: whoever has a session of before goes on with it; others see a page that says they are not signed in.
        """
        if claims is None:
            return self._board("/", "", opening.headers)
        rest = urlencode([pair for pair in parse_qsl(opening.query) if pair[0] != "ticket"])
        session = auth.sign_session(self._rules.secret, claims)
        secure = opening.headers.get("X-Forwarded-Proto") == "https"
        cookie = auth.set_cookie(asking(opening.headers), session, claims.exp - time.time(), secure)
        more = {**SAFE, "Location": f"/?{rest}" if rest else "/", "Set-Cookie": cookie}
        return answer(303, "See Other\n", more=more)

    def _get(self, path: str, query: str, headers: Headers) -> Response | Opening:
        ticket = self._tv_ticket(query) if path == "/" else None
        if ticket is not None:
            return Opening(ticket, headers, query)
        match path:
            case "/healthz":
                return answer(200, "ok\n")
            case "/readyz":
                return self._ready()
            case "/metrics":
                return answer(200, self._metrics.text().decode(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return self._board(path, query, headers)

    def _ready(self) -> Response:
        ready, checks = self._checks()
        said = json.dumps({"ready": ready, "checks": checks}) + "\n"
        return answer(200 if ready else 503, said, "application/json")

    def _board(self, path: str, query: str, headers: Headers) -> Response:
        asked = asking(headers)
        claims, cookie = self._session(query if path == "/" else "", asked, headers.get("X-Forwarded-Proto") == "https")
        page = self._page(path, query, headers, claims)
        if page is None:
            return refuse(404)
        for name, value in SAFE.items():
            page.headers.setdefault(name, value)
        if cookie:
            page.headers["Set-Cookie"] = cookie
        return page

    def _session(self, query: str, asked: auth.Asking, secure: bool) -> tuple[auth.Claims | None, str]:
        """Who reads, by ticket, header or cookie; and the cookie to set."""
        now = time.time()
        tickets = parse_qs(query).get("ticket", [])
        try:
            if tickets:
                claims, session = auth.open_session(tickets[0], self._rules.secret, now, self._rules.run())
                return claims, auth.set_cookie(asked, session, claims.exp - now, secure)
            if asked.authorization:
                return auth.check(auth.credential(asked, _ANY)[1], self._rules.secret, now), ""
            found = auth.session_cookie(asked)
            held = auth.check(found, self._rules.secret, now, auth.SESSION) if found else None
            ended = held is not None and held.link and not self._rules.lives(held.link, now)
            return None if ended else held, ""
        except auth.Denied as denied:
            self._metrics.denied.labels(status="401").inc()
            self._said.warning("session_denied", reason=str(denied))
            return None, ""


def is_upgrade(headers: Headers) -> bool:
    """Whether the request asks for a socket at all."""
    return any("websocket" in value.lower() for value in headers.get_all("Upgrade"))


class Seldom:
    """Logs at most `most` lines a minute, and then how many it left out: whoever knocks cannot fill the disk."""

    def __init__(self, most: int = 30) -> None:
        self._most = most
        self._minute = 0
        self._lines = 0

    def warning(self, event: str, **said: object) -> None:
        """One line, if there is room for it."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            if self._lines > self._most:
                log.warning("lines_left_out", lines=self._lines - self._most)
            self._minute, self._lines = minute, 0
        self._lines += 1
        if self._lines <= self._most:
            log.warning(event, **said)
