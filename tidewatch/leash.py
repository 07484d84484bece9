"""The one process that outlives the stack's parent, for a moment: to end the others.

Reads `+PID` and `-PID` lines from the parent; when the pipe breaks, because the parent is gone however it went, kills
the process groups that are left. Run as a script; it imports nothing of ours, so it is small and starts at once.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Wait for the end of the input, then kill."""
    left: set[int] = set()
    for line in sys.stdin:
        (left.add if line[0] == "+" else left.discard)(int(line[1:]))
    for pid in left:
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass  # gone already


if __name__ == "__main__":
    main()
