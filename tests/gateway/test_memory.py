from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.doors import Mode
from gateway.memory import Memory, applied


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "gateway.db")
    assert memory.load() == ({}, 0)
    memory.save({"a": Mode(replay=True, clock=5), "b": Mode(replay=False)}, [1, -(2**63), 2**63 - 1], 7)
    memory.save({"a": Mode(replay=False)}, [1, 2], 9)
    memory.close()
    again = Memory(tmp_path / "gateway.db")
    assert again.load() == ({"a": Mode(replay=False), "b": Mode(replay=False)}, 9)
    assert again.known([1, 2, 3, -(2**63), 2**63 - 1]) == [True, True, False, True, True]
    again.close()


def test_another_roles_positions_are_read_and_none_are_found_where_it_has_not_begun(tmp_path: Path) -> None:
    store = tmp_path / "worker.db"
    assert applied(store, "applied") == {}
    assert not store.exists()
    with sqlite3.connect(store) as db:
        assert applied(store, "applied") == {}
        db.execute("CREATE TABLE applied (partition INTEGER PRIMARY KEY, pos INTEGER)")
        db.executemany("INSERT INTO applied VALUES (?, ?)", [(0, 5), (1, 7)])
    db.close()
    assert applied(store, "applied") == {0: 5, 1: 7}
    assert applied(store, "inserted") == {}
    store.write_bytes(b"no database at all, but long enough to be read as one" * 20)
    assert applied(store, "applied") == {}
