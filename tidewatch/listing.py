"""How the commands list things: a table on a terminal; elsewhere a line a row, tabs between the cells, the names first.

What is listed was named by others, so nothing in it may steer a terminal or begin another line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_COLOURS = {"critical": "bold red", "warning": "yellow", "firing": "bold", "resolved": "dim"}


def listing(names: Sequence[str], rows: Sequence[Sequence[str]], empty: str = "") -> None:
    """Print the rows. `empty`: what a terminal says where there are none."""
    if not sys.stdout.isatty():
        for row in (names, *rows):
            print("\t".join(clean(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell), style=_COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)


def clean(text: str) -> str:
    """In one line, without what would steer a terminal."""
    from config.logs import printable

    return printable(" ".join(text.split()))
