"""`tidewatch rebuild`: the worker's state made anew, where it is lost, damaged, or of a release that is no longer read.

From ClickHouse: every event up to the position that the sink has stored is folded again; what came after it is still in
the journal, which is never cut beyond that. From the journal: only where it still has everything. The backlogs of
closed minutes are not made again; the history keeps what was said of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from config.settings import Settings, load
from streams.events import Event, partition_of
from streams.policy import Policies
from streams.states import Files
from tidewatch.flow import inserted
from tidewatch.refold import Clock, Refold, clocks, events

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

STATE, ASIDE = "worker.db", "worker.db.before-rebuild"


class CannotRebuild(Exception):
    """State cannot be made anew this way. The message is one line with the mend."""


@dataclass
class Made:
    """What was made anew."""

    events: int
    positions: Mapping[int, int]


def from_history(client: Client, settings: Settings, until: Mapping[int, int], files: Files) -> Made:
    """Fold the history into state that stands at these positions, one of each partition."""
    total, known = 0, clocks(client)
    for partition, position in until.items():
        refold = Refold(partition, Policies(settings), files)
        refold.keep = False
        for late in (
            False,
            True,
        ):  # within a record nobody knows the order: what was late is behind all, and late again
            for clock in known:
                total += refold.feed(_of(client, clock, partition, position, len(until), late), real_positions=True)
        for clock in known:
            refold.tick(clock)
        refold.stand_at(position)
    return Made(total, until)


def _of(
    client: Client, clock: Clock, partition: int, until: int, partitions: int, late: bool
) -> Iterator[tuple[int, Event]]:
    """A tenant's events of one partition, up to a position."""
    for position, event in events(client, clock.tenant, late=late):
        key = event.agent if event.kind == "agent_status" else event.conversation
        if position <= until and partition_of(event.tenant, key or "", partitions) == partition:
            yield position, event


def rebuild(data: Path, settings: Settings, source: str) -> Made | None:
    """Make `worker.db` of a stopped stack anew; the old one stays beside it. None: from the journal, at the next start.

    Raises:
        CannotRebuild: a stack runs there, or this source does not have everything.
    """
    partitions = _partitions(data)
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRebuild(f"{data} is in use by a running stack: stop it first") from None
        if source == "journal":
            _need_whole_journal(data)
            _set_aside(data)
            return None
        fresh = data / "worker.db.new"
        for stale in data.glob("worker.db.new*"):
            stale.unlink()
        files = Files(fresh)
        stored = inserted(data)
        made = _from_engine(data, settings, {number: stored.get(number, -1) for number in range(partitions)}, files)
        files.close()
        _keep_models(data / STATE, fresh)
        _set_aside(data)
        fresh.replace(data / STATE)
        return made


def _from_engine(data: Path, settings: Settings, until: Mapping[int, int], files: Files) -> Made:
    import clickhouse_connect

    from sinks.clickhouse import engine_path

    client = clickhouse_connect.get_client(interface="chdb", path=str(engine_path(data)))
    try:
        client.database = settings.clickhouse.database
        return from_history(client, settings, until, files)
    finally:
        client.close()


def _keep_models(old: Path, fresh: Path) -> None:
    """What models have learned, where the old state can still be read: no event says it again."""
    with closing(sqlite3.connect(f"file:{quote(str(fresh))}", uri=True, isolation_level=None)) as db:
        try:
            db.execute("ATTACH ? AS old", (f"file:{quote(str(old))}?mode=ro",))
            for table in ("models", "learned", "examples"):
                db.execute(f"INSERT INTO main.{table} SELECT * FROM old.{table}")  # noqa: S608  names of ours
        except sqlite3.Error:
            pass  # lost with the state


def _partitions(data: Path) -> int:
    try:
        return int((data / "partitions").read_text())
    except (OSError, ValueError):
        raise CannotRebuild(f"{data} is no directory of a stack: name one with --data") from None


def _need_whole_journal(data: Path) -> None:
    first = min((int(path.stem) for path in (data / "journal").glob("*.log")), default=None)
    if first != 1:
        raise CannotRebuild(
            f"the journal begins at position {first}: what came before was stored and cut; rebuild from clickhouse"
        )


def _set_aside(data: Path) -> None:
    """The old state, its log written into it, under another name."""
    for stale in data.glob(f"{ASIDE}*"):
        stale.unlink()
    for file in sorted(data.glob(f"{STATE}*")):
        if file.name in (STATE, f"{STATE}-wal", f"{STATE}-shm"):
            shutil.move(file, data / file.name.replace(STATE, ASIDE))


def command(config: Path | None, data: Path | None, source: str) -> int:
    """Do it, and say what was made. Without a directory: the state on Kafka."""
    allowed = ("clickhouse", "topic") if data is None else ("clickhouse", "journal")
    if source not in allowed:
        raise CannotRebuild(f"--from {source}: there is no such source here (allowed: {', '.join(allowed)})")
    settings = load(config)
    if data is None:
        from tidewatch.rebuild_kafka import rebuild as on_kafka

        positions = asyncio.run(on_kafka(settings, source))
        print(f"made anew up to the offsets {_listed(positions)}; the workers go on behind them")
        return 0
    try:
        made = rebuild(data, settings, source)
    except sqlite3.Error as error:
        raise CannotRebuild(f"{data}: the state cannot be written: {error}") from None
    if made is None:
        print("the worker begins without state; the next start folds the whole journal again")
    else:
        print(f"made anew from {made.events} events, up to the positions {_listed(made.positions)};", end=" ")
        print("the journal has what came after")
    print(f"the state of before lies in {data / ASIDE}, until the next rebuild")
    return 0


def _listed(positions: Mapping[int, int]) -> str:
    return ", ".join(f"{partition}: {position}" for partition, position in sorted(positions.items()))
