"""What every peer says of itself: when it handled its first and its last message. Only the standard library."""

from __future__ import annotations

import os
import time


class Meter:
    """Counts messages; prints `first TIME CPU` and `last TIME CPU`, seconds."""

    def __init__(self) -> None:
        self._left = self._all = int(os.environ["BENCH_MESSAGES"])

    def tick(self) -> None:
        """One more message was counted."""
        if self._left == self._all:
            self._say("first")
        self._left -= 1
        if self._left == 0:
            self._say("last")

    def _say(self, what: str) -> None:
        line = f"{what} {time.time()} {time.process_time()}\n"
        os.write(
            int(os.environ["BENCH_SAY"]), line.encode()
        )  # Faust and others take the standard output for themselves
