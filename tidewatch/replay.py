"""`tidewatch replay`: a recording through the replay door, with its own clock.

Theory of operation. Within a file nothing is sorted: events go in the order in which they stand (the known data sets
come in order of time by themselves), so a recording wants to be in order up to the lateness, or what comes later than
that restates closed minutes. Several files are merged by time. As the events pass, a tenant's clock is ticked along: at
whole steps of event time, a minute behind the greatest `at` sent so far, each tick only when everything before it has
been acked. At the end every tenant is ticked once more, to its greatest `at` plus the lateness, which closes the last
pane.

A second run of the same file is harmless: its events are repeats. Its ticks lie in the past by then and are refused;
that is no error as long as the last one is taken. Another recording that begins before the tenant's clock is not: to
that clock its conversations are long over. So the first refused tick is told at once.
"""

from __future__ import annotations

import asyncio
import gzip
import heapq
import json
import os
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tidewatch import datasets
from tidewatch.client import FRAME_EVENTS, Client, Outgoing, Refused, Tally, Unreachable, tenant_of

DEFAULT_URL = "ws://127.0.0.1:8400"
DATA_DIRECTORY = Path("tidewatch-data")
"""Where `tidewatch up` keeps its things by default, `access.json` among them."""
LATENESS_MS = 60_000
"""METRICS §1. A tick stays this far behind what was sent, and the last one lies as far beyond."""
STEP_MS = 60_000
"""Event time from tick to tick, at full speed: one pane."""
SHOWN_REASONS = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One event on its way: as it goes over the wire, with the two fields that steer the replay."""

    out: Outgoing
    at: int | None
    """ms; None where the gateway will refuse it."""
    tenant: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no event at all."""

    origin: str
    reason: str


class _Head(msgspec.Struct):
    at: Any = None
    tenant: Any = None
    kind: Any = None


_head = msgspec.json.Decoder(_Head).decode

# --- what is pure ----------------------------------------------------------------------------------------------------


def instant_ms(at: object) -> int | None:
    """`at` in ms, from either form of the contract; None where it is neither."""
    if isinstance(at, int) and not isinstance(at, bool):
        return at if abs(at) < 1 << 53 else None
    if not isinstance(at, str):
        return None
    try:
        read = datetime.fromisoformat(at)
    except ValueError:
        return None
    if read.tzinfo is None:
        return None
    return (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def parsed(line: bytes, origin: str, own_tenant: str | None) -> Item | BadLine:
    """One line of JSON Lines as it goes on; what the fields say is the gateway's to judge, and it names its reason."""
    line = line.strip().removeprefix(b"\xef\xbb\xbf")
    try:
        line.decode()
        head = _head(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadLine(origin, f"not a JSON object: {error}")
    tenant = head.tenant if isinstance(head.tenant, str) else "default"
    return Item(Outgoing(line, origin), instant_ms(head.at), own_tenant or tenant)


@dataclass(slots=True)
class Clocks:
    """Where every tenant's clock may go: `step` ms of event time from tick to tick, a lateness behind what was sent."""

    step: int = STEP_MS
    greatest: dict[str, int] = field(default_factory=dict)
    ticked: dict[str, int] = field(default_factory=dict)

    def due(self, item: Item) -> tuple[str, int] | None:
        """Take note of an event that is about to be sent; the tick (tenant, ms) that must go before it, if any."""
        if item.at is None:
            return None
        greatest = self.greatest.get(item.tenant)
        tick = None
        if greatest is None:
            self.ticked[item.tenant] = self._floor(item.at)
        elif self._floor(item.at) > self.ticked[item.tenant]:
            self.ticked[item.tenant] = self._floor(item.at)
            tick = item.tenant, self.ticked[item.tenant]
        self.greatest[item.tenant] = max(item.at, greatest or item.at)
        return tick

    def last(self) -> dict[str, int]:
        """The closing tick of every tenant: its greatest `at` plus the lateness."""
        return {tenant: at + LATENESS_MS for tenant, at in self.greatest.items()}

    def _floor(self, at: int) -> int:
        return (at - LATENESS_MS) // self.step * self.step


def step_at(speed: float | None) -> int:
    """Event time (ms) from tick to tick: a pane, or less where a paced replay would stand still for over a second."""
    return STEP_MS if speed is None else round(min(STEP_MS, max(1_000, speed * 1_000)))


# --- reading ---------------------------------------------------------------------------------------------------------


def items(files: Iterable[Path | str], own_tenant: str | None, left_out: Counter[str]) -> Iterator[Item | BadLine]:
    """Everything the files say, merged by time; counts into `left_out` what a data set holds beside conversations."""
    streams = [_placed(_items(_lines(str(file)), str(file), own_tenant, left_out)) for file in files]
    return (item for _, item in heapq.merge(*streams, key=itemgetter(0)))


def _lines(name: str) -> Iterator[bytes]:
    return _stdin(os.fdopen(os.dup(0), "rb")) if name == "-" else datasets.lines(Path(name))


def _placed(given: Iterable[Item | BadLine]) -> Iterator[tuple[int, Item | BadLine]]:
    """Each with the greatest `at` of its file so far, so that a merge keeps every file's own order."""
    greatest = -1
    for item in given:
        if isinstance(item, Item) and item.at is not None:
            greatest = max(greatest, item.at)
        yield greatest, item


def _items(given: Iterator[bytes], name: str, own: str | None, left_out: Counter[str]) -> Iterator[Item | BadLine]:
    numbered: Iterator[tuple[int, bytes]] = ((n, line) for n, line in enumerate(given, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    numbered = chain([first], numbered)
    kind = datasets.kind_of(_object(first[1]))
    if kind is None:
        yield from (parsed(line, f"{name}:{n}", own) for n, line in numbered)
        return
    rows: list[dict[str, Any]] = []
    for n, line in numbered:
        row = _object(line)
        if datasets.kind_of(row) == kind and row is not None:
            rows.append(row)
        else:
            yield BadLine(f"{name}:{n}", "not a row of this data set")
    data = datasets.mapped(kind, rows)
    left_out.update(data.left_out)
    for event in datasets.events(data):
        yield Item(Outgoing(msgspec.json.encode(event), name), instant_ms(event["at"]), own or "default")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _stdin(raw: BinaryIO) -> Iterator[bytes]:
    """Standard input, line by line as it comes; gzip or plain."""
    first = raw.readline()
    if first.startswith(b"\x1f\x8b"):
        yield from gzip.decompress(first + raw.read()).splitlines(keepends=True)
        return
    yield first
    yield from raw


# --- sending ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Report:
    """What came of a replay."""

    sent: int = 0
    clocks: Clocks = field(default_factory=Clocks)
    bad: list[BadLine] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    refused_ticks: Counter[str] = field(default_factory=Counter)
    """By reason; those on the way, which a second run cannot help."""
    warn: Callable[[str], object] = str
    """Told why the first tick was refused, as soon as it was."""
    last_refused: dict[str, str] = field(default_factory=dict)
    """Tenant → why its last tick was refused."""

    def ticked(self, answer: asyncio.Future[str | None]) -> None:
        """Take note of what became of a tick on the way; the first that is refused is told."""
        if not answer.cancelled() and (why := answer.result()):
            if not self.refused_ticks:
                self.warn(why)
            self.refused_ticks[why] += 1

    def good(self, tally: Tally) -> bool:
        """Everything was taken, and every tenant's clock stands where it should."""
        return not (self.bad or tally.rejected or self.last_refused)


async def replay(
    client: Client, given: Iterator[Item | BadLine], report: Report, speed: float | None, live: bool
) -> None:
    """Send everything, ticking along, and close with the last ticks; `report` is kept up to date on the way."""
    report.clocks.step = step_at(speed)
    pacer, reader = _Pacer(speed), _Reader(given)
    reader.start()
    while portion := await reader.take():
        report.bad += [item for item in portion if isinstance(item, BadLine)]
        await _send(client, [item for item in portion if isinstance(item, Item)], report, pacer)
    await _close(client, report, live)


async def _send(client: Client, portion: Iterable[Item], report: Report, pacer: _Pacer) -> None:
    batch: list[Outgoing] = []
    for item in portion:
        tick = report.clocks.due(item)
        if batch and (tick or len(batch) >= FRAME_EVENTS or pacer.must_wait(item)):
            await _hand_over(client, batch, report)
        await pacer.until(item)
        if tick:
            (await client.tick_on(tick[1], tick[0])).add_done_callback(report.ticked)
        batch.append(item.out)
    await _hand_over(client, batch, report)


async def _hand_over(client: Client, batch: list[Outgoing], report: Report) -> None:
    await client.send(batch)
    report.sent += len(batch)
    batch.clear()


async def _close(client: Client, report: Report, live: bool) -> None:
    for tenant, at in report.clocks.last().items():
        refused = await client.tick(at, tenant)
        if live:
            refused = await client.tick(None, tenant)
        if refused:
            report.last_refused[tenant] = refused
    await client.drain()


class _Reader(threading.Thread):
    """Reads ahead in a thread of its own, so that a slow pipe holds up nobody; by at most `AHEAD` items."""

    AHEAD = 8 * FRAME_EVENTS

    def __init__(self, given: Iterator[Item | BadLine]) -> None:
        super().__init__(daemon=True)
        self._given = given
        self._loop = asyncio.get_running_loop()
        self._room = threading.Condition()
        self._ready = asyncio.Event()
        self._read: list[Item | BadLine] = []
        self._ended = False
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            for item in self._given:
                with self._room:
                    self._room.wait_for(lambda: len(self._read) < self.AHEAD)
                    self._read.append(item)
                    first = len(self._read) == 1
                if first:
                    self._wake()
        except BaseException as error:  # noqa: BLE001 - raised in who takes
            self._error = error
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody wants to know
            self._loop.call_soon_threadsafe(self._ready.set)

    async def take(self) -> list[Item | BadLine]:
        """What has been read since the last call, at least one; empty at the end."""
        while True:
            self._ready.clear()
            ended = self._ended
            with self._room:
                taken, self._read = self._read, []
                self._room.notify()
            if not taken and ended and self._error is not None:
                raise self._error
            if taken or ended:
                return taken
            await self._ready.wait()


class _Pacer:
    """Holds events back until their time has come, `speed` times as fast as it happened; None: no holding back."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first: int | None = None
        self._start = 0.0

    def _ahead_s(self, item: Item) -> float:
        if self._speed is None or item.at is None:
            return 0.0
        if self._first is None:
            self._first, self._start = item.at, time.monotonic()
        return (item.at - self._first) / 1_000 / self._speed - (time.monotonic() - self._start)

    def must_wait(self, item: Item) -> bool:
        """Whether `until` would sleep."""
        return self._ahead_s(item) > 0

    async def until(self, item: Item) -> None:
        """Return when the event is due."""
        if (ahead := self._ahead_s(item)) > 0:
            await asyncio.sleep(ahead)


# --- the command -----------------------------------------------------------------------------------------------------


def key_of(key: str) -> str:
    """The token to use: the one given, else $TIDEWATCH_KEY, else the embedded stack's in the default directory."""
    return key or os.environ.get("TIDEWATCH_KEY", "") or _access().get("ingest_token", "")


def url_of(url: str) -> str:
    """The gateway to use: the one given, else that of the embedded stack in the default directory, else the default."""
    return url or _access().get("url", "") or DEFAULT_URL


def _access() -> Mapping[str, str]:
    try:
        read = json.loads((DATA_DIRECTORY / "access.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def command(files: Sequence[Path | str], speed: float | None, live: bool, url: str = "", key: str = "") -> int:
    """Run `tidewatch replay`; the exit code: 0 all was taken, 1 something was not, 2 wrong usage."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    wrong = _usage(files, speed, key_of(key))
    if wrong:
        errors.print(wrong, style="red", markup=False)
        return 2
    try:
        return asyncio.run(_run(files, speed, live, url_of(url), key_of(key), errors))
    except (Refused, Unreachable) as error:
        errors.print(f"replay stopped: {error}", style="red", markup=False)
    except (OSError, EOFError, zlib.error) as error:
        errors.print(f"replay stopped: cannot read: {error}", style="red", markup=False)
    except KeyboardInterrupt:
        errors.print(
            "replay stopped by Ctrl-C; a second run goes on where it ended: what was sent is known", markup=False
        )
    return 1


def _usage(files: Sequence[Path | str], speed: float | None, key: str) -> str | None:
    missing = [str(file) for file in files if str(file) != "-" and not Path(file).is_file()]
    if not files:
        return "name at least one file, or - for standard input"
    if missing:
        return f"there is no file {missing[0]}"
    if speed is not None and not 0 < speed < float("inf"):
        return f"--speed {speed:g}: it must be more than 0 (1 is real time)"
    if not key:
        return (
            "no token: give --key, or set TIDEWATCH_KEY, or run where `tidewatch up` keeps tidewatch-data/access.json"
        )
    if not (key.isascii() and key.isprintable()):
        return "--key: not a token: it has line breaks, or letters that none has"
    return None


async def _run(
    files: Sequence[Path | str], speed: float | None, live: bool, url: str, key: str, errors: Console
) -> int:
    report, began = Report(warn=lambda why: _warn(errors, why)), time.monotonic()
    own = tenant_of(key)
    given = items(files, None if own in (None, "*") else own, report.left_out)
    with _bar(errors) as bar:
        async with Client(url, key, replay=True, patience_s=60) as client:
            shown = asyncio.create_task(_show(bar, client, report))
            try:
                await replay(client, given, report, speed, live)
            finally:
                shown.cancel()
                _tell(errors, report, client.tally, time.monotonic() - began)
    return 0 if report.good(client.tally) else 1


def _bar(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def _show(bar: Progress, client: Client, report: Report) -> None:
    """Keep the progress line true: counts, rate a second, event time."""
    task = bar.add_task("connecting", total=None)
    since, before = time.monotonic(), 0
    while True:
        await asyncio.sleep(0.25)
        done = client.tally.accepted + client.tally.rejected.total()
        rate, since, before = (done - before) / (time.monotonic() - since), time.monotonic(), done
        at = max(report.clocks.greatest.values(), default=None)
        bar.update(
            task,
            description=f"{client.tally.accepted:,} accepted · {client.tally.rejected.total():,} rejected · "
            f"{rate:,.0f}/s · {datasets.instant(at) if at is not None else '…'}",
        )


def _warn(out: Console, why: str) -> None:
    text = f"the clock is not taken ({why}): harmless where this was sent before; another recording wants a new tenant"
    out.print(text, style="yellow", markup=False)


def _tell(out: Console, report: Report, tally: Tally, took_s: float) -> None:
    """The closing words: what was taken, and what was not, by reason."""

    def say(text: str, style: str = "") -> None:
        out.print(text, style=style, markup=False)

    say(f"{tally.accepted:,} accepted, {tally.rejected.total() + len(report.bad):,} rejected, in {took_s:.1f} s")
    for why, n in report.left_out.items():
        say(f"  left out: {n:,} messages ({why})")
    for why, n in tally.rejected.most_common(SHOWN_REASONS):
        more = ", …" if n > len(tally.examples[why]) else ""
        say(f"  {n:,} rejected: {why}: {', '.join(tally.examples[why])}{more}", "red")
    for bad in report.bad[:SHOWN_REASONS]:
        say(f"  {bad.origin}: {bad.reason}", "red")
    if len(report.bad) > SHOWN_REASONS:
        say(f"  … and {len(report.bad) - SHOWN_REASONS:,} more unreadable lines", "red")
    for why, n in report.refused_ticks.items():
        say(f"  {n:,} ticks on the way were not taken: {why}", "yellow")
    for tenant, why in report.last_refused.items():
        say(f"  the clock of tenant {tenant} was not taken: {why}", "red")
