"""Which addresses an alert may be sent to. A webhook's URL must not reach into the network this runs in (SSRF).

Checked twice: the URL when the settings are read, and each address when a connection is made. The connection goes to
the very address that was checked, so a name that answers differently the second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = re.compile(r"(?:^|\.)(?:localhost|local|internal|localdomain)\.?$", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\.?", re.IGNORECASE)


class Forbidden(Exception):  # named for what it means to the caller
    """This address may not be reached; the message says why, without the URL's path or query: they may be secret."""


def inner(address: Address) -> Address:
    """The address that a packet really goes to, where an IPv6 one carries an IPv4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def check_address(text: str, allow_private: bool) -> None:
    """Let an address pass that is public; with `allow_private` also a private or loopback one.

    Raises:
        Forbidden: it is neither. Link-local ones (clouds keep their credentials there) and multicast never pass.
    """
    address = inner(ipaddress.ip_address(text.partition("%")[0]))
    never = address.is_link_local or address.is_multicast or address.is_unspecified
    if not never and (address.is_global or allow_private):
        return
    hint = "" if never or allow_private else " (allowed: a public one, or allow_private = true)"
    raise Forbidden(f"the address {address} is not public{hint}")


def check_url(url: str, allow_private: bool, schemes: tuple[str, ...] = ("https", "http")) -> SplitResult:
    """Let a URL pass whose form and literal address are allowed. A name's addresses are checked at each connection.

    Raises:
        Forbidden: it is not allowed, or not a URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Forbidden("not a URL (allowed: https://host/path)") from None
    if parts.scheme not in schemes or not host:
        raise Forbidden(f"not a URL that can be posted to (allowed: {' or '.join(f'{name}://…' for name in schemes)})")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise Forbidden("a URL has no spaces and no control characters")
    literal = _literal(host)
    if literal is not None:
        check_address(literal, allow_private)
    elif not allow_private and _LOCAL_NAMES.search(host):
        raise Forbidden("the name is a local one (allowed: a public one, or allow_private = true)")
    return parts


def _literal(host: str) -> str | None:
    """The address a host spells out, in any of the forms that the system would accept (`127.1`, `0x7f000001`)."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    if not _NUMBER.fullmatch(host):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        raise Forbidden("the host is a number that is no address") from None


class GuardedResolver(AbstractResolver):
    """A resolver that answers only with allowed addresses. All of a name's addresses must be: half a trap is one."""

    def __init__(self, allow_private: bool, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The name's addresses.

        Raises:
            Forbidden: one of them may not be reached.
        """
        if self._resolver is None:
            self._resolver = ThreadedResolver()  # wants a running loop; a door is made without one
        found = await self._resolver.resolve(host, port, family)
        for entry in found:
            check_address(entry["host"], self._allow_private)
        return found

    async def close(self) -> None:
        """Let go of the resolver inside."""
        if self._resolver is not None:
            await self._resolver.close()
