"""The commands `verify` and `rebuild`: whether the history is right, and the state made anew where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA = Path("tidewatch-data")
Config = Annotated[Path | None, typer.Option("--config", help="The settings file (tidewatch.toml).", metavar="FILE")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="A stack's directory (default: ./tidewatch-data where it is there)."),
]


def verify(
    tenant: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Audit the history: nothing double, nothing left out, every number what the events come to. Writes nothing.

    Exit 1 where anything differs. The stack may run meanwhile.
    """
    from tidewatch.verify import command

    raise typer.Exit(command(config, _near(data, config), tenant or ()))


def rebuild(
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="clickhouse, journal or topic.")
    ] = "clickhouse",
    data: Data = None,
    config: Config = None,
) -> None:
    """Make the workers' state anew, from the history or from the events themselves. Nothing may run meanwhile.

    A stack of its own (--data): from clickhouse or from the journal. On Kafka: from clickhouse or from the topic.
    """
    from tidewatch.rebuild import command

    raise typer.Exit(command(config, _near(data, config), source))


def _near(data: Path | None, config: Path | None) -> Path | None:
    return DATA if data is None and config is None and DATA.is_dir() else data


def add(app: typer.Typer) -> None:
    """Make them commands of the application."""
    app.command()(verify)
    app.command()(rebuild)
