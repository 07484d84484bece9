"""One frame of the ingest door → events, parsed, masked and stamped; or for each that is not taken, why.

Two ways lead to the same result. The *plain* way decodes a whole frame in C, straight into typed structs; it gives up
at the first thing that is not plain: a null, an unknown field, a value out of bounds, a key that may be given twice.
The *strict* way then reads the frame with the standard library's decoder, whose hooks put a marker in place of whatever
JSON takes and we do not (NaN, a number beyond 64 bits, a key given twice), so that it costs that event and no other.

Why duplicates can be seen by counting: every key is followed by a colon. Where no blank stands before one, `":` occurs
at least once per key given; if it occurs just as often as there are fields that are set, no key was given twice.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.steps import Steps, at_once
from gateway.strict import reading_strictly
from gateway.wire import MAX_INT, Frame, NotAFrame, Refusal, Source, TickAsk, Wire, event_of, frame_of

__all__ = ["Frame", "NotAFrame", "Refusal", "Source", "TickAsk", "read", "reading"]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    seq: Annotated[int, Meta(ge=0, le=MAX_INT)]
    events: list[Wire]


_one = msgspec.json.Decoder(Wire).decode
_many = msgspec.json.Decoder(list[Wire]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


def read(text: str, source: Source) -> Frame:
    """Read one text frame.

    Raises:
        NotAFrame: it is not JSON, not of the three forms (4400), or holds too many events (1009).
    """
    return at_once(reading(text, source))


def reading(text: str, source: Source) -> Steps[Frame]:
    """The same in steps: an event is one.

    Raises:
        NotAFrame: as `read`.
    """
    plain = _plain(text)
    if plain is None:
        return (yield from reading_strictly(text, source))
    return (yield from _taken(plain[0], plain[1], source))


def _plain(text: str) -> tuple[int | None, list[Wire]] | None:
    """The frame's number and events, or None where it has to be read the strict way."""
    seq: int | None
    try:
        if text[:1] == "[":
            seq, wires, keys = None, _many(text), 0
        elif '"events"' in text:
            envelope = _envelope(text)
            seq, wires, keys = envelope.seq, envelope.events, 2
        else:
            seq, wires, keys = None, [_one(text)], 0  # a bare event's `seq` is the event's, not the frame's
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    for wire in wires:
        values = msgspec.structs.astuple(wire)
        keys += len(values) - values.count(None) + (len(wire.attrs) if wire.attrs else 0)
    return (seq, wires) if keys == text.count('":') and not _BLANK_COLON.search(text) else None


_BLANK_COLON = re.compile(r'"[ \t\n\r]+:')


def _taken(seq: int | None, wires: list[Wire], source: Source) -> Steps[Frame]:
    frame = frame_of(seq, len(wires))
    for index, wire in enumerate(wires):
        frame.add(index, wire.id, event_of(wire, source))
        yield None
    return frame
