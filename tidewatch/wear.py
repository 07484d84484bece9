"""When the embedded broker is to begin anew. Pure: what it holds and has spent comes from outside.

It forgets nothing, and with every fetch that finds something it looks through all that it holds of the partition: 0.6
µs a record, 25 ms with 40,000 of them (`python -m tests.bench.broker`). What it has is in the journal as well, so it
may be ended; the board stands still for some seconds then.
"""

from __future__ import annotations

from collections import deque

MEMORY = 64 << 20
"""Bytes it may hold, so that the whole stack stays under 1 GiB."""
LIFE_S = 1_800.0
"""It is not ended for that before."""
MOST = 1 << 30
"""Bytes at which it is ended however young it is."""
BUSY = 0.3
"""Of a core, over `LATELY_S`, that it may take: a fresh one takes half of it at 2,000 messages a second."""
YOUNG_S = 300.0
"""It is not ended for that before."""
LATELY_S = 60.0


class Wear:
    """One broker's. Look at it every few seconds."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, float]] = deque()

    def worn(self, age_s: float, held: int, spent_s: float) -> bool:
        """Whether it is to begin anew. `held`: bytes of memory; `spent_s`: of processor time, since it began."""
        if self._spent and spent_s < self._spent[-1][1]:
            self._spent.clear()  # another one
        self._spent.append((age_s, spent_s))
        while age_s - self._spent[0][0] > LATELY_S:
            self._spent.popleft()
        since, before = self._spent[0]
        if age_s > YOUNG_S and age_s - since >= LATELY_S / 2 and spent_s - before > BUSY * (age_s - since):
            return True
        return held > MOST or (held > MEMORY and age_s > LIFE_S)
