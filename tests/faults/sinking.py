"""The sink as production starts it, without a directory, for the rows that are about the history."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Self

import psutil

from tests.integration.outside import wait
from tests.rig.clickhouse import ROOT, Server, running
from tests.rig.processes import STARTED
from tests.rig.proxy import Fault, Proxy
from tests.sinks.test_store import PARTITIONS, Broker, reading

RUN = "from tidewatch.cli import main; import sys; sys.argv[1:] = ['sink']; main()"
INSERTS = b"Content-Encoding: lz4"
"""What the head of a request says that carries rows, and no other."""
MOST = 9_900
"""Numbers that `there` looks at."""


class Sink:
    """The role with a ClickHouse and a broker of its own, no directory."""

    def __init__(
        self, broker: Broker, directory: Path, port: int, password: str = Server.PASSWORD, crash: str = ""
    ) -> None:
        """`crash`: where it dies or stands still, as `config.crash` says it."""
        directory.mkdir(exist_ok=True)
        self.log = directory / "sink.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")}
        env |= {
            "TIDEWATCH_KAFKA__BOOTSTRAP": f"127.0.0.1:{broker.port}",
            "TIDEWATCH_KAFKA__PARTITIONS": str(PARTITIONS),
            "TIDEWATCH_CLICKHOUSE__URL": f"http://127.0.0.1:{port}",
            "TIDEWATCH_CLICKHOUSE__USER": "default",
            "TIDEWATCH_CLICKHOUSE__PASSWORD": password,
        }
        if crash:
            env |= {"TIDEWATCH_TEST": "1", "TIDEWATCH_CRASH_AT": crash}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN], cwd=ROOT, env=env, stdout=output, stderr=output
            )
        STARTED.append(self.process)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    @property
    def ended(self) -> bool:
        """Whether it has, by itself."""
        return self.process.poll() is not None

    @property
    def stands(self) -> bool:
        """Whether it was stopped."""
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED


def there(server: Server, begin: int) -> tuple[int, int]:
    """How many rows, and how many events, from a number on; (0, 0) while the server is away."""
    query = "SELECT count(), uniqExact(id) FROM events WHERE position BETWEEN {a:Int64} AND {b:Int64}"
    try:
        client = server.client()
        try:
            rows = client.query(query, parameters={"a": begin, "b": begin + 9_999}).result_rows
        finally:
            client.close()
    except Exception:  # noqa: BLE001 - it may be away just now
        return 0, 0
    return int(rows[0][0]), int(rows[0][1])


def lose_answers(broker: Broker, server: Server, directory: Path, begin: int, cuts: int) -> int:
    """C-03: every other answer to an insert is lost, until so many were; all rows are there once. The next number."""
    last = begin + 2
    with Proxy("127.0.0.1", server.port) as proxy:
        sink = Sink(broker, directory, proxy.port)
        broker.send(reading(begin), reading(begin + 1))
        wait("the first rows", lambda: there(server, begin) == (2, 2))
        proxy.fault = Fault(cut_after_request=INSERTS, every=2)
        while proxy.cuts < cuts:
            broker.send(reading(last), reading(last + 1))
            last += 2
            wait("two more", lambda many=last - begin: there(server, begin) == (many, many))  # type: ignore[misc]  # bound at once
        print(f"{proxy.cuts} answers were cut off, {last - begin} rows")
        assert sink.end() == 0
    return last


class Stream:
    """Readings that come all the while, fifty a second."""

    def __init__(self, broker: Broker) -> None:
        self.sent = 0
        self._broker = broker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """No more."""
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        for number in range(0, MOST, 50):
            self._broker.send(*(reading(one) for one in range(number, number + 50)))
            self.sent = number + 50
            if self._ended.wait(1):
                return


def longest_pause_s(server: Server, since: float) -> float:
    """Between two inserts of events."""
    inserts = [at for at, table in server.inserts() if table == "events_base" and at >= since]
    return max(after - before for before, after in pairwise(inserts))


def more(server: Server, stream: Stream) -> None:
    """Wait for what is sent from now on."""
    sent = stream.sent
    wait("rows while more come", lambda: there(server, 0)[0] > sent, 120)


def stopped_and_started(broker: Broker, directory: Path, times: int = 3) -> None:
    """A single sink ends and is started again, so often. Says the longest pause between inserts; all is there once."""
    with running(directory / "server") as server, Stream(broker) as stream:
        sink = Sink(broker, directory / "sink", server.port)
        more(server, stream)
        for _ in range(times):
            more(server, stream)
            began = time.time()
            assert sink.end() == 0
            ended = time.time()
            sink = Sink(broker, directory / "sink", server.port)
            more(server, stream)
            pause = longest_pause_s(server, began - 3)
            print(f"longest pause between inserts: {pause:.1f} s, the end took {ended - began:.1f} s of it")
        stream.end()
        wait("all rows, once", lambda: there(server, 0) == (stream.sent, stream.sent))
        assert sink.end() == 0
