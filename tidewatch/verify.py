"""`tidewatch verify`: the history audits itself. What it finds is a difference between things that must be equal.

For every tenant: no view has two rows of one name; sources that number their events left none out; and every episode
and every minute is what the events in ClickHouse come to, folded again. Nothing is written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.settings import Settings, load
from streams.events import EpisodeRow
from streams.metrics import COUNTS, shown
from streams.policy import Policies
from streams.waits import counted
from tidewatch.refold import Refold, clocks, connect, events, plain, scratch

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TELL = 5
"""Differences told of one kind and tenant; then only how many more."""
PASSES = 4
"""Numbers move while they are read: only what differs in the same way each time is a difference."""
NAMES = {
    "events": ("conversation", "agent", "kind = 'agent_status'", "id"),
    "episodes": ("conversation", "episode"),
    "minutes": ("queue", "channel", "minute"),
    "alerts": ("alert", "at", "state"),
    "agent_status": ("agent", "since"),
}
_UNCOMPARED = {"tenant", "conversation", "episode", "version", "deleted", "holds"}
"""Of an episode: its name, and what is only ours."""
EPISODE_COLUMNS = tuple(name for name in EpisodeRow.__struct_fields__ if name not in _UNCOMPARED)


class CannotVerify(Exception):
    """There is nothing to verify, or no way to it. The message is one line with the mend."""


@dataclass
class Report:
    """What was compared of one tenant, in lines for a person, and what differs."""

    tenant: str
    lines: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def say(self, what: str, compared: str, found: list[str]) -> None:
        """One line on what was compared, and one on each difference."""
        self.lines.append(f"  {what:<11}{compared}: {'equal' if not found else f'{len(found)} differences'}")
        self.lines += [f"    {line}" for line in found[:TELL]]
        if len(found) > TELL:
            self.lines.append(f"    … and {len(found) - TELL} more")
        self.differences += found


def verify(client: Client, settings: Settings, tenants: Iterable[str] = ()) -> Iterator[Report]:
    """Audit these tenants, or all; a report each."""
    wanted = set(tenants)
    for clock in clocks(client):
        if not wanted or clock.tenant in wanted:
            yield audit(client, settings, clock.tenant)


def audit(client: Client, settings: Settings, tenant: str) -> Report:
    """Compare everything of one tenant."""
    report = Report(tenant)
    report.say("doubles", ", ".join(NAMES), _doubles(client, tenant))
    numbered, gaps = _gaps(client, tenant)
    report.say("sequence", f"{numbered} conversations numbered by their source", gaps)
    count, sizes, found = _recomputed(client, settings, tenant)
    clock = next(one for one in clocks(client) if one.tenant == tenant)
    as_of = "no tick yet" if clock.as_of is None else f"as of {_instant(clock.as_of)}"
    report.lines.insert(0, f"{tenant}: {count} events, {as_of}")
    compared = f"{sizes[0]} episodes in {len(EPISODE_COLUMNS)} columns, {sizes[1]} minutes in {len(COUNTS) + 1}"
    report.say("recomputed", compared, found)
    return report


def _instant(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")


def _doubles(client: Client, tenant: str) -> list[str]:
    found = []
    for view, names in NAMES.items():
        query = f"SELECT count(), uniqExact(tuple({', '.join(names)})) FROM {view} WHERE tenant = {{tenant:String}}"  # noqa: S608  names of ours
        ((rows, distinct),) = client.query(query, parameters={"tenant": tenant}).result_rows
        if rows != distinct:
            found.append(f"{view}: {rows} rows of {distinct} names")
    return found


def _gaps(client: Client, tenant: str) -> tuple[int, list[str]]:
    """Conversations whose source counts its events up one by one, and those of them where a number is missing."""
    query = """
        SELECT conversation, count() AS n, min(seq) AS low, max(seq) AS high
        FROM events WHERE tenant = {tenant:String} AND conversation IS NOT NULL AND seq > 0
        GROUP BY conversation
        HAVING n > 1 AND uniqExact(seq) = n
            AND arrayMap(x -> x.2, arraySort(groupArray((event_time, seq)))) = arraySort(groupArray(seq))
        ORDER BY conversation
    """
    rows = client.query(query, parameters={"tenant": tenant}).result_rows
    gaps = [
        f"conversation {name}: {high - low + 1 - n} missing between {low} and {high}"
        for name, n, low, high in rows
        if high - low + 1 - n and high - low + 1 <= 2 * n  # wider than that is no count of events
    ]
    return len(rows), gaps


def _recomputed(client: Client, settings: Settings, tenant: str) -> tuple[int, tuple[int, int], list[str]]:
    standing: set[str] | None = None
    count, sizes, found = 0, (0, 0), [""]
    for _ in range(PASSES):
        count, sizes, found = _once(client, settings, tenant)
        standing = set(found) if standing is None else standing & set(found)
        if not standing:
            return count, sizes, []
    return count, sizes, [line for line in found if standing is not None and line in standing]


def _once(client: Client, settings: Settings, tenant: str) -> tuple[int, tuple[int, int], list[str]]:
    clock = next(one for one in clocks(client) if one.tenant == tenant)
    with tempfile.TemporaryDirectory(prefix="tidewatch-verify-") as place:
        files = scratch(Path(place))
        refold = Refold(0, Policies(settings), files)
        count = refold.feed(events(client, tenant), real_positions=False)
        refold.tick(clock)
        refold.put_away()
        files.close()
    stored = _stored_episodes(client, tenant), _stored_minutes(client, tenant)
    episodes = {key[1:]: row for key, row in refold.episodes.items() if not row.deleted}
    found = list(_episodes(episodes, stored[0]))
    minutes = {key[1:]: shown(row.counts) | {"frt_hist": counted(row.frt_hist)} for key, row in refold.panes.items()}
    found += _minutes(minutes, stored[1])
    return count, (len(stored[0]), len(stored[1])), found


def _rows(client: Client, query: str, tenant: str) -> Iterator[dict[str, Any]]:
    with client.query_row_block_stream(query, parameters={"tenant": tenant}) as blocks:
        names = blocks.source.column_names
        for block in blocks:
            for row in block:
                yield plain(dict(zip(names, row, strict=True)))


def _stored_episodes(client: Client, tenant: str) -> dict[tuple[str, int], dict[str, Any]]:
    columns = ", ".join(("conversation", "episode", *EPISODE_COLUMNS))
    query = f"SELECT {columns} FROM episodes WHERE tenant = {{tenant:String}}"  # noqa: S608  names of ours
    return {(row["conversation"], row["episode"]): row for row in _rows(client, query, tenant)}


def _stored_minutes(client: Client, tenant: str) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Those in which something happened; the others only say what stood open."""
    columns = ", ".join(("queue", "channel", "minute", *COUNTS, "frt_hist"))
    anything = " OR ".join(f"{name} != 0" for name in COUNTS)
    query = f"SELECT {columns} FROM minutes WHERE tenant = {{tenant:String}} AND ({anything})"  # noqa: S608  names of ours
    return {(row["queue"], row["channel"], row["minute"]): row for row in _rows(client, query, tenant)}


def _episodes(want: Mapping[tuple[str, int], EpisodeRow], stored: Mapping[tuple[str, int], Any]) -> Iterator[str]:
    for name in sorted(want.keys() | stored.keys()):
        where = f"episode {name[0]}/{name[1]}"
        if name not in want or name not in stored:
            yield f"{where}: {'in episodes, not in the events' if name in stored else 'missing'}"
            continue
        told = plain({column: getattr(want[name], column) for column in EPISODE_COLUMNS})
        yield from _columns(where, told, stored[name])


def _minutes(want: Mapping[Any, dict[str, Any]], stored: Mapping[Any, Any]) -> Iterator[str]:
    nothing: dict[str, Any] = shown({}) | {"frt_hist": {}}
    for name in sorted(want.keys() | stored.keys()):
        where = f"minute {name[0]}/{name[1]} {_instant(name[2])}"
        yield from _columns(where, want.get(name, nothing), stored.get(name, nothing))


def _columns(where: str, want: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[str]:
    for column, value in want.items():
        if not _same(value, got[column]):
            yield f"{where}: {column} is {got[column]!r}, the events come to {value!r}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) < 1e-6
    if isinstance(one, dict):
        return {int(key): n for key, n in one.items()} == {int(key): n for key, n in other.items()}
    return bool(one == other)


def open_client(settings: Settings, data: Path | None) -> Client:
    """The history of a running stack's directory, or of the settings' ClickHouse.

    Raises:
        CannotVerify: it does not answer.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    url, user, password = (
        settings.clickhouse.url,
        settings.clickhouse.user,
        settings.clickhouse.password.get_secret_value(),
    )
    if data is not None:
        try:
            access = json.loads((data / "access.json").read_text())
        except (OSError, ValueError):
            raise CannotVerify(f"{data}: no stack runs there: start it, or name another with --data") from None
        url, user, password = (access[f"clickhouse_{name}"] for name in ("url", "user", "password"))
    try:
        return connect(url, user, password, settings.clickhouse.database)
    except (ClickHouseError, OSError) as error:
        raise CannotVerify(
            f"ClickHouse does not answer: {type(error).__name__}; start it, or set clickhouse.url"
        ) from None


def command(config: Path | None, data: Path | None, tenants: Iterable[str]) -> int:
    """Print what was compared; 1 where anything differs."""
    settings = load(config)
    client = open_client(settings, data)
    wrong = known = 0
    for report in verify(client, settings, tenants):
        print("\n".join(report.lines), flush=True)
        wrong += len(report.differences)
        known += 1
    client.close()
    if not known:
        raise CannotVerify("there is no such tenant in the history; without --tenant all are looked at")
    print(f"{known} tenants, {wrong} differences" if wrong else f"{known} tenants, no difference")
    return 1 if wrong else 0
