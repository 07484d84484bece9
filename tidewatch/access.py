"""`access.json`: how to get into a running stack."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TypedDict

TOKEN_LIFE = timedelta(days=30)
"""Of what is written; it is written anew each day."""
LINK_LIFE = timedelta(days=400)
"""Of the board's link: it was printed once, and works while the stack runs."""


class Access(TypedDict):
    """CONTRACT §1, key by key."""

    url: str
    board_url: str
    ingest_token: str
    board_token: str
    clickhouse_url: str
    clickhouse_user: str
    clickhouse_password: str


def make_access(url: str, clickhouse_url: str, secret: str, user: str, password: str) -> Access:
    """Fresh tokens for tenant `*`, and a link that opens the board signed in."""
    from gateway.auth import sign_ticket

    now = time.time()
    viewer = ("supervisor", "analyst", "admin")
    ticket = sign_ticket(secret, "board", "*", viewer, LINK_LIFE.total_seconds(), now)
    return Access(
        url=url,
        board_url=f"{url}/?ticket={ticket}",
        ingest_token=make_token(secret, "ingest", "*", ("ingest", "replay"), TOKEN_LIFE),
        board_token=make_token(secret, "board", "*", viewer, TOKEN_LIFE),
        clickhouse_url=clickhouse_url,
        clickhouse_user=user,
        clickhouse_password=password,
    )


def make_token(secret: str, sub: str, tenant: str, roles: Iterable[str], life: timedelta) -> str:
    """A signed token that ends after its life."""
    from gateway.auth import sign_token

    return sign_token(secret, sub, tenant, roles, life.total_seconds(), time.time())
