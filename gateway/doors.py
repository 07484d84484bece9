"""Which tenants are in replay, and where their clocks stand: what each door takes (CONTRACT §2, Replay).

            first live event                     first event or tick through the replay door
    new ───────────────────────► live      new ───────────────────────────────────────────► replay
                                  ▲                    tick null                               │
                                  └────────────────────────────────────────────────────────────┘

Pure but for its memory. `rule` is asked before a frame is stored, and changes the modes at once, so that the frames
behind it see it; should the frame not be stored after all, the caller goes back to the modes that are safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from gateway.parse import Frame, Refusal, TickAsk
from streams.events import Event, Tick

IN_REPLAY = "tenant: is in replay, and takes events of the past only"
ON_REAL_CLOCK = "tenant: is on the real clock, and takes no events of the past"
TICK_LIVE = "tick: the tenant is on the real clock"
TICK_BACK = "tick: goes back"
TICK_HERE = "tick: only through the replay door"


@dataclass(frozen=True, slots=True)
class Mode:
    """How a tenant's time passes."""

    replay: bool
    clock: int | None = None
    """ms; None: before its first tick, or on the real clock."""


@dataclass(slots=True)
class Doors:
    """What is known of every tenant."""

    modes: dict[str, Mode] = field(default_factory=dict)
    changed: dict[str, Mode] = field(default_factory=dict)
    """What `rule` changed since this was last emptied."""

    def _set(self, tenant: str, mode: Mode) -> None:
        self.modes[tenant] = self.changed[tenant] = mode

    def take(self, event: Event) -> str | None:
        """Let an event in, or say why not. (A repeat through the replay door is the caller's to know.)"""
        mode = self.modes.get(event.tenant)
        if mode is None:
            self._set(event.tenant, Mode(event.replay))
            return None
        if mode.replay == event.replay:
            return None
        return IN_REPLAY if mode.replay else ON_REAL_CLOCK

    def tick(self, ask: TickAsk) -> Tick | str | None:
        """The tick to store; or why there is none; None: it is a repeat."""
        mode = self.modes.get(ask.tenant)
        live = mode is not None and not mode.replay
        if live:
            return None if ask.at is None else TICK_LIVE
        clock = mode.clock if mode else None
        if ask.at is not None and clock is not None and ask.at <= clock:
            return None if ask.at == clock else TICK_BACK
        self._set(ask.tenant, Mode(ask.at is not None, ask.at))
        return Tick(ask.at, ask.tenant)


def roll(modes: dict[str, Mode], events: Iterable[Event], tick: Tick | None) -> None:
    """What a stored record did to the modes; harmless to repeat in order."""
    for event in events:
        modes.setdefault(event.tenant, Mode(event.replay))
    if tick is not None and tick.tenant is not None:
        modes[tick.tenant] = Mode(tick.at is not None, tick.at)


@dataclass(slots=True)
class Ruling:
    """What is stored of a frame, and what is answered to it."""

    accepted: int = 0
    refused: list[Refusal] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    tick: Tick | None = None
    doubtful: list[tuple[int, Event]] = field(default_factory=list)
    """Events of the past for a tenant on the real clock: taken as repeats if they are some, else refused."""


def rule(frame: Frame, doors: Doors, replay: bool) -> Ruling:
    """Decide about a frame that came through the replay door, or the other one."""
    ruling = Ruling(refused=list(frame.refused))
    for index, event in frame.events:
        problem = doors.take(event)
        if problem is None:
            ruling.events.append(event)
        elif problem == ON_REAL_CLOCK:
            ruling.doubtful.append((index, event))
        else:
            ruling.refused.append(Refusal(index, event.id, problem))
    if frame.tick is not None:
        told = doors.tick(frame.tick) if replay else TICK_HERE
        if isinstance(told, str):
            ruling.refused.append(Refusal(0, None, told))
        else:
            ruling.tick = told
    ruling.accepted = len(ruling.events)
    return ruling


def settle(ruling: Ruling, known: Iterable[bool]) -> None:
    """Say which of the doubtful events are repeats, in their order."""
    for (index, event), is_repeat in zip(ruling.doubtful, known, strict=True):
        if is_repeat:
            ruling.accepted += 1
        else:
            ruling.refused.append(Refusal(index, event.id, ON_REAL_CLOCK))
    ruling.refused.sort(key=lambda refusal: refusal.index)


def fingerprint(event: Event) -> int:
    """64 bits (signed) that stand for an event's identity (METRICS §1)."""
    key = event.agent if event.kind == "agent_status" else event.conversation
    whole = "\0".join((event.tenant, "agent" if event.kind == "agent_status" else "", key or "", event.id))
    return int.from_bytes(blake2b(whole.encode(), digest_size=8).digest(), signed=True)
