"""FAULTS X-04: the tests can fail. Known bugs, planted one at a time: each is seen by the test that is there for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streams.native import PURE
from tests.faults.plants import PLANTS
from tests.rig.clickhouse import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]
FAILED = 1
"""What pytest ends with where tests ran and some failed; nothing else counts as seen."""


def run(name: str, test: str) -> subprocess.CompletedProcess[str]:
    """A test on a product with this bug; with none where the name is empty."""
    words = ["-q", "-x", "-p", "no:cacheprovider", "-p", "tests.faults.plants", "-m", "", test]
    env = dict(os.environ) | {"PLANTED": name, PURE: "1"}  # what is compiled cannot be patched
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("name", PLANTS)
def test_x04_a_planted_bug_is_seen(name: str) -> None:
    done = run(name, PLANTS[name][1])
    assert done.returncode == FAILED, done.stdout[-2_000:] + done.stderr[-1_000:]


@pytest.mark.parametrize("test", sorted({test for _, test in PLANTS.values()}))
def test_x04_without_a_bug_the_same_tests_pass(test: str) -> None:
    done = run("", test)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-1_000:]
