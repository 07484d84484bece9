"""How the shipped cut was made: `python -m tidewatch.data.cut FOLDER`, where the whole data sets lie in FOLDER.

Of `irc-helpdesks` and `crosswoz` every row; of `irc-ubuntu` the annotated lines of the busier stretches, because the
lines before them nobody annotated, and sparse stretches make no lively desk. Fields we do not use are dropped; the
channel's bot, told by lines that are not in the cut, is marked `bot`. Nothing inside a message is changed.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tidewatch import data, datasets

KEPT = ("file", "n", "ts", "author", "text", "conv")
PACE = 3.0
"""Annotated messages a minute that a stretch of #ubuntu needs to be shipped."""


def ubuntu(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The annotated lines of the stretches busy enough, with the bots marked."""
    stretches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        stretches[row["file"]].append(row)
    return [row for given in stretches.values() if pace(given) >= PACE for row in marked(given)]


def pace(given: Sequence[dict[str, Any]]) -> float:
    """Annotated messages a minute, between the first and the last that opens a conversation or answers one."""
    ats = [line.at for line, row in zip(datasets.log_lines(given), given, strict=True) if "starts" in row]
    return len(ats) * datasets.MINUTE / max(ats[-1] - ats[0], datasets.MINUTE)


def marked(given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The annotated rows of people and bots, with the fields we use."""
    log = datasets.log_lines(given)
    robots, noise = datasets.bots(log), datasets.notices(log)
    return [
        {name: row[name] for name in KEPT} | ({"bot": True} if row["author"] in robots else {})
        for row in given
        if row.get("conv") is not None and row["author"] not in noise
    ]


def helpdesks(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every line."""
    return [{name: row[name] for name in KEPT if name in row} for row in rows]


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """JSON Lines, gzip, the same bytes in every run."""
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main(folder: Path) -> None:
    write(data.IRC_HELPDESKS, helpdesks(datasets.rows(folder / "irc-helpdesks/messages.jsonl.gz")))
    write(data.IRC_UBUNTU, ubuntu(datasets.rows(folder / "irc-ubuntu/messages.jsonl.gz")))
    write(data.CROSSWOZ, datasets.rows(folder / "crosswoz/dialogues.jsonl.gz"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
