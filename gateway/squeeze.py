"""HTTP answers, gzipped for those who say that they can read it. Pure; the same body comes out at the other end.

Answers are a twentieth to a third as long: a board on a phone, or a history of a month. What is short goes as it is.
"""

from __future__ import annotations

import gzip
from functools import lru_cache

from websockets.datastructures import Headers
from websockets.http11 import Response

LEAST = 1_400
"""Bytes; what fits into one packet is not shortened."""
LARGE = 64 << 10
"""Bytes from which on the work is not done between two other things, but beside them."""
LEVEL = 6
KEPT = 128
"""Files of the board that are gzipped once; nothing that is said of a customer is remembered."""
_FILES = ("text/css", "text/html", "text/javascript", "image/svg+xml")
_KINDS = (*_FILES, "text/plain", "application/json")


def accepts(headers: Headers) -> bool:
    """Whether who asks can read gzip. Source: RFC 9110 §12.5.3."""
    weights: dict[str, float] = {}
    for one in ",".join(headers.get_all("Accept-Encoding")).split(","):
        coding, *parameters = (part.strip().lower() for part in one.split(";"))
        weights[coding] = _weight(parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameters: list[str]) -> float:
    given = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


def squeezable(answer: Response) -> bool:
    """Whether an answer is of a kind that gets shorter."""
    return answer.headers.get("Content-Type", "").startswith(_KINDS) and "Content-Encoding" not in answer.headers


def squeezed(answer: Response, asked: Headers) -> Response:
    """The answer as it goes to who asked with these headers; caches are told what it hangs on."""
    if not squeezable(answer):
        return answer
    varies = ", ".join([*answer.headers.get_all("Vary"), "Accept-Encoding"])
    _put(answer.headers, "Vary", varies)
    if len(answer.body) < LEAST or not accepts(asked):
        return answer
    again = answer.headers["Content-Type"].startswith(_FILES)
    answer.body = (_kept if again else _gzip)(bytes(answer.body))
    _put(answer.headers, "Content-Encoding", "gzip")
    _put(answer.headers, "Content-Length", str(len(answer.body)))
    return answer


def _put(headers: Headers, name: str, value: str) -> None:
    if name in headers:
        del headers[name]
    headers[name] = value


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0)


_kept = lru_cache(KEPT)(_gzip)
