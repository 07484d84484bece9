"""The worker's agent between the broker and its file: what breaks the fold is set aside, and a stop cuts no commit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from config.settings import Settings
from streams.agents import Follow
from streams.events import Event, Record, Tick, decode_reading, encode
from streams.policy import Policies
from streams.states import Files

BREAKS = """
import asyncio, sys
from pathlib import Path
from tests.streams.test_agents import follow_on, message
from streams.events import Record, Event, encode
from streams.shard import Shard

def broken(self, position, record):
    raise ZeroDivisionError("planted")

Shard.step = broken
follow, files, said = follow_on(Path(sys.argv[1]))
asyncio.run(follow.begin())
asyncio.run(follow.take(message(encode(Record(pos=5, events=[Event(id="a", kind="message", at=1, conversation="c")])))))
"""


def follow_on(directory: Path) -> tuple[Follow, Files, list[bytes]]:
    """A worker of one partition on a directory, and what it publishes."""
    files, said = Files(directory / "worker.db"), []

    async def publish(_partition: int, value: bytes) -> None:
        said.append(value)

    return Follow(1, Policies(Settings()), files, publish, directory / "sink.db"), files, said


def message(value: bytes, offset: int = 0) -> Any:
    """A record as Faust hands it on."""
    inner = SimpleNamespace(topic="chat.events", partition=0, offset=offset, value=value, timestamp=1.0)
    return SimpleNamespace(message=inner, ack=lambda: None)


def test_a_record_that_breaks_the_fold_ends_the_process_and_is_a_dead_letter_in_the_next(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BREAKS, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 70, done.stderr[-500:]

    async def next_life() -> tuple[list[bytes], int]:
        follow, files, said = follow_on(tmp_path)
        follow.load()
        await follow.begin()
        await follow.take(
            message(encode(Record(pos=5, events=[Event(id="a", kind="message", at=1, conversation="c")])))
        )
        await follow.take(message(encode(Record(pos=6, tick=Tick(1000)))))
        await follow.commit()
        return said, files.position(0)

    said, position = asyncio.run(next_life())
    letters = [
        letter for value in said for segment in decode_reading(value).segments for letter in segment.dead_letters
    ]
    assert [letter.reason for letter in letters] == ["could not be applied: ZeroDivisionError"]
    assert position == 6


def test_an_end_lets_the_commit_under_way_publish_all_it_took(tmp_path: Path) -> None:
    async def life() -> list[int]:
        follow, _files, said = follow_on(tmp_path)
        follow.load()
        await follow.begin()
        committing = asyncio.create_task(follow.rounds.for_ever())
        await follow.take(message(encode(Record(pos=1, tick=Tick(1000)))))
        await asyncio.sleep(0)
        follow.rounds.end()
        await asyncio.wait_for(committing, 20)
        return [decode_reading(value).pos for value in said]

    assert asyncio.run(life())[-1] == 1
