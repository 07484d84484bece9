"""The doors alerts leave by: send one notice, and say what became of it. Deciding who hears of what happened before.

Every door keeps one contract: `send` returns once the other side has taken all rows, or raises `Unavailable` (try
again later) or `Rejected` (never); it is bounded in time whatever the other side does, follows no redirect, and puts no
secret and no URL into an exception or a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec
import structlog

from alerts.outbox import Row
from alerts.render import console_line

log = structlog.get_logger()


class Unavailable(Exception):  # named for what the caller does: wait
    """Not now. `retry_ms`: the other side said how long to wait."""

    def __init__(self, reason: str, retry_ms: int | None = None) -> None:
        super().__init__(reason)
        self.retry_ms = retry_ms


class Rejected(Exception):  # named for what the caller does: give up on this one
    """Never: the other side will not take this, or may not be spoken to."""


class Notifier(Protocol):
    """One door."""

    batch: int
    """How many rows it can tell of at once."""
    gap_ms: int
    """Least time between two sendings."""
    steady: bool
    """Whether a retry must be of the same rows as the first try."""

    async def send(self, rows: Sequence[Row]) -> None:
        """Return once all rows are taken.

        Raises:
            Unavailable: try again later.
            Rejected: never try again.
        """

    async def close(self) -> None:
        """Let go of what it holds."""


class Notes(Protocol):
    """What a door remembers between sendings (the outbox's file)."""

    def note(self, channel: str, key: str) -> str | None:
        """What was noted."""

    def take_note(self, channel: str, key: str, value: str | None) -> None:
        """Note it; None: forget it."""


class Scribbled:
    """Notes that end with the process: for a trial, or a look at whether a door can be made."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], str] = {}

    def note(self, channel: str, key: str) -> str | None:
        """What was noted."""
        return self._notes.get((channel, key))

    def take_note(self, channel: str, key: str, value: str | None) -> None:
        """Note it; None: forget it."""
        if value is None:
            self._notes.pop((channel, key), None)
        else:
            self._notes[channel, key] = value


def language_of(fragment: str, default: Literal["zh", "en"]) -> Literal["zh", "en"]:
    """The language that a URL's fragment names (`#lang=en`); a fragment is never sent."""
    return "en" if fragment == "lang=en" else "zh" if fragment == "lang=zh" else default


class Console:
    """One log line an alert: ids and numbers."""

    batch, gap_ms, steady = 1, 0, False

    async def send(self, rows: Sequence[Row]) -> None:
        """Write the lines."""
        for row in rows:
            body = msgspec.json.decode(row.body)
            write = log.info if body.get("state") == "resolved" or body.get("severity") == "info" else log.warning
            write("alert", **console_line(body))

    async def close(self) -> None:
        """Nothing to let go of."""


class Producer(Protocol):
    """What the topic's door needs of a Kafka producer (aiokafka's)."""

    async def send_and_wait(self, topic: str, value: bytes, key: bytes) -> Any:
        """Return once the broker has stored it."""


class Topic:
    """Publishes every change of state on a Kafka topic."""

    batch, gap_ms, steady = 100, 0, False

    def __init__(self, producer: Producer, topic: str, timeout_s: float = 10) -> None:
        self._producer, self._topic, self._timeout_s = producer, topic, timeout_s

    async def send(self, rows: Sequence[Row]) -> None:
        """Publish the rows: those of one alert in order, those of several side by side, for a storm is long else."""
        alerts: dict[str, list[Row]] = {}
        for row in rows:
            alerts.setdefault(row.alert, []).append(row)
        try:
            async with asyncio.timeout(self._timeout_s * len(rows)):
                await asyncio.gather(*map(self._publish, alerts.values()))
        except Exception as error:  # noqa: BLE001  # whatever the broker's client says, the answer is to wait for it
            raise Unavailable(type(error).__name__) from None

    async def _publish(self, rows: Sequence[Row]) -> None:
        for row in rows:
            await self._producer.send_and_wait(self._topic, value=row.body, key=row.alert.encode())

    async def close(self) -> None:
        """The producer belongs to its maker."""
