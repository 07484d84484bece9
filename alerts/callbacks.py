"""The two ways in which Slack says that a button was pressed: a socket we open, or a post to a door of ours.

The socket (Socket Mode, `app_token`) needs no open door. The door (`callbacks.port`, `signing_secret`) takes only what
is signed, lately and for the first time; it listens on loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import msgspec
import structlog
from aiohttp import web

from alerts.buttons import Buttons
from alerts.notifiers import Rejected, Unavailable
from alerts.outbox import Store
from alerts.slack_api import SIGNED_WITHIN_S, Api, signed
from alerts.watch import Watch
from config.settings import Callbacks, Channel, Settings

log = structlog.get_logger()

MOST_BODY = 65_536
MOST_SEEN = 10_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class SocketMode:
    """One channel's socket, opened again for ever."""

    def __init__(self, api: Api, buttons: Buttons) -> None:
        self._api, self._buttons = api, buttons

    async def run(self) -> None:
        """Hear what is pressed. A socket that ends is opened again, with growing pauses while it cannot be."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with self._api.socket() as socket:
                    if await self._hear(socket):
                        pause = FIRST_PAUSE_S
            except (Unavailable, Rejected, ConnectionError) as error:
                log.warning("slack_socket_away", channel=self._buttons.name, reason=str(error), again_s=round(pause))
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Until it ends. Whether Slack ever greeted us on it."""
        greeted = False
        async with asyncio.TaskGroup() as doing:
            async for message in socket:
                envelope = _object(message.data if message.type is aiohttp.WSMsgType.TEXT else b"")
                greeted |= envelope.get("type") == "hello"
                if envelope.get("type") == "disconnect":
                    break
                if "envelope_id" in envelope:  # Slack asks again after 3 s: first say that it was heard
                    await socket.send_str(msgspec.json.encode({"envelope_id": envelope["envelope_id"]}).decode())
                    payload = envelope.get("payload")
                    if isinstance(payload, dict):
                        doing.create_task(self._buttons.pressed(payload), name="pressed")
        return greeted


class Door:
    """`POST /slack`: Slack's request URL."""

    def __init__(self, wanted: Callbacks, secrets: Sequence[tuple[str, Buttons]]) -> None:
        self._wanted, self._secrets = wanted, secrets
        self._seen: OrderedDict[str, float] = OrderedDict()
        self.port = wanted.port or 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The door is open while the body runs."""
        app = web.Application(client_max_size=MOST_BODY)
        app.router.add_post("/slack", self._pressed)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._wanted.host, self._wanted.port).start()
            self.port = runner.addresses[0][1]
            log.info("callbacks_ready", host=self._wanted.host, port=self.port)
            yield
        finally:
            await runner.cleanup()

    async def _pressed(self, request: web.Request) -> web.Response:
        body = await request.read()
        found = [one for secret, one in self._secrets if signed(secret, request.headers, body, time.time())]
        if not found or not self._first_time(request.headers["X-Slack-Signature"]):
            log.warning("callback_refused", bytes=len(body))
            return web.Response(status=401)
        payload = _object(parse_qs(body.decode(errors="replace")).get("payload", [""])[0])
        await _meant(found, payload).pressed(payload)
        return web.Response()

    def _first_time(self, signature: str) -> bool:
        """Whether this very post was not here before, while it would still be believed."""
        now = time.monotonic()
        while self._seen and (next(iter(self._seen.values())) < now or len(self._seen) > MOST_SEEN):
            self._seen.popitem(last=False)
        if signature in self._seen:
            return False
        self._seen[signature] = now + 2 * SIGNED_WITHIN_S
        return True


def _meant(found: Sequence[Buttons], payload: Mapping[str, Any]) -> Buttons:
    """Of the channels that share an app, the one that was told of the alert."""
    ids = {str(action.get("value")) for action in payload.get("actions") or () if isinstance(action, dict)}
    return next((one for one in found if any(one.knows(id_) for id_ in ids)), found[0])


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


class Answering:
    """All that answers buttons; nothing where no channel has any."""

    def __init__(self, settings: Settings, watch: Watch, store: Store) -> None:
        self._apis: list[Api] = []
        self._sockets: list[SocketMode] = []
        secrets: list[tuple[str, Buttons]] = []
        for channel in settings.channels:
            if channel.type == "slack" and channel.people and (channel.app_token or channel.signing_secret):
                buttons = self._buttons(channel, watch, store)
                if channel.signing_secret:
                    secrets.append((channel.signing_secret.get_secret_value(), buttons))
        self.door = Door(settings.callbacks, secrets) if secrets and settings.callbacks.port is not None else None

    def _buttons(self, channel: Channel, watch: Watch, store: Store) -> Buttons:
        api = Api(channel)
        buttons = Buttons(channel, api, watch, store)
        self._apis.append(api)
        if channel.app_token:
            self._sockets.append(SocketMode(api, buttons))
        return buttons

    async def run(self) -> None:
        """Answer for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for socket in self._sockets:
                    tasks.create_task(socket.run(), name="slack socket")
                if self.door is not None:
                    tasks.create_task(_held_open(self.door), name="callbacks")
        finally:
            for api in self._apis:
                await api.close()


async def _held_open(door: Door) -> None:
    """Hold it open; where it cannot be opened, alerts go out all the same."""
    while True:
        try:
            async with door.open():
                await asyncio.Event().wait()
        except OSError as error:
            log.error("callbacks_not_open", reason=error.strerror, mend="free the port, or set callbacks.port")
            await asyncio.sleep(LONGEST_PAUSE_S)
