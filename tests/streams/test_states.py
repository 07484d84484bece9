"""The worker's file: all of a commit or nothing, also through a kill; the outbox in order until the sink has it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.settings import TenantSettings
from streams.policy import Policy
from streams.shard import Changed, Shard
from streams.states import Batch, Files, inserted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    made = Files(tmp_path / "worker.db")
    yield made
    made.close()


def changed(key: str, value: bytes, kind: str = "conversation", at: int = 0, live: bool = True) -> Changed:
    """One row of tenant t."""
    return Changed(kind, "t", key, at, live, value)


def test_what_is_committed_is_there_after_a_start(tmp_path: Path) -> None:
    files = Files(tmp_path / "worker.db")
    assert files.position(0) == -1
    files.commit([Batch(0, 7, [changed("a", b"1")], [b"said"]), Batch(1, 9, [changed("a", b"2")], [])])
    files.close()
    again = Files(tmp_path / "worker.db")
    assert [again.position(part) for part in range(3)] == [7, 9, -1]
    assert [again.shelf(part).find("conversation", "t", "a") for part in range(3)] == [b"1", b"2", None]
    assert [list(again.outbox(part, -1)) for part in range(2)] == [[b"said"], []]
    again.close()


def test_a_file_whose_rows_lie_in_their_index_as_an_earlier_release_made_it_is_used_on(tmp_path: Path) -> None:
    path = tmp_path / "worker.db"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE rows (part INTEGER, kind TEXT, tenant TEXT, key TEXT, at INTEGER, live INTEGER, value BLOB, "
            "PRIMARY KEY (part, kind, tenant, key, at)) WITHOUT ROWID"
        )
        db.execute(
            "INSERT INTO rows VALUES (0, 'conversation', 't', 'a', 0, 1, x'31'), (0, 'agent', 't', 'x', 0, 1, '')"
        )
    files = Files(path)
    shelf = files.shelf(0)
    assert (shelf.find("conversation", "t", "a"), list(shelf.live("conversation"))) == (b"1", [b"1"])
    files.commit([Batch(0, 1, [changed("a", b"2", live=False), changed("b", b"3")], [])])
    assert shelf.find_all("conversation", "t", ["a", "b", "c"]) == {"a": b"2", "b": b"3"}
    assert list(shelf.live("conversation")) == [b"3"]
    assert shelf.conversations(("", ""), 9) == [("t", "a", b"2"), ("t", "b", b"3")]
    files.close()


def test_a_commit_that_fails_half_way_keeps_nothing_of_it(files: Files) -> None:
    files.commit([Batch(0, 1, [changed("a", b"old")], [b"first"])])
    broken = Batch(1, 2, [changed("b", [])], [])  # type: ignore[arg-type]  # no value that the file can hold
    with pytest.raises(sqlite3.Error):
        files.commit([Batch(0, 2, [changed("a", b"new")], [b"second"]), broken])
    assert files.position(0) == 1
    assert files.shelf(0).find("conversation", "t", "a") == b"old"
    assert list(files.outbox(0, -1)) == [b"first"]
    files.commit([Batch(0, 2, [changed("a", b"new")], [b"second"])])
    assert (files.position(0), list(files.outbox(0, -1))) == (2, [b"first", b"second"])


def test_a_full_disk_is_told_and_the_same_batches_go_in_once_there_is_room(files: Files) -> None:
    files._db.execute("PRAGMA max_page_count = 40")
    large = [Batch(0, 1, [changed("a", b"x" * 1_000_000)], [b"said"])]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        files.commit(large)
    assert files.position(0) == -1
    files._db.execute("PRAGMA max_page_count = 4000")
    files.commit(large)
    assert (files.position(0), list(files.outbox(0, -1))) == (1, [b"said"])


def test_staged_rows_are_found_at_once_in_their_own_partition_and_stay_when_committed(files: Files) -> None:
    files.commit([Batch(0, 1, [changed("a", b"old")], [])])
    shelf, other = files.shelf(0), files.shelf(1)
    batches = [Batch(0, 2, [changed("a", b"new"), changed("b", b"young", "pane", 60_000)], [])]
    files.stage(batches)
    assert shelf.find("conversation", "t", "a") == b"new"
    assert shelf.find("pane", "t", "b", 60_000) == b"young"
    assert shelf.find("pane", "t", "b", 0) is None
    assert other.find("conversation", "t", "a") is None
    files.commit(batches)
    files.unstage()
    assert shelf.find("conversation", "t", "a") == b"new"
    assert shelf.find("pane", "t", "b", 60_000) == b"young"
    files.commit([Batch(0, 3, [changed("a", b"newest")], [])])
    assert shelf.find("conversation", "t", "a") == b"newest", "the file speaks again, not what was staged"


def test_many_rows_are_found_at_once_staged_ones_as_they_are_staged(files: Files) -> None:
    names = [f"c{n}" for n in range(100)]
    files.commit([Batch(0, 1, [changed(name, name.encode()) for name in names[:70]], [])])
    files.commit([Batch(1, 1, [changed("c99", b"of another partition")], [])])
    shelf = files.shelf(0)
    assert shelf.find_all("conversation", "t", names) == {name: name.encode() for name in names[:70]}
    files.stage([Batch(0, 2, [changed("c0", b"new"), changed("c80", b"young")], [])])
    assert shelf.find_all("conversation", "t", ["c0", "c1", "c80", "c81"]) == {
        "c0": b"new", "c1": b"c1", "c80": b"young",
    }  # fmt: skip
    assert shelf.find_all("conversation", "t", ["a\x00b", "c1\x00"]) == {}
    assert shelf.find_all("conversation", "t", []) == {}


def test_a_commit_is_on_the_disk_when_it_returns(files: Files) -> None:
    assert files._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert files._db.execute("PRAGMA synchronous").fetchone() == (2,), "every commit is synced, not only checkpoints"


def test_rows_are_found_while_another_thread_commits(files: Files) -> None:
    shelf, batches = files.shelf(0), [Batch(0, 1, [changed(str(n), b"v") for n in range(2_000)], [b"r"] * 50)]
    files.stage(batches)
    thread = threading.Thread(target=files.commit, args=(batches,))
    thread.start()
    assert all(shelf.find("conversation", "t", str(n)) == b"v" for n in range(2_000))
    thread.join(30)
    files.unstage()
    assert all(shelf.find("conversation", "t", str(n)) == b"v" for n in range(2_000))


def test_a_start_loads_what_is_live_and_the_panes_of_a_tenant_from_a_minute_on(files: Files) -> None:
    files.commit([
        Batch(0, 1, [
            changed("open", b"o"), changed("shut", b"s", live=False), changed("turned", b"t"),
            changed("x", b"agent", "agent"),
            *(changed("q", f"{minute}".encode(), "pane", minute) for minute in (1, 2, 3)),
            Changed("pane", "other", "q", 3, True, b"not mine"),
        ], []),
        Batch(1, 1, [changed("elsewhere", b"e")], []),
    ])  # fmt: skip
    files.commit([Batch(0, 2, [changed("turned", b"t", live=False)], [])])
    shelf = files.shelf(0)
    assert sorted(shelf.live("conversation")) == [b"o"]
    assert list(shelf.live("agent")) == [b"agent"]
    assert list(shelf.live("pane")) == []
    assert sorted(shelf.panes("t", 2)) == [b"2", b"3"]
    assert shelf.find("conversation", "t", "shut") == b"s"


def test_the_outbox_tells_what_lies_beyond_a_position_in_the_order_of_its_saying(files: Files) -> None:
    for position in (5, 9, 12):
        values = [f"{position}{part}".encode() for part in "cab"]
        files.commit([Batch(0, position, [], values), Batch(1, position, [], [b"x"])])
    assert list(files.outbox(0, 5)) == [b"9c", b"9a", b"9b", b"12c", b"12a", b"12b"]
    assert list(files.outbox(0, 12)) == []
    files.trim({0: 9})
    assert list(files.outbox(0, -1)) == [b"12c", b"12a", b"12b"]
    assert list(files.outbox(1, -1)) == [b"x"] * 3
    files.trim({0: 12})
    assert list(files.outbox(0, -1)) == []
    assert files.position(0) == 12


def test_the_order_outlives_a_trim_and_a_start(tmp_path: Path) -> None:
    for position in range(1, 6):
        files = Files(tmp_path / "worker.db")
        files.commit([Batch(0, position, [], [f"{position}".encode()])])
        files.trim({0: position - 2})
        assert list(files.outbox(0, -1)) == [f"{n}".encode() for n in range(max(1, position - 1), position + 1)]
        files.close()


def test_the_sinks_positions_are_read_as_soon_as_it_has_any(tmp_path: Path) -> None:
    path = tmp_path / "sink.db"
    assert inserted(path) == {}
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    assert inserted(path) == {}
    db.execute("CREATE TABLE inserted(partition INTEGER PRIMARY KEY, pos INTEGER)")
    db.execute("INSERT INTO inserted VALUES (0, 7), (3, 9)")
    assert inserted(path) == {0: 7, 3: 9}
    db.close()


CHILD = """
import sys
from pathlib import Path
from config.settings import TenantSettings
from streams.policy import Policy
from streams.shard import Changed, Shard
from streams.states import Batch, Files

files = Files(Path(sys.argv[1]))
n = files.position(0)
while True:
    n += 1
    value = str(n).encode()
    rows = [Changed("conversation", "t", str(key), 0, True, value) for key in range(200)]
    files.commit([Batch(part, n, rows, [value]) for part in (0, 1)])
    print(n, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_commits_and_none_that_was_told_is_lost(tmp_path: Path) -> None:
    path, told = tmp_path / "worker.db", -1
    for kill_after in (1, 7, 20):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(kill_after):
                told = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            told = max([told, *map(int, child.stdout.read().split())])
        files = Files(path)
        position = files.position(0)
        assert position in (told, told + 1)
        assert files.position(1) == position
        for part in (0, 1):
            assert {*files.shelf(part).live("conversation")} == {str(position).encode()}
            assert list(files.outbox(part, -1)) == [str(n).encode() for n in range(position + 1)]
        files.close()


def test_state_of_another_form_is_refused_with_a_word_on_what_to_do(files: Files) -> None:
    row = Changed("tenant", "t", "", 0, True, msgspec.msgpack.encode({"name": "t", "form": 1}))
    files.commit([Batch(0, 7, [row], [])])
    with pytest.raises(RuntimeError, match="form 1, this release reads 3: rebuild it"):
        Shard(0, lambda _: Policy(TenantSettings()), files.shelf(0), 7).load()


def test_of_a_file_that_was_empty_it_is_known_what_is_not_there_and_of_another_it_is_asked(tmp_path: Path) -> None:
    path, names = tmp_path / "worker.db", [f"c-{n}" for n in range(300)]
    files = Files(path)
    shelf = files.shelf(0)
    for start, n in ((0, 260), (260, 40)):  # in whole statements and with a rest
        files.commit(
            [Batch(0, start, [changed(name, name.encode(), live=False) for name in names[start : start + n]], [])]
        )
    everybody = {name: name.encode() for name in names}
    assert shelf.find_all("conversation", "t", ["new", *names, "newer"]) == everybody
    assert shelf.find_all("conversation", "u", names) == {} == files.shelf(1).find_all("conversation", "t", names)
    files.close()
    again = Files(path)
    assert again.shelf(0).find_all("conversation", "t", ["new", *names]) == everybody
    again.close()
