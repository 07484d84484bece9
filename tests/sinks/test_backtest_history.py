"""The history of a backtest, read back from ClickHouse, is the history that was stored."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from sinks.rows import ALERTS, decode_alert
from streams.events import Event, encode
from tests.builders import START, agent, as_text, closed, customer, status
from tests.sinks.stage import Base, Recorded
from tests.sinks.test_door import Opened
from tests.streams.line import event_of
from tidewatch import backtest_history
from tidewatch.backtest_history import Failed, connect, from_clickhouse, from_files, ordered, span_of
from tidewatch.backtest_score import Graded

pytestmark = pytest.mark.slow
MINUTE = 60_000


def told(n: int = 12) -> list[dict[str, object]]:
    """Some conversations, one after another."""
    events: list[dict[str, object]] = []
    for i in range(n):
        at, name = START + i * 37_000, f"c{i}"
        events.append(customer(at, f"退款 refund {i}", name, queue="returns" if i % 2 else "billing", channel="app"))
        events.append(agent(at + 30_000, conversation=name))
        events.append(closed(at + 60_000, "agent", name, agent="amy", topic="refund", resolved=i % 3 == 0))
    return [*events, status(START, "amy", "online", 4)]


def as_compared(event: Event) -> dict[str, object]:
    """What the fold reads of an event."""
    return {**msgspec.structs.asdict(event), "received_at": 0, "attrs": event.attrs or None}


@pytest.fixture
def stored(base: Base) -> Base:
    line = Recorded()
    line.send([event_of(wire, "t") for wire in told()])
    line.tick(START + 20 * MINUTE, "t")
    line.flush()
    base.store(*line.readings)
    return base


def test_events_come_back_as_a_file_of_them_would_give_them(stored: Base, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps({**wire, "tenant": "t"}) for wire in as_text(told())))
    read = from_clickhouse(stored.client, START, START + 20 * MINUTE, ".*")
    found = sorted(map(as_compared, read.events), key=lambda one: (one["at"], str(one["conversation"]), one["id"]))
    given = sorted(
        map(as_compared, from_files([file]).events), key=lambda one: (one["at"], str(one["conversation"]), one["id"])
    )
    assert read.size == len(found) == len(given) == len(told())
    assert found == given


def test_the_embedded_door_gives_the_same_to_a_reader(stored: Base) -> None:
    opened = Opened(stored)
    try:
        client = connect(f"http://127.0.0.1:{opened.port}", "bi", "pw", stored.name)
        first, last = span_of(client, "^t$")
        found = list(from_clickhouse(client, first, last + 1, "^t$").events)
        with pytest.raises(Failed, match=r"^http://127.0.0.1:\d+: "):
            connect(f"http://bi:wrong@127.0.0.1:{opened.port}", "bi", "pw", stored.name)
    finally:
        opened.close()
    assert found == list(from_clickhouse(stored.client, first, last + 1, "^t$").events)
    assert len(found) == len(told())


def test_a_span_is_half_open_and_a_tenant_can_be_chosen(stored: Base) -> None:
    ats = sorted(event.at for event in from_clickhouse(stored.client, 0, 1 << 45, "^t$").events)
    assert span_of(stored.client, ".*") == (ats[0], ats[-1])
    some = [event.at for event in from_clickhouse(stored.client, ats[2], ats[-1], ".*").events]
    assert sorted(some) == [at for at in ats if ats[2] <= at < ats[-1]]
    assert list(from_clickhouse(stored.client, 0, 1 << 45, "^other$").events) == []
    with pytest.raises(Failed, match="there are no events"):
        span_of(stored.client, "^other$")


def test_many_events_come_in_portions_and_none_is_lost(stored: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest_history, "PORTION", 5)
    found = list(from_clickhouse(stored.client, 0, 1 << 45, ".*").events)
    assert len({event.id for event in found}) == len(told())
    assert [event.at for event in found] == sorted(event.at for event in found)


def test_alerts_come_with_their_last_grade(base: Base) -> None:
    def change(state: str, at: int, grade: str | None) -> None:
        words = {"alert": "a", "rule": "surge", "tenant": "t", "queue": "q", "channel": "*", "since": START}
        base.write({ALERTS: [decode_alert(encode({**words, "state": state, "at": START + at, "grade": grade}))]})

    change("firing", 0, None)
    change("firing", 0, "useful")
    (open_,) = from_clickhouse(base.client, START + 2 * MINUTE, START + 3 * MINUTE, ".*").graded
    assert open_ == Graded("surge", "t", "q", "*", START, START + 3 * MINUTE, "useful"), "it stands: to the end"
    change("resolved", 9 * MINUTE, "useful")
    (found,) = from_clickhouse(base.client, START + MINUTE, START + 2 * MINUTE, ".*").graded
    assert found == Graded("surge", "t", "q", "*", START, START + 9 * MINUTE, "useful")
    assert from_clickhouse(base.client, START + 10 * MINUTE, START + 20 * MINUTE, ".*").graded == []


def test_what_is_out_of_order_by_less_than_the_lateness_is_put_in_order() -> None:
    events = [Event(id=str(at), kind="opened", at=at * 1000) for at in (5, 3, 50, 4, 120, 70, 300, 10)]
    assert [event.at // 1000 for event in ordered(events)] == [3, 4, 5, 50, 70, 120, 10, 300]
