"""`tidewatch backtest`: what rules would have done with a history, before they are armed."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from config.calendar_events import file_of, instant
from config.settings import Settings, load
from tidewatch.backtest_history import Failed, History, access, connect, from_clickhouse, from_files, span_of
from tidewatch.backtest_result import Result
from tidewatch.backtest_score import Incident, confirmed, incidents_in, score
from tidewatch.backtest_words import cells, clock

if TYPE_CHECKING:
    from streams.events import Event
    from tidewatch.backtest_line import Line

DATA = Path("tidewatch-data")
DAY_MS = 86_400_000
CHARTS = 60
"""Panels on the page."""
_LENGTH = re.compile(r"(\d{1,5})([mhd])")
_MS = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}
_COLUMNS = (
    "rule", "severity", "fires", "told", "minutes firing", "fires a week", "at night", "in an incident",
    "incidents found", "median lead", "useful/noise",
)  # fmt: skip


class Wrong(Exception):
    """The command was used wrongly. The message is one line."""


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    rules: Path | None = None
    since: str = ""
    until: str = ""
    files: Sequence[Path] = ()
    clickhouse: str = ""
    data: Path | None = None
    config: Path | None = None
    tenant: str = "*"
    incidents: Path | None = None
    events: Path | None = None
    every: str = "30s"
    learn: str = "28d"
    out: Path | None = None


def command(asked: Asked) -> int:
    """Run it; the exit code.

    Raises:
        Wrong: wrong usage.
        Failed, RulesError, SettingsError, EventsError, IncidentsError: one line each.
    """
    settings = load(asked.config)
    zone = settings.defaults.zone if asked.tenant == "*" else settings.tenant(asked.tenant).zone
    known = incidents_in(asked.incidents) if asked.incidents else []
    history, since, until = _open(asked, settings, ZoneInfo(zone))
    result = asyncio.run(_run(asked, settings, zone, history, since, until, known))
    _tell(result, history)
    if asked.out is not None:
        for file in write(result, asked.out):
            print(f"wrote {file}", file=sys.stderr)
    return 0


def write(result: Result, out: Path) -> list[Path]:
    """The page, the picture and the numbers of a backtest, in a directory; returns the files.

    Raises:
        Failed: it cannot be written.
    """
    from tidewatch.backtest_chart import draw
    from tidewatch.backtest_page import data, page

    files = [out / "backtest.html", out / "backtest.png", out / "backtest.json"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        files[0].write_text(page(result, CHARTS), encoding="utf-8")
        draw(result, files[1])
        files[2].write_text(data(result), encoding="utf-8")
    except OSError as error:
        raise Failed(f"{out}: cannot be written: {(error.strerror or '').lower()}") from None
    return files


# What to go through


def _open(asked: Asked, settings: Settings, zone: ZoneInfo) -> tuple[History, int, int | None]:
    """The history, and the span (ms) in which rules are judged; None: to its end."""
    if asked.files and asked.clickhouse:
        raise Wrong("--file and --clickhouse: name one history, not two")
    end = None if not asked.until else _instant(asked.until, "--to", zone)
    return _of_files(asked, zone, end) if asked.files else _of_clickhouse(asked, settings, zone, end)


def _of_files(asked: Asked, zone: ZoneInfo, end: int | None) -> tuple[History, int, int | None]:
    history = from_files(asked.files)
    first = next(history.events, None)
    if first is None:
        raise Failed(f"{asked.files[0]}: there is no event in it")
    since = _since(asked.since, first.at, end, zone)
    kept = (event for event in chain([first], history.events) if end is None or event.at < end)
    history.events = (event for event in kept if _is_of(event, asked.tenant))
    return history, since, end


def _is_of(event: Event, tenant: str) -> bool:
    return tenant in ("*", event.tenant)


def _of_clickhouse(
    asked: Asked, settings: Settings, zone: ZoneInfo, end: int | None
) -> tuple[History, int, int | None]:
    client = connect(*_door(asked, settings), settings.clickhouse.database)
    tenants = ".*" if asked.tenant == "*" else f"^{re.escape(asked.tenant)}$"
    first, last = span_of(client, tenants)
    until = end or last + 60_000
    since = max(_since(asked.since, first, until, zone), first)
    if since >= until:
        raise Failed(f"nothing is stored between --from and --to: the first event is of {clock(first, zone)}")
    return from_clickhouse(client, since - _length(asked.learn, "--learn"), until, tenants), since, until


def _door(asked: Asked, settings: Settings) -> tuple[str, str, str]:
    """URL, user and password: those named, else the stack's of a directory, else the settings'."""
    door = settings.clickhouse
    if asked.clickhouse or (asked.data is None and asked.config is not None and settings.data is None):
        return asked.clickhouse or door.url, door.user, door.password.get_secret_value()
    return access(asked.data or settings.data or DATA)


def _since(text: str, first: int, end: int | None, zone: ZoneInfo) -> int:
    """From when on rules are judged: an instant, or a length of time before the end; not said: all of it."""
    if not text:
        return first
    if _LENGTH.fullmatch(text):
        if end is None:
            raise Wrong(f"--from {text}: a length of time needs --to here (allowed: an instant, such as 2026-11-01)")
        return end - _length(text, "--from")
    since = _instant(text, "--from", zone)
    if end is not None and since >= end:
        raise Wrong("--from does not lie before --to")
    return since


def _instant(text: str, option: str, zone: ZoneInfo) -> int:
    try:
        return instant(text, zone)
    except ValueError as error:
        raise Wrong(f"{option}: {error}") from None


def _length(text: str, option: str) -> int:
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise Wrong(f"{option}: {text!r} is not a length of time (allowed: such as 90m, 12h, 28d)")
    return int(found[1]) * _MS[found[2]]


def _every(text: str) -> int:
    found = re.fullmatch(r"(\d{1,2})s", text)
    if found is None or not 1 <= int(found[1]) <= 30:
        raise Wrong(f"--every: {text!r} is not allowed (allowed: 1s to 30s; live it is 1s)")
    return int(found[1]) * 1_000


# Going through it


async def _run(
    asked: Asked,
    settings: Settings,
    zone: str,
    history: History,
    since: int,
    until: int | None,
    known: Sequence[Incident],
) -> Result:
    from tidewatch.backtest_line import Line

    began = time.monotonic()
    events_file = asked.events or file_of(settings)
    line = Line(settings, asked.rules or settings.rules, events_file, since, _every(asked.every))
    with _bar() as bar:
        task = bar.add_task("reading", total=history.size)
        for number, event in enumerate(history.events, 1):
            await line.take(event)
            if number % 500 == 0:
                bar.update(task, completed=number, description=clock(event.at, ZoneInfo(zone)))
        if line.first is None:
            raise Failed("there is no event in this span")
        await line.end(until)
    return _result(asked, settings, zone, line, history, known, time.monotonic() - began)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} events"))
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip


def _result(
    asked: Asked, settings: Settings, zone: str, line: Line, history: History, known: Sequence[Incident], took: float
) -> Result:
    span = (line.since, line.until)
    incidents = [one for one in known or confirmed(history.graded) if one.until > span[0] and one.since < span[1]]

    def zone_of(tenant: str) -> ZoneInfo:
        return ZoneInfo(settings.tenant(tenant).zone)

    scores = [
        score(
            (rule.name, rule.severity),
            [fire for fire in line.fires if fire.rule == rule.name],
            line.judged_ms,
            zone_of,
            incidents,
            history.graded,
        )
        for rule in line.rules.rules
    ]
    rules = asked.rules or settings.rules
    return Result(
        line.since, line.until, line.first or line.since, line.events, line.ticks, took, scores, line.fires, incidents,
        line.panels(), zone, rules.name if rules else "rules.yaml (shipped)",
    )  # fmt: skip


# Telling


def _tell(result: Result, history: History) -> None:
    zone = ZoneInfo(result.zone)
    rows = list(_rows(result))
    if sys.stdout.isatty():
        table = Table(box=None, pad_edge=False)
        for name in _COLUMNS:  # on a narrow terminal all may be folded but a rule's name: two rules may begin alike
            table.add_column(name, overflow="fold", no_wrap=name == "rule")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        for row in (_COLUMNS, *rows):
            print("\t".join(row))
    print(
        f"{result.events:,} events, learned from {clock(result.learned_from, zone)}; judged {result.ticks:,} ticks, "
        f"{clock(result.since, zone)} to {clock(result.until, zone)} ({result.zone}), in {result.took_s:.0f} s",
        file=sys.stderr,
    )
    for why, n in [*history.refused.most_common(5), *history.left_out.items()]:
        print(f"  left out: {n:,} ({why})", file=sys.stderr)
    if history.behind:
        print(f"  {history.behind:,} events lie over a minute behind others: sort the file by time", file=sys.stderr)
    if not result.incidents:
        print("  no incident is known: grade alerts useful, or name them with --incidents", file=sys.stderr)


def _rows(result: Result) -> Iterator[tuple[str, ...]]:
    for one in result.scores:
        yield tuple(cells(one))
