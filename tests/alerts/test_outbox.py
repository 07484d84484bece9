"""What is remembered: whole states, rows in order, and deeds in a chain."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.notices import Policy
from alerts.orders import acknowledge, silence, silence_of
from alerts.outbox import DEEDS, KEEP_MS, TOPIC, TOPICS, Deed, Store, StoreError, chain_broken_at
from alerts.state import State
from tests.alerts.build import HELD, T0, M, S, Story, key, rules
from tests.alerts.receiver import row


def rich() -> State:
    """A state with something of everything."""
    story = Story(rules(HELD + "\n- {name: all, metric: backlog, fire: '> 5'}"), Policy(("ops",), interval_ms=M))
    for at, value in ((T0, 30), (T0 + 2 * M, 40), (T0 + 3 * M, 2)):
        story.tick(at, key("a", backlog=value), key("b", backlog=30), key("*", backlog=value))
    (alert,) = [alert for alert in story.state.alerts.values() if alert.slot.queue == "b"]
    state, _ = acknowledge(story.state, alert.id, "shop", "li", T0 + 4 * M)
    order = {"match": {"queue": "x*"}, "minutes": 5, "reason": "演练"}
    return silence(state, silence_of(order, "shop", "li", T0))


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    state = rich()
    with Store(tmp_path / "n.db") as store:
        store.commit(State(), state)
    with Store(tmp_path / "n.db") as store:
        assert store.load() == state
        store.commit(state, State())
        assert store.load() == State()


moves = st.lists(st.tuples(st.integers(1, 3 * M), st.lists(st.integers(0, 40), min_size=1, max_size=3)), max_size=12)


@given(moves)
@settings(max_examples=30, deadline=None)
def test_writing_only_what_differs_leaves_the_same_as_writing_it_all(steps: list[tuple[int, list[int]]]) -> None:
    story, at = Story(rules(HELD), Policy(("ops",), interval_ms=M)), T0
    with Store(":memory:") as store:
        for pause, values in steps:
            before, at = story.state, at + pause
            story.tick(at, *(key(q, backlog=v) for q, v in zip("abc", values, strict=False)))
            store.commit(before, story.state)
        assert store.load() == story.state


def test_the_state_and_what_tells_of_it_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        broken = row()
        object.__setattr__(broken, "body", None)
        with pytest.raises(sqlite3.IntegrityError):
            store.commit(State(), rich(), [row(), broken])
        assert store.load() == State()
        assert store.unsettled() == {}


def test_rows_of_a_channel_come_out_in_the_order_they_went_in(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        rows = [row(f"a{n}", channel=("ops", "other")[n % 2], created_at=T0) for n in range(6)]
        store.commit(State(), State(), rows)
        assert [found.alert for found in store.due("ops", T0)] == ["a0", "a2", "a4"]
        assert [found.alert for found in store.due("ops", T0, limit=2)] == ["a0", "a2"]
        assert store.due("ops", T0 - 1) == []
        first = store.due("ops", T0)[0]
        store.postpone([first.id], T0 + S, "answered 500")
        assert store.due("ops", T0) == []  # nothing overtakes
        assert store.next_at("ops") == T0 + S
        assert store.due("ops", T0 + S)[0].attempts == 1
        store.settle({first.id: "sent"}, T0 + S)
        assert [found.alert for found in store.due("ops", T0 + S)] == ["a2", "a4"]
        assert store.unsettled() == {"ops": 2, "other": 3}
        assert store.told("a0") == [("ops", "firing", "sent")]


def test_what_was_sent_is_forgotten_after_a_week_and_what_was_not_is_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        store.commit(State(), State(), [row("old"), row("waits")])
        store.settle({store.due("ops", T0)[0].id: "sent"}, T0)
        store.commit(State(), State(), now=T0 + KEEP_MS + 1)
        assert store.told("old") == []
        assert [found.alert for found in store.due("ops", T0)] == ["waits"]


def test_deeds_are_a_chain_that_shows_an_edit_and_a_removal(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        for n in range(4):
            store.commit(State(), State(), deeds=[Deed(T0 + n, "li", "shop", "ack", {"alert": f"a{n}"}, "ok")])
        deeds = store.audit()
    assert [deed["detail"] for deed in deeds] == [
        '{"alert": "a0"}',
        '{"alert": "a1"}',
        '{"alert": "a2"}',
        '{"alert": "a3"}',
    ]
    assert chain_broken_at(deeds) is None
    assert chain_broken_at([{**deed, "who": "wang"} if deed["n"] == 2 else deed for deed in deeds]) == 2
    assert chain_broken_at(deeds[:1] + deeds[2:]) == 3


def test_a_second_notifier_on_the_same_file_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db"), pytest.raises(StoreError, match="another notifier uses it"):
        Store(tmp_path / "n.db")
    Store(tmp_path / "n.db").close()


def test_a_newer_file_and_a_file_that_is_none_are_refused_in_one_line(tmp_path: Path) -> None:
    Store(tmp_path / "n.db").close()
    db = sqlite3.connect(tmp_path / "n.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path / "n.db")
    (tmp_path / "x.db").write_bytes(b"not a database, however long it is" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(tmp_path / "x.db")


def test_what_the_broker_may_have_forgotten_goes_there_again_and_to_nobody_else(tmp_path: Path) -> None:
    with Store(tmp_path / "n.db") as store:
        store.commit(State(), State(), [row(name, channel=name, created_at=1) for name in (*TOPICS, "ops")])
        ids = {name: store.due(name, 1)[0].id for name in (*TOPICS, "ops")}
        store.settle({ids[TOPIC]: "sent", ids["ops"]: "sent"}, 5_000)
        store.settle({ids[DEEDS]: "sent"}, 9_000)
        store.again(TOPICS, 6_000)
        assert store.unsettled() == {DEEDS: 1}
        store.again(TOPICS, 4_000)
        assert store.unsettled() == {TOPIC: 1, DEEDS: 1}
