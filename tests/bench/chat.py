"""Made-up chat for benches of the whole stack, as clients send it, at any rate."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.bench.worker.load import AGENTS, CHANNELS, QUEUES, WORDS

TURNS = 12
"""Messages of a conversation."""
PAUSE_S = 20
"""From one message of a conversation to the next."""


def events(number: int, per_s: int, at: int, tenant: str) -> Iterator[dict[str, Any]]:
    """The events of one message of a steady flow; the first opens its conversation, the last closes it.

    `number`: which message it is, from 0 on; `at`: its instant, ms. Their order within it is their `seq`.
    """
    for seq, event in enumerate(_events(number, per_s, at, tenant)):
        yield event | {"seq": seq}


def _events(number: int, per_s: int, at: int, tenant: str) -> Iterator[dict[str, Any]]:
    under_way = per_s * PAUSE_S
    turn, place = divmod(number, under_way)
    which, step = divmod(turn + place, TURNS)
    own = Random(f"{place}/{which}")
    agent, customer = f"a-{own.randrange(AGENTS):04}", f"u-{own.randrange(200_000):06}"
    base = {"tenant": tenant, "conversation": f"c-{place}-{which}", "at": at}
    if step == 0:
        yield base | {"id": "o", "kind": "opened", "queue": own.choice(QUEUES), "channel": own.choice(CHANNELS)}
    if step == 1:
        yield base | {"id": "a", "kind": "assigned", "agent": agent}
    who = {"author": "agent", "author_id": agent} if step % 2 else {"author": "customer", "author_id": customer}
    text = " ".join(own.choices(WORDS, k=2 + (number * 7 + step) % 8))
    yield base | who | {"id": f"m{step}", "kind": "message", "text": text}
    if step == TURNS - 1:
        yield base | {"id": "c", "kind": "closed", "by": "agent", "resolved": own.random() < 0.8}
