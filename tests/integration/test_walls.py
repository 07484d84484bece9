"""Boards and TV links through the running stack: an admin's orders, what others see of them, and what is written."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conformance.cases import Row
from tests.conftest import RunningStack
from tests.integration.outside import History, socket, wait
from tidewatch.access import make_token

BILLING = {
    "name": "billing", "title": {"zh": "账务", "en": "Billing"}, "tiles": ["backlog", "sl"], "queues": ["billing*"],
    "thresholds": [{"metric": "backlog", "queue": "billing", "warning": 10, "critical": 20}],
}  # fmt: skip


def order(stack: RunningStack, frame: Row, *roles: str, tenant: str = "*") -> Row:
    """The reply to an order."""
    token = make_token(stack.environment["TIDEWATCH_SECRET"], "ada", tenant, roles or ("admin",), timedelta(hours=1))
    with socket(stack.access["url"], "/v1/live", token) as door:
        door.recv(timeout=30)
        door.send(json.dumps(frame))
        while True:
            reply: Row = json.loads(door.recv(timeout=30))
            if reply["kind"] == "reply":
                return reply


def get(stack: RunningStack, path: str, *roles: str, tenant: str = "*") -> tuple[int, Any]:
    """Status and body of a plain GET."""
    token = make_token(stack.environment["TIDEWATCH_SECRET"], "ada", tenant, roles or ("admin",), timedelta(hours=1))

    async def ask() -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as web, web.get(stack.access["url"] + path) as answer:
            return answer.status, await answer.json()

    return asyncio.run(ask())


def test_a_board_is_saved_seen_changed_and_removed_and_all_of_it_is_audited(stack: RunningStack) -> None:
    saved = order(stack, {"board": BILLING})
    assert saved["ok"], saved
    status, board = get(stack, "/v1/boards/billing", "viewer", tenant="anybody")
    assert status == 200
    assert (board["title"]["zh"], board["version"]) == ("账务", saved["board"]["version"])
    file = stack.directory / "boards" / "billing.toml"
    assert file.stat().st_mode & 0o077 == 0
    stale = order(stack, {"board": {**BILLING, "version": "0123456789abcdef"}})
    assert (stale["ok"], "somebody else" in stale["error"]) == (False, True)
    changed = order(stack, {"board": {**BILLING, "tiles": ["tide"], "version": board["version"]}})
    assert changed["board"]["tiles"] == ["tide"]
    file.write_text(file.read_text().replace("tide", "csat"))
    assert get(stack, "/v1/boards/billing")[1]["tiles"] == ["csat"]
    file.write_text("tiles = ['nonsense']")
    assert "nonsense" in get(stack, "/v1/boards")[1]["problems"][0]
    assert order(stack, {"board": {**BILLING}})["ok"]  # a broken file may be written over
    assert order(stack, {"board": {"name": "billing", "remove": True}})["ok"]
    assert get(stack, "/v1/boards/billing")[0] == 404
    history = History(dict(stack.access))
    wait(
        "the audit", lambda: len(history.rows("SELECT * FROM audit WHERE action = 'board' AND object = 'billing'")) >= 4
    )


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"thresholds": [{"metric": "nonsense", "warning": 1}]}, ["nonsense", "backlog", "service_level"]),
        ({"tiles": ["pie"]}, ["pie", "sl"]),
        ({"name": "../../etc"}, ["letters"]),
        ({"colour": "red"}, ["colour", "tiles"]),
        ({"thresholds": [{"metric": "backlog", "near": 5, "warning": 3, "critical": 9}]}, ["rise or fall"]),
    ],
)
def test_a_board_that_cannot_be_is_refused_with_what_is_allowed(
    stack: RunningStack, wish: Row, words: list[str]
) -> None:
    reply = order(stack, {"board": {**BILLING, **wish}})
    assert not reply["ok"]
    assert [word for word in words if word not in reply["error"]] == []


def test_only_an_admin_saves_and_only_for_its_own_tenant(stack: RunningStack) -> None:
    assert "role" in order(stack, {"board": BILLING}, "supervisor", "analyst")["error"]
    assert "not yours" in order(stack, {"board": {**BILLING, "tenant": "rival"}}, tenant="a/../b")["error"]
    own = order(stack, {"board": {**BILLING, "name": "ours"}}, tenant="a/../b")
    assert own["board"]["tenant"] == "a/../b"
    assert get(stack, "/v1/boards/ours", tenant="a/../b")[0] == 200
    assert get(stack, "/v1/boards/ours", tenant="rival")[0] == 404
    assert [board["name"] for board in get(stack, "/v1/boards", tenant="rival")[1]["boards"]] == []
    assert {path.parent.parent for path in stack.directory.rglob("ours.toml")} == {stack.directory / "boards"}
    assert order(stack, {"board": {"name": "ours", "remove": True}}, tenant="a/../b")["ok"]


class Screen:
    """A TV: a browser without a keyboard."""

    def __init__(self, base: str, web: aiohttp.ClientSession) -> None:
        self.base, self.web = base, web

    async def open(self, url: str) -> tuple[str, str]:
        """The state that the page says it is in, and the address it ends at."""
        async with self.web.get(url) as page:
            text = await page.text()
            return text.partition('data-signed="')[2].partition('"')[0], str(page.url)

    async def status(self, path: str) -> int:
        """Of a plain GET."""
        async with self.web.get(self.base + path) as answer:
            return answer.status


def on_a_screen(stack: RunningStack, story: Callable[[Screen], Awaitable[None]]) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
            await asyncio.wait_for(story(Screen(stack.access["url"], web)), 60)

    asyncio.run(run())


def test_a_tv_link_opens_one_screen_once_shows_no_words_and_goes_dark_when_revoked(stack: RunningStack) -> None:
    made = order(stack, {"link": {"name": "lobby", "tenant": "shop"}})
    assert made["ok"], made

    async def story(tv: Screen) -> None:
        state, address = await tv.open(tv.base + made["url"])
        assert state == "yes"
        assert "ticket" not in address
        assert "view=tv" in address
        assert await tv.status("/v1/keys") == 200
        assert await tv.status("/v1/boards") == 200
        for path in ("/v1/conversations?metric=backlog", "/v1/conversation?conversation=c", "/v1/links"):
            assert await tv.status(path) == 403, path
        async with tv.web.ws_connect(f"{tv.base}/v1/live", origin=tv.base) as feed:
            first = json.loads((await feed.receive(10)).data)
            assert first["viewer"]["can"] == []
            await feed.send_str('{"ack": "x"}')
            assert (await asyncio.to_thread(order, stack, {"unlink": made["link"]["id"]}))["ok"]
            while True:
                said = await feed.receive(10)
                if said.type is not aiohttp.WSMsgType.TEXT:
                    break
            assert feed.close_code == 4401
        assert await tv.status("/v1/keys") == 401
        assert (await tv.open(tv.base + "/"))[0] == "no"

    on_a_screen(stack, story)

    async def again(tv: Screen) -> None:
        assert (await tv.open(tv.base + made["url"]))[0] == "no"

    on_a_screen(stack, again)


def test_a_ticket_is_good_for_one_opening(stack: RunningStack) -> None:
    made = order(stack, {"link": {"name": "twice"}})

    async def story(tv: Screen) -> None:
        assert (await tv.open(tv.base + made["url"]))[0] == "yes"
        assert (await tv.open(tv.base + made["url"]))[0] == "yes"  # its own session goes on

    async def other(tv: Screen) -> None:
        assert (await tv.open(tv.base + made["url"]))[0] == "no"

    on_a_screen(stack, story)
    on_a_screen(stack, other)
    listed = {link["name"]: link for link in get(stack, "/v1/links")[1]["links"]}
    assert listed["twice"]["opened_at"] is not None
    assert "ticket" not in json.dumps(listed)


def test_the_command_line_makes_lists_and_revokes_links(stack: RunningStack) -> None:
    def tv(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "tidewatch.cli", "tv", *words, "--data", str(stack.directory)]
        environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)

    made = tv("add", "door", "--tenant", "shop", "--days", "2")
    assert made.returncode == 0, made.stderr
    url = made.stdout.splitlines()[0]
    id_ = made.stdout.split("revoke ")[1].split()[0]

    async def story(screen: Screen) -> None:
        assert (await screen.open(url))[0] == "yes"

    on_a_screen(stack, story)
    assert f"{id_}  door  tenant shop" in tv("list").stdout
    assert tv("revoke", id_).returncode == 0
    assert "revoked" in next(line for line in tv("list").stdout.splitlines() if line.startswith(id_))
    wrong = tv("revoke", "nothing")
    assert (wrong.returncode, wrong.stderr) == (1, "tidewatch: tv: there is no such link\n")
