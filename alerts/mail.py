"""E-mail: `url = "smtp://USER@HOST:PORT/?from=…&to=…,…"` (`smtps://` for TLS from the start), `secret` the password.

All letters about an alert are one thread (`References`), and a retry carries the same `Message-ID`, so that a mailbox
shows each once. No word of a customer stands in a header. A password is only sent over TLS.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from email.utils import format_datetime
from urllib.parse import SplitResult, parse_qs, unquote

import aiosmtplib
import msgspec
from aiohttp.abc import AbstractResolver

from alerts.addresses import Forbidden, GuardedResolver, check_address, check_url
from alerts.chart import png
from alerts.letters import JOINER, Body, Language, Letter, letter
from alerts.notifiers import Rejected, Unavailable, language_of
from alerts.outbox import Row
from alerts.paper import caption, page
from alerts.posting import MOST_TIMEOUT_S
from alerts.readings import instant_ms
from alerts.troubles import fault_of
from config.settings import Channel, SettingsError

MOST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Marks:
    """What names a letter: the same on every try. `at` (ms) dates it; `ids`: the alerts it is about."""

    ids: Sequence[str]
    message_id: str
    at: int

    @property
    def root(self) -> str:
        """What all letters about a lone alert refer to, so that they are one thread."""
        return f"<{self.ids[0]}@alerts.tidewatch>"


def compose(
    told: Letter,
    marks: Marks,
    sender: str,
    to: Sequence[str],
    language: Language = "en",
    picture: Picture | None = None,
) -> EmailMessage:
    """The letter as a message: text and HTML, with the picture of the last hours where there is one."""
    mail = EmailMessage(policy=MAIL_POLICY)
    mail["Subject"] = _one_header(told.title)
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(marks.at / 1000, UTC))
    mail["Message-ID"] = marks.message_id
    if len(marks.ids) == 1:
        mail["In-Reply-To"], mail["References"] = marks.root, marks.root
    mail["Auto-Submitted"] = "auto-generated"
    links = [f"{name}: {url}" for name, url in told.links]
    parts = ("\n".join(part) for part in ((told.title,), told.lines, told.said, links) if part)
    mail.set_content("\n\n".join(parts) + "\n", cte="base64")
    content_id = f"<chart.{marks.message_id[1:-1]}>"
    shown = page(told, language, (content_id[1:-1], picture.caption) if picture is not None else None)
    mail.add_alternative(shown, subtype="html", cte="base64")
    if picture is not None:
        html = list(mail.iter_parts())[1]
        assert isinstance(html, EmailMessage)  # noqa: S101  # for the types: it was added as one
        html.add_related(picture.png, "image", "png", cid=content_id, disposition="inline", filename="chart.png")
    return mail


def _one_header(text: str) -> str:
    """Text for a header. What looks like an encoded word is broken up: Python 3.11 decodes it, line ends included."""
    return text[:MOST_SUBJECT].replace("=?", f"={JOINER}?")


def message_id(rows: Sequence[Row]) -> str:
    """The same for the same rows."""
    text = "\x00".join(f"{row.alert} {row.state} {row.kind} {row.created_at}" for row in rows)
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:32]}@alerts.tidewatch>"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, and what it shows."""

    png: bytes
    caption: str


def picture_of(bodies: Sequence[Body], language: Language = "en") -> Picture | None:
    """The last hours of a lone alert, if they came with it."""
    body = bodies[-1]
    chart = body.get("chart")
    if not isinstance(chart, dict) or len({str(one["alert"]) for one in bodies}) > 1:
        return None
    drawn = png(chart, instant_ms(body["since"]), str(body.get("zone") or "UTC"))
    return None if drawn is None else Picture(drawn, caption(chart, language))


class Mail:
    """One mailbox, or several. Many alerts at once are one message."""

    batch, gap_ms, steady = 1_000, 1_000, True

    def __init__(
        self, channel: Channel, resolver: AbstractResolver | None = None, trusted: ssl.SSLContext | None = None
    ) -> None:
        self._parts, self._trusted = _checked(channel), trusted
        query = parse_qs(self._parts.query)
        self._sender, self._to = query["from"][0], query["to"][0].split(",")
        self._language = language_of(self._parts.fragment, "en")
        self._password = channel.secret.get_secret_value() if channel.secret else None
        self._timeout_s = min(channel.timeout_s, MOST_TIMEOUT_S)
        self._allow_private = channel.allow_private
        self._guard = GuardedResolver(channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """One message for all rows."""
        bodies: list[Body] = [msgspec.json.decode(row.body) for row in rows]
        ids = list(dict.fromkeys(row.alert for row in rows))
        told = letter(bodies, self._language)
        marks = Marks(ids, message_id(rows), rows[-1].created_at)
        picture = await asyncio.to_thread(picture_of, bodies, self._language)
        mail = compose(told, marks, self._sender, self._to, self._language, picture)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._deliver(mail)
        except TimeoutError:
            raise Unavailable("no answer within the time limit") from None
        except Forbidden as error:
            raise Rejected(str(error)) from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = {refused.code for refused in error.recipients}
            raise (Unavailable if any(400 <= code < 500 for code in codes) else Rejected)(f"answered {codes}") from None
        except aiosmtplib.SMTPResponseException as error:
            kind = Rejected if 500 <= error.code < 600 else Unavailable
            raise kind(f"answered {error.code}") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Unavailable(f"cannot be reached: {fault_of(error)}") from None

    async def _deliver(self, mail: EmailMessage) -> None:
        host, tls = str(self._parts.hostname), self._parts.scheme == "smtps"
        client = aiosmtplib.SMTP(
            hostname=host,
            sock=await self._connected(host, self._parts.port or (465 if tls else 587)),
            use_tls=tls,
            start_tls=False,
            tls_context=self._trusted,
            timeout=self._timeout_s,
        )
        async with client:
            if not tls and (self._password is not None or client.supports_extension("starttls")):
                await client.starttls(server_hostname=host)
            if self._password is not None:
                await client.login(unquote(self._parts.username or ""), self._password)
            await client.send_message(mail, sender=self._sender, recipients=self._to)

    async def _connected(self, host: str, port: int) -> socket.socket:
        """A connection to an address of the host that was checked."""
        found = await self._guard.resolve(host, port)
        loop, last = asyncio.get_running_loop(), OSError("no address")
        for entry in found:
            check_address(entry["host"], self._allow_private)
            sock = socket.socket(entry["family"], socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, (entry["host"], port))
            except OSError as error:
                sock.close()
                last = error
            except asyncio.CancelledError:
                sock.close()
                raise
            else:
                return sock
        raise last

    async def close(self) -> None:
        """Nothing stays open."""
        await self._guard.close()


def _checked(channel: Channel) -> SplitResult:
    try:
        parts = check_url(channel.url or "", channel.allow_private, ("smtp", "smtps"))
    except Forbidden as error:
        raise SettingsError(f"channels: {channel.name}: url: {error}") from None
    query = parse_qs(parts.query)
    for name in ("from", "to"):
        if not query.get(name, [""])[0].count("@"):
            raise SettingsError(f"channels: {channel.name}: url: {name} is missing (allowed: ?from=a@b.c&to=d@e.f)")
    return parts
