"""Named places at which a test lets a process die. In anything but a test this is nothing at all.

`TIDEWATCH_CRASH_AT` says where: `sink.inserted`, or `sink.inserted:3` for the third time it is passed, or `@FILE`: a
file that holds such a line whenever somebody wants a death; it is gone before the process is. The signal is SIGKILL;
`sink.inserted:1:STOP` sends SIGSTOP instead. All of it is refused where `TIDEWATCH_TEST` is not `1`.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from config.settings import SettingsError

VARIABLE, TEST = "TIDEWATCH_CRASH_AT", "TIDEWATCH_TEST"
POINTS = {
    "gateway.ruled": "a frame is decided, nothing of it is written",
    "gateway.written": "a group is safe on disk, nobody has been told",
    "gateway.fed": "the broker has a record, the feeder has not noted it",
    "worker.taken": "changes are folded and taken from the shards, nothing of them is kept",
    "worker.kept": "state, outbox and position are kept, nothing is published",
    "worker.published": "readings are published, their records are not acked",
    "worker.acked": "the records are acked",
    "moving.taken": "on Kafka: changes are folded and taken from a shard, nothing of them is published or kept",
    "moving.published": "its readings are published, the state they stand for is not kept",
    "moving.kept": "state and offset are committed, their records are not acked",
    "moving.acked": "the records are acked",
    "sink.taken": "a block is taken from the desk, nothing of it is written",
    "sink.begun": "the zones of the block's tenants are written, no row of it",
    "sink.inserting": "some of the block's tables are inserted",
    "sink.inserted": "all rows are inserted, the clocks that say so are not",
    "sink.clocked": "the clocks are inserted, the position is not noted",
    "sink.positioned": "the position is noted, the records are not acked",
    "sink.acked": "the records are acked",
    "notifier.sending": "a notice is about to be sent",
    "notifier.sent": "it was sent, and that is not written down",
    "notifier.settled": "what became of it is written down",
}
"""Every place there is, and what is so when it is passed."""

_passed: Counter[str] = Counter()


def _nothing(_: str) -> None:
    """Nothing."""


here: Callable[[str], None] = _nothing
"""`crash.here("sink.inserted")`: this place is passed."""


def arm() -> None:
    """Look at the environment, once, when a role starts.

    Raises:
        SettingsError: the variable is set outside of a test, or names no place.
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    if os.environ.get(TEST) != "1":
        raise SettingsError(f"{VARIABLE} kills this process on purpose, for tests: unset it (or set {TEST}=1)")
    if not wanted.startswith("@"):
        _parsed(wanted)
    globals()["here"] = _Armed(wanted)


class _Armed:
    def __init__(self, wanted: str) -> None:
        self._file = Path(wanted[1:]) if wanted.startswith("@") else None
        self._wanted = "" if self._file else wanted

    def __call__(self, place: str) -> None:
        if place not in POINTS:
            raise ValueError(f"there is no place {place}")
        _passed[place] += 1
        where, times, number = _parsed(self._line())
        if where == place and (self._file is not None or _passed[place] == times):
            self._die(place, times, number)

    def _line(self) -> str:
        if self._file is None:
            return self._wanted
        try:
            return self._file.read_text().strip()
        except OSError:
            return ""

    def _die(self, place: str, times: int, number: signal.Signals) -> None:
        if self._file is not None:
            if times > 1:
                self._file.write_text(f"{place}:{times - 1}:{number.name[3:]}")
                return
            with suppress(FileNotFoundError):
                self._file.unlink()
        os.kill(os.getpid(), number)


def _parsed(text: str) -> tuple[str, int, signal.Signals]:
    place, _, rest = text.partition(":")
    times, _, name = rest.partition(":")
    if text and (place not in POINTS or not (times or "1").isdigit() or name not in ("", "KILL", "STOP")):
        raise SettingsError(f"{VARIABLE}: {text!r} is no place (allowed: {', '.join(POINTS)}; then :TIMES, then :STOP)")
    return place, int(times or 1), signal.Signals[f"SIG{name or 'KILL'}"]
