from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import doors
from gateway.doors import Doors, Mode, fingerprint, rule, settle
from gateway.parse import Frame, TickAsk
from streams.events import Event, Tick


def event(tenant: str = "shop", ident: str = "a", *, replay: bool) -> Event:
    return Event(id=ident, kind="message", at=0, tenant=tenant, conversation="c", replay=replay)


def sent(known: Doors, *events: Event) -> list[str]:
    """What is said to these events, each through the door it says it came by."""
    found = []
    for index, one in enumerate(events):
        ruling = rule(Frame(size=1, events=[(index, one)]), known, one.replay)
        settle(ruling, [False] * len(ruling.doubtful))
        found += [refusal.error for refusal in ruling.refused] or ["taken"]
    return found


def ticked(known: Doors, at: int | None, tenant: str = "shop", *, replay: bool = True) -> Tick | str | None:
    ruling = rule(Frame(tick=TickAsk(tenant, at)), known, replay)
    assert ruling.accepted == 0
    assert all(refusal.index == 0 for refusal in ruling.refused)
    return ruling.refused[0].error if ruling.refused else ruling.tick


def test_the_first_event_decides_how_a_tenants_time_passes() -> None:
    known = Doors()
    assert sent(known, event(replay=True), event(replay=False), event("bank", replay=False)) == [
        "taken", doors.IN_REPLAY, "taken",
    ]  # fmt: skip
    assert sent(known, event("bank", replay=True)) == [doors.ON_REAL_CLOCK]


def test_the_first_tick_decides_it_as_well() -> None:
    known = Doors()
    assert ticked(known, 5) == Tick(5, "shop")
    assert sent(known, event(replay=False)) == [doors.IN_REPLAY]


def test_a_clock_goes_forward_only_and_an_equal_tick_is_a_repeat() -> None:
    known = Doors()
    assert ticked(known, 5) == Tick(5, "shop")
    assert ticked(known, 5) is None
    assert ticked(known, 4) == doors.TICK_BACK
    assert ticked(known, 6) == Tick(6, "shop")
    assert ticked(known, 1, "bank") == Tick(1, "bank")


def test_null_gives_the_real_clock_for_good() -> None:
    known = Doors()
    assert sent(known, event(replay=True)) == ["taken"]
    assert ticked(known, None) == Tick(None, "shop")
    assert ticked(known, None) is None
    assert ticked(known, 7) == doors.TICK_LIVE
    assert sent(known, event(replay=False), event(replay=True)) == ["taken", doors.ON_REAL_CLOCK]


def test_a_tenant_that_was_never_in_replay_takes_no_tick() -> None:
    known = Doors()
    assert sent(known, event(replay=False)) == ["taken"]
    assert ticked(known, 7) == doors.TICK_LIVE
    assert ticked(known, None) is None


def test_ticks_come_through_the_replay_door_only() -> None:
    known = Doors()
    assert ticked(known, 7, replay=False) == doors.TICK_HERE
    assert known.modes == {}


def test_a_repeat_of_the_past_is_accepted_after_the_tenant_went_live() -> None:
    known = Doors({"shop": Mode(replay=False)})
    frame = Frame(size=2, events=[(0, event(ident="new", replay=True)), (1, event(ident="old", replay=True))])
    ruling = rule(frame, known, replay=True)
    settle(ruling, [False, True])
    assert (ruling.accepted, ruling.events) == (1, [])
    assert [(one.index, one.id) for one in ruling.refused] == [(0, "new")]


def test_identity_is_tenant_conversation_and_id_and_of_a_status_its_agent() -> None:
    status = Event(id="a", kind="agent_status", at=0, tenant="shop", agent="c")
    same = Event(id="a", kind="closed", at=9, tenant="shop", conversation="c", text="x")
    marks = {fingerprint(one) for one in (event(replay=True), same, status, event("bank", replay=True))}
    assert len(marks) == 3
    assert all(-(2**63) <= mark < 2**63 for mark in marks)


_steps = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(["a", "b"]), st.booleans()),
    st.tuples(st.just("tick"), st.sampled_from(["a", "b"]), st.none() | st.integers(1, 3)),
)


@given(st.lists(_steps, max_size=20))
def test_what_was_stored_is_enough_to_know_the_doors_again(steps: list[tuple[str, str, bool | int | None]]) -> None:
    known, again = Doors(), dict[str, Mode]()
    for what, tenant, value in steps:
        if what == "event":
            ruling = rule(Frame(size=1, events=[(0, event(tenant, replay=bool(value)))]), known, bool(value))
        else:
            ruling = rule(Frame(tick=TickAsk(tenant, value)), known, replay=True)
        doors.roll(again, ruling.events, ruling.tick)
        assert again == known.modes
