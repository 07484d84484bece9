"""What is said and kept of some made-up streams, as one digest: `python -m tests.streams.forms` → `form|digest`."""

from __future__ import annotations

import hashlib

from streams.native import form
from tests.reference.streams import story
from tests.streams.test_quick import through
from tests.streams.test_words_in_the_fold import stamped

SEEDS = 25


def main() -> None:
    """Print it."""
    digest = hashlib.sha256()
    for seed in range(SEEDS):
        stream = story(seed)
        events = [stamped(wire) for wire in stream.events]
        for short in (True, False):
            heard = through(events, stream.settings, stream.tick, seed, short)
            digest.update(repr(heard.said).encode())
            for key, row in sorted(heard.shelves[0].rows.items()):
                value = row.value if row.kind != "pane" else bytes(sorted(row.value))
                digest.update(repr((key, row.live, value)).encode())
    print(f"{form()}|{digest.hexdigest()}")


if __name__ == "__main__":
    main()
