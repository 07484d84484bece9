from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.packing import MAX_BYTES, MAX_EVENTS, Load, load_events, load_tick, pack, with_position
from streams.events import Event, Tick, decode_record, partition_of


def event(number: int, conversation: str = "c", **more: str) -> Event:
    return Event(id=str(number), kind="message", at=number, conversation=conversation, **more)  # type: ignore[arg-type]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=30) | st.integers(1, 9), max_size=12))
def test_every_event_arrives_once_in_order_and_on_its_side_of_every_tick(story: list[list[str] | int]) -> None:
    loads, expected, number = [], dict[int, list[str]](), 0
    for part in story:
        if isinstance(part, int):
            loads.append(load_tick(Tick(part), 4))
            for partition in range(4):
                expected.setdefault(partition, []).append(f"tick {part}")
            continue
        events = [event(number + index, conversation) for index, conversation in enumerate(part)]
        number += len(events)
        loads.append(load_events(events, 4))
        for one in events:
            expected.setdefault(partition_of("default", one.conversation or "", 4), []).append(one.id)
    found: dict[int, list[str]] = {}
    for partition, payload in pack(loads, 4):
        record = decode_record(payload)
        assert bool(record.events) != bool(record.tick)
        found.setdefault(partition, []).extend([one.id for one in record.events])
        if record.tick:
            found[partition].append(f"tick {record.tick.at}")
    assert found == expected


def test_what_arrives_together_travels_together() -> None:
    loads = [load_events([event(number)], 1) for number in range(MAX_EVENTS + 1)]
    assert [len(decode_record(payload).events) for _, payload in pack(loads, 1)] == [MAX_EVENTS, 1]


def test_no_record_outgrows_a_brokers_limit() -> None:
    big = [event(number, text="字" * 8_000) for number in range(200)]
    sizes = [len(payload) for _, payload in pack([load_events(big, 1)], 1)]
    assert len(sizes) > 1
    assert max(sizes) < MAX_BYTES + 50_000


def test_a_status_goes_by_its_agent() -> None:
    status = Event(id="s", kind="agent_status", at=0, agent="anna", conversation="c")
    assert list(load_events([status], 8).events) == [partition_of("default", "anna", 8)]


def test_the_position_is_part_of_the_record() -> None:
    [(_, payload)] = pack([load_events([event(1)], 1)], 1)
    record = decode_record(with_position(payload, 12))
    assert (record.pos, record.events[0].id) == (12, "1")
    tick = decode_record(with_position(pack([load_tick(Tick(None, "shop"), 1)], 1)[0][1], 3))
    assert (tick.pos, tick.tick) == (3, Tick(None, "shop"))


def test_nothing_makes_no_record() -> None:
    assert pack([Load(), load_events([], 4)], 4) == []
