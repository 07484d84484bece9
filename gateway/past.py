"""`/v1/history`: series of metrics of one key over a span, each step merged from its minutes, never a mean of means.

The percentiles with those still waiting are not in minutes: they are reckoned from the waits themselves, as they stood
at the end of each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.asked import Asked, Wrong
from gateway.behind import EPISODES, NOW
from gateway.drill import instant, now_of
from gateway.questions import Questions, Row, Value
from gateway.routes import MOST_DAYS, MOST_POINTS
from streams.metrics import CATALOGUE, COUNTS, Place, Window, derived, kaplan_meier, sentiment
from streams.windows import DAY, MINUTE, SECOND, pane_of

STEPS = 180
"""Steps that a span is cut into where none is asked for, at most."""
CLOSING = 65 * SECOND
"""A minute has closed everywhere so long after its end: the watermark's lateness, and what a quiet partition waits."""
_MOST_SPREAD = 500_000
"""Waits that may be laid over steps."""
_KM = {"frt_p50_km_ms": 0.5, "frt_p90_km_ms": 0.9}
_STANDING = ("backlog", "oldest_ms")
_USUAL = ("expected", "low", "high")

_IN_KEY = """tenant = {tenant:String} AND ({queue:String} = '*' OR queue = {queue:String})
    AND ({channel:String} = '*' OR channel = {channel:String})
    AND minute >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND minute < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"""
_SLOT = "intDiv(toUnixTimestamp64Milli(minute) - {since:Int64}, {step:Int64})"

MERGED = "\n".join((
    "SELECT " + _SLOT + " AS slot,",
    "    " + ", ".join("sum(m." + name + ") AS " + name for name in COUNTS) + ",",
    "    sumMap(m.frt_hist) AS frt_hist, sum(m.restated) AS restated, sum(m.version) AS version,",
    "    max(m.formula_id) AS formula_id,",
    "    sumIf(m.backlog, toUnixTimestamp64Milli(m.minute) = least({since:Int64} + (slot + 1) * {step:Int64},",
    "        {closed:Int64}) - 60000) AS backlog,",
    "    maxIf(m.oldest_ms, toUnixTimestamp64Milli(m.minute) = least({since:Int64} + (slot + 1) * {step:Int64},",
    "        {closed:Int64}) - 60000) AS oldest_ms",
    "FROM minutes AS m WHERE " + _IN_KEY + " GROUP BY slot ORDER BY slot",
))  # fmt: skip
"""The minutes of a key, merged step by step; a gauge is that of the last minute of its step that has closed."""
FIRST = """
SELECT toUnixTimestamp64Milli(min(minute)) AS first_ms, count() AS n FROM minutes_base WHERE tenant = {tenant:String}"""
SPREAD = (
    "WITH"
    + NOW
    + ","
    + EPISODES
    + """
SELECT demand_ms, if(outcome = 'waiting', NULL, ended_ms) AS end_ms, outcome = 'answered' AS answered, count() AS times
FROM seen
WHERE ({queue:String} = '*' OR credit_queue = {queue:String}) AND demand_at IS NOT NULL AND NOT reopen
    AND demand_ms < {until:Int64} AND (outcome = 'waiting' OR ended_ms >= {since:Int64})
GROUP BY demand_ms, end_ms, answered"""
)
USUAL = "\n".join((
    "SELECT " + _SLOT + " AS slot, sum(u.expected) AS expected, sum(u.low) AS low, sum(u.high) AS high,",
    "    max(u.surge) AS surge",
    "FROM minutes_usual AS u FINAL",
    "WHERE tenant = {tenant:String} AND queue = {queue:String} AND channel = {channel:String}",
    "    AND minute >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
    "    AND minute < fromUnixTimestamp64Milli({until:Int64}, 'UTC')",
    "GROUP BY slot",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Steps:
    """A span cut into steps, all in ms."""

    since: int
    until: int
    step: int
    now: int | None

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-(self.until - self.since) // self.step)

    @property
    def closed(self) -> int:
        """Up to where every minute has closed."""
        return self.until if self.now is None else min(self.until, pane_of(self.now - CLOSING))

    def values(self, tenant: str, question: Asked) -> dict[str, Value]:
        """What the statements need."""
        return {
            "tenant": tenant, "queue": question.text("queue"), "channel": question.text("channel"),
            "since": self.since, "until": self.until, "step": self.step, "closed": self.closed,
        }  # fmt: skip


def steps_of(question: Asked, now: int | None) -> Steps:
    """The steps that a question asks for.

    Raises:
        Wrong: they are too many, or the span is none.
    """
    since, until = pane_of(question.whole("from")), question.maybe_ms("to")
    end = until if until is not None else now + 1 if now is not None else since + MINUTE
    end = pane_of(end - 1) + MINUTE
    if not since < end <= since + MOST_DAYS * DAY:
        raise Wrong("to: not after from, or too far from it", f"a span of at most {MOST_DAYS} days")
    given = question.maybe_ms("step")
    if given is not None and given % 60:
        raise Wrong(f"step: {given}", "seconds, a multiple of 60")
    step = given * SECOND if given is not None else -(-(end - since) // (STEPS * MINUTE)) * MINUTE
    steps = Steps(since, end, step, now)
    if steps.count > MOST_POINTS:
        raise Wrong(f"step: {steps.count} steps", f"at most {MOST_POINTS}: a greater step, or a shorter span")
    return steps


async def history(questions: Questions, question: Asked, tenant: str) -> dict[str, Any]:
    """The answer of `/v1/history`.

    Raises:
        Wrong, Away, TooMuch: there is none.
    """
    names = question.texts("metric")
    now = await now_of(questions, tenant)
    steps = steps_of(question, now)
    values = steps.values(tenant, question)
    asked = {name: value for name, value in values.items() if name not in ("step", "closed")}
    waits = questions.rows(SPREAD, **asked) if _KM.keys() & set(names) else _nothing()
    wants_usual = set(names) & {"customer_messages", "rate_per_min", *_USUAL}
    usual = questions.rows(USUAL, **asked, step=steps.step) if wants_usual else _nothing()
    merged, spread, expected, first = await asyncio.gather(
        questions.rows(MERGED, **values), waits, usual, questions.rows(FIRST, tenant=tenant)
    )
    slots = {int(row["slot"]): row for row in merged}
    known = _known(steps, first[0])
    return {
        "tenant": tenant, "queue": question.text("queue"), "channel": question.text("channel"), "as_of": instant(now),
        "from": instant(steps.since), "to": instant(steps.until), "step_s": steps.step // SECOND,
        "at": [instant(steps.since + slot * steps.step) for slot in range(steps.count)],
        "series": [_series(name, steps, slots, known, _km(name, steps, spread), expected) for name in names],
        "restated": [
            {"at": instant(steps.since + slot * steps.step), "times": int(row["restated"])}
            for slot, row in slots.items() if row["restated"]
        ],
        "usual": _usual(steps, expected) if wants_usual else {},
    }  # fmt: skip


async def _nothing() -> list[Row]:
    return []


def _known(steps: Steps, first: Row) -> range:
    """The steps in which there was anything to know of the tenant: from its first minute until now."""
    if not first["n"] or steps.now is None:
        return range(0)
    begin = max(0, (int(first["first_ms"]) - steps.since) // steps.step)
    return range(begin, min(steps.count, max(0, (steps.now - steps.since) // steps.step + 1)))


def window_of(row: Row | None) -> Window:
    """A merged row of `minutes` as the window that the formulas work on."""
    if row is None:
        return Window()
    return Window(
        {name: round(row[name] * (1_000 if name == "sentiment_sum" else 1)) for name in COUNTS if row[name]},
        {int(lower): int(n) for lower, n in (row["frt_hist"] or {}).items()},
    )


def number_in(name: str, row: Row | None) -> float | None:
    """A metric of the catalogue, of a merged row of `minutes` (None: nothing happened)."""
    window = window_of(row)
    if name in COUNTS:
        return float(row[name]) if row is not None else 0
    if name in _STANDING:
        value = row[name] if row is not None else None
        return float(value) if value is not None else (0 if name == "backlog" else None)
    value = sentiment(window.counts) if name == "sentiment" else derived(window, {}).get(name)
    return float(value) if isinstance(value, int | float) else None


def cases_in(name: str, row: Row | None) -> int | None:
    """How many cases are behind it; None where it has no such number."""
    metric = CATALOGUE[name]
    if not metric.cases or (metric.place is not Place.WINDOW and name != "sentiment"):
        return None
    first, *others = (int((row or {}).get(case) or 0) for case in metric.cases)
    return first - sum(others)


def _series(
    name: str, steps: Steps, slots: Mapping[int, Row], known: range, km: Mapping[int, tuple[Any, bool, int]],
    expected: Sequence[Row],
) -> dict[str, Any]:  # fmt: skip
    values: list[float | None] = []
    cases: list[int | None] = []
    censored: list[bool] = []
    usual = {int(row["slot"]): row for row in expected}
    for slot in range(steps.count):
        value, longer, n = None, False, None
        open_yet = name in _STANDING and steps.since + slot * steps.step >= steps.closed
        if slot not in known or open_yet:
            n = None
        elif name in _KM:
            value, longer, n = km.get(slot, (None, False, 0))
        elif name == "rate_per_min":
            value = number_in("customer_messages", slots.get(slot))
            value = None if value is None else value * MINUTE / _length(steps, slot)
        elif name in _USUAL:
            value = usual[slot][name] if slot in usual else None
        else:
            value, n = number_in(name, slots.get(slot)), cases_in(name, slots.get(slot))
        values.append(value)
        cases.append(n)
        censored.append(longer)
    return {"metric": name, "unit": CATALOGUE[name].unit, "values": values, "n": cases, "censored": censored}


def _length(steps: Steps, slot: int) -> int:
    begin = steps.since + slot * steps.step
    end = min(begin + steps.step, steps.until, steps.now if steps.now is not None else steps.until)
    return max(end - begin, 1)


def _km(name: str, steps: Steps, spread: Sequence[Row]) -> dict[int, tuple[Any, bool, int]]:
    """Slot → the percentile as it stood at the end of the step, whether it is longer than that, and of how many."""
    if name not in _KM:
        return {}
    answered: dict[int, dict[int, int]] = {}
    censored: dict[int, dict[int, int]] = {}
    laid = 0
    for row in spread:
        begin, end, times = int(row["demand_ms"]), row["end_ms"], int(row["times"])
        last = steps.count if end is None else (int(end) - steps.since) // steps.step
        for slot in range(max(0, (begin - steps.since) // steps.step), min(last, steps.count)):
            _add(censored, slot, max(0, _end(steps, slot) - begin), times)
            laid += 1
            if laid > _MOST_SPREAD:
                raise Wrong("metric: too many wait for too long", "ask for a shorter span, or a greater step")
        if end is not None and 0 <= last < steps.count:
            _add(answered if row["answered"] else censored, last, int(end) - begin, times)
    found = {}
    for slot in answered.keys() | censored.keys():
        here, there = answered.get(slot, {}), censored.get(slot, {})
        value, longer = kaplan_meier(here, there, (_KM[name],))[0]
        found[slot] = (value, longer, sum(here.values()) + sum(there.values()))
    return found


def _end(steps: Steps, slot: int) -> int:
    end = steps.since + (slot + 1) * steps.step
    return end if steps.now is None else min(end, steps.now)


def _add(slots: dict[int, dict[int, int]], slot: int, wait: int, times: int) -> None:
    waits = slots.setdefault(slot, {})
    waits[wait] = waits.get(wait, 0) + times


def _usual(steps: Steps, rows: Sequence[Row]) -> dict[str, list[Any]]:
    found = {int(row["slot"]): row for row in rows}
    return {
        name: [found[slot][name] if slot in found else None for slot in range(steps.count)]
        for name in (*_USUAL, "surge")
    }
