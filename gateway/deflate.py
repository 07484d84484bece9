"""Frames of the feed, compressed for those who ask for it (RFC 7692): a phone at night gets a twentieth of the bytes.

What many viewers get is compressed once. So every piece is compressed by itself, referring to nothing before it: the
pieces of a message put one behind the other are one valid stream, whoever gets them. Small frames go as they are.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.typing import ExtensionParameter

LEAST = 2_048
"""Bytes; below it the work is worth more than what it saves."""
KEPT = 256
"""Pieces that are remembered; of at most 64 KiB each."""
LEVEL, WINDOW_BITS = 1, 15
_TAIL = b"\x00\x00\xff\xff"
"""What a flush ends with, and a message leaves out. Source: RFC 7692 §7.2.1."""

_packed: OrderedDict[int, tuple[object, bytes]] = OrderedDict()


def packed(piece: bytes | bytearray | memoryview) -> bytes:
    """A piece, compressed by itself, up to and with the tail. The same object again costs nothing."""
    found = _packed.get(id(piece))
    if found is not None and found[0] is piece:
        _packed.move_to_end(id(piece))
        return found[1]
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS)
    made = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    if isinstance(piece, bytes) and len(piece) >= LEAST:
        _packed[id(piece)] = (piece, made)  # held, so that nothing else can have its identity
        if len(_packed) > KEPT:
            _packed.popitem(last=False)
    return made


class Packed(PerMessageDeflate):
    """The extension on one connection."""

    _packs = False

    def encode(self, frame: Frame) -> Frame:
        """What goes out for a frame of ours."""
        if frame.opcode in CTRL_OPCODES:
            return frame
        first = frame.opcode is not Opcode.CONT
        if first:
            self._packs = not frame.fin or len(frame.data) >= LEAST
        if not self._packs:
            return frame
        data = packed(frame.data)
        return Frame(frame.opcode, data[: -len(_TAIL)] if frame.fin else data, frame.fin, first, frame.rsv2, frame.rsv3)


class Factory(ServerPerMessageDeflateFactory):
    """Agrees with a client that offers compression, if it can take what all others take."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """The answer to an offer.

        Raises:
            NegotiationError: no compression on this connection.
        """
        agreed, plain = super().process_request_params(params, accepted_extensions)
        if plain.local_max_window_bits != WINDOW_BITS:
            raise NegotiationError("a smaller window")
        ours = Packed(
            plain.remote_no_context_takeover, True, plain.remote_max_window_bits, plain.local_max_window_bits
        )  # fmt: skip
        return agreed, ours
