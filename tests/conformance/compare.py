"""What an answer gets wrong about a worked case, in words.

An answer holds the rows of the contract under the names a case's `expect` uses, with instants in ms since the epoch:

    {"episodes": [...], "live": [key objects], "minutes": [...], "outcomes_by_day": [...], "agents_by_hour": [...],
     "agents": [...], "late": [ids]}

Only columns that the case names are looked at. Numbers may differ by 1e-6 (shares, means), percentiles by 1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.conformance.cases import Row, start_ms

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
PERCENTILES = frozenset(f"frt_p{q}_{form}ms" for q in (50, 90) for form in ("", "km_"))

_KEYS: dict[str, tuple[str, ...]] = {
    "minutes": ("queue", "channel", "minute"),
    "outcomes_by_day": ("queue", "channel", "day"),
    "agents_by_hour": ("agent", "hour"),
    "agents": ("agent",),
    "live": ("queue", "channel"),
}


def compare(case: Row, actual: Row) -> list[str]:
    """Every difference between what the case expects and the answer, one line each; empty where it passes."""
    expect, start = case["expect"], start_ms(case)
    found = list(_episodes(expect["episodes"], actual["episodes"], start)) if "episodes" in expect else []
    for table, names in _KEYS.items():
        if table in expect:
            found += _keyed(table, names, expect[table], _by_key(names, actual[table], start))
    if "late" in expect and sorted(set(expect["late"])) != sorted(set(actual["late"])):
        found.append(f"late: {sorted(set(actual['late']))} instead of {sorted(set(expect['late']))}")
    return found


def relative(row: Row, start: int) -> Row:
    """The row with its instants in seconds, as cases give them."""
    return {name: _relative(name, value, start) for name, value in row.items()}


def _relative(name: str, value: Any, start: int) -> Any:
    if value is None:
        return None
    if name == "minute":
        return (value - start // MINUTE_MS * MINUTE_MS) / 1000
    if name == "hour":
        return (value - start // HOUR_MS * HOUR_MS) / 1000
    if name.endswith("_at") or name in ("waiting_since", "since"):
        return (value - start) / 1000
    return str(value) if name == "day" else value


def _episodes(expected: list[Row], actual: list[Row], start: int) -> Iterable[str]:
    rows = sorted(actual, key=lambda row: (row["opened_at"], row["conversation"], row["episode"]))
    if len(rows) != len(expected):
        yield f"episodes: {len(rows)} instead of {len(expected)}"
    for number, (want, row) in enumerate(zip(expected, rows, strict=False)):
        yield from _columns(f"episodes[{number}]", want, relative(row, start).get)


def _by_key(names: tuple[str, ...], rows: list[Row], start: int) -> dict[tuple[Any, ...], Row]:
    made = (relative(row, start) for row in rows)
    return {tuple(row[name] for name in names): row for row in made}


def _keyed(table: str, names: tuple[str, ...], expected: list[Row], rows: dict[tuple[Any, ...], Row]) -> Iterable[str]:
    for want in expected:
        key = tuple(want.get(name, "*") for name in names)
        where = f"{table}{list(key)}"
        row = rows.get(key)
        if row is None and table != "minutes":
            yield f"{where}: no such row"
            continue
        columns = {name: value for name, value in want.items() if name not in names}
        yield from _columns(where, columns, row.get if row is not None else lambda _name: 0)


def _columns(where: str, want: Row, value_of: Callable[[str], Any]) -> Iterable[str]:
    for name, expected in want.items():
        actual = value_of(name)
        if isinstance(expected, dict):
            inner = actual if isinstance(actual, dict) else {}
            yield from _columns(f"{where}.{name}", expected, inner.get)
        elif not same(name, expected, actual):
            yield f"{where}.{name}: {actual!r} instead of {expected!r}"


def same(name: str, expected: Any, actual: Any) -> bool:
    """Whether two values of one column are equal, as far as the column is exact."""
    if isinstance(expected, list | tuple):
        items = list(actual) if isinstance(actual, list | tuple) else None
        return (
            items is not None
            and len(items) == len(expected)
            and all(same(name, one, other) for one, other in zip(expected, items, strict=True))
        )
    if isinstance(expected, str | bool) or isinstance(actual, str) or expected is None or actual is None:
        return bool(expected == actual)
    slack = abs(expected) * 0.01 if name in PERCENTILES else 1e-6
    return bool(abs(expected - actual) <= slack)


def disagreements(told: Row, actual: Row) -> list[str]:
    """Every difference between two whole answers, in every column that the first one has.

    A row that says nothing (all zeros; an agent without status who holds nothing) is as good as none.
    """
    found: list[str] = []
    for table, names in (*_KEYS.items(), ("episodes", ("conversation", "episode"))):
        want, rows = (_rows(names, [row for row in answer[table] if _says(table, row)]) for answer in (told, actual))
        columns = _columns_of(told[table])
        for key in sorted({*want, *rows}, key=str):
            where = f"{table}{list(key)}"
            if table != "minutes" and (key not in want or key not in rows):
                found.append(f"{where}: {'missing' if key in want else 'too many'}")
                continue
            expected = want.get(key) or {name: 0 for name in rows[key] if name in columns}
            row = rows.get(key)
            found += _columns(where, expected, row.get if row is not None else _zero(names, key))
    if sorted(set(told["late"])) != sorted(set(actual["late"])):
        found.append(f"late: {sorted(set(actual['late']))} instead of {sorted(set(told['late']))}")
    return found


def _says(table: str, row: Row) -> bool:
    if table == "agents":
        return row["status"] is not None or bool(row["open"])
    if table == "live":
        counted = (window.get(name) for window in row["windows"].values() for name in _COUNTED)
        return any(counted) or bool(row["open"])
    return True


_COUNTED = ("messages", "opened", "closed", "offered", "arrivals", "ratings", "moved_in", "moved_out", "dropped")


def _rows(names: tuple[str, ...], rows: list[Row]) -> dict[tuple[Any, ...], Row]:
    return {tuple(str(row[name]) if name == "day" else row[name] for name in names): row for row in rows}


def _columns_of(rows: list[Row]) -> set[str]:
    return {name for row in rows[:1] for name in row} - {"queue", "channel", "minute"}


def _zero(names: tuple[str, ...], key: tuple[Any, ...]) -> Callable[[str], Any]:
    return lambda name: key[names.index(name)] if name in names else 0
