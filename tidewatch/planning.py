"""`tidewatch event …`: planned events, added, listed and removed; a running stack reads them again by itself."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tidewatch.listing import listing

DATA = Path("tidewatch-data")

event = typer.Typer(help="Plan events that lift what is usual; a running stack takes them up.", rich_markup_mode=None)


class Failed(Exception):
    """A command cannot do what it was asked. The message is one line."""


Config = Annotated[Path | None, typer.Option("--config", help="The settings file (tidewatch.toml).", metavar="FILE")]
Data = Annotated[Path | None, typer.Option("--data", help="The directory of the stack.", metavar="DIR")]
File = Annotated[Path | None, typer.Option("--file", help="The file of events itself.", metavar="FILE")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Each name once.")]
When = "Such as 2026-11-11, 2026-11-11T20:00 or 2026-11-11T20:00+08:00."


@event.command("add")
def add(
    name: Name,
    from_: Annotated[str, typer.Option("--from", metavar="INSTANT", help=When)],
    to: Annotated[str, typer.Option("--to", metavar="INSTANT", help="The end, which is no longer part of it.")],
    factor: Annotated[float, typer.Option(help="Times the usual: 2 is twice, 0.5 half of it.")],
    zone: Annotated[
        str | None, typer.Option(help="Of times without an offset, such as Asia/Shanghai; default: the file's.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="A pattern, * for anything.")] = "*",
    queue: Annotated[str, typer.Option(help="A pattern, * for anything.")] = "*",
    channel: Annotated[str, typer.Option(help="A pattern, * for anything.")] = "*",
    data: Data = None,
    config: Config = None,
    file: File = None,
) -> None:
    """Plan an event. What is usual is lifted by its factor while it lasts.

    \b
    Examples:
      tidewatch event add "Double 11" --from 2026-11-11 --to 2026-11-12 --factor 3 --zone Asia/Shanghai
      tidewatch event add news --from 2026-03-02T10:00+01:00 --to 2026-03-02T13:00+01:00 --factor 2 --queue "sales*"
    """
    from config import calendar_file

    match = {key: value for key, value in (("tenant", tenant), ("queue", queue), ("channel", channel)) if value != "*"}
    entry: dict[str, Any] = {"name": name, "from": from_, "to": to, "factor": factor, "zone": zone, "match": match}
    path = _file(data, config, file)
    made = calendar_file.add(path, {key: value for key, value in entry.items() if value is not None})
    print(f"{made.name}: {_span(made.since, made.until)}, {made.factor:g} times the usual, in {path}")


@event.command("list")
def list_(data: Data = None, config: Config = None, file: File = None) -> None:
    """List what is planned, in order of time; tab-separated where the output is no terminal.

    \b
    Examples:
      tidewatch event list
      tidewatch event list --config tidewatch.toml | cut -f1
    """
    from config.calendar_events import planned

    path = _file(data, config, file)
    rows = [
        (one.name, _instant(one.since), _instant(one.until), f"{one.factor:g}", one.tenant,
         one.match.get("queue", "*"), one.match.get("channel", "*"))
        for one in sorted(planned(path), key=lambda one: (one.since, one.name))
    ]  # fmt: skip
    names = ("name", "from", "to", "factor", "tenant", "queue", "channel")
    if rows or sys.stdout.isatty():
        listing(names, rows, f"nothing is planned in {path}")


@event.command("remove")
def remove(name: Name, data: Data = None, config: Config = None, file: File = None) -> None:
    """Take a planned event back.

    \b
    Example:
      tidewatch event remove "Double 11"
    """
    from config import calendar_file

    path = _file(data, config, file)
    gone = calendar_file.remove(path, name)
    print(f"{gone.name}: removed from {path}")


def _file(data: Path | None, config: Path | None, file: Path | None) -> Path:
    """The file meant: itself, else that of the settings, else that of the stack's directory."""
    from config.calendar_events import FILE
    from config.settings import load

    if file is not None:
        return file
    settings = load(config)
    found = settings.events or (data or settings.data or DATA) / FILE
    if not found.parent.is_dir():
        raise Failed(f"{found.parent}: no such directory: name the stack's with --data, or a file with --file")
    return found


def _span(since: int, until: int) -> str:
    return f"{_instant(since)} to {_instant(until)}"


def _instant(at: int) -> str:
    """In this machine's zone, with its offset."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone().isoformat(timespec="minutes")
