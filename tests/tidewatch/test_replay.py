"""Replay against a real door: everything arrives once, in order, with the clock behind it; what does not is named."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tidewatch.door import Door, in_a_loop, opened, token
from tidewatch import data
from tidewatch.client import Client, Outgoing
from tidewatch.replay import (
    LATENESS_MS,
    STEP_MS,
    BadLine,
    Clocks,
    Item,
    Report,
    command,
    instant_ms,
    items,
    parsed,
    replay,
    step_at,
)

START = 1_700_000_040_000
"""On a whole minute."""


def event(n: int, seconds: float = 0, **more: Any) -> dict[str, Any]:
    at = START + round(seconds * 1_000)
    return {"id": f"e{n}", "kind": "message", "at": at, "conversation": f"c{n}", "author": "customer"} | more


def written(path: Path, *events: object) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in events))
    return path


async def replayed(
    door: Door,
    *files: Path,
    speed: float | None = None,
    live: bool = False,
    own: str | None = None,
    warn: Callable[[str], None] = print,
) -> tuple[Report, Client]:
    report = Report(warn=warn)
    async with opened(door), Client(door.url, token(own or "*"), replay=True) as client:
        await replay(client, items(files, own, report.left_out), report, speed, live)
        return report, client


def minute(n: int) -> int:
    return START + n * 60_000


# --- sending and ticking ---------------------------------------------------------------------------------------------


@in_a_loop
async def test_the_clock_follows_a_minute_behind_and_ends_a_lateness_ahead(tmp_path: Path) -> None:
    door = Door()
    file = written(tmp_path / "a.jsonl", event(0), event(1, 70), event(2, 150), event(3, 151))
    report, client = await replayed(door, file)
    assert door.ticks == [("default", minute(0)), ("default", minute(1)), ("default", START + 151_000 + LATENESS_MS)]
    assert [what if what == "tick" else said for what, said in door.log] == [
        "e0",
        "tick",
        "e1",
        "tick",
        "e2",
        "e3",
        "tick",
    ]
    assert report.good(client.tally)
    assert client.tally.accepted == 4
    assert door.replay


@in_a_loop
async def test_at_its_end_a_live_replay_gives_every_tenant_the_real_clock(tmp_path: Path) -> None:
    door = Door()
    file = written(tmp_path / "a.jsonl", event(0, tenant="a"), event(1, 30, tenant="b"), event(2, 40, tenant="a"))
    await replayed(door, file, live=True)
    assert door.ticks == [
        ("a", START + 40_000 + LATENESS_MS),
        ("a", None),
        ("b", START + 30_000 + LATENESS_MS),
        ("b", None),
    ]


@in_a_loop
async def test_a_second_run_is_harmless(tmp_path: Path) -> None:
    door = Door()
    file = written(tmp_path / "a.jsonl", *(event(n, 40 * n) for n in range(10)))
    await replayed(door, file)
    warned: list[str] = []
    report, client = await replayed(door, file, warn=warned.append)
    assert warned == ["the clock cannot go back"]
    assert len(door.events) == 10
    assert report.refused_ticks.total() > 0
    assert report.good(client.tally)


@in_a_loop
async def test_a_clock_that_ends_elsewhere_is_no_success(tmp_path: Path) -> None:
    door = Door(ticks=[("default", None)])
    report, client = await replayed(door, written(tmp_path / "a.jsonl", event(0)))
    assert report.last_refused == {"default": "this tenant is on the real clock"}
    assert not report.good(client.tally)


@in_a_loop
async def test_lost_connections_and_retries_change_nothing(tmp_path: Path) -> None:
    calm, rough = Door(), Door(trouble=dict[int, int | str | None]({3: "lose", 5: "retry", 8: 1012}).get)
    file = written(tmp_path / "a.jsonl", *(event(n, 20 * n) for n in range(40)))
    await replayed(calm, file)
    report, client = await replayed(rough, file)
    assert rough.events == calm.events
    assert sorted(set(rough.ticks)) == sorted(calm.ticks)
    assert report.good(client.tally)
    assert client.tally.accepted == 40


@in_a_loop
async def test_a_paced_replay_takes_its_time_and_ticks_every_second(tmp_path: Path) -> None:
    door = Door()
    file = written(tmp_path / "a.jsonl", *(event(n, 2 * n) for n in range(11)))
    began = time.monotonic()
    await replayed(door, file, speed=20)
    assert time.monotonic() - began > 0.9
    assert len(door.events) == 11
    assert len(door.ticks) == 2


@in_a_loop
async def test_several_files_are_merged_by_time_and_keep_their_own_order(tmp_path: Path) -> None:
    door = Door()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(event(1, 90)).encode()))
    other = written(tmp_path / "b.jsonl", event(0), event(3, 95), event(2, 80), event(4, 96))
    await replayed(door, tmp_path / "a.jsonl.gz", other)
    assert [said for what, said in door.log if what == "event"] == ["e0", "e1", "e3", "e2", "e4"]


@in_a_loop
async def test_the_help_desks_arrive_whole() -> None:
    door = Door()
    report, client = await replayed(door, data.IRC_HELPDESKS)
    assert Counter(one["kind"] for one in door.events.values()) == {"message": 1_166, "closed": 122, "agent_status": 50}
    assert client.tally.accepted == 1_338
    assert report.left_out["nobody annotated them"] == 5_572
    ats = [at for _, at in door.ticks if at is not None]
    assert ats == sorted(ats)


@in_a_loop
async def test_what_was_sent_never_lies_behind_the_clock_if_it_is_out_of_order_by_less_than_the_lateness(
    tmp_path: Path,
) -> None:
    door = Door()
    shaken = [event(n, 10 * n - (55 if n % 7 == 6 else 0)) for n in range(100)]
    await replayed(door, written(tmp_path / "a.jsonl", *shaken))
    clock = 0
    at = {one["id"]: one["at"] for one in shaken}
    for what, said in door.log:
        assert what == "tick" or at[said] >= clock
        clock = said if what == "tick" else clock


# --- what is wrong ---------------------------------------------------------------------------------------------------


@in_a_loop
async def test_unreadable_lines_are_named_and_harm_nobody(tmp_path: Path) -> None:
    door = Door()
    file = written(tmp_path / "a.jsonl", event(0), "{broken", "", "[1]", event(1), '{"id": "x", "at": NaN}')
    report, client = await replayed(door, file)
    assert [bad.origin for bad in report.bad] == [f"{file}:2", f"{file}:4", f"{file}:6"]
    assert client.tally.accepted == 2
    assert not report.good(client.tally)


@pytest.fixture
def no_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEWATCH_KEY", raising=False)
    return tmp_path


def test_wrong_usage_is_told_in_one_line(no_access: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(no_access / "a.jsonl", event(0))
    cases = [
        ([], None, "key", "at least one file"),
        ([Path("nowhere.jsonl")], None, "key", "there is no file nowhere.jsonl"),
        ([file], 0.0, "key", "--speed 0"),
        ([file], None, "", "no token"),
        ([file], None, "hush\nhush", "--key: not a token"),
        ([file], None, "hush\u043a", "--key: not a token"),
    ]
    for files, speed, key, said in cases:
        assert command(files, speed, False, "ws://127.0.0.1:1", key) == 2
        told = capsys.readouterr().err.strip()
        assert said in told
        assert "\n" not in told
        assert "hush" not in told, "a token is said by nobody"


@in_a_loop
async def test_the_command_says_what_was_rejected_and_where_and_exits_1(no_access: Path) -> None:
    door = Door(judge=lambda one: "text: longer than 8000 characters" if one["id"] == "e1" else None)
    file = written(no_access / "a.jsonl", event(0), event(1), event(2))
    async with opened(door):
        code, told = await run_apart([str(file)], door.url)
    assert code == 1
    assert "2 accepted, 1 rejected" in told
    assert f"text: longer than 8000 characters: e1 ({file}:2)" in told


@in_a_loop
async def test_the_command_reads_standard_input_and_the_access_file_of_the_stack(no_access: Path) -> None:
    door = Door()
    async with opened(door):
        (no_access / "tidewatch-data").mkdir()
        access = {"url": door.url.replace("ws", "http"), "ingest_token": token()}
        (no_access / "tidewatch-data/access.json").write_text(json.dumps(access))
        code, told = await run_apart(["-"], "", json.dumps(event(0)).encode(), key="")
    assert code == 0, told
    assert len(door.events) == 1


async def run_apart(files: list[str], url: str, given: bytes = b"", key: str = token()) -> tuple[int, str]:
    """The command in a process of its own: its exit code, and what it says."""
    code = (
        f"import sys; from tidewatch.replay import command; sys.exit(command({files!r}, None, False, {url!r}, {key!r}))"
    )
    env = {name: value for name, value in os.environ.items() if name != "TIDEWATCH_KEY"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _, told = await process.communicate(given)
    return process.returncode or 0, told.decode()


@pytest.mark.slow
def test_no_gateway_is_told_in_one_line(no_access: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(no_access / "a.jsonl", event(0))
    assert command([file], None, False, "ws://127.0.0.1:1", token()) == 1
    told = capsys.readouterr().err.strip().splitlines()
    assert "no connection to ws://127.0.0.1:1/v1/ingest?replay=1" in told[-1]
    assert len(told) == 1


# --- pure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "ms"),
    [
        (1_700_000_000_000, 1_700_000_000_000),
        ("2026-11-21T10:00:00.123+08:00", 1_795_226_400_123),
        ("2026-11-21T02:00:00Z", 1_795_226_400_000),
        ("2026-11-21T02:00:00", None),
        ("yesterday", None),
        (True, None),
        (None, None),
        (1.5, None),
        (10**30, None),
    ],
)
def test_an_instant_is_read_in_either_form_or_not_at_all(at: object, ms: int | None) -> None:
    assert instant_ms(at) == ms


def test_a_line_goes_on_byte_by_byte() -> None:
    raw = '{"id":"x",  "at":1,"tenant":"t","text":"\\u6211 汉"}'.encode()
    item = parsed(raw + b"\r\n", "f:1", None)
    assert isinstance(item, Item)
    assert item == Item(Outgoing(raw, "f:1"), 1, "t")
    assert isinstance(parsed(raw, "f:1", "own"), Item)
    assert isinstance(parsed(b"[" * 100_000, "f:1", None), BadLine)
    assert isinstance(parsed(b'{"at": "\xff"}', "f:1", None), BadLine)


def test_a_paced_replay_ticks_at_least_every_second_of_real_time() -> None:
    assert [step_at(speed) for speed in (None, 0.1, 1, 20, 600)] == [STEP_MS, 1_000, 1_000, 20_000, STEP_MS]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**7)), min_size=1))
def test_clocks_never_go_back_and_stay_a_lateness_behind(sent: list[tuple[str, int]]) -> None:
    clocks = Clocks()
    ticked: dict[str, int] = {}
    greatest: dict[str, int] = {}
    for tenant, at in sent:
        tick = clocks.due(Item(Outgoing(b""), START + at, tenant))
        greatest[tenant] = max(greatest.get(tenant, 0), START + at)
        if tick:
            assert tick[0] == tenant
            assert tick[1] > ticked.get(tenant, 0)
            assert tick[1] <= greatest[tenant] - LATENESS_MS
            ticked[tenant] = tick[1]
    assert clocks.last() == {tenant: at + LATENESS_MS for tenant, at in greatest.items()}


def test_standard_input_is_read_as_it_comes() -> None:
    from tidewatch.replay import _stdin

    assert list(_stdin(io.BytesIO(b"a\nb\n"))) == [b"a\n", b"b\n"]
    assert list(_stdin(io.BytesIO(gzip.compress(b"a\nb\n")))) == [b"a\n", b"b\n"]


def test_reading_ahead_ends_when_nobody_wants_more() -> None:
    from tidewatch.replay import _Reader

    def endless() -> Iterator[Item]:
        while True:
            yield Item(Outgoing(b"{}"), None, "t")

    async def some() -> None:
        reader = _Reader(endless())
        reader.start()
        assert await reader.take()

    asyncio.run(asyncio.wait_for(some(), 10))
