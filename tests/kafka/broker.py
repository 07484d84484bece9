"""A real Kafka for tests: one KRaft node, broker and controller at once, from Kafka's own jars; no Docker.

`python -m tests.kafka.broker` (`make kafka`) only fetches the jars.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
LIBS = HERE.parents[1] / ".cache" / "kafka" / "libs"
READY_S = 60
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
_LOGGING = """
Configuration:
  status: error
  Loggers:
    Root:
      level: error
"""


def fetched() -> bool:
    """Whether the jars are here."""
    return (LIBS / ".complete").exists()


def fetch() -> Path:
    """Kafka's jars, by Maven; the first time 54 MB."""
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with (LIBS.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests on several cores ask at once
        _fetch()
    return LIBS


def _fetch() -> None:
    if not fetched():
        plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        subprocess.run(
            ["mvn", "-q", "-B", "-f", HERE / "pom.xml", plugin, "-DincludeScope=runtime", f"-DoutputDirectory={LIBS}"],
            check=True,
            timeout=600,
        )
        (LIBS / ".complete").touch()


class Broker:
    """One node on a directory of its own. Killed and started again, it has what it had."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._port, controller = _free_ports()
        self._properties = directory / "server.properties"
        text = _PROPERTIES.format(port=self._port, controller=controller, logs=directory / "logs")
        self._properties.write_text(text)
        (directory / "log4j2.yaml").write_text(_LOGGING)
        made = self._java("kafka.tools.StorageTool", "random-uuid")
        cluster = subprocess.run(made, check=True, capture_output=True, text=True, timeout=60).stdout.split()[-1]
        formatting = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        subprocess.run(formatting, check=True, stdout=subprocess.DEVNULL, timeout=60)

    @property
    def bootstrap(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it takes connections.

        Raises:
            RuntimeError: it has ended, or is not there in time; its output is in the directory.
        """
        with (self._directory / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=output, stderr=output, cwd=self._directory
            )
        until = time.monotonic() + READY_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"Kafka did not start; see {self._directory / 'output.log'}")
            time.sleep(0.1)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True

    def _java(self, *arguments: str) -> list[str]:
        settings = f"-Dlog4j2.configurationFile={self._directory / 'log4j2.yaml'}"
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", settings, "-cp", f"{fetch()}{os.sep}*", *arguments]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def running(directory: Path) -> Iterator[Broker]:
    """A started broker; ended, and its data removed, on leaving."""
    broker = Broker(directory)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(directory / "logs", ignore_errors=True)


if __name__ == "__main__":
    fetch()
