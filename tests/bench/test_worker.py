"""How fast the worker is on a real Kafka, and what open conversations cost. Opt-in: `make bench`."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest

from tests.bench.worker.load import made
from tests.bench.worker.measure import run, told
from tests.conftest import require

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
BAR = 0.15
"""Of bare aiokafka and decoding, in the same run."""


def test_catching_up_as_the_gateway_packs_is_exact_and_over_the_bar() -> None:
    require("java", "mvn")
    load, shares = made(500_000), []
    for _ in range(3):
        pace, ceilings = run(load, one_by_one=False)
        print("\n" + told("worker, packed", pace, ceilings))
        shares.append(pace.rate / ceilings["aiokafka + decode"].rate)
    print(f"median {statistics.median(shares):.3f} of bare, goal 0.35")
    assert statistics.median(shares) >= BAR


def test_catching_up_on_one_message_a_record_is_exact() -> None:
    require("java", "mvn")
    pace, ceilings = run(made(100_000), one_by_one=True)
    print("\n" + told("worker, one message a record", pace, ceilings))


def test_a_million_open_conversations_are_taken_up_within_twenty_seconds() -> None:
    command = [sys.executable, "-m", "tests.bench.worker.memory", "--open", "1000000", "--cloned"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    print("\n" + said)
    assert float(said.split(" open in ")[1].split()[0]) <= 20
