"""What is reachable, configured and wrong, each with the mend. Looks, changes nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config import crash
from config.logs import printable
from config.settings import Settings, SettingsError, load
from streams import native
from streams.topics import topics
from tidewatch import flow, servers
from tidewatch.directory import CannotStart

PATIENCE = 5.0
"""Seconds for each look."""
ROOM = 64 << 20
"""Bytes of the disk below which something is wrong; at 8 MiB the gateway takes nothing more."""
_TALKATIVE = ("aiokafka", "asyncio", "clickhouse_connect", "urllib3")
"""What they would log is said by the findings."""
NOT_LET_IN, NOT_MADE = frozenset({192, 193, 194, 497, 516}), frozenset({60, 81})
"""ClickHouse's codes."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"\n       {self.mend}" if self.mend else ""
        return f"{'ok   ' if self.good else 'WRONG'}  {printable(self.what)}{mend}"


async def examine(config: Path | None, data: Path | None) -> list[Finding]:
    """Everything that can be said: of the stack in `data`, else of the servers that the settings name."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    python = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    found = [Finding(fits, f"Python {python}", "" if fits else "use Python 3.11 or 3.12: make setup")]
    found.append(Finding(True, _fold()))
    try:
        settings = load(config)
    except SettingsError as wrong:
        return [*found, Finding(False, str(wrong), _mend_of(str(wrong)))]
    file = config or os.environ.get("TIDEWATCH_CONFIG")
    found.append(Finding(True, f"settings{f' of {file}' if file else ''}"))
    if os.environ.get(crash.VARIABLE):
        found.append(Finding(False, f"{crash.VARIABLE} is set: roles would die on purpose", "unset it"))
    found.append(_rules(settings))
    directory = data or settings.data
    looks = _embedded(directory) if directory else _production(settings)
    return found + [finding async for finding in looks]


def _fold() -> str:
    if native.form() == native.COMPILED:
        return "what runs for every event is compiled"
    if os.environ.get(native.PURE):
        return f"what runs for every event runs as source: {native.PURE} is set"
    return (
        "what runs for every event runs as source, exactly alike and slower: make setup compiles it, given a C compiler"
    )


def _mend_of(wrong: str) -> str:
    if wrong.endswith(": no such file") or ": cannot be read: " in wrong:
        return f"it must be a file that user {os.getuid()} can read; TIDEWATCH_CONFIG or --config names it"
    return "correct it there"


def _rules(settings: Settings) -> Finding:
    from tidewatch.embedded import need_rules

    try:
        need_rules(settings)
    except CannotStart as wrong:
        return Finding(False, str(wrong), "correct it there")
    return Finding(True, "alert rules")


# The embedded stack


async def _embedded(directory: Path) -> AsyncIterator[Finding]:
    for name, need in (
        ("embedded broker", servers.broker_program),
        ("Redis server", servers.redis_program),
        ("embedded ClickHouse", servers.need_clickhouse),
    ):
        try:
            need()
        except CannotStart as wrong:
            yield Finding(False, str(wrong))
        else:
            yield Finding(True, f"{name} is installed")
    try:
        run = json.loads((directory / "run.json").read_text())
        access = json.loads((directory / "access.json").read_text())
    except (OSError, ValueError):
        yield Finding(False, f"no stack runs in {directory}", f"tidewatch up --data {directory}")
        return
    for name in ("kafka", "redis"):
        port = int(run[name].rpartition(":")[2])
        good = await servers.listens(port)
        yield Finding(
            good, f"{name} at {run[name]}", "" if good else f"see {directory}/logs; the stack starts it again"
        )
    yield await _door("gateway", access["url"], "/readyz", f"see {directory}/logs/gateway.log")
    login = access["clickhouse_url"], access["clickhouse_user"], access["clickhouse_password"]
    yield await asyncio.to_thread(_history, *login, "tidewatch", f"see {directory}/logs/sink.log")
    yield await _flowing(_redis_url(directory, run["redis"]), f"see {directory}/logs")
    yield _room(directory)
    yield await asyncio.to_thread(_rules_in_force, directory)


def _rules_in_force(directory: Path) -> Finding:
    """Whether the running notifier could read its file of rules when that last changed."""
    from alerts.notifier import FILE
    from alerts.outbox import refused_rules

    mistake = refused_rules(directory / FILE)
    if mistake is None:
        return Finding(True, "the alert rules in force are those of the file")
    return Finding(False, f"the settings of alerts were refused: {mistake}", "correct it there; no restart is needed")


def _redis_url(directory: Path, address: str) -> str:
    password = json.loads((directory / "secrets.json").read_text())["redis"]
    return f"redis://:{password}@{address}/0"


def _room(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    what = f"{free >> 20} MiB free on the disk of {directory}"
    return Finding(free >= ROOM, what, "" if free >= ROOM else "make room: without it chat is answered `retry`")


async def _flowing(redis_url: str, mend: str) -> Finding:
    """Whether the present is one: written lately, complete, its clock going on."""
    why = flow.behind(await flow.present(redis_url), flow.now())
    return Finding(
        not why, f"numbers do not flow: {why}" if why else "numbers flow from end to end", mend if why else ""
    )


async def _door(name: str, url: str, path: str, mend: str) -> Finding:
    parts = urlsplit(url)
    status, said = await servers.get(parts.hostname or "", parts.port or 80, path, PATIENCE)
    answer = "is ready" if status == 200 else f"answers {status}: {said[:200]}" if status else "does not answer"
    return Finding(status == 200, f"{name} at {parts.hostname}:{parts.port} {answer}", "" if status == 200 else mend)


# Production


async def _production(settings: Settings) -> AsyncIterator[Finding]:
    good = bool(settings.secret.get_secret_value())
    yield Finding(
        good,
        "signing secret" if good else "no signing secret",
        "" if good else "set `secret` in the settings file, or TIDEWATCH_SECRET",
    )
    yield await _kafka(settings)
    redis = await _redis(settings)
    yield redis
    clickhouse = settings.clickhouse
    login = clickhouse.url, clickhouse.user, clickhouse.password.get_secret_value()
    yield await asyncio.to_thread(_history, *login, clickhouse.database, "start it, or set clickhouse.url")
    if redis.good:
        yield await _flowing(settings.redis.url.get_secret_value(), "see the log of that role")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.gateway.host, settings.gateway.host)  # noqa: S104  compared only
    yield await _door(
        "gateway", f"http://{host}:{settings.gateway.port}", "/readyz", "start it: tidewatch gateway; its log says why"
    )


async def _kafka(settings: Settings) -> Finding:
    from aiokafka.admin import AIOKafkaAdminClient

    where = f"Kafka at {settings.kafka.bootstrap}"
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap, request_timeout_ms=int(PATIENCE * 1000))
    try:
        await client.start()
        there = set(await client.list_topics())
        wanted = topics(settings.kafka.partitions)
        described = {
            topic["topic"]: len(topic["partitions"])
            for topic in await client.describe_topics(sorted(there & wanted.keys()))
        }
    except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
        return Finding(False, f"{where} does not answer: {type(error).__name__}", "start it, or set kafka.bootstrap")
    finally:
        await client.close()
    for name, count in wanted.items():
        if name not in described:
            return Finding(
                False, f"{where}: topic {name} is missing", "start a worker and a sink: they make the topics"
            )
        if described[name] != count:
            return Finding(
                False,
                f"{where}: topic {name} has {described[name]} partitions, and {count} belong there",
                "set kafka.partitions as it was when the topics were made, or make the topic anew",
            )
    return Finding(True, f"{where}, all topics with their partitions")


async def _redis(settings: Settings) -> Finding:
    from redis.asyncio import Redis
    from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

    url = settings.redis.url.get_secret_value()
    parts = urlsplit(url)
    where = f"Redis at {parts.hostname}:{parts.port or 6379}"
    client = Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
    try:
        await client.ping()
    except (AuthenticationError, NoPermissionError):
        return Finding(False, f"{where} does not let us in", "set redis.url with its password: redis://:PASSWORD@…")
    except ResponseError as error:  # such as one that wants a password and was given none
        return Finding(False, f"{where} refuses: {str(error)[:80]}", "set redis.url with its password, or see its log")
    except (RedisError, OSError) as error:
        return Finding(False, f"{where} does not answer: {type(error).__name__}", "start it, or set redis.url")
    finally:
        await client.aclose()
    return Finding(True, where)


def _history(url: str, user: str, password: str, database: str, mend: str) -> Finding:
    """Whether ClickHouse answers, lets us in, and has what the sink makes."""
    from clickhouse_connect.driver.exceptions import ClickHouseError, Error

    from tidewatch.refold import connect

    parts = urlsplit(url)
    where = f"ClickHouse at {parts.hostname}:{parts.port or 8123}"
    try:
        client = connect(url, user, password, database)
        ((tenants,),) = client.query("SELECT count() FROM clocks WHERE tenant != ''").result_rows
        client.close()
    except (ClickHouseError, OSError) as error:
        code = error.code if isinstance(error, Error) else None
        if code in NOT_LET_IN:
            return Finding(False, f"{where} refuses user {user}", "set clickhouse.user and clickhouse.password")
        if code in NOT_MADE:
            return Finding(False, f"{where} has no database {database} of ours", "start the sink: it makes it")
        return Finding(False, f"{where} does not answer: {type(error).__name__}", mend)
    return Finding(True, f"{where}, its views are there, {tenants} tenants")
