"""`tidewatch tv …`: links for screens on a wall. They may look and nothing else, until they are revoked or end."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from gateway.links import Links

DATA = Path("tidewatch-data")
_T = TypeVar("_T")

tv = typer.Typer(help="Links for screens on a wall: read only, revocable.", rich_markup_mode=None)


class Failed(Exception):
    """A command cannot do what it was asked. The message is one line."""


Data = Annotated[Path, typer.Option("--data", help="The directory of the running stack.", metavar="DIR")]
Config = Annotated[Path | None, typer.Option("--config", help="The settings file, in production.", metavar="FILE")]


@tv.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which screen, such as lobby.")],
    tenant: Annotated[str, typer.Option(help="Whose numbers it shows; * for all.")] = "*",
    days: Annotated[int, typer.Option(min=1, max=400, help="It ends by itself after so many days.")] = 30,
    data: Data = DATA,
    config: Config = None,
) -> None:
    """Make a link and print it. It opens one screen, once, within ten minutes."""
    site = _Site(data, config)

    async def make(links: Links) -> None:
        await site.audited("link", name, tenant)
        link, ticket = await links.make(name, tenant, site.who, days, site.secret)
        print(f"{site.url}/?ticket={quote(ticket)}&view=tv")
        print(f"  link {link.id}; open it on the screen within 10 minutes; tidewatch tv revoke {link.id} ends it")

    site.run(make)


@tv.command("list")
def list_(data: Data = DATA, config: Config = None) -> None:
    """Print the links there are."""
    site = _Site(data, config)

    async def tell(links: Links) -> None:
        await links.refresh()
        for link in links.of("*"):
            told = link.told()
            state = "revoked" if link.revoked_at else "open" if link.opened_at else "not opened yet"
            print(f"{link.id}  {link.name}  tenant {link.tenant}  until {told['until']}  {state}")

    site.run(tell)


@tv.command("revoke")
def revoke(
    link: Annotated[str, typer.Argument(metavar="LINK", help="Its id, as `list` prints it.")],
    data: Data = DATA,
    config: Config = None,
) -> None:
    """End a link for good; its screens go dark within seconds."""
    site = _Site(data, config)

    async def end(links: Links) -> None:
        await site.audited("unlink", link, "*")
        ended = await links.revoke(link, "*")
        print(f"{ended.id}  {ended.name}  revoked")

    site.run(end)


class _Site:
    """How to get at a stack: one directory, or what the settings file names."""

    def __init__(self, data: Path, config: Path | None) -> None:
        self.who = f"{getpass.getuser()} (command line)"
        if config is None:
            self.redis, self.secret, self.url = _embedded(data)
        else:
            self.redis, self.secret, self.url = _settings(config)

    def run(self, work: Callable[[Links], Awaitable[_T]]) -> _T:
        """Do something with the links. Raises: Failed."""
        from gateway.links import Impossible, Links
        from gateway.orders import Refused

        async def done() -> _T:
            links = Links(self.redis)
            try:
                return await work(links)
            finally:
                await links.close()

        try:
            return asyncio.run(done())
        except (Impossible, Refused) as error:
            raise Failed(f"tv: {error}") from None

    async def audited(self, what: str, name: str, tenant: str) -> None:
        """Have it written down before it is done. Raises: Refused."""
        from gateway.handover import Handover

        handover = Handover(self.redis)
        try:
            await handover.hand_in({"do": what, "by": self.who, "tenant": tenant, "id": name})
        finally:
            await handover.close()


def _embedded(data: Path) -> tuple[str, str, str]:
    try:
        run: dict[str, Any] = json.loads((data / "run.json").read_text())
        secrets: dict[str, str] = json.loads((data / "secrets.json").read_text())
        url = json.loads((data / "access.json").read_text())["url"]
        return f"redis://:{secrets['redis']}@{run['redis']}/0", _secret(secrets), url
    except (OSError, ValueError, KeyError):
        raise Failed(
            f"no stack runs on {data}: start it with tidewatch up, or name its directory with --data"
        ) from None


def _secret(secrets: dict[str, str]) -> str:
    from config.settings import load

    return load().secret.get_secret_value() or secrets["secret"]


def _settings(config: Path) -> tuple[str, str, str]:
    from config.settings import load

    settings = load(config)
    secret = settings.secret.get_secret_value()
    if not secret:
        raise Failed("secret: it has to be set (TIDEWATCH_SECRET), the same as the gateways'")
    url = settings.board_base or f"http://{settings.gateway.host}:{settings.gateway.port}"
    return settings.redis.url.get_secret_value(), secret, url.rstrip("/")
