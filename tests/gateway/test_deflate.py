"""Compressed frames are, for any client that asked for them, the frames; and what many get is compressed once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from gateway import deflate
from gateway.deflate import LEAST, Packed, packed
from tests.gateway.rig import gate, run, token


def sent(pieces: list[bytes]) -> list[Frame]:
    """The frames of a message in pieces, as they go over the wire."""
    ours = Packed(True, True, 15, 15)
    frames = [Frame(Opcode.TEXT if not at else Opcode.CONT, piece, False) for at, piece in enumerate(pieces)]
    return [ours.encode(frame) for frame in [*frames, Frame(Opcode.CONT, b"", True)]]


def taken(frames: list[Frame]) -> bytes:
    """What a client makes of them."""
    theirs = PerMessageDeflate(True, True, 15, 15)
    return b"".join(bytes(theirs.decode(frame).data) for frame in frames)


parts = st.lists(
    st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode() * 40), min_size=1, max_size=6
)


@given(parts)
def test_a_message_in_pieces_comes_out_whole(pieces: list[bytes]) -> None:
    assert taken(sent(pieces)) == b"".join(pieces)


@given(st.binary(max_size=3 * LEAST))
def test_a_message_in_one_comes_out_whole_compressed_or_not(message: bytes) -> None:
    frame = Packed(True, True, 15, 15).encode(Frame(Opcode.TEXT, message, True))
    assert frame.rsv1 is (len(message) >= LEAST)
    assert taken([frame]) == message


def test_the_same_piece_is_compressed_once_and_what_is_kept_has_an_end() -> None:
    piece = b"x" * (2 * LEAST)
    assert packed(piece) is packed(piece)
    others = [bytes([at % 251]) * LEAST + str(at).encode() for at in range(deflate.KEPT + 10)]
    for other in others:
        packed(other)
    assert len(deflate._packed) <= deflate.KEPT


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["deflate", None])
def test_who_asks_for_compression_gets_the_feed_and_who_does_not_too(tmp_path: Path, compression: str | None) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            headers = {"Authorization": f"Bearer {token('supervisor')}"}
            url = f"ws://{gateway.host}/v1/live"
            async with connect(url, additional_headers=headers, compression=compression) as feed:
                assert json.loads(await asyncio.wait_for(feed.recv(), 5))["kind"] == "snapshot"
                assert json.loads(await asyncio.wait_for(feed.recv(), 5))["kind"] == "delta"
                await feed.send(json.dumps({"watch": {"queues": ["q" * 100] * 100}}))
                while (body := json.loads(await asyncio.wait_for(feed.recv(), 5)))["kind"] != "reply":
                    pass
                assert body["ok"]
                assert bool(feed.protocol.extensions) is (compression is not None)
            async with aiohttp.ClientSession(headers=headers) as web, web.ws_connect(url, compress=15) as other:
                assert json.loads((await other.receive(5)).data)["kind"] == "snapshot"
            sender = {"Authorization": f"Bearer {token('ingest')}"}
            async with connect(f"ws://{gateway.host}/v1/ingest", additional_headers=sender) as ingest:
                assert not ingest.protocol.extensions  # what comes in is never unpacked: there are no bombs

    run(story())
