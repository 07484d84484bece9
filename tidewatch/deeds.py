"""`tidewatch audit …`: what people did, and whether the record of it is whole."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from config.settings import Settings, load

DATA = Path("tidewatch-data")
ANSWER_S = 60.0
"""How long the broker may take to say all it has."""
audit = typer.Typer(help="What people did with alerts, and whether the record of it is whole.", rich_markup_mode=None)

Config = Annotated[Path | None, typer.Option("--config", help="The settings file (tidewatch.toml).", metavar="FILE")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="A stack's directory (default: ./tidewatch-data where it is there)."),
]


class Failed(Exception):
    """A command cannot do what it was asked. The message is one line."""


@audit.command("verify")
def verify(data: Data = None, config: Config = None) -> None:
    """Say whether a deed was edited or removed: in the notifier's memory, and against the history.

    Exit 1 where one was. The stack may run meanwhile; without its history only the memory is looked at.

    \b
    Examples:
      tidewatch audit verify
      tidewatch audit verify --config tidewatch.toml
    """
    from alerts.audit import problems

    settings = load(config)
    directory = data or settings.data or (DATA if config is None and DATA.is_dir() else None)
    deeds, ever = _of_directory(directory) if directory else asyncio.run(_of_kafka(settings))
    try:
        history = _history(settings, directory)
    except Exception as error:  # noqa: BLE001  whatever it is, the memory can be judged without it
        print(f"the history cannot be asked ({type(error).__name__}): only the memory was looked at")
        history = None
    found = problems(deeds, ever, history, time.time_ns() // 1_000_000)
    for line in found:
        print(line)
    if found:
        raise Failed(f"the audit is not whole: {len(found)} found")
    beside = "" if history is None else ", the same in the history"
    print(f"{len(deeds)} deeds, the chain is whole{beside}")


def _of_directory(directory: Path) -> tuple[list[dict[str, Any]], int]:
    """The deeds of a file, which may be in use."""
    from alerts.notifier import FILE
    from alerts.outbox import StoreError, deeds_in

    try:
        return deeds_in(directory / FILE)
    except StoreError as error:
        raise Failed(str(error)) from None


async def _of_kafka(settings: Settings) -> tuple[list[dict[str, Any]], int]:
    """The deeds of the changelog.

    Raises:
        Failed: the broker does not answer.
    """
    from aiokafka.errors import KafkaError

    from alerts.outbox import Store
    from streams.changelog import Changelog

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # said below, once
    with tempfile.TemporaryDirectory(prefix="tidewatch-audit-") as scratch, Store(Path(scratch) / "n.db") as store:
        try:
            async with asyncio.timeout(ANSWER_S):
                await Changelog(settings.kafka.bootstrap, settings.kafka.replication, store, lambda: False).read()
        except (KafkaError, OSError, TimeoutError):
            raise Failed(
                f"no Kafka answers at {settings.kafka.bootstrap}: start it, name it (TIDEWATCH_KAFKA__BOOTSTRAP, or "
                "`bootstrap` under [kafka] in --config), or name a stack's directory with --data"
            ) from None
        deeds = store.audit()
    return deeds, int(deeds[-1]["n"]) if deeds else 0


def _history(settings: Settings, directory: Path | None) -> Sequence[dict[str, Any]]:
    import clickhouse_connect

    url, user, password = settings.clickhouse.url, settings.clickhouse.user, settings.clickhouse.password
    secret = password.get_secret_value()
    if directory is not None:
        access = json.loads((directory / "access.json").read_bytes())
        url, user, secret = (str(access[f"clickhouse_{name}"]) for name in ("url", "user", "password"))
    parts = urlsplit(url)
    client = clickhouse_connect.get_client(
        host=parts.hostname or "", port=parts.port or 8123, username=user, password=secret, interface=parts.scheme,
        database=settings.clickhouse.database, connect_timeout=5, send_receive_timeout=30,
    )  # fmt: skip
    try:
        asked = "SELECT id, toUnixTimestamp64Milli(at) AS ms, tenant, actor, action, detail FROM audit"
        names = ("id", "at", "tenant", "actor", "action", "detail")
        return [dict(zip(names, row, strict=True)) for row in client.query(asked).result_rows]
    finally:
        client.close()
