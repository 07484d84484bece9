"""The body of an answer, whole."""

from __future__ import annotations

import asyncio

import aiohttp


async def at_most(content: aiohttp.StreamReader, most: int) -> bytes:
    """All that comes until the end, and no more than `most` bytes of it. (`read` gives what has come by now.)"""
    try:
        return await content.readexactly(most)
    except asyncio.IncompleteReadError as end:
        return end.partial
