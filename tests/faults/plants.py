"""Known bugs, to be planted: each makes one of the mistakes that others made, so that the tests are seen to fail.

`pytest -p tests.faults.plants …` with `PLANTED=name` runs tests on a product that has the bug. Nothing of this is in
the product: it is patched over it, at seams that stay.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import Phase, settings

from streams.events import Record
from streams.shard import Shard
from tests.faults.line import Faulty
from tests.streams.line import Line, Shelf

MODEL = "tests/faults/test_model.py"


def _stepped(change: Callable[[Shard, Record], Record]) -> None:
    """Change every record on its way into the fold."""
    step = Shard.step

    def changed(self: Shard, position: int | None, record: Record) -> bool:
        return step(self, position, change(self, record))

    Shard.step = changed  # type: ignore[method-assign]


def commit_early() -> None:
    """The position is committed before what it stands for is kept (STACK §2.1)."""
    commit = Faulty._commit

    def early(self: Faulty, partition: int, here: Callable[[str], None]) -> None:
        self.committed[partition] = self.shards[partition].position
        commit(self, partition, here)

    Faulty._commit = early  # type: ignore[method-assign]


def commit_past_in_flight() -> None:
    """After a kill the first record that was under way is taken for done (F606)."""
    revive = Faulty.revive

    def skipping(self: Faulty, partition: int) -> None:
        first = next((one[0] for one in self.log[partition] if one[0] > self.committed[partition]), None)
        self.log[partition] = [one for one in self.log[partition] if one[0] != first]
        revive(self, partition)

    Faulty.revive = skipping  # type: ignore[method-assign]


def no_outbox() -> None:
    """What was kept and not yet said is never said."""
    revive = Faulty.revive

    def silent(self: Faulty, partition: int) -> None:
        self.outbox[partition] = []
        revive(self, partition)

    Faulty.revive = silent  # type: ignore[method-assign]


def no_version() -> None:
    """Readings are added up rather than replaced, so a repeat counts again (no token, no version)."""
    read = Line._read

    def adding(self: Line, reading: Any) -> None:
        before = {key: {part: row.counts for part, row in parts.items()} for key, parts in self.panes.items()}
        read(self, reading)
        for segment in reading.segments:
            for pane in segment.panes:
                key = (pane.tenant, pane.queue, pane.channel, pane.minute)
                old = before.get(key, {}).get(reading.partition, {})
                counts = {name: pane.counts.get(name, 0) + old.get(name, 0) for name in {*pane.counts, *old}}
                self.panes[key][reading.partition] = msgspec.structs.replace(pane, counts=counts)

    Line._read = adding  # type: ignore[method-assign]


def no_ids() -> None:
    """A repeat is taken for another event (no window of known ids)."""
    seen: dict[int, dict[tuple[str | None, str], int]] = defaultdict(lambda: defaultdict(int))

    def renamed(self: Shard, record: Record) -> Record:
        events = []
        for event in record.events:
            times = seen[id(self)]
            times[event.conversation, event.id] += 1
            n = times[event.conversation, event.id]
            events.append(event if n == 1 else msgspec.structs.replace(event, id=f"{event.id}#{n}"))
        return msgspec.structs.replace(record, events=events)

    _stepped(renamed)


def drop_late() -> None:
    """What comes after its window has closed is thrown away."""
    newest: dict[int, int] = defaultdict(int)

    def dropped(self: Shard, record: Record) -> Record:
        kept = [event for event in record.events if event.at >= newest[id(self)] - 60_000]
        newest[id(self)] = max([newest[id(self)], *(event.at for event in kept)])
        return msgspec.structs.replace(record, events=kept)

    _stepped(dropped)


def arrival_order() -> None:
    """Events are taken in the order in which they come."""
    last: dict[tuple[int, str | None], int] = defaultdict(int)

    def later(self: Shard, record: Record) -> Record:
        events = []
        for event in record.events:
            key = (id(self), event.conversation)
            last[key] = max(last[key], event.at)
            events.append(msgspec.structs.replace(event, at=last[key]))
        return msgspec.structs.replace(record, events=events)

    _stepped(later)


def no_closing_by_the_clock() -> None:
    """Windows and episodes close when an event says so, never because time passes."""
    _stepped(lambda _, record: msgspec.structs.replace(record, tick=None))


def silent_partition() -> None:
    """Only one partition hears the ticks: in the others nothing ever ends by itself."""
    _stepped(lambda self, record: msgspec.structs.replace(record, tick=None if self.partition else record.tick))


def forgets_the_closed() -> None:
    """A start loads what is open; what is closed is never looked for again."""
    Shelf.find = lambda *_: None  # type: ignore[method-assign]


def double_close() -> None:
    """A record whose commit died is applied to state that has it already, and nothing knows that it was there."""
    commit = Faulty._commit

    def ahead(self: Faulty, partition: int, here: Callable[[str], None]) -> None:
        before = self.committed[partition]
        commit(self, partition, here)
        for segment in msgspec.json.decode(self.topic[-1], type=dict[str, Any]).get("segments", []):
            if segment.get("panes") and before >= 0:
                self.topic.append(self.topic[-1].replace(b'"closed":1', b'"closed":2'))
                break

    Faulty._commit = ahead  # type: ignore[method-assign]


def acks_before_the_disk() -> None:
    """A frame that could not be written is acknowledged."""
    from gateway.journal import Journal

    def settled(self: Journal, group: Any, error: OSError) -> None:
        self._settle(group, 0)

    Journal._fail = settled  # type: ignore[method-assign]


def position_before_the_rows() -> None:
    """The sink notes how far it is before the rows are stored."""
    from sinks.desk import Desk

    store = Desk._store

    async def early(self: Any, block: Any) -> None:
        if self._positions is not None and block.positions:
            self._positions.advance(block.positions)
        await store(self, block)

    Desk._store = early  # type: ignore[method-assign]


def no_escape() -> None:
    """What customers write goes to Slack as it stands."""
    from alerts import slack

    vars(slack)["escape"] = lambda text: text


def no_sweep() -> None:
    """Nobody looks whether a client reads what it is sent."""
    from gateway import server

    vars(server)["_is_abusive"] = lambda _: False


def no_mask() -> None:
    """Text is stored as it came."""
    from gateway import wire

    vars(wire)["mask"] = lambda text: text


PLANTS: dict[str, tuple[Callable[[], None], str]] = {
    "commit_early": (commit_early, MODEL),
    "commit_past_in_flight": (commit_past_in_flight, MODEL),
    "no_outbox": (no_outbox, MODEL),
    "no_version": (no_version, MODEL),
    "no_ids": (no_ids, MODEL),
    "drop_late": (drop_late, MODEL),
    "arrival_order": (arrival_order, MODEL),
    "no_closing_by_the_clock": (no_closing_by_the_clock, MODEL),
    "silent_partition": (silent_partition, MODEL),
    "forgets_the_closed": (forgets_the_closed, MODEL),
    "double_close": (double_close, MODEL),
    "acks_before_the_disk": (
        acks_before_the_disk,
        "tests/gateway/test_journal.py::test_nothing_of_what_cannot_be_written_is_acknowledged",
    ),
    "position_before_the_rows": (position_before_the_rows, "tests/sinks/test_desk.py"),
    "no_escape": (no_escape, "tests/alerts/test_doors.py"),
    "no_sweep": (no_sweep, "tests/gateway/test_server.py::test_who_pings_and_never_reads_is_cut"),
    "no_mask": (no_mask, "tests/gateway/test_parse.py::test_free_text_is_masked_wherever_it_stands"),
}
"""Name → the bug, and the test that must see it."""

if os.environ.get("PLANTED"):
    settings.register_profile("planted", phases=[Phase.generate], database=None)
    settings.load_profile("planted")
    PLANTS[os.environ["PLANTED"]][0]()
