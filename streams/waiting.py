"""`asyncio.wait_for` as Python 3.12 has it, for 3.11.

There it forgets that it was cancelled when what it waits for is done in the same turn of the loop (cpython issue
86296). Clients send and connect through it (redis, Faust): a role that was told to end in that moment never did.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any


async def wait_for(fut: Awaitable[Any], timeout: float | None) -> Any:
    """What `fut` gives.

    Raises:
        TimeoutError: it was not done within `timeout` seconds, and was cancelled.
    """
    async with asyncio.timeout(timeout):
        return await fut


def mend() -> None:
    """Let every client in this process wait by it."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]  # noqa: TID251 - what is replaced
