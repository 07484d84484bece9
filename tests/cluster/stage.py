"""The production shape on one machine: Kafka, Redis, ClickHouse's engine behind HTTP, and any number of each role.

The roles are started as docker-compose.yml says: by its commands, with its variables and its file of secrets. Only
addresses, ports and the place of a volume are put in the place of its own.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.cases import Row
from tests.integration.outside import wait
from tests.kafka.broker import running
from tests.rig.clickhouse import ROOT, Server
from tidewatch.servers import free_port, redis_config, redis_program

PASSWORD = "a-password-of-the-test"
MODULE = [sys.executable, "-m", "tidewatch.cli"]
"""What the image's entry point is."""
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


class Cluster:
    """Processes by name: `gateway-1`, `worker-2`, `redis` … . Output of each: `DIR/NAME.log`."""

    def __init__(self, directory: Path, bootstrap: str, settings: str, partitions: int) -> None:
        self.directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._redis = free_port()
        self.clickhouse = Server(directory / "clickhouse", COMPOSE["clickhouse"]["environment"]["CLICKHOUSE_USER"])
        self.ports = {f"gateway-{number}": free_port() for number in (1, 2, 3)}
        self.partitions = partitions
        self._config = directory / "secrets" / "tidewatch.toml"
        self._config.parent.mkdir()
        self._config.write_text(
            f'secret = "{secrets.token_hex(32)}"\n{settings}\n[clickhouse]\npassword = "{Server.PASSWORD}"\n'
        )
        self._instead = {
            "/run/secrets/tidewatch.toml": str(self._config),
            "kafka:9092": bootstrap,
            "redis://redis:6379/0": f"redis://:{PASSWORD}@127.0.0.1:{self._redis}/0",
            "clickhouse:8123": f"127.0.0.1:{self.clickhouse.port}",
            "/var/lib/tidewatch": str(directory / "boards"),
        }

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """What a role is given."""
        given = {key: self._here(value) for key, value in COMPOSE[_role(name)]["environment"].items()}
        given["TIDEWATCH_KAFKA__PARTITIONS"] = str(self.partitions)
        given["TIDEWATCH_ALIVE"] = str(self.directory / f"{name}.alive")
        if name in self.ports:
            given["TIDEWATCH_GATEWAY__PORT"] = str(self.ports[name])
        outer = {key: value for key, value in os.environ.items() if not key.startswith("TIDEWATCH_")}
        return outer | {"PYTHONPATH": str(ROOT)} | given | more

    def _here(self, value: str) -> str:
        for there, here in self._instead.items():
            value = value.replace(there, here)
        return value

    def start(self, name: str, **more: str) -> None:
        """Start a role, or Redis, under a name of its own; `more`: variables besides."""
        given = b""
        if name == "redis":
            (self.directory / "redis").mkdir(exist_ok=True)
            command = [redis_program(), "-"]
            given = redis_config(self.directory / "redis", self._redis, PASSWORD)
            environment: Mapping[str, str] = dict(os.environ)
        else:
            command, environment = MODULE + COMPOSE[_role(name)]["command"], self.environment(name, **more)
        with self._log(name).open("ab") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=self.directory, stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        self._processes[name] = process

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """What an operator types, where a gateway runs."""
        done = subprocess.run(
            [*MODULE, *words], env=self.environment("gateway-1", **more), cwd=self.directory, check=False,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        print(*words, more, done.returncode, done.stdout, done.stderr, sep="\n")
        return done

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        process = self._processes.pop(name)
        assert process.poll() is None, self.said(name)
        process.kill()
        process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send it a signal."""
        self._processes[name].send_signal(number)

    def end(self, name: str) -> int:
        """SIGTERM; its exit code."""
        process = self._processes[name]
        process.terminate()
        code = process.wait(120)
        del self._processes[name]
        return code

    def ended(self, name: str) -> int:
        """The exit code of one that ends by itself."""
        return self._processes.pop(name).wait(120)

    def pid(self, name: str) -> int:
        """Its process."""
        return self._processes[name].pid

    def pids(self) -> dict[str, int]:
        """Those that run."""
        return {name: process.pid for name, process in self._processes.items() if process.poll() is None}

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def said(self, name: str) -> str:
        """The end of its log."""
        return self._log(name).read_text(errors="replace")[-4_000:]

    def dead(self) -> list[str]:
        """Who has ended unasked."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def access(self, gateway: str = "gateway-1") -> Row:
        """How to get in, in the form of the embedded stack's access.json."""
        return {
            "url": f"http://127.0.0.1:{self.ports[gateway]}",
            "ingest_token": self._token("ingest", "replay"),
            "board_token": self._token("supervisor", "analyst", "admin"),
            "clickhouse_url": f"http://127.0.0.1:{self.clickhouse.port}",
            "clickhouse_user": self.clickhouse.user,
            "clickhouse_password": Server.PASSWORD,
        }

    def _token(self, *roles: str) -> str:
        asked = [part for role in roles for part in ("--role", role)]
        made = self.command("token", *asked, "--tenant", "*")
        assert made.returncode == 0
        return made.stdout.strip()

    def until_ready(self, gateway: str = "gateway-1") -> None:
        """Wait for the gateway to say that everything is there."""
        from urllib.request import urlopen

        def ready() -> bool:
            assert not self.dead(), "".join(f"{name}:\n{self.said(name)}" for name in self.dead())
            with urlopen(f"http://127.0.0.1:{self.ports[gateway]}/readyz", timeout=3) as answer:
                return int(answer.status) == 200

        wait(f"{gateway} ready", ready)

    def end_all(self) -> None:
        """SIGKILL those that are left."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self.clickhouse.kill()


def _role(name: str) -> str:
    return name.partition("-")[0]


@contextmanager
def cluster(directory: Path, settings: str = "", partitions: int = 4) -> Iterator[Cluster]:
    """Kafka, Redis and ClickHouse, running, without any role yet; `settings`: what else the file of secrets says."""
    with ExitStack() as stack:
        broker = stack.enter_context(running(_made(directory / "kafka")))
        started = Cluster(directory, broker.bootstrap, settings, partitions)
        stack.callback(started.end_all)
        started.start("redis")
        started.clickhouse.start()
        yield started


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
