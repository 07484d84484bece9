"""How rare English words are in service chat: data sets in, `models/data/english.txt` out.

    python scripts/english_idf.py DIR > models/data/english.txt

DIR holds the sets by the names of docs/data.md (`multidogo`, `banking77`, `irc-helpdesks`, `irc-ubuntu`), as JSON Lines
with a field `text`. Written are the words in 20 messages or more: ln(messages ÷ messages with the word).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from math import log
from pathlib import Path

SETS = ("multidogo", "banking77", "irc-helpdesks", "irc-ubuntu")
LEAST = 20
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def main(root: Path) -> None:
    """Print the table of the sets under `root`."""
    seen: Counter[str] = Counter()
    messages = 0
    for path in sorted(one for name in SETS for one in (root / name).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                messages += 1
                seen.update(set(_WORD.findall(json.loads(line)["text"].lower().replace("’", "'"))))
    print("# word, ln(messages / messages with it): multidogo, banking77, irc-helpdesks, irc-ubuntu (CREDITS.md)")  # noqa: T201 - its output
    for word, n in sorted(seen.items(), key=lambda pair: (-pair[1], pair[0])):
        if n >= LEAST and len(word) > 2:
            print(word, round(log(messages / n), 2))  # noqa: T201 - its output


if __name__ == "__main__":
    main(Path(sys.argv[1]))
