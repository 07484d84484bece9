"""What the gateway does itself at an admin's order: boards and TV links. Each is audited before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.boards import Boards, Unusable, checked
from gateway.handover import Handover
from gateway.links import MOST_DAYS, Impossible, Links
from gateway.orders import OWN, Refused


class Doings:
    """Carries out orders: its own here, all others by the notifier."""

    def __init__(self, handover: Handover, boards: Boards, links: Links, secret: str) -> None:
        self._handover = handover
        self._boards = boards
        self._links = links
        self._secret = secret

    async def carry_out(self, order: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return once it is done and written down, with what the asker is told beside that.

        Raises:
            Refused: it was not done, and why.
        """
        if order["do"] not in OWN or "refused" in order:
            await self._handover.hand_in(order)
            return None
        try:
            match order["do"]:
                case "board":
                    return await self._board(order)
                case "link":
                    return await self._link(order)
                case _:
                    await self._audited(order, order["id"])
                    await self._links.revoke(order["id"], order["tenant"])
                    return None
        except (Unusable, Impossible) as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Refused(f"it cannot be written ({type(error).__name__})") from None

    async def _board(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        wish = dict(order["board"])
        name, version, removes = str(wish.pop("name", "")), wish.pop("version", None), wish.pop("remove", False)
        tenant = _whose(wish.pop("tenant", None), order["tenant"])
        if version is not None and not isinstance(version, str):
            raise Unusable("version: that of the board that was changed is expected")
        if not removes:
            checked(name, wish)
        await self._audited(order, name, {"removes": bool(removes), "whose": tenant or "*"})
        if removes:
            self._boards.remove(name, tenant, version or self._version(name, tenant))
            return {}
        return {"board": self._boards.save(name, tenant, wish, version).told()}

    def _version(self, name: str, tenant: str | None) -> str | None:
        boards = self._boards.all_of(tenant or "*")[0]
        return next((one.version for one in boards if (one.name, one.tenant) == (name, tenant)), None)

    async def _link(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        wish = order["link"]
        name, days = wish.get("name"), wish.get("days", 30)
        if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
            raise Refused("link.name: 1 to 64 characters are expected, such as lobby")
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
            raise Refused(f"link.days: 1 to {MOST_DAYS} is expected")
        tenant = wish.get("tenant", order["tenant"])
        if not isinstance(tenant, str) or order["tenant"] not in ("*", tenant) or not 0 < len(tenant) <= 64:
            raise Refused("link.tenant: not yours")
        await self._audited(order, name, {"whose": tenant, "days": days})
        link, ticket = await self._links.make(name, tenant, str(order["by"]), days, self._secret)
        return {"link": link.told(), "url": f"/?ticket={quote(ticket)}&view=tv"}

    async def _audited(self, order: Mapping[str, Any], what: str, more: Mapping[str, Any] | None = None) -> None:
        kept = {name: order[name] for name in ("do", "by", "tenant", "from") if name in order}
        await self._handover.hand_in({**kept, "id": what, **(more or {})})


def _whose(given: object, asker: str) -> str | None:
    """Whose board it is; None: everybody's, which only those save who see all tenants.

    Raises:
        Refused: another tenant's.
    """
    if asker != "*":
        if given not in (None, asker):
            raise Refused("board.tenant: not yours")
        return asker
    if given is not None and not (isinstance(given, str) and 0 < len(given) <= 64):
        raise Refused("board.tenant: the name of a tenant is expected, or none for everybody's")
    return given
