"""Over three hundred hostile strings through every channel: nobody is called, nothing is a link, no header is changed.

Each is what a customer wrote, and the name of a queue besides.
"""

from __future__ import annotations

import asyncio
import email
import html.parser
import json
import re
from collections.abc import Sequence
from email.policy import default as modern
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from alerts.letters import JOINER, MOST_SAID
from alerts.mail import Mail
from alerts.notifiers import Console
from alerts.outbox import Row
from alerts.slack import Slack
from config.settings import Channel
from tests.alerts.corpus import corpus
from tests.alerts.receiver import receiver, row, run
from tests.alerts.slack import APP, BOT, seen, slack
from tests.alerts.test_doors import DOORS, GOOD, Memory
from tests.alerts.test_mail import HEADERS, mailbox

pytestmark = pytest.mark.slow

CORPUS = corpus()
BOARD = "https://board.example/?queue=returns"


def rows() -> list[Row]:
    """An alert for each string: said by a customer, and in the names of what the alert is about."""
    found = []
    for number, text in enumerate(CORPUS):
        told = {"samples": [text], "keywords": [text, "退款"]} if number % 2 else {}
        named = {"queue": text[:200], "summary": {"zh": text, "en": text}, "group": text[:200]}
        found.append(row(f"a{number}", **(told or named)))
    both = [row(f"b{number}", samples=[text], keywords=[text]) for number, text in enumerate(CORPUS) if not number % 2]
    return found + both


def test_there_are_over_three_hundred_each_once() -> None:
    assert len(set(CORPUS)) == len(CORPUS) >= 300


def lone(text: str) -> bool:
    """Whether `&`, `<` or `>` stands in text that Slack would read, other than as its escapes."""
    return bool(re.search(r"&(?!lt;|gt;|amp;)", text)) or bool(re.search(r"<(?!https://board\.example)", text))


def test_slack_calls_nobody_and_links_only_to_what_is_ours() -> None:
    async def story() -> list[dict[str, Any]]:
        async with slack() as there:
            url = f"{there.url}/api/?channel=C1"
            channel = Channel(
                name="chat", type="slack", url=url, secret=SecretStr(BOT), app_token=SecretStr(APP),
                people={"U1": "li"}, allow_private=True,
            )  # fmt: skip
            door = Slack(channel, Memory())
            for one in rows():
                await door.send([one])
            await door.send(rows())
            await door.close()
            return list(there.messages.values())

    for message in run(story(), within_s=120):
        shown = seen(message)
        assert shown.mentions == [], message
        assert set(shown.links) <= {BOARD}, message
        for block in message["blocks"]:
            for part in (block.get("text"), *block.get("elements", ())):
                if isinstance(part, dict) and part.get("type") == "mrkdwn":
                    assert not lone(part["text"]), part
                    assert part["verbatim"] is True
                    assert len(part["text"]) <= 3_000
        assert not lone(message["text"])
        assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)


def test_what_is_shown_in_slack_is_escaped_exactly_once() -> None:
    async def story() -> list[str]:
        async with receiver() as there:
            door = DOORS["slack"](there.url, 5, True)
            for text in ("a & b < c > d", "&lt;!channel&gt;", "&amp;amp;"):
                await door.send([row(summary={"zh": text, "en": text})])
            await door.close()
            return [seen(post.json).text for post in there.posts]

    for text, shown in zip(("a & b < c > d", "&lt;!channel&gt;", "&amp;amp;"), run(story()), strict=True):
        assert text in shown


async def posted(name: str, found: Sequence[Row]) -> list[Any]:
    async with receiver() as there:
        there.answer = lambda _: web.json_response(GOOD)
        door = DOORS[name](there.url, 5, True)
        for one in found:
            await door.send([one])
        await door.close()
        return [post.json for post in there.posts]


@pytest.mark.parametrize("name", ["wecom", "dingtalk", "feishu"])
def test_no_robot_calls_anybody_or_shows_a_link_that_is_not_ours(name: str) -> None:
    for message in run(posted(name, rows()), within_s=120):
        text = json.dumps(message, ensure_ascii=False)
        assert not re.search(r"@(all|所有人|here|channel|everyone|\d{11})", text), text[:300]
        assert "<" not in text
        assert set(re.findall(r"https?://[^\s\"\\]+", text)) <= {BOARD}, text[:300]


def test_the_webhook_is_the_object_to_the_byte() -> None:
    found = rows()
    for one, got in zip(found, run(posted("webhook", found), within_s=120), strict=True):
        assert got == json.loads(one.body)


@pytest.mark.parametrize("name", ["pagerduty", "alertmanager"])
def test_other_peoples_machines_are_told_nothing_that_customers_wrote(name: str) -> None:
    canary = [row(f"a{number}", samples=[f"CANARY {text}"], keywords=["CANARY"]) for number, text in enumerate(CORPUS)]
    assert "CANARY" not in json.dumps(run(posted(name, canary), within_s=120))
    for message in run(posted(name, rows()), within_s=120):
        assert all(char.isprintable() or char in "\n\u200d" + JOINER for char in _strings(message)), message


def _strings(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_strings(part) for part in value.values())
    return "".join(map(_strings, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


class Tags(html.parser.HTMLParser):
    """What a mail program would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}


def test_no_letter_has_another_header_another_link_or_another_tag() -> None:
    async def story() -> list[bytes]:
        async with mailbox() as box:
            url = f"smtp://127.0.0.1:{box.port}/?from=tide@shop.example&to=a@ops.example"
            door = Mail(Channel(name="mail", type="email", url=url, allow_private=True))
            for one in rows():
                await door.send([one])
            return box.raw

    for raw in run(story(), within_s=240):
        mail = email.message_from_bytes(raw, policy=modern)
        assert sorted(mail.keys()) == sorted(HEADERS)
        assert (mail["From"], mail["To"]) == ("tide@shop.example", "a@ops.example")
        assert not mail.defects
        part, tags = mail.get_body(("html",)), Tags()
        assert part is not None
        tags.feed(part.get_content())
        assert tags.tags <= {"html", "head", "meta", "body", "div", "table", "tr", "td", "p", "ul", "li", "a"}
        assert tags.links <= {BOARD}
        assert tags.attributes <= {"lang", "charset", "style", "role", "href"}


def test_no_word_of_a_customer_stands_in_a_header() -> None:
    async def story() -> list[bytes]:
        async with mailbox() as box:
            url = f"smtp://127.0.0.1:{box.port}/?from=tide@shop.example&to=a@ops.example"
            door = Mail(Channel(name="mail", type="email", url=url, allow_private=True))
            await door.send([row(samples=["CANARY"], keywords=["CANARY"])])
            return box.raw

    (raw,) = run(story())
    assert b"CANARY" not in raw.partition(b"\r\n\r\n")[0]
    mail = email.message_from_bytes(raw, policy=modern)
    assert all("CANARY" not in str(value) for value in mail.values())


def test_the_log_has_a_line_an_alert_and_no_word_of_a_customer(capsys: pytest.CaptureFixture[str]) -> None:
    canary = [row(f"a{n}", samples=[f"CANARY {text}"], keywords=[text]) for n, text in enumerate(CORPUS)]
    asyncio.run(Console().send(canary))
    said = "".join(capsys.readouterr())
    assert said.count("\n") == len(canary)
    assert "CANARY" not in said
    assert "\x1b[31mred" not in said


def test_what_is_shown_is_short() -> None:
    from alerts.letters import tame

    for text in CORPUS:
        assert len(tame(text)) <= 8 * MOST_SAID
        assert JOINER * 2 not in tame(text)
