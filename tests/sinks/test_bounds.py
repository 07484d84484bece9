"""The embedded engine within its bounds. Each story in a process of its own: an engine is set once in a process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from sinks.clickhouse import ENGINE_BYTES, engine_name, open_history
from sinks.door import MEMORY_BYTES, QUERIES, Engine, Query, QueryError
from sinks.rows import TENANTS
from tests.sinks.stage import Engine as Stage

GREEDY = Query("SELECT length(groupArray(number)) FROM numbers(60000000)", "TSV", "")
"""Wants 480 MB and, as it grows, twice that."""


def settings_as_the_engine_has_them(directory: Path) -> None:
    """Prints them, and those of its allocator."""
    with Stage(directory) as stage, contextmanager(stage.base)("b") as base:
        for query in (
            "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'",
            "SELECT extract(stats, 'opt.dirty_decay_ms: \\\\d+') FROM system.jemalloc_stats",
            "SELECT extract(stats, 'opt.muzzy_decay_ms: \\\\d+') FROM system.jemalloc_stats",
        ):
            print(base.client.command(query))


def greedy_readers_and_a_writer(directory: Path) -> None:
    """Prints what the readers were answered, and how many rows came in meanwhile."""
    with Stage(directory) as stage:
        history = open_history(stage.settings("b"))
        door = Engine(engine_name(directory), "b")

        def ask(_: int) -> str:
            try:
                return door.run(GREEDY).body.decode().strip()
            except QueryError as error:
                return str(error.code)

        async def story() -> None:
            await history.prepare()
            written = 0
            with ThreadPoolExecutor(QUERIES) as threads:
                answers = [threads.submit(ask, number) for number in range(3 * QUERIES)]
                while written < 3 or not all(answer.done() for answer in answers):
                    await history.write(TENANTS, [(f"t{written}", 1, "UTC")])
                    written += 1
            print(*sorted({answer.result() for answer in answers}), written == len(await history.zones()))

        asyncio.run(story())
        history.close()


def alone(name: str, directory: Path) -> list[str]:
    """What a function of this module prints."""
    code = f"from pathlib import Path\nfrom tests.sinks import test_bounds as t\nt.{name}(Path({str(directory)!r}))"
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


@pytest.mark.slow
def test_the_engine_and_its_allocator_have_our_bounds(tmp_path: Path) -> None:
    assert alone("settings_as_the_engine_has_them", tmp_path / "d % é") == [
        str(ENGINE_BYTES), "opt.dirty_decay_ms:", "0", "opt.muzzy_decay_ms:", "0",
    ]  # fmt: skip


@pytest.mark.slow
def test_greedy_readers_are_ended_and_every_row_comes_in(tmp_path: Path) -> None:
    assert alone("greedy_readers_and_a_writer", tmp_path) == ["241", "True"]


def test_one_reader_cannot_take_all_of_it() -> None:
    assert MEMORY_BYTES < ENGINE_BYTES
