"""Whether what cannot be read is a stranger's, or what our own gateway writes: then something was deployed wrongly.

One bad record is set aside, and nobody waits for it. Our own gateway writes none; where many of its records cannot be
read, the worker is of another release than the gateway, and to set them aside would throw away real chat. So the
worker stops in place, which everybody sees: its clock stands, and the alerts on that go out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import structlog

log = structlog.get_logger()

MARK = ("by", b"tidewatch")
"""The header that our own gateway puts on its records."""
MOST = 50
OF = 1_000
"""More unreadable ones than `MOST` of the last so many records of a partition: none are set aside any more."""
SAY_S = 30.0


class Suspicion:
    """Counts what cannot be read. It costs nothing where all can be."""

    def __init__(self) -> None:
        self._bad: dict[int, deque[int]] = {}

    async def note(self, message: Any, reason: str) -> None:
        """Return where the record may be set aside; never return where there are too many of our own."""
        if not _is_ours(getattr(message, "headers", None)):
            return
        bad = self._bad.setdefault(message.partition, deque())
        bad.append(message.offset)
        while bad[0] <= message.offset - OF:
            bad.popleft()
        while len(bad) > MOST:
            log.error(
                "own_records_unreadable", partition=message.partition, offset=message.offset, reason=reason,
                mend="worker and gateway are of different releases: start the release that reads them; nothing is lost",
            )  # fmt: skip
            await asyncio.sleep(SAY_S)


def _is_ours(headers: Any) -> bool:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return any(name == MARK[0] and value == MARK[1] for name, value in pairs)
