from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from gateway import auth
from gateway.auth import Asking, Claims, Denied, Door, judge

SECRET = "k" * 64
NOW = 1_795_226_400.0
LIVE = auth.door_of("/v1/live", "")
INGEST = auth.door_of("/v1/ingest", "")
REPLAY = auth.door_of("/v1/ingest", "replay=1")
BODY: dict[str, Any] = {"sub": "me", "tenant": "shop", "roles": ["ingest"], "exp": NOW + 60, "aud": "tidewatch"}


def signed(secret: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **more: Any) -> str:
    body = {name: value for name, value in {**BODY, **more}.items() if value is not None}
    return jwt.encode(body, secret, algorithm=algorithm, headers=headers)


def test_a_token_says_who_it_is() -> None:
    token = auth.sign_token(SECRET, "me", "*", ["ingest", "replay"], 60, NOW)
    assert auth.check(token, SECRET, NOW) == Claims("me", "*", frozenset({"ingest", "replay"}), NOW + 60)


def unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(BODY)}."


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "a.b.c", "." * 50, "x" * 65_536, unsigned(), signed(secret="j" * 64), signed(exp=None),
        signed(exp=NOW), signed(exp=NOW - 3_600), signed(exp="soon"), signed(exp=True), signed(nbf=NOW + 61),
        signed(iat=NOW + 3_600), signed(aud="elsewhere"), signed(aud=None), signed(aud="tidewatch-ticket"),
        signed(sub=None), signed(sub=""), signed(tenant=None), signed(tenant=""), signed(tenant=5),
        signed(roles=None), signed(roles="ingest"), signed(roles=[5]), signed(algorithm="HS512"),
        signed(headers={"typ": "at+jwt"}), signed(headers={"crit": ["b64"]}), signed()[:-3], signed() + "A",
    ],
)  # fmt: skip
def test_anything_else_is_denied_without_saying_the_token(token: str) -> None:
    begun = time.thread_time()  # of processor time: a busy machine takes none of it
    with pytest.raises(Denied) as caught:
        auth.check(token, SECRET, NOW)
    assert time.thread_time() - begun < 0.05
    assert token == "" or token not in str(caught.value)


def test_headers_that_point_at_keys_are_not_followed() -> None:
    assert auth.check(signed(headers={"jku": "http://127.0.0.1:1/", "kid": "../../dev/null"}), SECRET, NOW).sub == "me"


def test_clocks_may_disagree_by_a_minute_about_a_beginning() -> None:
    assert auth.check(signed(nbf=NOW + 59, iat=NOW + 59), SECRET, NOW).sub == "me"


def test_ticket_token_and_session_do_not_pass_for_each_other() -> None:
    ticket = auth.sign_ticket(SECRET, "board", "*", ["supervisor", "ingest"], 86_400, NOW)
    claims, session = auth.open_session(ticket, SECRET, NOW)
    assert claims == Claims("board", "*", frozenset({"supervisor"}), NOW + auth.SESSION_S)
    assert auth.check(session, SECRET, NOW, auth.SESSION).roles == {"supervisor"}
    for signed_thing, audience in ((ticket, auth.TOKEN), (session, auth.TOKEN), (session, auth.TICKET)):
        with pytest.raises(Denied):
            auth.check(signed_thing, SECRET, NOW, audience)
    with pytest.raises(Denied):
        auth.open_session(signed(roles=["supervisor"]), SECRET, NOW)


def test_a_ticket_of_a_run_ends_with_it() -> None:
    ticket = auth.sign_ticket(SECRET, "board", "*", ["supervisor"], 86_400, NOW, run="first")
    assert auth.open_session(ticket, SECRET, NOW, "first")
    with pytest.raises(Denied):
        auth.open_session(ticket, SECRET, NOW, "second")


# Doors


def asked(door: Door | None, origins: tuple[str, ...] = (), **more: Any) -> tuple[int, int | None]:
    assert door is not None
    verdict = judge(Asking(**more), door, SECRET, NOW, origins)
    assert (verdict.claims is None) == bool(verdict.status)
    return verdict.status, verdict.close_code


def bearer(*roles: str) -> tuple[str]:
    return (f"Bearer {signed(roles=list(roles))}",)


def test_every_role_opens_its_doors_and_no_other() -> None:
    opens = {
        "ingest": [INGEST], "replay": [], "supervisor": [LIVE], "analyst": [LIVE], "admin": [LIVE], "nobody": [],
    }  # fmt: skip
    for role, doors in opens.items():
        for door in (INGEST, REPLAY, LIVE):
            assert asked(door, authorization=bearer(role))[0] == (0 if door in doors else 403), (role, door)
    assert asked(REPLAY, authorization=bearer("ingest", "replay"))[0] == 0


def test_every_other_path_is_no_door() -> None:
    assert [auth.door_of(path, "") for path in ("/", "/v1", "/v1/live/", "/V1/LIVE", "//v1/live", "")] == [None] * 6
    assert auth.door_of("/v1/ingest", "replay=0") == INGEST
    assert auth.door_of("/v1/ingest", "x=1&replay=1") == REPLAY


def test_a_wrong_header_is_told_by_http_and_a_wrong_subprotocol_by_a_close_code() -> None:
    assert asked(INGEST) == (401, None)
    assert asked(INGEST, authorization=("Bearer nonsense",)) == (401, None)
    assert asked(INGEST, authorization=("Basic abc",)) == (401, None)
    assert asked(INGEST, authorization=bearer("ingest") * 2) == (401, None)
    assert asked(LIVE, authorization=bearer("ingest")) == (403, None)
    assert asked(INGEST, protocols=("tidewatch.v1", "bearer.nonsense")) == (401, 4401)
    assert asked(LIVE, protocols=("tidewatch.v1", f"bearer.{signed()}")) == (403, 4403)
    assert asked(INGEST, protocols=("tidewatch.v1", f"bearer.{signed()}")) == (0, None)
    assert asked(INGEST, protocols=("tidewatch.v1",)) == (401, None)
    assert asked(INGEST, authorization=(f"bearer {signed()}",)) == (0, None)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.com", "null", "", "http://ok.example.evil.com", "HTTP://127.0.0.1:8400", "http://127.0.0.1:8401",
     "http://127.0.0.1", "http://127.0.0.1:8400/", "http://127.0.0.1:8400 ", "ftp://127.0.0.1:8400",
     "https://ok.example:444", "http://ok.example", "file://"],
)  # fmt: skip
def test_a_foreign_origin_never_opens_a_socket(origin: str) -> None:
    for door, credential in ((INGEST, {"authorization": bearer("ingest")}), (LIVE, {"cookie": cookie()})):
        status, _ = asked(door, ("https://ok.example",), origin=(origin,), host=("127.0.0.1:8400",), **credential)
        assert status == 403


def cookie(name: str = "tidewatch-session-8400") -> str:
    ticket = auth.sign_ticket(SECRET, "board", "*", ["supervisor"], 60, NOW)
    return f"a=b; {name}={auth.open_session(ticket, SECRET, NOW)[1]}"


def test_ones_own_origin_and_those_of_the_settings_open_it() -> None:
    for origin in ("http://127.0.0.1:8400", "https://127.0.0.1:8400", "https://ok.example"):
        more = {"origin": (origin,), "host": ("127.0.0.1:8400",)}
        assert asked(LIVE, ("https://ok.example",), cookie=cookie(), **more) == (0, None)
        assert asked(INGEST, ("https://ok.example",), authorization=bearer("ingest"), **more) == (0, None)


def test_a_cookie_opens_the_live_door_only_and_never_without_an_origin() -> None:
    host = ("127.0.0.1:8400",)
    assert asked(LIVE, cookie=cookie(), host=host)[0] == 403
    assert asked(INGEST, cookie=cookie(), host=host, origin=("http://127.0.0.1:8400",))[0] == 401
    stale = cookie("tidewatch-session-9999")
    assert asked(LIVE, cookie=stale, host=host, origin=("http://127.0.0.1:8400",))[0] == 401


def test_scripts_cannot_read_the_session() -> None:
    told = auth.set_cookie(Asking(host=("127.0.0.1:8400",)), "abc", 60, secure=True)
    assert told == "tidewatch-session-8400=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
