"""The wallboard's files over HTTP, and the headers that keep a hostile name from ever becoming code.

The page is `/`; its parts lie under `/board/`. It needs no right to be read: it holds no numbers. Whether the reader is
signed in stands in its `data-signed`, so that it can say so instead of staying blank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response

from gateway.frames import RIGHTS
from gateway.live import Claims

_FOLDER = Path(__file__).parent / "wallboard"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

SAFETY = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""On every page and file of the board. No inline script or style, no other origin, no frame around it."""


@dataclass(frozen=True)
class _File:
    body: bytes
    type: str
    tag: str


@cache
def _files() -> dict[str, _File]:
    """Every file of the board by its path; read once, so nothing a request says ever becomes a file name."""
    found = sorted(path for path in _FOLDER.iterdir() if path.suffix in _TYPES)
    return {f"/board/{path.name}": _file(path.read_bytes(), path.suffix) for path in found}


def _file(body: bytes, suffix: str) -> _File:
    """A weak tag: it stands for the file, however it is encoded on its way."""
    return _File(body, _TYPES[suffix], f'W/"{hashlib.sha256(body).hexdigest()[:24]}"')


def http(path: str, query: str, headers: Mapping[str, str], claims: Claims | None, mirror: object) -> Response | None:
    """The answer to a GET of the board, or None where the path is none of its own."""
    del query, mirror
    file = _page(claims) if path == "/" else _files().get(path)
    if file is None:
        return None
    kept = {"Content-Type": file.type, "ETag": file.tag, "Cache-Control": "no-cache", "Vary": "Cookie"} | SAFETY
    if headers.get("If-None-Match") == file.tag:
        return Response(304, "Not Modified", Headers(kept), b"")
    return Response(200, "OK", Headers(kept | {"Content-Length": str(len(file.body))}), file.body)


def _page(claims: Claims | None) -> _File:
    signed = claims is not None and bool(RIGHTS.keys() & set(claims.roles))
    state = "yes" if signed else "no" if claims is None else "role"
    page = _files()["/board/index.html"].body
    return _file(page.replace(b'data-signed="?"', f'data-signed="{state}"'.encode()), ".html")
