"""The production shape on one machine: Kafka, Redis, ClickHouse's engine behind HTTP, and any number of each role.

The roles are started as docker-compose.yml starts them: `tidewatch ROLE` with `TIDEWATCH_…` variables, no directory.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.conformance.cases import Row
from tests.integration.outside import wait
from tests.kafka.broker import running
from tests.rig.clickhouse import Server
from tidewatch.servers import free_port, redis_config, redis_program

PASSWORD = "a-password-of-the-test"
MODULE = [sys.executable, "-m", "tidewatch.cli"]


class Cluster:
    """Processes by name: `gateway-1`, `worker-2`, `redis` … . Output of each: `DIR/NAME.log`."""

    def __init__(self, directory: Path, bootstrap: str, config: Path | None, partitions: int) -> None:
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._redis = free_port()
        self.clickhouse = Server(directory / "clickhouse")
        self.ports = {f"gateway-{number}": free_port() for number in (1, 2)}
        self.secret = secrets.token_hex(32)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWATCH_")} | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TIDEWATCH_SECRET": self.secret,
            "TIDEWATCH_KAFKA__BOOTSTRAP": bootstrap,
            "TIDEWATCH_KAFKA__PARTITIONS": str(partitions),
            "TIDEWATCH_REDIS__URL": f"redis://:{PASSWORD}@127.0.0.1:{self._redis}/0",
            "TIDEWATCH_CLICKHOUSE__URL": f"http://127.0.0.1:{self.clickhouse.port}",
            "TIDEWATCH_CLICKHOUSE__USER": "default",
            "TIDEWATCH_CLICKHOUSE__PASSWORD": Server.PASSWORD,
        }
        if config is not None:
            self._environment["TIDEWATCH_CONFIG"] = str(config)

    def start(self, name: str) -> None:
        """Start a role, or a server, under a name of its own."""
        role = name.partition("-")[0]
        extra: Mapping[str, str] = {}
        given = b""
        match role:
            case "redis":
                (self._directory / "redis").mkdir(exist_ok=True)
                command = [redis_program(), "-"]
                given = redis_config(self._directory / "redis", self._redis, PASSWORD)
            case _:
                command = [*MODULE, role]
                if role == "gateway":
                    extra = {"TIDEWATCH_GATEWAY__PORT": str(self.ports[name])}
        with (self._directory / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command, env={**self._environment, **extra}, cwd=self._directory, stdin=subprocess.PIPE,
                stdout=output, stderr=output,
            )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        self._processes[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        process = self._processes.pop(name)
        assert process.poll() is None, self.said(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> int:
        """SIGTERM; its exit code."""
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(30)

    def pid(self, name: str) -> int:
        """Its process."""
        return self._processes[name].pid

    def said(self, name: str) -> str:
        """The end of its log."""
        return (self._directory / f"{name}.log").read_text(errors="replace")[-4_000:]

    def dead(self) -> list[str]:
        """Who has ended unasked."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def access(self, gateway: str = "gateway-1") -> Row:
        """How to get in, in the form of the embedded stack's access.json."""
        return {
            "url": f"http://127.0.0.1:{self.ports[gateway]}",
            "ingest_token": self._token("ingest", "replay"),
            "board_token": self._token("supervisor", "analyst", "admin"),
            "clickhouse_url": self._environment["TIDEWATCH_CLICKHOUSE__URL"],
            "clickhouse_user": "default",
            "clickhouse_password": Server.PASSWORD,
        }

    def _token(self, *roles: str) -> str:
        asked = [part for role in roles for part in ("--role", role)]
        made = subprocess.run(
            [*MODULE, "token", *asked, "--tenant", "*"], env=self._environment, cwd=self._directory, check=True,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        return made.stdout.strip()

    def until_ready(self, gateway: str = "gateway-1") -> None:
        """Wait for the gateway to say that everything is there."""
        from urllib.request import urlopen

        def ready() -> bool:
            assert not self.dead(), "".join(f"{name}:\n{self.said(name)}" for name in self.dead())
            with urlopen(f"http://127.0.0.1:{self.ports[gateway]}/readyz", timeout=3) as answer:
                return int(answer.status) == 200

        wait(f"{gateway} ready", ready, 120)

    def end_all(self) -> None:
        """SIGKILL those that are left."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self.clickhouse.kill()


@contextmanager
def cluster(directory: Path, config: Path | None = None, partitions: int = 4) -> Iterator[Cluster]:
    """Kafka, Redis and ClickHouse, running, without any role yet."""
    with ExitStack() as stack:
        broker = stack.enter_context(running(_made(directory / "kafka")))
        started = Cluster(directory, broker.bootstrap, config, partitions)
        stack.callback(started.end_all)
        started.start("redis")
        started.clickhouse.start()
        yield started


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
