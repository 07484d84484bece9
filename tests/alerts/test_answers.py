"""What a door answers is heard to its end, however it comes."""

from __future__ import annotations

import asyncio

from alerts.posting import Http
from tests.alerts.receiver import raw, run

SAID = b'{"ok": false, "error": "channel_not_found"}'


async def in_two_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SAID) + SAID[:13])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.write(SAID[13:])
    await writer.drain()


def test_an_answer_that_comes_in_two_pieces_is_heard_whole() -> None:
    async def story() -> None:
        async with raw(in_two_pieces) as url:
            door = Http(5, allow_private=True)
            try:
                assert (await door.post(url, b"", {})).body == SAID
            finally:
                await door.close()

    run(story())
