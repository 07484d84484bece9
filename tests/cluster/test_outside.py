"""What an operator sees: a doctor that says what is wrong, roles that refuse what cannot work, and the compose file."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cluster.stage import COMPOSE, PASSWORD, Cluster, cluster
from tests.conftest import require
from tests.faults.test_deaths import short
from tests.integration.outside import Sender, wait
from tests.integration.test_kills import assert_exact, parts_of
from tests.kafka.broker import Broker
from tests.reference.streams import stream
from tests.rig.hygiene import tracebacks
from tests.rig.processes import finish, until_stored
from tidewatch.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
ALL = ("gateway-1", "gateway-2", "gateway-3", "worker-1", "worker-2", "worker-3", "sink-1", "sink-2", "sink-3",
       "notifier-1", "notifier-2", "notifier-3")  # fmt: skip


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three of each role."""
    require("java", "mvn")
    with cluster(tmp_path_factory.mktemp("outside")) as started:
        for name in ALL:
            started.start(name)
        for gateway in started.ports:
            started.until_ready(gateway)
        yield started


def test_three_of_each_role_come_to_the_references_numbers_at_every_gateway(roles: Cluster) -> None:
    events, name = short(stream(31, 3_000)), "three"  # three doors keep no order among them
    parts = parts_of(events, name)
    doors = [
        threading.Thread(target=Sender(roles.access(gateway)).send, args=(parts[number::3],))
        for number, gateway in enumerate(roles.ports)
    ]
    for door in doors:
        door.start()
    for door in doors:
        door.join(240)
        assert not door.is_alive()
    tick = finish(roles.access(), events, name)
    for gateway in roles.ports:
        access = roles.access(gateway)
        assert_exact(access, until_stored(access, name, tick), name, events, tick)
    assert roles.dead() == []


def test_the_doctor_finds_nothing_wrong_where_nothing_is(roles: Cluster) -> None:
    done = wait("nothing wrong", lambda: _silent(roles))  # on a busy machine numbers may be late for a moment
    for line in (
        "settings of",
        "signing secret",
        "Kafka at",
        "Redis at",
        "ClickHouse at",
        "numbers flow",
        "gateway at",
    ):
        assert f"ok     {line}" in done.stdout


def _silent(roles: Cluster) -> subprocess.CompletedProcess[str] | None:
    done = roles.command("doctor")
    return done if (done.returncode, done.stderr) == (0, "") and "WRONG" not in done.stdout else None


@pytest.mark.parametrize(
    ("broken", "told", "mend"),
    [
        ({"KAFKA__BOOTSTRAP": "127.0.0.1:1"}, "Kafka at 127.0.0.1:1 does not answer", "set kafka.bootstrap"),
        ({"KAFKA__PARTITIONS": "7"}, "has 4 partitions, and 7 belong there", "as it was when the topics were made"),
        ({"CLICKHOUSE__URL": "http://127.0.0.1:1"}, "ClickHouse at 127.0.0.1:1 does not answer", "set clickhouse.url"),
        (
            {"CLICKHOUSE__PASSWORD": "canary-79"},
            "refuses user tidewatch",
            "set clickhouse.user and clickhouse.password",
        ),
        ({"CLICKHOUSE__DATABASE": "elsewhere"}, "has no database elsewhere", "start the sink"),
        ({"REDIS__URL": "redis://127.0.0.1:1/0"}, "Redis at 127.0.0.1:1 does not answer", "set redis.url"),
        ({"SECRET": "too short"}, "TIDEWATCH_SECRET: is too short (allowed: 32", "correct it there"),
        ({"CONFIG": "/nowhere/tidewatch.toml"}, "/nowhere/tidewatch.toml: no such file", "can read"),
        ({"CONFIG": "/"}, "/: cannot be read: Is a directory", "can read"),
        ({"GATEWAY__PORT": "1"}, "gateway at 127.0.0.1:1 does not answer", "start it: tidewatch gateway"),
    ],
    ids=lambda given: "".join(given) if isinstance(given, dict) else "",
)
def test_the_doctor_tells_what_is_broken_and_how_to_mend_it(
    roles: Cluster, broken: dict[str, str], told: str, mend: str
) -> None:
    done = roles.command("doctor", **{f"TIDEWATCH_{name}": value for name, value in broken.items()})
    wrong = [one.splitlines() for one in done.stdout.split("WRONG  ")[1:]]
    assert done.returncode == 1
    assert any(told in one[0] and mend in one[1] for one in wrong), done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert "canary-79" not in done.stdout + done.stderr


def test_the_doctor_tells_a_wrong_password_of_redis_from_an_absent_one(roles: Cluster) -> None:
    right = roles.environment("gateway-1")["TIDEWATCH_REDIS__URL"]
    for url in (right.replace(PASSWORD, "canary-80"), right.replace(f":{PASSWORD}@", "")):
        done = roles.command("doctor", TIDEWATCH_REDIS__URL=url)
        assert done.returncode == 1
        assert "does not let us in\n       set redis.url with its password" in done.stdout
        assert "canary-80" not in done.stdout + done.stderr


@pytest.mark.parametrize("partitions", ["3", "5"])
@pytest.mark.parametrize("role", ["worker", "sink", "notifier"])
def test_a_role_with_other_partitions_does_not_start_and_says_why(roles: Cluster, role: str, partitions: str) -> None:
    odd = f"{role}-odd{partitions}"
    roles.start(odd, TIDEWATCH_KAFKA__PARTITIONS=partitions)
    assert roles.ended(odd) == 1, roles.said(odd)
    said = roles.said(odd).strip().splitlines()[-1]
    assert said.startswith("tidewatch: topic ")
    assert f"has 4 partitions, and {partitions} belong there: set kafka.partitions as it was when" in said
    assert "Traceback" not in roles.said(odd)


@pytest.mark.parametrize("partitions", ["3", "5"])
def test_a_gateway_with_other_partitions_takes_nothing_and_says_why(roles: Cluster, partitions: str) -> None:
    port, odd = free_port(), f"gateway-odd{partitions}"
    roles.start(odd, TIDEWATCH_KAFKA__PARTITIONS=partitions, TIDEWATCH_GATEWAY__PORT=str(port))
    url = f"http://127.0.0.1:{port}/readyz"

    def told() -> bool:
        try:
            with urlopen(url, timeout=3):
                return False
        except OSError as answer:
            said = answer.read().decode() if hasattr(answer, "read") else ""
            return f"chat.events has 4 partitions, not {partitions}" in said

    wait("not ready, with the reason", told)
    wait("a line in its log", lambda: "set kafka.partitions as when the topics were made" in roles.said(odd))
    assert roles.end(odd) == 0


def test_the_health_check_of_the_gateway_is_what_the_compose_file_says(roles: Cluster) -> None:
    words = COMPOSE["gateway"]["healthcheck"]["test"]
    assert words[:2] == ["CMD", "python"]
    here = [word.replace("8400", str(roles.ports["gateway-1"])) for word in words[2:]]
    assert subprocess.run([sys.executable, *here], check=False, timeout=60).returncode == 0
    away = [word.replace("8400", str(free_port())) for word in words[2:]]
    assert subprocess.run([sys.executable, *away], check=False, capture_output=True, timeout=60).returncode != 0


@pytest.mark.parametrize("role", ["worker", "sink", "notifier"])
def test_the_health_check_of_a_role_without_a_port_sees_one_that_stands(roles: Cluster, role: str) -> None:
    name = f"{role}-3"
    assert COMPOSE[role]["environment"]["TIDEWATCH_ALIVE"] == "/tmp/alive"
    words = [
        word.replace("/tmp/alive", str(roles.directory / f"{name}.alive"))
        for word in COMPOSE[role]["healthcheck"]["test"]
    ]

    def healthy() -> bool:
        return (
            subprocess.run([sys.executable, *words[2:]], check=False, capture_output=True, timeout=60).returncode == 0
        )

    wait("healthy", healthy, 60)
    roles.signal(name, signal.SIGSTOP)
    wait("not healthy", lambda: not healthy(), 120)
    roles.signal(name, signal.SIGCONT)
    wait("healthy again", healthy, 120)


def test_redis_takes_the_command_of_the_compose_file_and_answers_its_health_check(tmp_path: Path) -> None:
    from tidewatch.servers import redis_program

    port = str(free_port())
    words = [redis_program(), *COMPOSE["redis"]["command"][1:], "--port", port, "--bind", "127.0.0.1"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        client = Path(redis_program()).with_name("redis-cli")
        assert COMPOSE["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
        asked = [str(client), "-p", port, "ping"]

        def answers() -> bool:
            return subprocess.run(asked, check=False, capture_output=True, text=True).stdout == "PONG\n"

        wait("PONG", answers, 60)
        process.terminate()
        assert process.wait(30) == 0


def test_kafka_takes_the_variables_of_the_compose_file_and_its_health_check_finds_it(tmp_path: Path) -> None:
    require("java", "mvn")
    broker = Broker(tmp_path)
    before = dict(line.split("=", 1) for line in (tmp_path / "server.properties").read_text().split())
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in COMPOSE["kafka"]["environment"].items()
        if name != "KAFKA_HEAP_OPTS"
    }
    places = ("listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs")
    assert set(places) <= given.keys()
    text = "".join(f"{name}={before[name] if name in places else value}\n" for name, value in given.items())
    (tmp_path / "server.properties").write_text(text)
    broker.start()
    try:
        command, _, address = COMPOSE["kafka"]["healthcheck"]["test"][1].partition(" --bootstrap-server ")
        assert command == "/opt/kafka/bin/kafka-broker-api-versions.sh"
        assert address == "localhost:9092 > /dev/null"
        asked = broker._java("org.apache.kafka.tools.BrokerApiVersionsCommand", "--bootstrap-server", broker.bootstrap)
        done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    finally:
        broker.stop()


def test_nothing_of_it_left_a_traceback(roles: Cluster) -> None:
    assert tracebacks(roles.directory) == []
    assert json.dumps(roles.dead()) == "[]", shlex.join(roles.dead())
