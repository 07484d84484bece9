"""What must be so after every fault, as functions that return the differences in words; empty: it is so.

O1 nothing accepted is lost · O2 nothing is invented · O3 nothing is double, in any shipped view · O4 the events of a
conversation are in order · O5 every number is what the independent reference says · O7 no planted secret anywhere · O6
the alerts are those of a run without a fault (O8: `tests.rig.hygiene`). Rows are read from outside, through
ClickHouse's own door.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.conformance.cases import Row
from tests.conformance.compare import disagreements
from tests.integration.outside import History, ms, snapshot
from tests.reference.metrics import reckon
from tests.rig.ledger import Ledger

KEYS = {
    "events": ("tenant", "conversation", "agent", "kind = 'agent_status'", "id"),
    "episodes": ("tenant", "conversation", "episode"),
    "minutes": ("tenant", "queue", "channel", "minute"),
    "alerts": ("tenant", "alert", "at", "state"),
    "agent_status": ("tenant", "agent", "since"),
    "dead_letters": ("topic", "partition", "offset", "at"),
    "audit": ("tenant", "at", "id"),
    "late": ("tenant",),
    "clocks": ("tenant",),
    "outcomes_by_day": ("tenant", "queue", "channel", "day"),
    "agents_by_hour": ("tenant", "agent", "hour"),
    "frt_by_hour": ("tenant", "queue", "channel", "hour"),
    "service_level_by_day": ("tenant", "queue", "channel", "day"),
    "backlog_now": ("tenant", "queue", "channel"),
    "surges": ("tenant", "alert"),
}
"""What a row of every shipped view is named by (README)."""
_SUMS = (
    ("service_level_by_day", "offered"), ("outcomes_by_day", "offered"), ("outcomes_by_day", "closed"),
    ("minutes", "offered"), ("minutes", "closed"), ("minutes", "answered"),
)  # fmt: skip
_DISTINCT = {
    "offered": "demand_at IS NOT NULL",
    "closed": "closed_at IS NOT NULL",
    "answered": "first_reply_at IS NOT NULL AND demand_at IS NOT NULL",
}
"""The same numbers, counted over distinct episodes."""
MOST = 8
"""Differences told of one kind."""


def _some(what: str, names: Iterable[object]) -> list[str]:
    found = sorted(map(str, names))
    more = [f"… and {len(found) - MOST} more"] if len(found) > MOST else []
    return [f"{what}: {name}" for name in found[:MOST]] + more


def stored(history: History, tenant: str) -> list[Row]:
    """The rows of `events` of a tenant."""
    return history.rows(
        "SELECT conversation, agent, kind, id, seq, at, late FROM events WHERE tenant = {t:String}", t=tenant
    )


def name_of(row: Row) -> tuple[str, str]:
    """Who an event is, within its tenant."""
    return (row["agent"] if row["kind"] == "agent_status" else row["conversation"], row["id"])


def lost(ledger: Ledger, rows: Sequence[Row], tenant: str) -> list[str]:
    """O1."""
    return _some("lost", ledger.names(tenant, accepted=True) - {name_of(row) for row in rows})


def invented(ledger: Ledger, rows: Sequence[Row], tenant: str) -> list[str]:
    """O2."""
    return _some("invented", {name_of(row) for row in rows} - ledger.names(tenant))


def double(history: History, tenant: str) -> list[str]:
    """O3: every view has one row of a name, and its sums are those over distinct episodes."""
    found: list[str] = []
    for view, names in KEYS.items():
        where = "" if view == "dead_letters" else "WHERE tenant = {t:String}"
        query = f"SELECT count() AS n, uniqExact(tuple({', '.join(names)})) AS d FROM {view} {where}"  # names of ours
        (row,) = history.rows(query, t=tenant)
        if row["n"] != row["d"]:
            found.append(f"double: {view} has {row['n']} rows of {row['d']} names")
    for view, column in _SUMS:
        (told,) = history.rows(f"SELECT toInt64(sum({column})) AS n FROM {view} WHERE tenant = {{t:String}}", t=tenant)
        distinct = (
            "SELECT toInt64(uniqExact(tuple(conversation, episode))) AS n FROM episodes "
            f"WHERE tenant = {{t:String}} AND {_DISTINCT[column]}"
        )
        (want,) = history.rows(distinct, t=tenant)
        if told["n"] != want["n"]:
            found.append(f"double: {view}.{column} adds up to {told['n']}, over distinct episodes {want['n']}")
    return found


def alerts(history: History, tenant: str) -> Counter[tuple[str, ...]]:
    """O6: every change of state of every alert of a tenant in replay, by what it is about rather than by its id."""
    query = "SELECT at, rule, queue, channel, topic, state FROM alerts WHERE tenant = {t:String}"
    return Counter(tuple(str(value) for value in row.values()) for row in history.rows(query, t=tenant))


def unlike(want: Counter[tuple[str, ...]], got: Counter[tuple[str, ...]]) -> list[str]:
    """O6: alerts that were missed, and such as nobody expected."""
    return _some("missed", (want - got).elements()) + _some("unexpected", (got - want).elements())


def same_alerts(history: History, calm: str, other: str) -> bool:
    """O6 once every alert of the run without a fault is over: the other run's are those, none missed and none more."""
    want, got = alerts(history, calm), alerts(history, other)
    states = Counter(name[-1] for name in want.elements())
    return states["firing"] == states["resolved"] > 0 and unlike(want, got) == []


def disordered(rows: Sequence[Row]) -> list[str]:
    """O4: sorted as METRICS §1 sorts, a source that counts its events up never seems to go back."""
    last: dict[str, int] = {}
    found: list[str] = []
    for row in sorted(rows, key=lambda row: (row["at"], row["seq"] or 0, row["id"])):
        if row["kind"] == "agent_status" or not row["seq"]:
            continue
        if row["seq"] < last.get(row["conversation"], -1):
            found.append(f"{row['conversation']}: {row['seq']} after {last[row['conversation']]}")
        last[row["conversation"]] = row["seq"]
    return _some("out of order", found)


def answer(access: Row, history: History, tenant: str, *, live: bool = True) -> Row:
    """What both surfaces say of a tenant, by the names of the reference."""
    told: Row = {
        "late": [
            row["id"] for row in history.rows("SELECT id FROM events WHERE tenant = {t:String} AND late", t=tenant)
        ]
    }
    for table in ("episodes", "minutes", "outcomes_by_day", "agents_by_hour"):
        told[table] = history.rows(f"SELECT * FROM {table} WHERE tenant = {{t:String}}", t=tenant)  # names of ours
    told["episodes"].sort(key=lambda row: (row["opened_at"], row["conversation"], row["episode"]))
    frame = snapshot(access) if live else {"keys": [], "agents": []}
    told["live"] = [row for row in frame["keys"] if row["tenant"] == tenant]
    told["agents"] = [{**row, "since": ms(row["since"])} for row in frame["agents"] if row["tenant"] == tenant]
    return told


def wrong(told: Row, events: Sequence[Row], tick: int, settings: Row | None = None, **door: bool) -> list[str]:
    """O5: every window, episode and tile against the reference, which shares no code with the product."""
    want = reckon(events, settings or {}, tick, **door)
    if not told["live"]:
        want, told = want | {"live": [], "agents": []}, told | {"agents": []}
    found = disagreements(want, told)
    if len(told["episodes"]) != len(want["episodes"]):
        found.append(f"episodes: {len(told['episodes'])} instead of {len(want['episodes'])}")
    return found[:MOST]


def exact(access: Row, history: History, ledger: Ledger, tenant: str, tick: int) -> list[str]:
    """O1 to O5 at once, of a tenant in replay at its last tick; everything sent was acked."""
    rows = stored(history, tenant)
    events = ledger.events(tenant)
    found = lost(ledger, rows, tenant) + invented(ledger, rows, tenant) + double(history, tenant)
    return found + wrong(answer(access, history, tenant), events, tick)


def counted_twice(rows: Sequence[Row]) -> list[str]:
    """O3 over `events` alone."""
    names = Counter(name_of(row) for row in rows)
    return _some("doubled", [name for name, n in names.items() if n > 1])


def leaked(directories: Iterable[Path], canary: str) -> list[str]:
    """O7: files in which the canary stands, as `grep -raF` finds it."""
    places = [str(path) for path in directories]
    found = subprocess.run(["grep", "-rlaF", "--", canary, *places], capture_output=True, text=True, check=False).stdout
    return _some("canary in", found.split("\n")[:-1])
