"""How a kept conversation begins: as much of it as a start needs. The rest is not even decoded."""

from __future__ import annotations

from typing import Any

import msgspec


class Head(msgspec.Struct, array_like=True, gc=False):
    """The first fields of `streams.packing`."""

    tenant: str
    id: str
    stance: list[Any] | None = None
    wake: int = -1


head_of = msgspec.msgpack.Decoder(Head).decode
