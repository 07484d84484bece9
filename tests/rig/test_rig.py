"""The tools themselves: a ledger that forgets nothing, an oracle that sees what is wrong, a proxy that breaks it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.rig import oracle
from tests.rig.hygiene import Hygiene, tracebacks
from tests.rig.ledger import Ledger
from tests.rig.load import Client, Seen
from tests.rig.proxy import Fault, Proxy


def event(number: int, conversation: str = "c") -> dict[str, object]:
    """A message."""
    return {
        "id": f"e{number}", "kind": "message", "at": 1_000 + number, "seq": number, "tenant": "t",
        "conversation": conversation, "author": "customer",
    }  # fmt: skip


def row(number: int, **other: object) -> dict[str, object]:
    """The same, as it is stored."""
    return event(number) | {"agent": None, "late": False} | other


def test_the_ledger_tells_what_was_promised_from_what_was_only_sent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.sent([event(1), event(2)])
    ledger.sent([event(2), event(3)])
    ledger.acked([event(2)])
    assert ledger.names("t") == {("c", "e1"), ("c", "e2"), ("c", "e3")}
    assert ledger.names("t", accepted=True) == {("c", "e2")}
    assert [one["id"] for one in ledger.events("t", accepted=False)] == ["e1", "e2", "e3"]
    ledger.close()
    again = Ledger(tmp_path / "ledger.db")
    assert again.names("t", accepted=True) == {("c", "e2")}
    again.close()


class Answers:
    """A socket that takes everything, and answers when told to."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, _frame: str) -> None:
        """Take it."""

    async def recv(self) -> str:
        """The next answer."""
        return await self.told.get()

    def ack(self, number: int) -> None:
        """Answer a frame."""
        self.told.put_nowait(json.dumps({"ack": number, "rejected": []}))


def test_a_source_is_drained_only_once_the_frame_that_is_just_being_sent_is_acked_too(tmp_path: Path) -> None:
    ledger, answers = Ledger(tmp_path / "ledger.db"), Answers()

    async def story() -> None:
        there: Any = answers
        client = Client({"url": "http://nowhere", "ingest_token": ""}, ledger, Random(1), Seen(), "/")
        for number in (1, 2):
            client.send([event(number)])
        frames = [client._todo.get_nowait() for _ in range(2)]
        reading = asyncio.create_task(client._read(there))
        await client._out(there, frames[0])
        answers.ack(1)
        async with asyncio.timeout(10):
            while not ledger.names("t", accepted=True):
                await asyncio.sleep(0)
            assert not client._idle.is_set(), "the second was taken from the queue, and is not sent yet"
            await client._out(there, frames[1])
            answers.ack(2)
            await client.acked()
        reading.cancel()

    asyncio.run(story())
    assert ledger.names("t", accepted=True) == {("c", "e1"), ("c", "e2")}
    ledger.close()


def test_the_oracle_sees_what_is_lost_invented_doubled_and_out_of_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.sent([event(1), event(2), event(3)])
    ledger.acked([event(1), event(2)])
    assert oracle.lost(ledger, [row(1), row(2)], "t") == []
    assert oracle.lost(ledger, [row(1)], "t") == ["lost: ('c', 'e2')"]
    assert oracle.invented(ledger, [row(1), row(3)], "t") == [], "sent, though nobody said it had arrived"
    assert oracle.invented(ledger, [row(4)], "t") == ["invented: ('c', 'e4')"]
    assert oracle.counted_twice([row(1), row(1), row(2)]) == ["doubled: ('c', 'e1')"]
    assert oracle.disordered([row(2), row(1)]) == []
    assert oracle.disordered([row(2, at=1_000), row(1, at=2_000)]) == ["out of order: c: 1 after 2"]
    ledger.close()


def test_the_oracle_finds_a_planted_secret_and_a_traceback_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "dump.rdb").write_bytes(b"\x00\xffcanary-42\x00")
    (tmp_path / "worker.log").write_text("fine\n")
    assert [line.split("/")[-1] for line in oracle.leaked([tmp_path], "canary-42")] == ["dump.rdb"]
    assert oracle.leaked([tmp_path], "canary-43") == []
    assert tracebacks(tmp_path) == []
    (tmp_path / "worker.log").write_text("Traceback (most recent call last):\n")
    (found,) = tracebacks(tmp_path)
    assert found.startswith("traceback in: worker.log: Traceback (most recent call last)"), "and what it says"


def test_a_process_that_keeps_files_threads_or_memory_is_seen(tmp_path: Path) -> None:
    script = "import sys, threading; kept = []\nfor line in sys.stdin: kept.append(eval(line)); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def grown(line: str) -> list[str]:
            assert child.stdin is not None
            assert child.stdout is not None
            hygiene = Hygiene(lambda: {"role": child.pid}, tmp_path)
            print(line, file=child.stdin, flush=True)
            child.stdout.readline()
            return hygiene.wrong(0)

        assert grown("1") == []
        assert [one.split()[2] for one in grown("[open('/dev/null') for _ in range(99)]")] == ["files"]
        assert [one.split()[2] for one in grown("b'x' * (400 << 20)")] == ["bytes"]
        threads = "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(49)]"
        assert [one.split()[2] for one in grown(threads)] == ["threads"]
        child.kill()
    (tmp_path / "role.log").write_text("fine\n")
    hygiene = Hygiene(dict, tmp_path)
    (tmp_path / "role.log").write_text("Traceback (most recent call last):\n")
    (found,) = hygiene.wrong()
    assert found.startswith("1 tracebacks more: ['traceback in: role.log")


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything twice; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(one: socket.socket) -> None:
        try:
            with one:
                while data := one.recv(4096):
                    one.sendall(data * 2)
        except OSError:
            pass

    def accept() -> None:
        try:
            while True:
                one, _ = server.accept()
                threading.Thread(target=serve, args=(one,), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def ask(port: int, data: bytes, wait_s: float = 2.0) -> bytes:
    """Send, and read until twice as much is there, or the connection ends; what came."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.settimeout(wait_s)
        line.sendall(data)
        while len(found) < 2 * len(data) and (more := line.recv(4096)):
            found += more
    return found


def test_the_proxy_lets_through_slows_slices_swallows_and_cuts(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy:
        assert ask(proxy.port, b"plain") == b"plainplain"
        proxy.fault = Fault(slice_bytes=1)
        assert sorted(ask(proxy.port, b"sliced")) == sorted(b"slicedsliced")
        proxy.fault = Fault(latency_s=0.2)
        began = time.monotonic()
        assert ask(proxy.port, b"slow") == b"slowslow"
        assert time.monotonic() - began >= 0.4, "there and back"
        for fault in (Fault(black_hole=True), Fault(half_open=True)):
            proxy.fault = fault
            with pytest.raises(TimeoutError):
                ask(proxy.port, b"nothing", 0.3)
        proxy.fault = Fault(cut_after_request=b"INSERT", every=2)
        assert ask(proxy.port, b"INSERT 1") == b"INSERT 1INSERT 1", "every other one is cut"
        with pytest.raises(ConnectionError):
            ask(proxy.port, b"INSERT 2")
        assert ask(proxy.port, b"SELECT") == b"SELECTSELECT"
        assert proxy.cuts == 1
        proxy.fault = Fault(refuse=True)
        with pytest.raises(ConnectionError):
            ask(proxy.port, b"x")
        proxy.fault = Fault()
        assert ask(proxy.port, b"again") == b"againagain"
