"""How fast the worker is on a real Kafka, beside its peers, and what open conversations cost. Opt-in: `make bench`."""

from __future__ import annotations

import statistics

import pytest

from tests.bench.peers import measure as peers
from tests.bench.report import RUNS, SHORT, Figure, note
from tests.bench.worker import memory
from tests.bench.worker.load import made
from tests.bench.worker.measure import run, told
from tests.conftest import require

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3_600)]
BAR, GOAL = 0.15, 0.35
"""Of bare aiokafka and decoding, in the same run."""
EVENTS = 20_000 if SHORT else 500_000
PEERS = {"faust": 160, "quix": 17, "bytewax": 2.8, "streams": 2}
"""How many times as fast as they the worker is to be."""
COMMAND = "python -m tests.bench.peers.measure"


def test_catching_up_is_exact_and_over_the_bar_beside_its_peers() -> None:
    require("java", "mvn")
    results = peers.run(made(EVENTS), RUNS, ["worker", *(peer.name for peer in peers.PEERS)])
    print("\n" + "\n".join(peers.table(results)))
    ours, bare = results.rate("worker"), results.rate("bare")
    beside = f"bare: {bare / 1e3:.0f} k/s, packed {results.rate('bare, packed') / 1e3:.0f} k/s"
    note(Figure("worker, packed: messages a second", ours, "/s", COMMAND, less=False, beside=beside))
    share = note(Figure("worker, packed: of bare", ours / bare, "", COMMAND, GOAL, BAR, less=False, beside=beside))
    for name, times in PEERS.items():
        if name in results.of:
            worst = max(one.missing for one in results.of[name])
            beside = f"it: {results.rate(name) / 1e3:.1f} k/s, a smaller job; it missed {worst:.0%} of the messages"
            note(Figure(f"worker ÷ {name}", ours / results.rate(name), "×", COMMAND, times, less=False, beside=beside))
    assert SHORT or share.reaches(share.bar), share


def test_catching_up_on_one_message_a_record_is_exact() -> None:
    require("java", "mvn")
    load, rates, shares = made(EVENTS // 5), [], []
    for _ in range(RUNS):
        pace, ceilings = run(load, one_by_one=True)
        print("\n" + told("worker, one message a record", pace, ceilings))
        rates.append(pace.rate)
        shares.append(pace.rate / ceilings["aiokafka + decode"].rate)
    beside = f"{statistics.median(shares):.3f} of bare"
    command = "python -m tests.bench.worker.measure --singles"
    rate = statistics.median(rates)
    note(Figure("worker, one message a record: messages a second", rate, "/s", command, less=False, beside=beside))


@pytest.mark.parametrize("n", [2_000, 5_000] if SHORT else [100_000, 1_000_000])
def test_open_conversations_are_taken_up_again(n: int) -> None:
    found = [memory.taken_up(n) for _ in range(RUNS)]
    each, seconds, cpu = (
        statistics.median(getattr(one, name) for one in found) for name in ("each", "seconds", "cpu_s")
    )
    command = f"python -m tests.bench.worker.memory --open {n} --cloned"
    beside = "" if n >= 100_000 else "with all that a process needs anyway"
    note(Figure(f"memory, taken up: bytes an open conversation of {n:,}", each, "B", command, 1_024, beside=beside))
    note(Figure(f"state of {n:,} taken up", seconds, "s", command, 20, beside=f"{cpu:.1f} s of CPU"))


def test_open_conversations_that_grew_live() -> None:
    n = 2_000 if SHORT else 200_000
    each = memory.grown(n).each
    command = f"python -m tests.bench.worker.memory --open {n}"
    note(Figure(f"memory, grown live: bytes an open conversation of {n:,}", each, "B", command, 1_024))
