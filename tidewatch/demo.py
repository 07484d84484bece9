"""`make demo`: the whole system on this machine, with real conversations in it, a surge, its alert, and its end.

    0 s          stack up, link to the board
    then         history: the shipped conversations, woven together, ending now, through the replay door; one tick
    live         the weave goes on through the ordinary door, at the same level, without end
    + 2 min      a surge on one queue, made of real conversations about one thing, for 3 min
    soon after   the volume model, which has learned from the history, finds it: an alert, to a webhook receiver that
                 runs here; it resolves when the last minutes have been usual for five

The conversations are real, the desk is not: their times are shifted so that the weave ends now, lanes lie side by side,
questions nobody answered are mostly left out, conversations are closed when we know that nothing more comes, and the
many who answer are put on a few seats (`tidewatch.weave`, docs/data.md). Everything is in tenant `demo`, and every
label says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import hmac
import json
import re
import secrets
import shutil
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tidewatch import data, datasets
from tidewatch.client import FRAME_EVENTS, Client
from tidewatch.datasets import MINUTE, Said, Thread
from tidewatch.weave import Item, Stretch, flow, laid_out, lane, later, stretches, thinned, woven

TENANT = "demo"
UBUNTU_LANES = 4
"""With them, and a lane for each other desk, about 30 messages a minute come together."""
SEATS = 12
"""People of a lane's team. A chat room's many helpers, new ones in every stretch, are put on so many seats."""
LATER = 100 * MINUTE
"""So much of what the lanes have is left for later: the half hour that then follows is as lively as most are, so that
what is seen in it is the surge."""
SURGE_AFTER_S = 120
SURGE_MS = 3 * MINUTE
SURGE_QUEUE = "ubuntu"
SURGE_CAUSE = re.compile(r"upgrad", re.IGNORECASE)
SURGE_FACTOR = 5
"""Customer messages in the surge, as a multiple of what is usual for the queue."""
SURGE_ONSET = 3.0
"""Conversations begin at the surge's length × (share of them) to this power: two of three in the first third."""
SURGE_LENGTHS = range(3, 26)
"""Messages of the conversations a surge is made of: neither a remark nor an evening."""
BEAT_S = 0.25
MARKER = "demo.toml"
"""A directory that holds this was made by the demo, so the demo may empty it."""

Say = Callable[[str], None]


class DemoError(Exception):
    """The demo cannot run. The message is one line with the mend."""


# --- what is said, pure ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """The conversations of the demo's help desks, laid out in lanes."""

    lanes: Mapping[str, Sequence[Stretch]]
    reach: int
    """ms: after so long the first of the big lanes has said all it has."""
    surge: tuple[Thread, ...]
    """The surge's conversations, by their start; the surge begins at 0."""

    @property
    def history(self) -> int:
        """ms: how much of it lies before now."""
        return self.reach - LATER if self.reach > 2 * LATER else self.reach

    @property
    def queues(self) -> set[str]:
        """The lines people wait in here."""
        return {thread.queue for parts in self.lanes.values() for part in parts for thread in part.threads}

    def events(self) -> Iterator[dict[str, Any]]:
        """Everything that is said at the desks, from 0 on, without end; `at` in ms."""
        return flow(woven([lane(parts, f"demo-{name}-") for name, parts in self.lanes.items()]))


def desk(ubuntu: Sequence[Stretch], helpdesks: Sequence[Stretch], dialogues: Sequence[Stretch]) -> Desk:
    """All of it: #ubuntu in four lanes, each other help desk and the information desk in one of its own."""
    big = [seated(parts, f"ubuntu-{n}") for n, parts in enumerate(laid_out(ubuntu, UBUNTU_LANES), 1)]
    reach = min(sum(part.length for part in parts) for parts in big)
    lanes = {f"u{n}": parts for n, parts in enumerate(big, 1)}
    for part in helpdesks:
        queue = part.threads[0].queue
        lanes[queue] = [*lanes.get(queue, ()), *seated([part], queue)]
    for n, part in enumerate(dialogues, 1):
        lanes[f"info{n}"] = seated([thinned(part, reach / part.length)], "info")
    usual = customer_rate(ubuntu) * UBUNTU_LANES
    return Desk(lanes, reach, surge([thread for parts in big for part in parts for thread in part.threads], usual))


def seated(parts: Sequence[Stretch], team: str) -> list[Stretch]:
    """The same with those who answer put on the team's few seats, stretch by stretch: the busiest on the first seat."""
    return [replace(part, threads=_seated(part.threads, team)) for part in parts]


def _seated(threads: Sequence[Thread], team: str) -> tuple[Thread, ...]:
    answers = Counter(one.author_id for thread in threads for one in thread.said if one.author == "agent")
    seat = {who: f"demo-{team}-{n % SEATS + 1:02}" for n, (who, _) in enumerate(answers.most_common())}

    def moved(one: Said) -> Said:
        return replace(one, author_id=seat[one.author_id]) if one.author == "agent" else one

    return tuple(replace(thread, said=tuple(map(moved, thread.said))) for thread in threads)


def customer_rate(parts: Sequence[Stretch]) -> float:
    """Customer messages a minute while these stretches follow each other."""
    said = sum(one.author == "customer" for part in parts for thread in part.threads for one in thread.said)
    return said * MINUTE / sum(part.length for part in parts)


def surge(threads: Sequence[Thread], usual: float) -> tuple[Thread, ...]:
    """Conversations about one cause that lift a queue's `usual` customer messages a minute to the surge's multiple.

    They begin over the surge, two of three in its first minute, as many as it takes; where there are too
    few, they come again under other ids.
    """
    about = [
        thread for thread in threads if SURGE_CAUSE.search(thread.said[0].text) and len(thread.said) in SURGE_LENGTHS
    ]
    wanted = usual * (SURGE_FACTOR - 1) * SURGE_MS / MINUTE
    for n in range(1, 20 * len(about)):
        starts = [round(SURGE_MS * (i / n) ** SURGE_ONSET) for i in range(n)]
        made = [_begun(about[i % len(about)], at, f"demo-surge-{i}-") for i, at in enumerate(starts)]
        inside = sum(one.author == "customer" and one.at < SURGE_MS for thread in made for one in thread.said)
        if inside >= wanted:
            return tuple(made)
    return ()


def _begun(thread: Thread, at: int, prefix: str) -> Thread:
    return datasets.moved(thread, at - thread.at, prefix)


@cache
def shipped() -> Desk:
    """The desk made of what is shipped."""
    return desk(
        stretches(datasets.irc(datasets.rows(data.IRC_UBUNTU))),
        stretches(datasets.irc(datasets.rows(data.IRC_HELPDESKS), guess=True)),
        stretches(datasets.crosswoz(datasets.rows(data.CROSSWOZ))),
    )


def outgoing(event: Mapping[str, Any], base: int) -> dict[str, Any]:
    """An event of the desk as it goes over the wire, the desk's 0 being at `base` (ms)."""
    return {**event, "at": event["at"] + base, "tenant": TENANT}


# --- the webhook's receiver ------------------------------------------------------------------------------------------


def signature_holds(header: str, body: bytes, secret: str) -> bool:
    """Whether `Tidewatch-Signature: t=<unix>,v1=<hex>` is this body's."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    made = hmac.new(secret.encode(), parts.get("t", "").encode() + b"." + body, sha256).hexdigest()
    return hmac.compare_digest(made, parts.get("v1", ""))


def alert_line(alert: Mapping[str, Any]) -> str:
    """An alert as one line for people."""
    signs = {"firing": "▲ FIRING", "acknowledged": "● acknowledged", "resolved": "✔ RESOLVED"}
    summary = alert.get("summary") or {}
    text = summary.get("en") or f"{alert.get('rule')} on {alert.get('queue')}"
    return f"{signs.get(str(alert.get('state')), str(alert.get('state')))}  {text}"


@asynccontextmanager
async def receiver(secret: str, heard: Callable[[Mapping[str, Any]], None]) -> AsyncIterator[str]:
    """A webhook receiver on a free loopback port; yields its address. `heard` gets each alert that was signed."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if not signature_holds(request.headers.get("Tidewatch-Signature", ""), body, secret):
            return web.Response(status=401, text="the signature does not fit\n")
        heard(json.loads(body))
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_post("/alerts", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
    finally:
        await runner.cleanup()


# --- the directory ---------------------------------------------------------------------------------------------------


def prepare(directory: Path, webhook: str, secret: str) -> Path:
    """An empty directory with the demo's settings in it; returns the settings file.

    Raises:
        DemoError: it holds something the demo did not make, or a demo is running in it.
    """
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).is_file():
            raise DemoError(f"{directory} holds something the demo did not make: name another directory with --data")
        if _in_use(directory / "lock"):
            raise DemoError(f"a demo is running in {directory}: end it with Ctrl-C, or name another with --data")
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(data.HERE / "demo-rules.yaml", directory / "demo-rules.yaml")
    settings = (data.HERE / "demo.toml").read_text().replace("@WEBHOOK@", webhook).replace("@SECRET@", secret)
    (directory / MARKER).touch(0o600)
    (directory / MARKER).write_text(settings)
    return directory / MARKER


def _in_use(lock: Path) -> bool:
    try:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


# --- the show --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Show:
    """A desk that is being played: where its 0 lies, and what comes next."""

    desk: Desk
    base: int
    """ms since the epoch."""
    coming: Iterator[dict[str, Any]]
    held: list[dict[str, Any]] = field(default_factory=list)
    """The event that was looked at and lies ahead, if any."""

    @classmethod
    def ending(cls, desk: Desk, now: int) -> Show:
        """The desk with all of its history before `now` (ms)."""
        return cls(desk, now - desk.history, desk.events())

    def until(self, now: int) -> Iterator[dict[str, Any]]:
        """The events up to `now` (ms) that were not yet given, as they go over the wire."""
        while True:
            event = self.held.pop() if self.held else next(self.coming)
            if event["at"] + self.base > now:
                self.held.append(event)
                return
            yield outgoing(event, self.base)

    def surge_at(self, at: int) -> None:
        """Add the surge, from `at` (ms) on."""
        threads: list[Item] = [later(thread, at - self.base, "") for thread in self.desk.surge]
        self.coming = heapq.merge(self.held, self.coming, flow(threads), key=lambda one: one["at"])
        self.held = []


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def fill(client: Client, show: Show, progress: Callable[[int], None], clock: Callable[[], int] = now_ms) -> int:
    """History up to now, through the replay door, then one tick, and the tenant goes live. Returns the events sent."""
    sent, until = 0, clock()
    while True:
        batch: list[dict[str, Any]] = []
        for event in show.until(until):
            batch.append(event)
            if len(batch) == FRAME_EVENTS:
                await client.send(batch)
                batch, sent = [], sent + len(batch)
                progress(sent)
        await client.send(batch)
        await client.drain()
        sent += len(batch)
        progress(sent)
        if clock() - until < 2_000:
            break
        until = clock()
    for at in (until, None):
        if refused := await client.tick(at, TENANT):
            raise DemoError(f"the gateway did not take the history's clock: {refused}")
    return sent


async def go_on(client: Client, show: Show, beat: Callable[[int], None], clock: Callable[[], int] = now_ms) -> None:
    """What is said from now on, as it is said, through the ordinary door, without end."""
    recent: deque[int] = deque()
    while True:
        batch = list(show.until(clock()))
        await client.send(batch)
        recent.extend(event["at"] for event in batch if event["kind"] == "message")
        while recent and recent[0] < clock() - MINUTE:
            recent.popleft()
        beat(len(recent))
        await asyncio.sleep(BEAT_S)


def usable_port(port: int | None) -> int | None:
    """The port asked for; where none was and the usual ones are taken, free ones (0)."""
    if port is not None:
        return port
    from tidewatch import servers
    from tidewatch.directory import CannotStart

    try:
        servers.need_port(servers.LOOPBACK, 8400, "--port")
        servers.need_port(servers.LOOPBACK, 8123, "--port")
    except CannotStart:
        return 0
    return None


async def run(directory: Path, host: str | None = None, port: int | None = None, settings: object = None) -> None:  # noqa: ARG001 - see below
    """Run the demo until cancelled. `settings` are ignored: the demo brings its own.

    Raises:
        DemoError, CannotStart, SettingsError, Refused, Unreachable: one line each.
    """
    from tidewatch.embedded import Stack

    console = Console(highlight=False, soft_wrap=True)
    _greet(console)
    secret = secrets.token_hex(16)
    async with receiver(secret, lambda alert: _heard(console, alert)) as webhook:
        config = prepare(directory, webhook, secret)
        loading = asyncio.create_task(asyncio.to_thread(shipped))
        began = time.monotonic()
        async with Stack(directory, host=host, port=usable_port(port), config=config) as stack:
            console.print(
                f"[green]✓[/] everything runs, after {time.monotonic() - began:.0f} s; its data: {directory}/"
            )
            assert stack.access is not None  # noqa: S101 - entering the block promises it
            _link(console, stack.access["board_url"])
            try:
                await _play(console, await loading, stack.access["url"], stack.access["ingest_token"])
            finally:
                console.print(f"\nstopping; what was written stays in {directory}/ until the next demo")


async def _play(console: Console, desk: Desk, url: str, token: str) -> None:
    show = Show.ending(desk, now_ms())
    async with Client(url, token, replay=True) as client:
        await _fill(console, client, show)
    live = datetime.now().astimezone()
    _announce(console, live.timestamp(), len(desk.queues))
    show.surge_at(round((live.timestamp() + SURGE_AFTER_S) * 1_000))
    async with Client(url, token, patience_s=600) as client:
        with console.status("live") as status:
            telling = asyncio.create_task(_tell_of_the_surge(console))
            try:
                await go_on(
                    client, show, lambda n: status.update(f"live · {n} messages in the last minute · Ctrl-C ends it")
                )
            finally:
                telling.cancel()


async def _fill(console: Console, client: Client, show: Show) -> None:
    hours, began = show.desk.history / 3_600_000, time.monotonic()
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"filling in {hours:.0f} h of history", total=round(show.desk.history / MINUTE * 32))
        sent = await fill(client, show, lambda n: bar.update(task, completed=n))
    took = time.monotonic() - began
    console.print(f"[green]✓[/] {hours:.0f} h of history: {sent:,} events in {took:.0f} s ({sent / took:,.0f}/s)")
    if client.tally.rejected:
        why, n = client.tally.rejected.most_common(1)[0]
        raise DemoError(f"the gateway rejected {n} events of the history: {why}")


def _greet(console: Console) -> None:
    console.print(
        "\n[bold]Tidewatch demo[/] · real conversations from public help channels, replayed. Nobody is waiting."
    )
    console.print("演示 · 以下均为公开帮助频道真实对话的回放，并没有顾客在等待。\n", style="dim")


def _link(console: Console, board: str) -> None:
    console.print(f"\n   [bold]The wallboard:[/]  [link={board}][bold cyan]{board}[/][/link]")
    console.print("   看板（跟随浏览器语言；加 &lang=zh 或 &lang=en 可切换）\n", style="dim")


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def _announce(console: Console, live: float, queues: int) -> None:
    """What happens next, and when."""
    surge = live + SURGE_AFTER_S
    console.print(f"[green]✓[/] live since {_at(live)}: about 30 messages a minute, on {queues} queues\n")
    console.print("  What comes next:")
    console.print(
        f"  {_at(surge)}  a surge on “Ubuntu help · demo”: five times the usual, all about upgrades, for 3 min"
    )
    console.print(
        f"  ≈ {_at(surge + 60)[:5]}   the alert fires: here (by webhook), on the wallboard, in logs/notifier.log"
    )
    console.print(
        f"  ≈ {_at(surge + 780)[:5]}   it resolves, after five usual minutes; the desk goes on until Ctrl-C\n"
    )


async def _tell_of_the_surge(console: Console) -> None:
    await asyncio.sleep(SURGE_AFTER_S)
    console.print(f"  {_at(time.time())}  the surge begins")
    await asyncio.sleep(SURGE_MS / 1_000)
    console.print(f"  {_at(time.time())}  the surge is over; what it brought is being answered")


def _heard(console: Console, alert: Mapping[str, Any]) -> None:
    style = {"firing": "bold red", "resolved": "bold green"}.get(str(alert.get("state")), "bold")
    console.print(f"  {_at(time.time())}  {alert_line(alert)}  (webhook, signature checked)", style=style, markup=False)
