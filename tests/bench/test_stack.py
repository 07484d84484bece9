"""The whole stack: time to a tile, starts, a takeover, a day's memory, cost by keys: opt-in: `make bench`."""

from __future__ import annotations

import statistics

import pytest

from tests.bench import day, latency, scale, starts, takeover
from tests.bench.report import RUNS, SHORT, Figure, note
from tests.conftest import require

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7_200)]
SECONDS = 10 if SHORT else 60
MARKS: dict[int, dict[float, float | None]] = {200: {0.5: None, 0.95: None}, 2_000: {0.5: None, 0.95: 0.5, 0.99: 1.0}}
"""Messages a second → quantile → goal, s."""


@pytest.mark.parametrize("per_s", MARKS)
def test_from_a_send_to_a_tile(per_s: int) -> None:
    runs = []
    for _ in range(RUNS):
        runs.append(latency.run(per_s, SECONDS))
        print("\n" + latency.told(runs[-1]))
    load = f"load average {statistics.median(one.load for one in runs):.1f}"
    for share, goal in MARKS[per_s].items():
        middle = statistics.median(one.at(share) for one in runs)
        what = f"send → tile at {per_s}/s, p{share * 100:.0f}"
        note(Figure(what, middle, "s", f"python -m tests.bench.latency --per-s {per_s}", goal, beside=load))


def test_what_boards_cost() -> None:
    viewers = 10 if SHORT else 50
    alone, watched = latency.run(200, SECONDS), latency.run(200, SECONDS, viewers)
    print(f"\n{latency.told(alone)}\nwith {viewers} boards more, {latency.told(watched)}")
    each = (watched.cpu["gateway"] - alone.cpu["gateway"]) / viewers * 1_000
    command = f"python -m tests.bench.latency --per-s 200 --viewers {viewers}"
    beside = f"the gateway alone: {alone.cpu['gateway'] * 1_000:.0f}"
    note(Figure("a board more, at 200/s: thousandths of a core of the gateway", each, "", command, beside=beside))


@pytest.mark.parametrize("where", ["embedded", "kafka"])
@pytest.mark.parametrize("n", [5_000] if SHORT else [100_000, 1_000_000])
def test_a_start_with_many_open(n: int, where: str) -> None:
    if where == "kafka":
        require("java", "mvn")
    found = []
    for _ in range(RUNS):
        found.append(starts.PLACES[where](n))
        print(f"\n{where}: {found[-1]}")
    command = f"python -m tests.bench.starts --open {n} --where {where}"
    seconds = statistics.median(one.ready_s for one in found)
    cpu = statistics.median(one.cpu_s for one in found)
    note(Figure(f"start with {n:,} open, {where}", seconds, "s", command, starts.GOAL_S, beside=f"{cpu:.1f} s of CPU"))


def test_a_takeover_on_kafka() -> None:
    require("java", "mvn")
    n = 2_000 if SHORT else 100_000
    found = takeover.run(2 if SHORT else 5, n)
    first, served = ([getattr(one, name) for one in found] for name in ("first_s", "served_s"))
    beside = f"at most {max(served):.1f} s; the first partition after {statistics.median(first):.1f} s; {n:,} open"
    command = f"python -m tests.bench.takeover --open {n}"
    note(Figure("takeover after SIGKILL", statistics.median(served), "s", command, takeover.GOAL_S, beside=beside))


def test_what_a_second_of_chat_costs_by_partitions_and_keys() -> None:
    for line in scale.table([(4, 100)] if SHORT else scale.POINTS):
        print(line, flush=True)


def test_a_day_stays_under_a_gibibyte() -> None:
    hours = 0.25 if SHORT else 24.0
    most = day.run(50, hours, 60)
    mib = sum(most.values()) / 2**20
    command = f"python -m tests.bench.day --hours {hours:g} --speed 60"
    note(Figure(f"{hours:g} h at 50/s, compressed: the stack's memory", mib, "MiB", command, 1_024))
