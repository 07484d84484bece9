"""One ingest connection's conversation: frames in → answers out. Pure: the time is given.

Frames that carry no number are numbered by their place in the connection, from 1. The rate is that of the last ten
seconds: beyond the limit a frame is answered `retry`, which is the warning; beyond twice the limit the connection ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from gateway.auth import Claims
from gateway.doors import Ruling
from gateway.parse import Frame, NotAFrame, Source, reading
from gateway.steps import Steps, at_once

TOO_FAST = 4429
FRAME_COST = 4
"""Events that a frame costs at least: small frames are work as well."""
SPAN_S = 10


@dataclass(slots=True)
class Session:
    """What is known of one connection."""

    claims: Claims
    replay: bool
    events_per_s: int
    frames: int = 0
    _recent: deque[tuple[int, int]] = field(default_factory=deque)
    """(second, events offered in it) of the last `SPAN_S` seconds."""

    def receive(self, text: str, now_ms: int) -> tuple[int, Frame]:
        """The number of the frame that came, and what it holds.

        Raises:
            NotAFrame: the connection must close.
        """
        return at_once(self.receiving(text, now_ms))

    def receiving(self, text: str, now_ms: int) -> Steps[tuple[int, Frame]]:
        """The same in steps.

        Raises:
            NotAFrame: as `receive`.
        """
        self.frames += 1
        number = self.frames
        frame = yield from reading(text, Source(self.claims.tenant, now_ms, self.replay))
        return (number if frame.seq is None else frame.seq), frame

    def too_fast(self, frame: Frame, now_ms: int) -> int:
        """How many ms to wait before this frame comes again; 0: it may be taken.

        Raises:
            NotAFrame: the connection must close: it was told, and did not wait.
        """
        second = now_ms // 1_000
        if not self._recent or self._recent[-1][0] != second:
            self._recent.append((second, 0))
        self._recent[-1] = (second, self._recent[-1][1] + max(frame.size, FRAME_COST))
        while self._recent[0][0] <= second - SPAN_S:
            self._recent.popleft()
        offered = sum(events for _, events in self._recent)
        if offered > 2 * self.events_per_s * SPAN_S:
            raise NotAFrame(TOO_FAST, f"more than {self.events_per_s} events a second")
        return 1_000 if offered > self.events_per_s * SPAN_S else 0


def ack(number: int, ruling: Ruling) -> str:
    """The answer to a frame that was taken."""
    rejected = [{"index": one.index, "id": one.id, "error": one.error} for one in ruling.refused]
    return msgspec.json.encode({"ack": number, "accepted": ruling.accepted, "rejected": rejected}).decode()


def retry(number: int, after_ms: int) -> str:
    """The answer to a frame of which nothing was taken."""
    return f'{{"retry":{number},"after_ms":{after_ms}}}'
