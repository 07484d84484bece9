"""Answers are shorter for who can read gzip, the same for everybody, and untouched where it is not worth it."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Response

from gateway import api, pages
from gateway.squeeze import LARGE, LEAST, accepts, squeezed
from tests.gateway.rig import gate, run, token

LONG = b'{"text": "' + "没到账 ".encode() * 500 + b'"}'


def said(body: bytes, kind: str = "application/json; charset=utf-8", **more: str) -> Response:
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **more}
    return Response(200, "OK", Headers(headers), body)


def asked(*codings: str) -> Headers:
    return Headers([("Accept-Encoding", coding) for coding in codings])


@pytest.mark.parametrize("coding", ["gzip", "br, gzip", "GZIP;q=0.5", "deflate, x-gzip", "*", "identity;q=0, *;q=0.1"])
def test_who_can_read_it_gets_it_shorter(coding: str) -> None:
    answer = squeezed(said(LONG), asked(coding))
    assert answer.headers.get_all("Content-Encoding") == ["gzip"]
    assert answer.headers.get_all("Content-Length") == [str(len(answer.body))]
    assert len(answer.body) < len(LONG) / 5
    assert gzip.decompress(answer.body) == LONG


@pytest.mark.parametrize(
    "coding", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "gzip;q=oops", "*;q=0", "gzipped"]
)
def test_who_cannot_gets_it_as_it_is(coding: str) -> None:
    answer = squeezed(said(LONG), asked(coding) if coding else Headers())
    assert (answer.body, answer.headers.get_all("Content-Encoding")) == (LONG, [])
    assert answer.headers.get_all("Content-Length") == [str(len(LONG))]


def test_several_lines_of_what_one_can_read_are_one_list() -> None:
    assert accepts(asked("br", "gzip"))
    assert not accepts(asked("br", "zstd"))


def test_what_is_short_and_what_does_not_get_shorter_goes_as_it_is() -> None:
    for answer in (said(b"x" * (LEAST - 1)), said(LONG, "application/octet-stream"), said(b"", "text/html")):
        body = answer.body
        assert squeezed(answer, asked("gzip")).body == body
        assert "Content-Encoding" not in answer.headers


def test_caches_are_told_what_an_answer_hangs_on_even_where_it_is_not_shortened() -> None:
    answer = squeezed(said(b"{}", Vary="Cookie, Authorization"), Headers())
    assert answer.headers.get_all("Vary") == ["Cookie, Authorization, Accept-Encoding"]


@given(st.binary(min_size=LEAST, max_size=LEAST * 4))
def test_whatever_is_sent_is_what_is_read(body: bytes) -> None:
    assert gzip.decompress(squeezed(said(body), asked("gzip")).body) == body


@pytest.mark.slow
def test_every_file_and_every_answer_of_a_gateway_is_the_same_either_way(tmp_path: Path) -> None:
    async def get(port: int, path: str, coding: str) -> tuple[dict[str, str], bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = (
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token('admin')}",
            f"Accept-Encoding: {coding}", "", "",
        )  # fmt: skip
        writer.write("\r\n".join(lines).encode())
        head, _, body = (await asyncio.wait_for(reader.read(-1), 30)).partition(b"\r\n\r\n")
        writer.close()
        pairs = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}, body

    async def story() -> None:
        async with gate(tmp_path) as gateway:
            shorter = 0
            for path in ("/", *sorted(pages._files()), "/v1/openapi.json", "/v1/boards", "/v1/keys", "/metrics"):
                plain, body = await get(gateway.port, path, "identity")
                packed, short = await get(gateway.port, path, "gzip")
                assert "content-encoding" not in plain, path
                assert packed.get("etag") == plain.get("etag"), path
                if "content-encoding" in packed:
                    shorter += 1
                    assert int(packed["content-length"]) == len(short) < len(body), path
                    short = gzip.decompress(short)
                if path != "/metrics":  # which counts these very questions
                    assert short == body, path
            assert shorter > 30

    run(story())


def test_what_is_large_is_shortened_too() -> None:
    body = b"[" + b"1," * LARGE + b"1]"
    answer = squeezed(api.said(200, body), asked("gzip"))
    assert gzip.decompress(answer.body) == body
    assert len(answer.body) < LARGE
