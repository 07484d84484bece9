"""The webhook: the alert object as it stands in the contract, signed, one post a change of state."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver

from alerts.outbox import Row
from alerts.posting import Http, checked_url, judge_status
from config.settings import Channel


def signature(secret: str, body: bytes, now_s: int) -> str:
    """`t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`: the receiver can check who posted it, and when."""
    mac = hmac.new(secret.encode(), b"%d." % now_s + body, hashlib.sha256)
    return f"t={now_s},v1={mac.hexdigest()}"


class Webhook:
    """Posts the alert object, signed. One post an alert and state."""

    batch, gap_ms, steady = 1, 0, False

    def __init__(self, channel: Channel, resolver: AbstractResolver | None = None) -> None:
        self._url = checked_url(channel)
        self._secret = channel.secret.get_secret_value() if channel.secret else None
        self._http = Http(channel.timeout_s, channel.allow_private, resolver)

    async def send(self, rows: Sequence[Row]) -> None:
        """Post the rows one by one."""
        for row in rows:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "tidewatch",
                "Idempotency-Key": f"{row.alert}-{row.state}",
            }
            if self._secret:
                headers["Tidewatch-Signature"] = signature(self._secret, row.body, int(time.time()))
            judge_status(await self._http.post(self._url, row.body, headers, read=False))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
