"""E-mail against a real SMTP server: headers without chat text, one thread an alert, and every way it can say no."""

from __future__ import annotations

import asyncio
import contextlib
import email
import io
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import SecretStr

from alerts.letters import letter
from alerts.mail import Mail, Marks, compose, message_id, picture_of
from alerts.notifiers import Rejected, Unavailable
from alerts.outbox import Row, Store
from alerts.state import State
from alerts.tell import Tell, now_ms
from config.settings import Channel, SettingsError
from tests.alerts.receiver import drips, hangs, raw, resets, row, run, until
from tests.alerts.test_letters import body

SECRET = "canary-mail-password"


@dataclass
class Mailbox:
    """Takes mail, or says no with `answers` first."""

    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    tried: list[bytes] = field(default_factory=list)
    """Every letter, taken or not."""
    answers: list[str] = field(default_factory=list)
    """What is said first; empty: nothing, for ever."""
    at: str = "DATA"

    def _say(self, at: str) -> str | None:
        return self.answers.pop(0) if self.answers and at == self.at else None

    async def handle_RCPT(self, _server: Any, _session: Session, envelope: Envelope, to: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        no = self._say("RCPT")
        if no is None:
            envelope.rcpt_tos.append(to)
        return no or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # the same
        no = self._say("DATA")
        assert isinstance(envelope.content, bytes)
        self.tried.append(envelope.content)
        if no == "":
            await asyncio.sleep(3600)
        if no is None:
            self.raw.append(envelope.content)
            self.got.append(email.message_from_bytes(envelope.content, policy=modern))
        return no or "250 OK"


@contextlib.asynccontextmanager
async def mailbox(tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Mailbox]:
    """A mail server on a free port; `tls`: from the start."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="mx.example", loop=loop, **options), "127.0.0.1", 0, ssl=tls
    )
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()


def channel(port: int | str, timeout_s: float = 5, secret: str | None = None, scheme: str = "smtp") -> Channel:
    return Channel(
        name="mail",
        type="email",
        url=f"{scheme}://tide@127.0.0.1:{port}/?from=tide@shop.example&to=a@ops.example,b@ops.example",
        secret=SecretStr(secret) if secret else None,
        allow_private=True,
        timeout_s=timeout_s,
    )


async def send(port: int | str, *rows: Row, timeout_s: float = 5, secret: str | None = None) -> None:
    door = Mail(channel(port, timeout_s, secret))
    await door.send(rows or [row()])
    await door.close()


def test_a_letter_arrives_whole_for_everybody() -> None:
    async def story() -> None:
        async with mailbox() as box:
            await send(box.port, row(samples=["退款三天了"]))
            (mail,) = box.got
            assert mail["Subject"] == "◆ Warning Returns: Backlog 30 (limit 20)"
            assert (mail["From"], mail["To"]) == ("tide@shop.example", "a@ops.example, b@ops.example")
            plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
            assert plain is not None
            assert html is not None
            for part in (plain, html):
                assert "退款三天了" in part.get_content()
                assert "https://board.example/?queue=returns" in part.get_content()

    run(story())


CHART = {
    "from": 1_772_435_000_000, "step_s": 60, "customer_messages": [float(n % 40) for n in range(180)],
    "expected": [20.0] * 180, "low": [5.0] * 90 + [None] * 90, "high": [45.0] * 180,
}  # fmt: skip


def test_the_last_hours_come_with_the_letter_as_a_picture_that_nothing_is_fetched_for() -> None:
    async def story() -> None:
        async with mailbox() as box:
            await send(box.port, row(chart=CHART))
            (mail,) = box.got
            (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
            content = picture.get_content()
            assert picture["Content-Disposition"].startswith("inline")
            html = mail.get_body(("html",))
            assert html is not None
            assert f'src="cid:{picture["Content-ID"][1:-1]}"' in html.get_content()
            assert "http://" not in html.get_content().replace("http://www.w3.org", "")
            image = Image.open(io.BytesIO(content))
            image.load()
            assert (image.format, image.size) == ("PNG", (640, 200))
            assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 4, "something is drawn"
            assert len(content) < 20_000

    run(story())


@pytest.mark.parametrize(
    "chart",
    [
        None, {}, {"from": 0, "customer_messages": []}, {"from": 0, "customer_messages": [0] * 180},
        {"from": 0, "customer_messages": [None, None]},
    ],
)  # fmt: skip
def test_where_nothing_is_to_be_seen_there_is_no_picture(chart: Any) -> None:
    assert picture_of([body(chart=chart)]) is None


def test_a_picture_takes_any_numbers() -> None:
    for values in ([1e12, 3.0], [0.01, 0.02], [None, 5, None, 7], list(range(5_000))):
        assert picture_of([body(chart={"from": 0, "customer_messages": values, "low": [None], "high": values})])


def test_all_letters_about_an_alert_are_one_thread_and_a_retry_is_the_same_letter() -> None:
    async def story() -> None:
        async with mailbox() as box:
            fired = row(created_at=1)
            for one in (fired, fired, row(state="resolved", created_at=2)):
                await send(box.port, one)
            first, again, over = box.got
            assert first["Message-ID"] == again["Message-ID"] != over["Message-ID"]
            assert first["Date"] == again["Date"]
            assert first["References"] == over["References"] == over["In-Reply-To"]

    run(story())


@pytest.mark.slow
def test_greylisted_refused_or_never_answered_every_retry_is_the_same_letter(tmp_path: Path) -> None:
    async def story() -> None:
        async with mailbox() as box:
            box.answers = ["451 greylisted", "", "452 full", "421 later"]
            with Store(tmp_path / "n.db") as store:
                store.commit(State(), State(), [row(channel="mail", created_at=now_ms())])
                task = asyncio.create_task(Tell(store, {"mail": Mail(channel(box.port, 0.5))}, lambda *_: None).run())
                try:
                    await until(lambda: store.unsettled() == {})
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            assert len(box.tried) == 5
            assert len({email.message_from_bytes(one)["Message-ID"] for one in box.tried}) == 1
            assert len(box.got) == 1

    run(story())


def test_many_alerts_are_one_letter() -> None:
    async def story() -> None:
        async with mailbox() as box:
            await send(box.port, *(row(f"a{n}") for n in range(500)))
            (mail,) = box.got
            assert mail["Subject"] == "500 alerts: 500 open, 0 resolved"
            assert mail["References"] is None

    run(story())


@pytest.mark.parametrize(
    ("at", "answer", "error"),
    [
        ("DATA", "451 try later", Unavailable), ("DATA", "452 full", Unavailable), ("DATA", "550 no", Rejected),
        ("DATA", "554 spam", Rejected), ("RCPT", "450 greylisted", Unavailable), ("RCPT", "550 unknown", Rejected),
    ],
)  # fmt: skip
def test_a_4xx_is_tried_again_and_a_5xx_is_not(at: str, answer: str, error: type[Exception]) -> None:
    async def story() -> None:
        async with mailbox() as box:
            box.at, box.answers = at, [answer] * (2 if at == "RCPT" else 1)  # one a recipient
            with pytest.raises(error, match=answer[:3]):
                await send(box.port)
            await send(box.port)  # greylisting: the same letter later
            assert len(box.got) == 1

    run(story())


@pytest.mark.slow
def test_one_that_never_answers_drips_or_hangs_up_is_given_up_within_the_time_limit() -> None:
    async def story() -> None:
        for behave in (hangs, drips, resets):
            async with raw(behave) as url:
                with pytest.raises(Unavailable):
                    await asyncio.wait_for(send(url.rpartition(":")[2], timeout_s=0.5), 60)

    run(story())


def test_a_password_never_crosses_a_wire_in_the_clear() -> None:
    async def story() -> None:
        async with mailbox() as box:  # offers no TLS
            with pytest.raises(Unavailable) as told:
                await send(box.port, secret=SECRET)
            assert SECRET not in repr(told.value)
            assert box.got == []

    run(story())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS, and that of a client which trusts it."""
    made = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mx.example",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made / "k.pem", "-out", made / "c.pem"],
        capture_output=True, check=True,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(made / "c.pem", made / "k.pem")
    return server, ssl.create_default_context(cafile=str(made / "c.pem"))


Tls = tuple[ssl.SSLContext, ssl.SSLContext]


def test_a_certificate_nobody_signed_is_not_trusted(certificate: Tls) -> None:
    async def story() -> None:
        async with mailbox(tls_context=certificate[0]) as box:
            with pytest.raises(Unavailable, match="its certificate is not trusted"):
                await send(box.port, secret=SECRET)
            assert box.got == []

    run(story())


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it cannot see the TLS around it
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("right", [True, False])
def test_a_password_is_given_over_tls_that_began_either_way(certificate: Tls, scheme: str, right: bool) -> None:
    async def story() -> None:
        inside = {"auth_required": True, "auth_require_tls": scheme == "smtp", "authenticator": allow}
        options = {"tls_context": certificate[0], "require_starttls": True} if scheme == "smtp" else {}
        async with mailbox(certificate[0] if scheme == "smtps" else None, **inside, **options) as box:
            secret = SECRET if right else "wrong"
            door = Mail(channel(box.port, secret=secret, scheme=scheme), trusted=certificate[1])
            if right:
                await door.send([row()])
            else:
                with pytest.raises(Rejected, match="535"):
                    await door.send([row()])
            await door.close()
            assert len(box.got) == right

    run(story())


def allow(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    """Who may send."""
    good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"tide", SECRET.encode())
    return AuthResult(success=good, handled=False)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("smtp://mx.example/?to=a@b.c", "from is missing"), ("smtp://mx.example/?from=a@b.c", "to is missing"),
        ("https://mx.example/", "smtp://"), ("smtp://127.0.0.1/?from=a@b.c&to=d@e.f", "not public"), (None, "smtp://"),
    ],
)  # fmt: skip
def test_a_wrong_address_stops_the_start_and_says_what_is_allowed(url: str | None, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Mail(Channel(name="mail", type="email", url=url))


HEADERS = [
    "Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Content-Type",
    "MIME-Version",
]  # fmt: skip
HOSTILE = [
    "x\r\nBcc: all@evil.example\r\n\r\nhello", "a\rb", "a\nb", "=?utf-8?q?=0d=0aBcc:_x@evil.example?=",
    "=?utf-8?b?DQpCY2M6IHhAZXZpbC5leGFtcGxl?=", "a\u2028b\u2029c", "x" * 5_000, "\n.\n", ".\r\n.", "\x00\x08", "\u202e",
]  # fmt: skip


@pytest.mark.parametrize("where", ["samples", "queue"])
def test_no_text_adds_or_changes_a_header_or_ends_the_letter(where: str) -> None:
    """Neither what a customer wrote, nor a queue that a source named badly."""

    async def story() -> None:
        async with mailbox() as box:
            for text in HOSTILE:
                said: dict[str, Any] = {"samples": [text], "keywords": [text]}
                named: dict[str, Any] = {"queue": text, "summary": {"zh": text, "en": text}}
                await send(box.port, row(**(said if where == "samples" else named)))
            for text, mail, raw_mail in zip(HOSTILE, box.got, box.raw, strict=True):
                assert sorted(mail.keys()) == sorted(HEADERS), text[:40]
                assert mail["To"] == "a@ops.example, b@ops.example"
                plain = mail.get_body(("plain",))
                assert plain is not None
                assert "Board: https://board.example" in plain.get_content()
                assert max(len(line) for line in raw_mail.split(b"\r\n")) <= 998

    run(story())


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=60)
@pytest.mark.slow
def test_the_header_set_is_the_same_whatever_was_written(name: str, said: str) -> None:
    text = name.encode("utf-8", "replace").decode()
    told = letter([body(summary={"zh": text, "en": text}, samples=[said.encode("utf-8", "replace").decode()])], "en")
    mail = compose(told, Marks(["a1"], "<x@y>", 0), "a@b.c", ["d@e.f"])
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert email.message_from_bytes(mail.as_bytes(), policy=modern).keys() == mail.keys()


def test_a_letters_id_is_that_of_its_rows() -> None:
    assert message_id([row("a"), row("b")]) == message_id([row("a"), row("b")]) != message_id([row("a")])
