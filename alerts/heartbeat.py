"""A post every so often, while ticks are judged: the one alert that can be told when nothing else can is its absence.

It stops with the process, the machine, the network, and with the stream: nothing is said while no tick comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from alerts.addresses import Forbidden, check_url
from alerts.notifiers import Rejected, Unavailable
from alerts.posting import Http, judge_status
from alerts.render import instant
from config.settings import Heartbeat, SettingsError

log = structlog.get_logger()

TIMEOUT_S = 10.0


class Heart:
    """Beats for ever. Its own failures are logged once, and are nobody's alert: the other side sees them."""

    def __init__(self, wanted: Heartbeat, judged: Callable[[], int | None]) -> None:
        """`judged`: the last tick of the real clock that was judged since the start, in ms.

        Raises:
            SettingsError: its URL may not be posted to.
        """
        try:
            check_url(wanted.url or "", wanted.allow_private)
        except Forbidden as error:
            raise SettingsError(f"heartbeat.url: {error}") from None
        self._url, self._every_s, self._judged = wanted.url or "", wanted.every_s, judged
        self._http = Http(TIMEOUT_S, wanted.allow_private)
        self._lost = False

    async def run(self) -> None:
        """Post each time that a tick was judged since the last post."""
        said: int | None = None
        try:
            while True:
                tick = self._judged()
                if tick is not None and tick != said:
                    await self._beat(tick)
                    said = tick
                await asyncio.sleep(self._every_s if tick is not None else 1.0)
        finally:
            await self._http.close()

    async def _beat(self, tick: int) -> None:
        body = msgspec.json.encode({"v": 1, "heartbeat": "tidewatch", "as_of": instant(tick)})
        headers = {"Content-Type": "application/json", "User-Agent": "tidewatch"}
        try:
            judge_status(await self._http.post(self._url, body, headers, read=False))
            self._lost = False
        except (Unavailable, Rejected) as error:
            if not self._lost:
                log.warning("heartbeat_lost", reason=str(error))
            self._lost = True
