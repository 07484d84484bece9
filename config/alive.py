"""A file that a role touches while its loop turns: what the health check of a container without a port looks at.

`TIDEWATCH_ALIVE` names it; unset, there is none. It is gone when the role has ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "TIDEWATCH_ALIVE"
EVERY_S = 2.0


async def beating(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, touching the file every two seconds meanwhile."""
    name = os.environ.get(VARIABLE)
    if not name:
        return await work
    touching = asyncio.create_task(_touch(Path(name)))
    try:
        await work
    finally:
        touching.cancel()
        _remove(Path(name))


async def _touch(file: Path) -> None:
    while True:
        _stamp(file)
        await asyncio.sleep(EVERY_S)


def _stamp(file: Path) -> None:
    with suppress(OSError):  # a disk that is full stops nobody else's job; the health check sees it
        file.touch()


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)
