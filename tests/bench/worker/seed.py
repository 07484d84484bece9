"""State with any number of open conversations, made from a few: quicker than folding them all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from config.settings import TenantSettings
from streams.events import Event, Record, Tick, partition_of
from streams.policy import Policy
from streams.shard import Changed, Shard
from streams.states import Batch, Files
from tests.bench.worker.load import CHANNELS, QUEUES, START

TENANT = "shop"
EACH = 6
"""Messages of a conversation, of a customer and an agent in turn; the last waits for a reply."""
ORIGINALS = 1_000
SINCE_MS = 600_000
"""From when the conversations began to the last tick."""
AT_ONCE = 20_000


def events(number: int, start: int = START) -> list[Event]:
    """One conversation, open and in the backlog, begun at `start` or minutes after it."""
    name, at, out = f"c-{number:07}", start + number // 4, []
    for step in range(EACH):
        customer = step % 2 == 0 or step == EACH - 1
        at += 9_000
        out.append(
            Event(
                id=f"{name}-{step}", kind="message", at=at, tenant=TENANT, conversation=name, received_at=at + 100,
                channel=CHANNELS[number % 3], queue=QUEUES[number % 5] if step == 0 else None, text="…",
                author="customer" if customer else "agent",
                author_id=f"u-{number % 99_991:06}" if customer else f"a-{number % 5_000:04}",
                sentiment=0.0 if customer else None,
            )
        )  # fmt: skip
    return out


def rows(n: int, partitions: int, start: int, scratch: Path) -> Iterator[tuple[int, Changed]]:
    """(partition, row) of a state with `n` open conversations, under names of their own, each where its hash says."""
    files = Files(scratch, durable=False)
    shard = Shard(0, lambda _: Policy(TenantSettings()), files.shelf(0))
    shard.step(0, Record(events=[event for number in range(ORIGINALS) for event in events(number, start)]))
    shard.told()
    shard.step(1, Record(tick=Tick(start + SINCE_MS)))  # what was due by then is done
    shard.told()
    made = shard.changes()
    files.close()
    for row in made:
        if row.kind != "conversation":
            yield from ((partition, row) for partition in range(partitions))
    talks = [row for row in made if row.kind == "conversation"]
    for first in range(0, n, len(talks)):
        for row in talks[: n - first]:
            name = f"c-{first + int(row.key[2:]):07}"
            value = row.value.replace(row.key.encode(), name.encode())
            yield partition_of(TENANT, name, partitions), row._replace(key=name, value=value)


def keep(files: Files, given: Iterator[tuple[int, Changed]]) -> None:
    """Add rows to a file of state; its positions stay."""
    while some := list(islice(given, AT_ONCE)):
        by: dict[int, list[Changed]] = {}
        for partition, row in some:
            by.setdefault(partition, []).append(row)
        files.commit([Batch(partition, files.position(partition), changes, ()) for partition, changes in by.items()])
