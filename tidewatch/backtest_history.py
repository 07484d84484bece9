"""Where the history of a backtest comes from: ClickHouse, or files of events or of a known data set. Edge.

Both give events in order of time, as the gateway would have handed them on. Text from a file is masked as at the door;
text from ClickHouse was masked when it came.
"""

from __future__ import annotations

import heapq
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from streams.events import Event
from tidewatch.backtest_score import Graded

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

LATENESS_MS = 60_000
"""What is out of order by less is put in order."""
PORTION = 100_000
"""Events of one question to ClickHouse; the embedded one answers with no more than a million rows."""
FRAME = 500


class Failed(Exception):
    """There is no such history. The message is one line."""


@dataclass
class History:
    """Events in order of time, and what is known beside them."""

    events: Iterator[Event]
    size: int | None = None
    """How many there are, where that is known."""
    graded: list[Graded] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Events of a file that the gateway would not have taken, by reason; counted while they are read."""
    left_out: Counter[str] = field(default_factory=Counter)
    behind: int = 0
    """Events of a file that came too far out of order to be put right: they restate what was judged before them."""


def ordered(events: Iterable[Event], within_ms: int = LATENESS_MS) -> Iterator[Event]:
    """The events by time, as far as they are out of order by no more than `within_ms`."""
    heap: list[tuple[int, int, int, Event]] = []
    greatest = -1
    for place, event in enumerate(events):
        heapq.heappush(heap, (event.at, event.seq, place, event))
        greatest = max(greatest, event.at)
        while heap and heap[0][0] <= greatest - within_ms:
            yield heapq.heappop(heap)[3]
    while heap:
        yield heapq.heappop(heap)[3]


# Files


def from_files(files: Sequence[Path]) -> History:
    """Files of events (JSON Lines, gzip or plain), or of a data set that `tidewatch replay` knows.

    Raises:
        Failed: a file is not there.
    """
    for file in files:
        if not file.is_file():
            raise Failed(f"there is no file {file}")
    history = History(iter(()))
    history.events = _watched(ordered(_read(files, history)), history)
    return history


def _watched(events: Iterable[Event], history: History) -> Iterator[Event]:
    greatest = 0
    for event in events:
        history.behind += event.at < greatest
        greatest = max(greatest, event.at)
        yield event


def _read(files: Sequence[Path], history: History) -> Iterator[Event]:
    from tidewatch.replay import BadLine, items

    lines: list[bytes] = []
    for item in items(files, None, history.left_out):
        if isinstance(item, BadLine):
            history.refused["not a JSON object" if item.reason.startswith("not a JSON") else item.reason] += 1
            continue
        lines.append(item.out.body)
        if len(lines) == FRAME:
            yield from _parsed(lines, history)
            lines = []
    yield from _parsed(lines, history)


def _parsed(lines: list[bytes], history: History) -> Iterator[Event]:
    """As at the door of a replay; receipt is when it happened, so that nothing is late on arrival."""
    from gateway.parse import Source, read

    if not lines:
        return
    frame = read("[" + ",".join(line.decode() for line in lines) + "]", Source("*", 0, replay=True))
    history.refused.update(refusal.error for refusal in frame.refused)
    for _, event in frame.events:
        event.received_at, event.replay = event.at, False
        yield event


# ClickHouse

_COLUMNS = (
    "id", "kind", "tenant", "seq", "conversation", "channel", "queue", "customer", "author", "author_id", "text",
    "type", "private", "agent", "by", "resolved", "topic", "score", "comment", "status", "capacity", "attrs",
    "sentiment", "keywords",
)  # fmt: skip
_WITHIN = (
    "event_time >= fromUnixTimestamp64Milli({since:Int64}) AND event_time < fromUnixTimestamp64Milli({until:Int64}) "
    "AND NOT late AND match(tenant, {tenants:String})"
)


def connect(url: str, user: str, password: str, database: str = "tidewatch") -> Client:
    """A client of a ClickHouse, or of an embedded stack's.

    Raises:
        Failed: it cannot be reached.
    """
    import clickhouse_connect
    from clickhouse_connect import common
    from clickhouse_connect.driver.exceptions import ClickHouseError

    parts = urlsplit(url if "://" in url else f"http://{url}")
    for talkative in ("clickhouse_connect", "urllib3"):  # what matters is raised
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    common.set_setting("autogenerate_session_id", False)
    try:
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1", port=parts.port or (8443 if parts.scheme == "https" else 8123),
            secure=parts.scheme == "https", username=parts.username or user, password=parts.password or password,
            database=database, connect_timeout=5, send_receive_timeout=120,
        )  # fmt: skip
    except (ClickHouseError, OSError, ValueError) as error:
        raise Failed(f"{_place(url)}: {_first_line(error)}") from None


def _place(url: str) -> str:
    """An address without the password that may be in it."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def span_of(client: Client, tenants: str) -> tuple[int, int]:
    """The first and the last instant of the stored events.

    Raises:
        Failed: there are none.
    """
    sql = (
        "SELECT toUnixTimestamp64Milli(min(event_time)), toUnixTimestamp64Milli(max(event_time)), count() "
        "FROM events WHERE NOT late AND match(tenant, {tenants:String})"
    )
    first, last, count = _ask(client, sql, {"tenants": tenants})[0]
    if not count:
        raise Failed("there are no events in ClickHouse to go back to")
    return int(first), int(last)


def from_clickhouse(client: Client, since: int, until: int, tenants: str) -> History:
    """The events of a span (ms, half open), and the alerts of it with their grades.

    Raises:
        Failed: ClickHouse does not answer, or has no such table.
    """
    where = {"since": since, "until": until, "tenants": tenants}
    (size,) = _ask(client, _SIZE + _WITHIN, where)[0]
    return History(_stored(client, where, int(size)), int(size), graded=_graded(client, where))


def _stored(client: Client, where: dict[str, Any], size: int) -> Iterator[Event]:
    """Portion by portion, each of about as many events: a view looks at everything for every question."""
    portions = max(-(-size // PORTION), 1)
    cuts: set[int] = set()
    if portions > 1:
        levels = ", ".join(str(n / portions) for n in range(1, portions))
        cuts = {int(cut) for cut in _ask(client, _CUTS.format(levels) + _WITHIN, where)[0][0]}
    names = ", ".join(f"`{name}`" for name in _COLUMNS)
    sql = _ROWS.format(names) + _WITHIN + " ORDER BY event_time, tenant, conversation, seq, id"
    for start, end in pairwise([where["since"], *sorted(cuts), where["until"]]):
        for at, *values in _ask(client, sql, {**where, "since": start, "until": end}) if start < end else ():
            yield _event(int(at), dict(zip(_COLUMNS, values, strict=True)))


_SIZE = "SELECT count() FROM events WHERE "
_CUTS = "SELECT quantiles({})(toUnixTimestamp64Milli(event_time)) FROM events WHERE "
_ROWS = "SELECT toUnixTimestamp64Milli(event_time), {} FROM events WHERE "


def _event(at: int, row: dict[str, Any]) -> Event:
    given = {name: value for name, value in row.items() if value not in (None, [], {})}
    return Event(at=at, received_at=at, **given | {"keywords": tuple(row["keywords"])})


def _graded(client: Client, where: dict[str, Any]) -> list[Graded]:
    """The alerts of the span; one that is still open lasts to its end."""
    sql = (
        "SELECT rule, tenant, ifNull(last.1, '*'), ifNull(last.2, '*'), since, "
        "if(last.4 = 'resolved', told, greatest(told, {until:Int64})) AS until, last.3 FROM (SELECT "
        "rule, tenant, alert, toUnixTimestamp64Milli(min(coalesce(a.since, a.at))) AS since, "
        "toUnixTimestamp64Milli(max(a.at)) AS told, "
        "argMax((a.queue, a.channel, a.grade, a.state), "
        "(a.at, a.state = 'resolved', a.state = 'acknowledged')) AS last "
        "FROM alerts AS a WHERE match(tenant, {tenants:String}) GROUP BY rule, tenant, alert) "
        "WHERE until >= {since:Int64} AND since < {until:Int64} ORDER BY since"
    )
    return [
        Graded(rule, tenant, queue, channel, int(since), int(until), grade)
        for rule, tenant, queue, channel, since, until, grade in _ask(client, sql, where)
    ]


def _ask(client: Client, sql: str, parameters: dict[str, Any]) -> list[Any]:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        return list(client.query(sql, parameters=parameters).result_rows)
    except (ClickHouseError, OSError) as error:
        raise Failed(f"ClickHouse: {_first_line(error)}") from None


def access(data: Path) -> tuple[str, str, str]:
    """URL, user and password of the ClickHouse of the stack that runs in a directory.

    Raises:
        Failed: none runs there.
    """
    try:
        read = json.loads((data / "access.json").read_bytes())
        return read["clickhouse_url"], read["clickhouse_user"], read["clickhouse_password"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(
            f"no stack runs in {data}: name one with --data, a ClickHouse with --clickhouse, or a file with --file"
        ) from None
