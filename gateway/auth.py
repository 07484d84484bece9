"""Token + now → who, and what they may do. Pure: no clock, no file, no network.

Three things are signed with the same secret, told apart by `aud`, so that none passes for another: a *token* (programs
send it), a *ticket* (a link to the board carries it; it opens a session and nothing else) and a *session* (the cookie
of a browser, which scripts cannot read). HS256 only, whatever a header claims.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qsl

import jwt

TOKEN, TICKET, SESSION = "tidewatch", "tidewatch-ticket", "tidewatch-session"
SUBPROTOCOL = "tidewatch.v1"
MIN_SECRET = 32
"""Characters: 256 bits are what HS256 asks for. Source: RFC 7518 §3.2."""
SESSION_S = 12 * 3600
"""A browser's session, at most. Source: OWASP ASVS 5.0 7.3.2, for this kind of application."""
LEEWAY_S = 60
"""For clocks that disagree about when a token begins. An end is an end: `exp` has no leeway."""
ROLES = ("ingest", "replay", "viewer", "supervisor", "analyst", "admin")
VIEWERS = frozenset({"viewer", "supervisor", "analyst", "admin"})
"""Who may look. A `viewer` (a TV on the wall) may do nothing else, and reads nothing that a customer wrote."""

_LONGEST = 8_192


class Denied(Exception):
    """The token is not one we take. The message says why, without the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who it is."""

    sub: str
    tenant: str
    """A tenant's name, or `*` for all."""
    roles: frozenset[str]
    exp: float
    """Seconds since the epoch."""
    run: str = ""
    """Of a ticket: the run of the stack it belongs to; empty: any."""
    link: str = ""
    """The TV link that it belongs to, and ends with; empty: none."""


def sign_token(secret: str, sub: str, tenant: str, roles: Iterable[str], ttl_s: float, now: float) -> str:
    """A token that ends `ttl_s` seconds after `now` (seconds since the epoch)."""
    return _sign(secret, TOKEN, Claims(sub, tenant, frozenset(roles), now + ttl_s))


def sign_ticket(
    secret: str, sub: str, tenant: str, roles: Iterable[str], ttl_s: float, now: float, run: str = "", link: str = ""
) -> str:
    """A ticket for a link to the board, `/?ticket=…`: it opens sessions and does nothing else.

    It ends after `ttl_s` seconds; with `run` also with that run of the stack. With `link` it opens one session, once,
    which ends with that TV link.
    """
    return _sign(secret, TICKET, Claims(sub, tenant, frozenset(roles), now + ttl_s, run, link))


def _sign(secret: str, audience: str, claims: Claims) -> str:
    roles = sorted(claims.roles)
    body = {"sub": claims.sub, "tenant": claims.tenant, "roles": roles, "exp": int(claims.exp), "aud": audience}
    more = {name: value for name, value in (("run", claims.run), ("link", claims.link)) if value}
    return jwt.encode(body | more, secret, algorithm="HS256")


def check(token: str, secret: str, now: float, audience: str = TOKEN) -> Claims:
    """Who a token speaks for.

    Raises:
        Denied: it is not ours, not for this, not yet or no longer valid, or says too little.
    """
    if len(token) > _LONGEST:
        raise Denied("too long")
    try:
        whole = jwt.decode_complete(
            token,
            secret,
            algorithms=["HS256"],
            audience=audience,
            options={"require": ["exp", "sub", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise Denied(type(error).__name__) from None
    kind = whole["header"].get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise Denied("another type of token")
    return _claims(whole["payload"], now)


def _claims(body: Mapping[str, Any], now: float) -> Claims:
    sub, tenant, roles, exp = body["sub"], body.get("tenant"), body.get("roles"), body["exp"]
    begins = [body.get(name, now) for name in ("nbf", "iat")]
    if not all(_is_time(at) for at in (exp, *begins)):
        raise Denied("times that are no numbers")
    if exp <= now:
        raise Denied("ended")
    if max(begins) > now + LEEWAY_S:
        raise Denied("not valid yet")
    if not isinstance(sub, str) or not sub or not isinstance(tenant, str) or not 0 < len(tenant) <= 64:
        raise Denied("no subject or no tenant")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise Denied("no roles")
    return Claims(sub, tenant, frozenset(roles), float(exp), str(body.get("run", "")), str(body.get("link", "")))


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


# --- a request → who asks, and by what


Way = Literal["header", "subprotocol", "cookie"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request for a socket. With `claims`: it opens. Without: `status` is why, and how it is told."""

    claims: Claims | None
    way: Way | None = None
    status: Literal[0, 401, 403] = 0
    reason: str = ""

    @property
    def close_code(self) -> int | None:
        """The code to close with right after opening, so that a page can tell why; None: answer with HTTP."""
        return 4000 + self.status if self.status and self.way == "subprotocol" else None


@dataclass(frozen=True, slots=True)
class Door:
    """A path that opens a socket, and who may pass."""

    any_of: frozenset[str]
    all_of: frozenset[str] = frozenset()
    cookies: bool = False
    """Whether a browser's session opens it."""
    socket: bool = True
    """Whether it is one: browsers say where they open a socket from; of a plain GET of their own page they do not."""

    def admits(self, roles: Collection[str]) -> bool:
        """True where these roles suffice."""
        return bool(self.any_of & set(roles)) and self.all_of <= set(roles)


def door_of(path: str, query: str) -> Door | None:
    """The door behind a path; None: there is none."""
    if path == "/v1/live":
        return Door(VIEWERS, cookies=True)
    if path == "/v1/ingest":
        return Door(frozenset({"ingest"}), frozenset({"replay"}) if is_replay(query) else frozenset())
    return None


def is_replay(query: str) -> bool:
    """True for `?replay=1`."""
    return ("replay", "1") in parse_qsl(query)


@dataclass(frozen=True, slots=True)
class Asking:
    """The headers of a request that matter here."""

    authorization: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    cookie: str = ""
    origin: tuple[str, ...] = ()
    host: tuple[str, ...] = ()


def judge(asking: Asking, door: Door, secret: str, now: float, origins: Collection[str]) -> Verdict:
    """Whether a socket opens. A foreign origin never does; nor does a cookie without an origin of ours."""
    way, token = credential(asking, door)
    if asking.origin and not is_own_origin(asking, origins):
        return Verdict(None, None, 403, "origin")
    if way == "cookie" and door.socket and not asking.origin:
        return Verdict(None, None, 403, "origin")
    if way is None:
        return Verdict(None, None, 401, "no token")
    try:
        claims = check(token, secret, now, SESSION if way == "cookie" else TOKEN)
    except Denied as denied:
        return Verdict(None, way, 401, str(denied))
    if not door.admits(claims.roles):
        return Verdict(None, way, 403, "role")
    return Verdict(claims, way)


def credential(asking: Asking, door: Door) -> tuple[Way | None, str]:
    """By what the request means to be let in. A header wins over a subprotocol, and both over a cookie."""
    if asking.authorization:
        scheme, _, token = asking.authorization[0].partition(" ")
        return "header", token.strip() if len(asking.authorization) == 1 and scheme.lower() == "bearer" else ""
    bearers = [name.removeprefix("bearer.") for name in asking.protocols if name.startswith("bearer.")]
    if bearers:
        return "subprotocol", bearers[0] if len(bearers) == 1 else ""
    session = session_cookie(asking)
    return ("cookie", session) if session and door.cookies else (None, "")


_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")


def is_own_origin(asking: Asking, origins: Collection[str]) -> bool:
    """True for the gateway's own origin and those of the settings, to the letter."""
    if len(asking.origin) != 1 or len(asking.host) != 1:
        return False
    origin, host = asking.origin[0], asking.host[0].lower()
    return bool(_ORIGIN.fullmatch(origin)) and (origin in origins or origin in {f"http://{host}", f"https://{host}"})


# --- sessions of browsers


def cookie_name(asking: Asking) -> str:
    """The session's cookie. Cookies do not know ports, and two gateways may run on one machine: so it names its own."""
    port = asking.host[0].rpartition(":")[2] if asking.host and ":" in asking.host[0] else ""
    return f"tidewatch-session-{port}" if port.isdigit() else "tidewatch-session"


def session_cookie(asking: Asking) -> str:
    """The session that a request carries, unchecked; empty: none."""
    try:
        found = SimpleCookie(asking.cookie).get(cookie_name(asking))
    except CookieError:
        return ""
    return found.value if found else ""


def open_session(ticket: str, secret: str, now: float, run: str = "") -> tuple[Claims, str]:
    """The session that a ticket opens, and its signed form. `run`: the run of the stack that goes on now.

    Raises:
        Denied: the ticket is none, or has ended.
    """
    claims = check(ticket, secret, now, TICKET)
    if claims.run not in {"", run}:
        raise Denied("of another run")
    if claims.link:
        raise Denied("of a TV link, which opens otherwise")
    session = Claims(claims.sub, claims.tenant, claims.roles & VIEWERS, min(claims.exp, now + SESSION_S))
    return session, sign_session(secret, session)


def sign_session(secret: str, session: Claims) -> str:
    """The signed form of a session, for a cookie."""
    return _sign(secret, SESSION, session)


def set_cookie(asking: Asking, session: str, lasts_s: float, secure: bool) -> str:
    """The `Set-Cookie` header for a session."""
    flags = "; Secure" if secure else ""
    return f"{cookie_name(asking)}={session}; Path=/; Max-Age={int(lasts_s)}; HttpOnly; SameSite=Strict{flags}"
