"""A mistake of ours in reckoning ends nobody's role: what it broke is left out, and the log says where it lies."""

from __future__ import annotations

import traceback
from pathlib import Path

import structlog

log = structlog.get_logger()

OURS = (ArithmeticError, LookupError, TypeError, ValueError)
"""What such a mistake raises."""


def left_out(what: str, error: BaseException) -> None:
    """Note what was left out, with the kind of error and its place: its words may hold what somebody wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    log.error(what, reason=type(error).__name__, at=f"{Path(last.filename).name}:{last.lineno}")
