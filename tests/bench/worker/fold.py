"""What the fold costs, without Kafka: each part of it as a share of what decoding the same records costs.

`python -m tests.bench.worker.fold [--events N] [--every N] [--kinds]`. The machine's speed falls out of shares.
`--every`: events between two commits. `--kinds`: what an event costs by its kind, and whether the short way took it or
the definition.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.settings import TenantSettings
from streams import shard
from streams.conversation import Conversation
from streams.events import Event, Tick, decode_record
from streams.heard import Heard
from streams.line import Line
from streams.native import COMPILED, PURE, form
from streams.pace import calm_collector
from streams.parcels import parcels
from streams.policy import Policy
from streams.shard import Shard
from streams.states import Batch, Files
from streams.tables import _not_in_memory, _packed
from tests.bench.worker.load import made, packed

PARTITIONS = 4
Records = Sequence[tuple[int, bytes]]


class Meter:
    """Processor time by part, and what came of it."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.events = self.said = self.kept = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs within it."""
        begun = time.process_time_ns()
        yield
        self.spent[name] += time.process_time_ns() - begun


def fold(records: Records, every: int, directory: Path) -> Meter:
    """All records through four shards, with a commit after so many events."""
    meter, policy = Meter(), Policy(TenantSettings())
    files = [Files(directory / f"{number}.db", durable=False) for number in range(PARTITIONS)]
    shards = [Shard(number, lambda _: policy, files[number].shelf(number)) for number in range(PARTITIONS)]
    since = 0
    for position, (partition, value) in enumerate(records):
        with meter.part("decode"):
            record = decode_record(value)
        with meter.part("step"):
            shards[partition].step(position, record)
        since += len(record.events)
        meter.events += len(record.events)
        if since >= every:
            since = 0
            _commit(meter, shards, files)
    _commit(meter, shards, files)
    return meter


def _commit(meter: Meter, shards: Sequence[Shard], files: Sequence[Files]) -> None:
    for one, file in zip(shards, files, strict=True):
        with meter.part("say"):
            told = one.told()
            values = [] if told is None else list(parcels(told, -1))
        with meter.part("keep"):
            batch = Batch(one.partition, one.position, one.changes(), ())
            file.stage([_not_in_memory(batch)])
            rows = list(_packed(batch))
            file.commit([_not_in_memory(batch)])
            file.unstage()
        meter.said += sum(map(len, values))
        meter.kept += sum(len(key) + len(value) for key, value in rows)


@contextmanager
def by_kind(spent: Counter[str], n: Counter[str]) -> Iterator[None]:
    """Within it, every event is timed, and every tick."""
    names: dict[str, Any] = vars(shard)
    quick, long, tick = names["quick"], Shard._fold, Shard._tick

    def note(kind: str, begun: int) -> None:
        spent[kind] += time.thread_time_ns() - begun
        n[kind] += 1

    def short(line: Line, conversation: Conversation, event: Heard, given: Event) -> bool:
        begun = time.thread_time_ns()
        done = bool(quick(line, conversation, event, given))
        note(f"{event.author or event.kind}, the short way" if done else "refused by the short way", begun)
        return done

    def definition(self: Shard, line: Line, conversation: Conversation, event: Event) -> None:
        begun = time.thread_time_ns()
        long(self, line, conversation, event)
        note(f"{event.author or event.kind}, the definition", begun)

    def passed(self: Shard, given: Tick) -> None:
        begun = time.thread_time_ns()
        tick(self, given)
        note("ticks", begun)

    methods: Any = Shard
    names["quick"], methods._fold, methods._tick = short, definition, passed
    try:
        yield
    finally:
        names["quick"], methods._fold, methods._tick = quick, long, tick


def main() -> None:
    """Print the parts, or the kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--every", type=int, default=150_000)
    parser.add_argument("--kinds", action="store_true")
    given = parser.parse_args()
    if given.kinds and form() == COMPILED:
        raise SystemExit(f"what is compiled cannot be timed by kind: {PURE}=1 runs it as source")
    records = list(packed(made(given.events), PARTITIONS))
    calm_collector()
    spent: Counter[str] = Counter()
    n: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as directory:
        if given.kinds:
            with by_kind(spent, n):
                meter = fold(records, given.every, Path(directory))
        else:
            meter = fold(records, given.every, Path(directory))
    decode, whole = meter.spent["decode"], sum(meter.spent.values())
    parts = ", ".join(f"{name} {time_ns / decode:.1f}" for name, time_ns in meter.spent.items())
    print(
        f"{parts}, all {whole / decode:.1f} of decode ({whole / meter.events / 1e3:.1f} µs of CPU an event); "
        f"{meter.said / meter.events:.0f} bytes said and {meter.kept / meter.events:.0f} kept an event"
    )
    for kind, time_ns in spent.most_common():
        print(f"{100 * time_ns / meter.spent['step']:5.1f} % {kind}: {n[kind]}, {time_ns / n[kind] / 1e3:.1f} µs each")


if __name__ == "__main__":
    main()
