"""What several gateways on one Kafka must agree about, in Redis: tenants' modes and clocks, and who writes the ticks.

A tenant that is live stays live, so what was once read of it needs no asking again; everything else is asked for each
frame. Keys: hash `tw:doors` tenant → `{"replay", "clock"}`; set `tw:replayed:TENANT` of fingerprints (8 bytes each);
`tw:ticker`, which its holder renews.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from gateway.doors import Mode
from streams.ending import go_on

DOORS, REPLAYED, TICKER = "tw:doors", "tw:replayed:", "tw:ticker"
TERM_MS = 3_000
"""A gateway that does not renew it for so long writes the ticks no more."""

_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""


class Unknown(Exception):
    """Redis does not answer, so nobody can say."""


class Shared:
    """The edge to Redis. Every method but `ticks` raises `Unknown` where Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.asyncio.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._me = secrets.token_hex(8)

    async def modes(self, tenants: Collection[str]) -> dict[str, Mode]:
        """Those of these tenants that are known."""
        names = list(tenants)
        found = await self._ask("HMGET", DOORS, *names)
        return {name: _read(value) for name, value in zip(names, found, strict=True) if value is not None}

    async def claim(self, tenant: str, mode: Mode) -> bool:
        """Make a new tenant's mode known; False: another gateway was first."""
        return bool(await self._ask("HSETNX", DOORS, tenant, _written(mode)))

    async def put(self, tenant: str, mode: Mode) -> None:
        """Move a tenant's clock, or let it go live."""
        await self._ask("HSET", DOORS, tenant, _written(mode))

    async def note(self, tenant: str, fingerprints: Iterable[int]) -> None:
        """Remember events accepted through the replay door."""
        await self._ask("SADD", REPLAYED + tenant, *map(_bytes, fingerprints))

    async def known(self, tenant: str, fingerprints: Sequence[int]) -> list[bool]:
        """Which of these were accepted through the replay door."""
        return [bool(await self._ask("SISMEMBER", REPLAYED + tenant, _bytes(one))) for one in fingerprints]

    async def ticks(self) -> bool:
        """Whether this gateway writes the tick that is due. Without Redis all do: a tick said twice is one."""
        try:
            return bool(await self._redis.eval(_RENEW, 1, TICKER, self._me, TERM_MS))
        except (RedisError, OSError):
            go_on()
            return True

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _ask(self, *command: str | bytes) -> Any:
        try:
            return await self._redis.execute_command(*command)
        except (RedisError, OSError) as error:
            go_on()
            raise Unknown(type(error).__name__) from error


def _read(value: bytes) -> Mode:
    said = json.loads(value)
    return Mode(bool(said["replay"]), said["clock"])


def _written(mode: Mode) -> str:
    return json.dumps({"replay": mode.replay, "clock": mode.clock})


def _bytes(fingerprint: int) -> bytes:
    return fingerprint.to_bytes(8, signed=True)
