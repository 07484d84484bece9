"""The table at the end of `make bench`."""

from __future__ import annotations

import os

from _pytest.terminal import TerminalReporter

from tests.bench.machine import machine
from tests.bench.report import FIGURES, SHORT, table


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say what was measured, and on what."""
    if not FIGURES:
        return
    terminalreporter.section("figures")
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    terminalreporter.write_line(f"{machine()}; load average {load}{'; SHORT: these mean little' if SHORT else ''}\n")
    for line in table(FIGURES):
        terminalreporter.write_line(line)
