"""What is asked of ClickHouse: values are bound, never written into the text, whatever they hold."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import gateway
from config.settings import Settings
from gateway import questions
from gateway.questions import Away, Questions, TooMuch, copied, printed, written

ROOT = Path(gateway.__file__).parents[1]
ASKING = [ROOT / "streams" / "parity.py", *(
    file for file in sorted((ROOT / "gateway").glob("*.py")) if "clickhouse" in file.read_text().lower()
)]  # fmt: skip
_SQL = re.compile(r"\b(SELECT|FROM|WHERE|INSERT|GROUP BY|ORDER BY)\b")


def test_no_statement_is_written_with_an_f_string_or_a_format() -> None:
    assert len(ASKING) > 5
    for file in ASKING:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                assert not _SQL.search(text), (file.name, node.lineno)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
                assert not _SQL.search(str(node.left.value)), (file.name, node.lineno)
            if isinstance(node, ast.Attribute) and node.attr == "format" and isinstance(node.value, ast.Constant):
                raise AssertionError((file.name, node.lineno))


HOSTILE = [
    "'",
    "\\",
    "\\'",
    "' OR 1=1 --",
    "\n",
    "\t",
    "\0",
    "{x:String}",
    "'; DROP TABLE events --",
    "日本\u2028",
    "%",
    "`",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_literal_that_is_copied_holds_the_whole_value_and_nothing_else(value: str) -> None:
    text = printed(value)
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", text, re.DOTALL)
    assert copied("SELECT {a:String}", {"a": value}) == "SELECT " + text


def _fields(text: str) -> Iterator[str]:
    plain = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "0": "\0"}
    rest = iter(text)
    for char in rest:
        yield plain[next(rest)] if char == "\\" else char


@given(st.text())
def test_a_bound_value_reads_back_as_it_was(value: str) -> None:
    assert "".join(_fields(written(value))) == value
    assert not {"\t", "\n", "\0"} & set(written(value))


def test_numbers_and_lists_are_written_as_clickhouse_reads_them() -> None:
    assert (written(5), written(["a'b", "c"])) == ("5", "['a\\'b', 'c']")


def test_a_hole_is_filled_once_whatever_its_value_holds() -> None:
    assert copied("{a:String} {b:UInt8} {c:Array(String)}", {"a": "{b:UInt8}", "b": 1, "c": ["x"]}) == (
        "'{b:UInt8}' 1 ['x']"
    )


def asked(handler: object, told: type[Exception], monkeypatch: pytest.MonkeyPatch) -> Exception:
    """What a question raises, of a ClickHouse that answers like this."""
    monkeypatch.setattr(questions, "QUESTION_S", 0.5)

    async def story() -> Exception:
        app = web.Application()
        app.router.add_post("/", handler)  # type: ignore[arg-type]
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        asking = Questions(Settings(clickhouse={"url": f"http://127.0.0.1:{port}"}))
        try:
            with pytest.raises(told) as raised:
                await asking.rows("SELECT 1")
            return raised.value
        finally:
            await asking.close()
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(story(), 20))


def test_a_clickhouse_that_hangs_lies_or_refuses_is_away_and_too_much_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async def lies(_: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    async def slow(_: web.Request) -> web.Response:
        return web.Response(status=408, text="Code: 159. DB::Exception: Timeout exceeded")

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, text="Code: 202. DB::Exception: Too many simultaneous queries")

    async def denied(_: web.Request) -> web.Response:
        return web.Response(status=403, text="Code: 516. DB::Exception: secret words of the server")

    assert "in time" in str(asked(hangs, Away, monkeypatch))
    assert "cannot be read" in str(asked(lies, Away, monkeypatch))
    asked(slow, TooMuch, monkeypatch)
    assert "too much to do" in str(asked(busy, Away, monkeypatch))
    assert "secret words" not in str(asked(denied, Away, monkeypatch))


def test_an_answer_that_comes_in_many_pieces_is_read_whole() -> None:
    many = 50_000

    async def pieces(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        body = b'{"meta":[{"name":"n"}],"data":[' + b",".join(b"[%d]" % n for n in range(many)) + b"]}"
        for begin in range(0, len(body), 10_000):
            await answer.write(body[begin : begin + 10_000])
            await asyncio.sleep(0)
        await answer.write_eof()
        return answer

    async def story() -> None:
        app = web.Application()
        app.router.add_post("/", pieces)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        asking = Questions(Settings(clickhouse={"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}))
        try:
            assert await asking.rows("SELECT n") == [{"n": n} for n in range(many)]
        finally:
            await asking.close()
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_nobody_there_and_nobody_yet_are_away(tmp_path: Path) -> None:
    async def story() -> None:
        for settings in (Settings(clickhouse={"url": "http://127.0.0.1:9"}), Settings(data=tmp_path)):
            asking = Questions(settings)
            with pytest.raises(Away):
                await asking.rows("SELECT 1")
            await asking.close()

    asyncio.run(story())


def test_a_server_that_is_named_is_asked_even_where_there_is_a_directory(tmp_path: Path) -> None:
    named = Questions(Settings(data=tmp_path, clickhouse={"url": "http://clickhouse:8123"}))
    assert named._url() == "http://clickhouse:8123"
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "clickhouse").write_text("4711")
    assert Questions(Settings(data=tmp_path))._url() == "http://127.0.0.1:4711/"


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MOST_WAITING", 0)

    async def story() -> None:
        with pytest.raises(Away, match="too many"):
            await Questions(Settings()).rows("SELECT 1")

    asyncio.run(story())
