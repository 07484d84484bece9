"""ClickHouse's HTTP form: unmodified clients work, and a reader can do nothing but read the history."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks import door as doors
from sinks.door import Door, Query
from sinks.rows import MINUTES, pane_row
from streams.events import PaneRow
from tests.sinks.stage import Base, Engine

pytestmark = pytest.mark.slow


@dataclass
class Said:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def code(self) -> int:
        """ClickHouse's error code; 0: none."""
        return int(self.headers.get("x-clickhouse-exception-code", "0"))


class Opened:
    """A door on a thread of its own, so that tests may block."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._door = self._in_loop(Door.open(base.engine.settings(base.name)))
        self.port = self._door.port

    def _in_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        """Shut it."""
        self._in_loop(self._door.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def ask(self, statement: str | bytes = b"", method: str = "POST", headers: Any = None, **named: str) -> Said:
        """One request, as user bi unless told otherwise."""
        url = f"http://127.0.0.1:{self.port}/?{urllib.parse.urlencode(named)}"
        body = statement.encode() if isinstance(statement, str) else statement
        given = headers if headers is not None else {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "pw"}
        request = urllib.request.Request(url, body if method == "POST" else None, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return Said(answer.status, answer.read(), {k.lower(): v for k, v in answer.headers.items()})
        except urllib.error.HTTPError as error:
            return Said(error.code, error.read(), {k.lower(): v for k, v in error.headers.items()})

    def client(self, **more: Any) -> Any:
        """An unmodified clickhouse-connect."""
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, username="bi", password="pw", database=self.base.name, **more
        )


@pytest.fixture(scope="module")
def door(shared: Base) -> Iterator[Opened]:
    """A door on a database with a hundred minutes in it."""
    rows = [pane_row(PaneRow("t", "q", "web", minute * 60_000, 1, {"offered": 1}, {5: 1}), 0) for minute in range(100)]
    shared.write({MINUTES: rows})
    opened = Opened(shared)
    yield opened
    opened.close()


def test_the_door_says_its_port(door: Opened, engine: Engine) -> None:
    assert (engine.directory / "ports" / "clickhouse").read_text() == str(door.port)


def test_clickhouse_connect_works_as_it_is(door: Opened) -> None:
    client = door.client()
    assert client.server_tz == UTC or str(client.server_tz) == "UTC"
    assert client.query("SELECT count(), sum(offered) FROM minutes").result_rows == [(100, 100)]
    until = datetime.fromisoformat("1970-01-01T00:02:00")
    asked = "SELECT minute, frt_hist FROM minutes WHERE minute < {t:DateTime64(3)} ORDER BY minute"
    answer = client.query(asked, parameters={"t": until})
    assert [(str(minute), hist) for minute, hist in answer.result_rows] == [
        ("1970-01-01 00:00:00", {5: 1}),
        ("1970-01-01 00:01:00", {5: 1}),
    ]
    assert client.command("SELECT count() FROM minutes") == 100
    assert client.ping()
    assert client.query("SELECT 1").summary["read_rows"] == "1"
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'


@pytest.mark.parametrize("compress", [True, False, "lz4", "gzip"])
def test_clickhouse_connect_streams_and_compresses(door: Opened, compress: Any) -> None:
    with door.client(compress=compress).query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


def test_data_frames_come_out(door: Opened) -> None:
    pytest.importorskip("pandas")
    assert door.client().query_df("SELECT minute, offered FROM minutes ORDER BY minute LIMIT 3")["offered"].sum() == 3


def test_parameters_may_ride_in_a_form(door: Opened) -> None:
    odd = "x'y\n\\z\t漢"
    client = door.client(form_encode_query_params=True)
    assert client.query("SELECT {a:String}", parameters={"a": odd}).result_rows == [(odd,)]


def test_errors_reach_a_client_with_their_code(door: Opened) -> None:
    with pytest.raises(DatabaseError) as error:
        door.client().query("SELECT * FROM nowhere")
    assert error.value.code == 60


def test_curl_works_in_all_its_forms(door: Opened) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    url = f"http://127.0.0.1:{door.port}/"

    def run(*words: str) -> str:
        return subprocess.run([curl, "-s", "-g", *words], capture_output=True, check=True, timeout=20).stdout.decode()

    assert run("-u", "bi:pw", url, "-d", "SELECT 1") == "1\n"
    assert json.loads(run("-u", "bi:pw", f"{url}?query=SELECT%202%20AS%20b%20FORMAT%20JSON"))["data"] == [{"b": 2}]
    assert run(f"{url}?user=bi&password=pw&param_a=7&query=SELECT", "--data-binary", "{a:UInt8};") == "7\n"
    assert run("--compressed", "-u", "bi:pw", f"{url}?enable_http_compression=1", "-d", "SELECT 3") == "3\n"
    assert run(f"{url}ping") == "Ok.\n"
    assert "200 OK" in run("-I", "-u", "bi:pw", url)


def test_the_format_comes_from_the_statement_the_url_or_the_header(door: Opened) -> None:
    mine = {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "pw", "X-ClickHouse-Format": "CSV"}
    assert door.ask("SELECT 'a' FORMAT JSONEachRow").body == b'{"\'a\'":"a"}\n'
    assert door.ask("SELECT 'a'", default_format="JSONCompactEachRow").body == b'["a"]\n'
    said = door.ask("SELECT 'a'", headers=mine)
    assert (said.body, said.headers["x-clickhouse-format"]) == (b'"a"\n', "CSV")
    assert door.ask("SELECT 'a'").body == b"a\n"


def test_the_database_comes_from_the_url_or_the_header(door: Opened) -> None:
    assert door.ask("SELECT currentDatabase()").body.decode().strip() == door.base.name
    assert door.ask("SELECT currentDatabase()", database="information_schema").body == b"information_schema\n"
    assert door.ask("SELECT currentDatabase()", database="default").body.decode().strip() == door.base.name
    said = door.ask("SELECT 1", database="nowhere")
    assert (said.status, said.code) == (404, 81)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-ClickHouse-User": "bi"}, {"X-ClickHouse-User": "default"},
        {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "x"},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "pw"}, {"Authorization": "Basic !!"},
        {"Authorization": "Basic " + base64.b64encode(b"bi:no").decode()}, {"Authorization": "Bearer pw"},
    ],
)  # fmt: skip
def test_nobody_comes_in_without_the_password(door: Opened, headers: dict[str, str]) -> None:
    said = door.ask("SELECT 1", headers=headers)
    assert (said.status, said.code) == (403, 516)
    assert b"pw" not in said.body


def test_an_empty_password_opens_nothing(door: Opened) -> None:
    closed = Door(door._door._engine, "")
    with pytest.raises(doors.QueryError):
        closed._admit(type("Request", (), {"headers": {}})(), {"user": "bi", "password": ""})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(door: Opened, method: str) -> None:
    assert door.ask("SELECT 1", method=method).status == 405


WRITES = """INSERT INTO minutes_base (tenant) VALUES ('x')
INSERT INTO minutes_base (tenant) FORMAT CSV x
INSERT INTO FUNCTION file('{made}') SELECT 1
INSERT INTO FUNCTION null('a Int8') SELECT 1
CREATE TABLE z (a Int8) ENGINE = Memory
CREATE TEMPORARY TABLE z (a Int8)
CREATE VIEW z AS SELECT 1
CREATE DATABASE z
CREATE FUNCTION z AS (x) -> x
CREATE USER z
CREATE DICTIONARY z (a UInt8) PRIMARY KEY a SOURCE(FILE(path '/etc/passwd' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)
CREATE NAMED COLLECTION z AS a = 1
ATTACH TABLE z
DETACH TABLE minutes_base
DROP TABLE minutes_base
TRUNCATE TABLE minutes_base
RENAME TABLE minutes_base TO z
EXCHANGE TABLES minutes_base AND events_base
ALTER TABLE minutes_base DELETE WHERE 1
ALTER TABLE minutes_base ADD COLUMN z Int8
DELETE FROM minutes_base WHERE 1
UPDATE minutes_base SET offered = 2 WHERE 1
OPTIMIZE TABLE minutes_base FINAL
BACKUP DATABASE tidewatch TO File('{made}')
RESTORE DATABASE tidewatch FROM File('{made}')
GRANT ALL ON *.* TO default
SYSTEM SHUTDOWN
SYSTEM FLUSH LOGS
SYSTEM STOP MERGES
KILL QUERY WHERE 1
KILL MUTATION WHERE 1
SET readonly = 0
SET max_execution_time = 0
SET param_x = 1
USE system
BEGIN TRANSACTION
EXECUTE AS default SELECT 1
SELECT 1; DROP TABLE minutes_base
SELECT 1 PARALLEL WITH SELECT 2
CHECK TABLE minutes_base
SELECT 1 SETTINGS readonly = 0
SELECT 1 SETTINGS max_execution_time = 0
SELECT * FROM (SELECT 1 SETTINGS readonly = 0)
SELECT 1 INTO OUTFILE '{made}'
SELECT 1 INTO OUTFILE '{made}' TRUNCATE FORMAT CSV
SELECT 1 INTO OUTFILE '{made}' AND STDOUT
EXPLAIN SELECT 1 INTO OUTFILE '{made}'
SHOW TABLES INTO OUTFILE '{made}'
DESCRIBE TABLE minutes INTO OUTFILE '{made}'
(SELECT 1) UNION ALL (SELECT 2) INTO OUTFILE '{made}'""".splitlines()

READS = """SELECT file('{secret}')
SELECT file({{p:String}})
SELECT `file`('{secret}')
SELECT FILE('{secret}')
SELECT * FROM file('{secret}', 'LineAsString')
SELECT * FROM file('{secret}', LineAsString, 'line String')
SELECT * FROM `{secret}`
SELECT * FROM "{secret}"
SELECT * FROM '{secret}'
SELECT * FROM default.`{secret}`
SELECT 1 IN (default.`{secret}`)
SELECT * FROM {{t:Identifier}}
SELECT * FROM filesystem('{folder}')
SELECT * FROM fileCluster('x', '{secret}')
SELECT 1 WHERE 1 IN file('{secret}', 'LineAsString')
SELECT 1 WHERE 'x' IN (SELECT * FROM file('{secret}', 'LineAsString'))
SELECT (SELECT file('{secret}'))
SELECT exists(SELECT * FROM file('{secret}', 'LineAsString'))
SELECT * FROM (SELECT file('{secret}') SETTINGS readonly = 0)
SELECT * FROM (SELECT * FROM file('{secret}', 'LineAsString') SETTINGS readonly = 0)
SELECT arrayMap(x -> file('{secret}'), [1])
SELECT arrayMap((x) -> file(x), ['{secret}'])
SELECT * APPLY(file) FROM (SELECT '{secret}' AS a)
SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}' AS a)
SELECT COLUMNS('a') APPLY file FROM (SELECT '{secret}' AS a)
SELECT * REPLACE (file('{secret}') AS a) FROM (SELECT 1 AS a)
WITH file('{secret}') AS x SELECT x
WITH x AS (SELECT file('{secret}') AS a) SELECT a FROM x
WITH (p) -> file(p) AS f SELECT f('{secret}')
SELECT sum(1) OVER (PARTITION BY file('{secret}'))
SELECT sum(1) OVER (ORDER BY file('{secret}') ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
SELECT 1 ORDER BY file('{secret}')
SELECT 1 ORDER BY 1 WITH FILL FROM length(file('{secret}'))
SELECT 1 LIMIT length(file('{secret}'))
SELECT 1 GROUP BY file('{secret}')
SELECT count() FROM minutes HAVING file('{secret}') != ''
SELECT a FROM (SELECT 1 AS a) ARRAY JOIN [file('{secret}')] AS b
SELECT a FROM (SELECT 1 AS a) AS x JOIN (SELECT 1 AS b) AS y ON file('{secret}') != ''
SELECT CASE WHEN file('{secret}') != '' THEN 1 END
SELECT file('{secret}') :: String
SELECT 1 UNION ALL SELECT length(file('{secret}'))
SELECT 1 INTERSECT SELECT length(file('{secret}'))
EXPLAIN SELECT * FROM file('{secret}', 'LineAsString')
EXPLAIN SYNTAX SELECT file('{secret}')
EXPLAIN TABLE OVERRIDE file('{secret}') COLUMNS (a Int8)
DESCRIBE TABLE file('{secret}', 'LineAsString')
DESCRIBE TABLE (SELECT file('{secret}'))
SELECT * FROM view(SELECT file('{secret}'))
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{secret}')))
SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a Int8'))
SELECT * FROM eval('SELECT 1')
SELECT * FROM loop(minutes)
SELECT * FROM merge('system', '^processes$')
SELECT * FROM dictionary('x')
SELECT * FROM input('a Int8')
SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM urlCluster('x', 'http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM s3('http://127.0.0.1:{port}/bucket/key')
SELECT * FROM gcs('http://127.0.0.1:{port}/bucket/key')
SELECT * FROM azureBlobStorage('http://127.0.0.1:{port}/', 'c', 'b')
SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x')
SELECT * FROM remote('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM remoteSecure('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM cluster('default', system.one)
SELECT * FROM clusterAllReplicas('default', system.one)
SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')
SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')
SELECT * FROM mongodb('127.0.0.1:{port}', 'a', 'b', 'c', 'd', 'e Int8')
SELECT * FROM redis('127.0.0.1:{port}', 'a', 'a String')
SELECT * FROM sqlite('{folder}/sink.db', 'inserted')
SELECT * FROM odbc('DSN=x', 'a', 'b')
SELECT * FROM jdbc('DSN=x', 'a', 'b')
SELECT * FROM executable('cat {secret}', 'TSV', 'a String')
SELECT * FROM executable('cat', 'TSV', 'a String', (SELECT 1))
SELECT * FROM Python(chdb)
SELECT * FROM python('chdb')
SELECT * FROM iceberg('http://127.0.0.1:{port}/')
SELECT * FROM icebergLocal('{folder}')
SELECT * FROM deltaLakeLocal('{folder}')
SELECT * FROM hudi('http://127.0.0.1:{port}/')
SELECT * FROM mergeTreeIndex(currentDatabase(), 'minutes_base')
SELECT * FROM generateRandom('a Int8')
SELECT * FROM system.processes
SELECT * FROM `system`.`processes`
SELECT 1 WHERE 'x' IN system.processes
SELECT 1 WHERE 'x' IN (SELECT query FROM system.processes)
SELECT * FROM view(SELECT * FROM system.processes)
SELECT * FROM system.query_log
SELECT * FROM system.server_settings
SELECT * FROM system.disks
SELECT * FROM system.parts
SELECT * FROM system.build_options
SELECT * FROM system.users
SELECT * FROM system.named_collections
SELECT * FROM {{d:Identifier}}.{{n:Identifier}}
SHOW PROCESSLIST
SHOW ACCESS
SHOW GRANTS
SELECT sleep(3)
SELECT sleepEachRow(1) FROM numbers(3)
SELECT reverseDNSQuery('127.0.0.1')
SELECT aiGenerate('x', 'y')
SELECT catboostEvaluate('{secret}', 1)
SELECT filesystemAvailable()
SELECT getServerSetting('path')
SELECT joinGet('x', 'y', 1)""".splitlines()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no reader may see."""
    path = tmp_path / "secret.txt"
    path.write_text("hunter2\n")
    return path


@pytest.mark.parametrize("statement", WRITES)
def test_a_reader_cannot_write(door: Opened, secret: Path, statement: str) -> None:
    made = secret.parent / "made.csv"
    said = door.ask(statement.format(made=made))
    assert (said.status >= 400, said.code > 0) == (True, True), said.body
    assert not made.exists()
    assert door.ask("SELECT count(), sum(offered), currentDatabase() FROM minutes").body.startswith(b"100\t100\tt")


@pytest.mark.parametrize("statement", READS)
def test_a_reader_cannot_look_outside(door: Opened, secret: Path, statement: str) -> None:
    text = statement.format(secret=secret, folder=secret.parent, port=door.port)
    named = {"param_p": str(secret), "param_t": str(secret), "param_d": "system", "param_n": "processes"}
    said = door.ask(text, **named)
    assert (said.status >= 400, said.code > 0) == (True, True), said.body
    assert b"hunter2" not in said.body


def test_settings_in_the_url_cannot_open_anything(door: Opened, secret: Path) -> None:
    wild = {
        "readonly": "0",
        "allow_ddl": "1",
        "max_execution_time": "0",
        "output_format_schema": str(secret.parent / "x"),
    }
    assert door.ask("CREATE TABLE z (a Int8) ENGINE = Memory", **wild).code == 164
    assert door.ask("SELECT getSetting('readonly'), getSetting('max_execution_time')", **wild).body == b"1\t30\n"
    assert door.ask("SELECT getSetting('max_execution_time')", max_execution_time="2").body == b"2\n"
    assert door.ask("SELECT 1", max_execution_time="1, readonly = 0").code == 36
    assert door.ask("SELECT 1", result_overflow_mode="x', readonly = '0").code == 36
    assert door.ask("SELECT 1", database="tidewatch; DROP TABLE x").code == 81


def test_what_one_reader_sets_up_is_gone_for_the_next(door: Opened) -> None:
    for _ in range(3):
        door.ask("USE information_schema")
        door.ask("SELECT 1", database="information_schema")
        assert door.ask("SELECT currentDatabase()").body.decode().strip() == door.base.name


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW DATABASES", "SHOW TABLES", "SHOW TABLES FROM system", "DESCRIBE TABLE minutes", "EXISTS minutes",
        "SHOW CREATE VIEW minutes",
        "EXPLAIN SELECT * FROM minutes", "EXPLAIN PIPELINE SELECT 1", "EXPLAIN indexes = 1 SELECT * FROM minutes_base",
        "SELECT name, type, comment FROM system.columns LIMIT 1",
        "SELECT * FROM information_schema.tables LIMIT 1", "SELECT * FROM INFORMATION_SCHEMA.COLUMNS LIMIT 1",
        "/* who asks */ SELECT 1 -- why", "SELECT number FROM numbers(3)", "SELECT * FROM system.functions LIMIT 1",
        "WITH x AS (SELECT 1 AS a) SELECT a FROM x UNION ALL SELECT 2", "SHOW COLUMNS FROM minutes",
        "SHOW FUNCTIONS LIKE 'sum'",
        "SELECT queue, count() OVER () FROM minutes_base FINAL LIMIT 1",
        "SELECT 'file(', 'it''s; url(''x'')', format('{}', 1)",
        "SELECT * FROM outcomes_by_day AS o LEFT JOIN agents_by_hour AS a ON o.tenant = a.tenant FORMAT Null",
    ],
)  # fmt: skip
def test_what_readers_need_works(door: Opened, statement: str) -> None:
    said = door.ask(statement)
    assert (said.status, said.code) == (200, 0), said.body


def test_a_statement_may_come_by_get_but_change_nothing(door: Opened) -> None:
    assert door.ask(method="GET", query="SELECT 5").body == b"5\n"
    assert door.ask(method="GET", query="DROP TABLE minutes_base").code == 164


def test_too_long_a_query_is_ended(door: Opened) -> None:
    said = door.ask("SELECT sum(sipHash64(number)) FROM numbers(100000000000)", max_execution_time="1")
    assert (said.status, said.code) == (408, 159)


def test_too_much_is_not_answered(door: Opened) -> None:
    for statement in (
        "SELECT number, repeat('x', 1000) FROM numbers(1000000)",
        "SELECT repeat(toString(number), 200) FROM numbers(1000000)",
        "SELECT number FROM numbers(6000000)",
    ):
        said = door.ask(statement)
        assert (said.status, said.code in (396, 241)) == (413, True)
    assert door.ask("SELECT 1" + " " * doors.STATEMENT_BYTES).status == 413


def test_a_long_query_does_not_hold_up_an_insert(door: Opened) -> None:
    """Behind the query, however long that is, no insert would ever end before it; a slow machine gets longer ones."""

    def wrote_before_a_query_of(seconds: int) -> bool:
        query = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)"
        asking = threading.Thread(target=door.ask, args=(query,), kwargs={"max_execution_time": str(seconds)})
        asking.start()
        for _ in range(3):
            door.base.write({MINUTES: [pane_row(PaneRow("other", "q", "web", 0, 1), 0)]})
        first = asking.is_alive()
        asking.join(120)
        return first

    assert any(wrote_before_a_query_of(seconds) for seconds in (6, 12, 24))


def test_java_gets_its_frames_and_may_send_them(door: Opened) -> None:
    said = door.ask("SELECT number FROM numbers(300000)", compress="1")
    assert said.body[16] == 0x82
    plain = b""
    frames = said.body
    while frames:
        size = int.from_bytes(frames[17:21], "little")
        plain += doors._plain_frames(frames[: 16 + size])
        frames = frames[16 + size :]
    assert plain == b"".join(b"%d\n" % number for number in range(300_000))
    assert door.ask(doors._framed(b"SELECT 7"), decompress="1").body == b"7\n"
    assert door.ask(b"\x00" * 40, decompress="1").code == 36


def test_go_is_greeted_as_it_wants(door: Opened) -> None:
    said = door.ask("SELECT displayName(), version(), revision(), timezone()", default_format="Native")
    assert said.body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01\x0ddisplayName()\x06String\x00\x09tidewatch")
    assert said.body.endswith(b"\x0atimezone()\x06String\x00\x03UTC")


def test_a_broken_body_is_refused(door: Opened) -> None:
    mine = {"X-ClickHouse-User": "bi", "X-ClickHouse-Key": "pw"}
    assert door.ask(b"\xff\xfe", headers=mine).code == 36
    assert door.ask(b"nonsense", headers={**mine, "Content-Encoding": "lz4"}).code == 36
    assert door.ask(b"nonsense", headers={**mine, "Content-Encoding": "gzip"}).status >= 400


def test_a_format_has_its_content_type_however_it_is_written() -> None:
    assert doors.type_of("TSV") == doors.type_of("TabSeparated") == "text/tab-separated-values; charset=UTF-8"
    assert doors.type_of("jsoneachrow") == doors.type_of("JSONLines") == "application/x-ndjson; charset=UTF-8"
    assert doors.type_of("vertical").startswith("text/plain")
    assert doors.type_of("Parquet") == "application/octet-stream"


def test_settings_are_bounded_both_ways() -> None:
    assert "max_result_rows = 7," in doors.set_statement({"max_result_rows": "7"})
    assert f"max_memory_usage = {doors.MEMORY_BYTES}," in doors.set_statement({"max_memory_usage": "0"})
    assert "readonly" not in doors.set_statement({"readonly": "0"})


def test_an_engine_takes_no_odd_database(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        doors.Engine(str(tmp_path), "x; DROP")
    assert Query("SELECT 1", "CSV", "").settings == {}
