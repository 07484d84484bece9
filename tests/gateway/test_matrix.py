"""Role × route × tenant: every cell is asserted, and a route that has no row here fails."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import openapi
from gateway.auth import ROLES, sign_ticket
from gateway.links import Links
from gateway.routes import ROUTES, Route, find
from tests.board.scenes import surge
from tests.board.stage import Feeder, running_redis
from tests.gateway.rig import SECRET, gate, run, token

pytestmark = pytest.mark.slow

EVERYBODY = {"", *ROLES}
LOOKERS = {"viewer", "supervisor", "analyst", "admin"}
DRILLERS = {"supervisor", "analyst", "admin"}
MAY: dict[str, set[str]] = {
    "/healthz": EVERYBODY,
    "/readyz": EVERYBODY,
    "/metrics": EVERYBODY,
    "/": EVERYBODY,
    "/board/{file}": EVERYBODY,
    "/v1/openapi.json": EVERYBODY,
    "/v1/ingest": {"ingest"},
    "/v1/live": LOOKERS,
    "/v1/conversations": DRILLERS,
    "/v1/conversation": DRILLERS,
    "/v1/receipt": DRILLERS,
    "/v1/history": LOOKERS,
    "/v1/outcomes": LOOKERS,
    "/v1/alerts": LOOKERS,
    "/v1/boards": LOOKERS,
    "/v1/boards/{name}": LOOKERS,
    "/v1/keys": LOOKERS,
    "/v1/links": {"admin"},
}
"""Path → who may; the empty role: nobody at all. Written by hand: it must not follow the table by itself."""
SAID = {
    "/v1/conversations": "metric=backlog",
    "/v1/conversation": "conversation=c",
    "/v1/receipt": "metric=backlog",
    "/v1/history": "metric=offered&from=2026-11-21T00:00:00Z",
    "/v1/outcomes": "from=2026-11-21T00:00:00Z",
}
"""A question that is right, where one needs words."""


def url_of(route: Route, more: str = "") -> str:
    path = route.path.replace("{file}", "board.js").replace("{name}", "billing")
    query = "&".join(filter(None, [SAID.get(route.path, ""), more]))
    return path + (f"?{query}" if query else "")


def test_every_route_has_its_row() -> None:
    assert {route.path for route in ROUTES} == MAY.keys()


def test_every_route_that_answers_has_somebody_who_does() -> None:
    async def story() -> None:
        from config.settings import Settings
        from gateway.api import Api
        from gateway.boards import Boards
        from gateway.mirror import Mirror

        settings = Settings()
        answers = Api(settings, Mirror(settings), Boards(None), Links("redis://127.0.0.1:9/0")).routes
        assert answers.keys() == {route.path for route in ROUTES if route.answer is not None}

    run(story())


def test_every_cell_of_roles_and_routes(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            wrong = []
            for route in ROUTES:
                for role in ["", *ROLES]:
                    bearer = {"Authorization": f"Bearer {token(role, tenant='shop')}"} if role else {}
                    async with web.get(url_of(route), headers=bearer) as answer:
                        status = answer.status
                        await answer.read()
                    may = role in MAY[route.path]
                    refused = status == (401 if not role else 403)
                    if refused is may:
                        wrong.append((route.path, role, status))
            assert wrong == []

    run(story())


def test_another_tenant_is_never_answered_for_and_ones_own_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:

            async def get(route: Route, role: str, more: str) -> tuple[int, Any]:
                bearer = {"Authorization": f"Bearer {token(role, tenant='shop')}"}
                async with web.get(url_of(route, more), headers=bearer) as answer:
                    return answer.status, await answer.text()

            for route in ROUTES:
                if not any(one.name == "tenant" for one in route.parameters):
                    continue
                for role in sorted(MAY[route.path]):
                    theirs, nobodys = [await get(route, role, f"tenant={name}") for name in ("rival", "never-was")]
                    assert theirs == nobodys, (route.path, role)
                    assert theirs[0] == 404, (route.path, role)
                    status, said = await get(route, role, "tenant=shop")
                    billing = route.path == "/v1/boards/{name}"
                    assert status == (503 if route.stored else 404 if billing else 200), (route.path, role, said)

    run(story())


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_a_foreign_origin_gets_nothing_even_with_a_token(tmp_path: Path, origin: str) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            headers = {"Authorization": f"Bearer {token('admin')}", "Origin": origin}
            async with web.get("/v1/keys", headers=headers) as answer:
                assert answer.status == 403
            async with web.get("/v1/keys", headers={"Authorization": headers["Authorization"]}) as answer:
                assert answer.status == 200
                assert "Access-Control-Allow-Origin" not in answer.headers
                assert answer.headers["Cache-Control"] == "no-store"

    run(story())


def test_a_board_whose_file_cannot_be_used_is_not_one_that_never_was(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "late.toml").write_text("tiles = ['nonsense']")

    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            viewer = {"Authorization": f"Bearer {token('viewer', tenant='shop')}"}
            for name, status, words in (("late", 409, "late.toml: tiles: 'nonsense'"), ("none", 404, "no such board")):
                async with web.get(f"/v1/boards/{name}", headers=viewer) as answer:
                    said = await answer.json()
                    assert (answer.status, words in said["error"]) == (status, True), said

    run(story())


def test_a_question_that_cannot_be_read_is_told_so_and_nothing_breaks(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            admin = {"Authorization": f"Bearer {token('admin', tenant='shop')}"}
            for path, status in (
                ("/v1/keys?x=1", 400), ("/v1/keys?tenant=", 400), ("/v1/keys?tenant=shop&tenant=shop", 400),
                ("/v1/keys?%zz", 400), ("/v1/keys?tenant=%ff", 400), ("/v1/keys?" + "x" * 4_000, 400),
                ("/v1/conversations?metric=backlog&queue=a%00b", 400),
                ("/v1/conversations?metric=backlog&topic=", 400),
                ("/v1/conversations?metric=backlog&agent=a%00b", 400), ("/v1/receipt?metric=backlog&topic=refund", 400),
                ("/v1/conversations?metric=backlog&topic='--&agent=x&tenant=shop", 503),
                ("/v1/boards/", 404), ("/v1/nothing", 404),
                ("/v1/history?metric=offered,offered&from=2026-11-21T00:00:00Z", 400), ("/v1/conversations/", 404),
                ("/v1/boards/..%2f..%2fetc", 404),
            ):  # fmt: skip
                async with web.get(path, headers=admin) as answer:
                    text = await answer.text()
                    assert answer.status == status, (path, text)
                    if answer.content_type == "application/json":
                        assert json.loads(text).keys() == {"error", "mend"}

    run(story())


def test_a_path_that_does_not_say_whose_shows_nobody_elses(tmp_path: Path) -> None:
    """Beside the routes that take a tenant: the feed asked plainly, and what is of no tenant at all."""
    quiet = {"/", "/healthz", "/readyz", "/metrics", "/board/{file}", "/v1/openapi.json", "/v1/ingest"}
    open_to_all = {one.path for one in ROUTES if not any(part.name == "tenant" for part in one.parameters)} - quiet
    assert open_to_all == {"/v1/live", "/v1/links"}

    async def story() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with running_redis(Path(folder)) as url, gate(tmp_path, redis={"url": url}) as gateway:
                feeder, links = Feeder(url), Links(url)
                await feeder.write(surge(1_795_226_400_000, "rival"))
                await links.make("a wall of theirs", "rival", "somebody", 1, SECRET)
                async with aiohttp.ClientSession(f"http://{gateway.host}") as web:

                    async def told(path: str, tenant: str) -> str:
                        bearer = {"Authorization": f"Bearer {token('admin', tenant=tenant)}"}
                        async with web.get(path, headers=bearer) as answer:
                            assert answer.status == 200
                            return await answer.text()

                    for path, word in (("/v1/live", "returns"), ("/v1/links", "a wall of theirs")):
                        async with asyncio.timeout(30):
                            while word not in await told(path, "rival"):
                                await asyncio.sleep(0.05)
                        assert word not in await told(path, "shop")
                        assert "rival" not in await told(path, "shop")
                    said = json.loads(await told("/v1/live", "shop"))
                    assert said["keys"] == said["alerts"] == said["agents"] == []
                for one in (feeder, links):
                    await one.close()

    run(story())


def test_head_is_answered_as_get_is_without_the_body(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            for route in ROUTES:
                for role in ("", "viewer", "admin"):
                    bearer = {"Authorization": f"Bearer {token(role, tenant='shop')}"} if role else {}
                    async with web.get(url_of(route), headers=bearer) as got:
                        await got.read()
                    async with web.head(url_of(route), headers=bearer) as said:
                        assert await said.read() == b""
                    assert said.status == got.status, (route.path, role)
                    assert said.headers.keys() == got.headers.keys(), (route.path, role)
                    assert said.headers["Content-Type"] == got.headers["Content-Type"]
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Authorization": f"Bearer {token('admin')}"}
            async with web.head("/v1/live", headers=upgrade) as said:
                assert (said.status, said.headers["Allow"]) == (405, "GET, HEAD")
            ticket = sign_ticket(SECRET, "tests", "*", ("supervisor",), 600, time.time())
            async with web.head(f"/?ticket={ticket}") as said:
                assert (said.status, "Set-Cookie" in said.headers) == (200, False)

    run(story())


def test_the_document_is_the_table_and_is_served(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            async with web.get("/v1/openapi.json") as answer:
                assert answer.status == 200
                said = await answer.json()
            assert said == json.loads(json.dumps(openapi.document()))
            assert said["paths"].keys() == {route.path for route in ROUTES}
            for route in ROUTES:
                operation = said["paths"][route.path]["get"]
                assert [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"] == [
                    one.name for one in route.parameters
                ]
                assert ("security" in operation) is bool(route.roles)

    run(story())


def test_a_path_is_found_by_its_whole_shape() -> None:
    assert find("/v1/boards/billing") is not None
    assert find("/v1/boards/billing/more") is None
    assert find("/v1/boards/") is None
