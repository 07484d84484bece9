"""Made-up chat: streams that hit every rule and every border of METRICS, with disorder, repeats and lateness.

One walk makes them all. It asks a `Chooser`: `random.Random` for big seeded streams, Hypothesis for small ones that
shrink. Lists of choices begin with the plainest, which is what shrinking moves towards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from tests.conformance.cases import LATENESS_MS, Row
from tests.reference.given import DAY, HOUR, MINUTE, SECOND

T = TypeVar("T")
START = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""


class Chooser(Protocol):
    """Where chance comes from."""

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""


@dataclass
class Dice:
    """A seeded chooser."""

    rng: Random

    def pick(self, items: Sequence[T]) -> T:
        return self.rng.choice(items)

    def number(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)


@dataclass
class Drawn:
    """Hypothesis as a chooser."""

    draw: st.DrawFn

    def pick(self, items: Sequence[T]) -> T:
        return self.draw(st.sampled_from(items))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))


@dataclass(frozen=True)
class Shape:
    """What a stream is made of. Shares are in percent."""

    queues: tuple[str, ...] = ("default", "returns", "vip")
    channels: tuple[str, ...] = ("web", "app", "wechat")
    agents: tuple[str, ...] = ("amy", "bob", "cat")
    customers: int = 4
    """So few that one comes back in other conversations."""
    borders: int = 40
    """Of the steps that happen at a border of some rule, give or take a millisecond."""
    same: int = 8
    """Of the steps that happen at the instant of the one before."""
    long: int = 10
    """Of the steps that come hours or days after the one before."""
    late: int = 6
    """Of the events that arrive minutes to hours late."""
    ancient: int = 2
    """Of the events that arrive 23 to 50 hours late."""
    repeated: int = 12
    """Of the events that are sent again."""


@dataclass(frozen=True)
class Stream:
    """A stream of one tenant, and when and how to look at it."""

    events: list[Row]
    """Wire form, `at` in ms, in order of arrival."""
    settings: Row
    tick: int


IDLE = (
    *["customer"] * 8, *["opened"] * 3, *["agent"] * 2, "bot", "system", "note", "queued", "moved", "assigned",
    "handoff", "left", "back", "closed", "rated", "label",
)  # fmt: skip
OPEN = (
    *["customer"] * 6, *["agent"] * 6, *["bot"] * 3, *["assigned"] * 3, *["closed"] * 2, *["left"] * 2,
    *["handoff"] * 2, *["queued"] * 2, *["queued_to"] * 2, *["moved"] * 2, "given", "given_to", "passed",
    "assigned_to", "back", "system", "note", "rated", "label", "opened",
)  # fmt: skip
AWAY = (
    *["customer"] * 3, *["back"] * 3, *["agent"] * 3, "closed", "left", "bot", "assigned", "queued_to", "moved",
    "handoff", "rated", "label", "note", "system", "opened",
)  # fmt: skip
CLOSED = (
    *["customer"] * 4, *["goodbye"] * 3, *["rated"] * 3, *["agent"] * 2, *["opened"] * 2, "label", "bot", "system",
    "note", "queued_to", "moved", "assigned", "handoff", "left", "back", "closed",
)  # fmt: skip
GOODBYES = (
    "谢谢！",
    "OK, thanks.",
    "thank you",
    "好的好的",
    "谢谢，还没到账",
    "👍",
    "bye bye bye bye bye!",
    "bye bye bye bye bye!!",
    "thanks " * 4,
)
SPANS = (10 * SECOND, 30 * SECOND, MINUTE, 10 * MINUTE, 15 * MINUTE, HOUR)
LONG = (HOUR, 6 * HOUR, DAY - HOUR, DAY, DAY + HOUR, 3 * DAY, 7 * DAY, 8 * DAY)
LIVELY = Shape()
BUSY = Shape(
    queues=("default", "returns", "billing", "vip", "tech"),
    channels=("web", "app", "wechat", "email"),
    agents=tuple(f"agent-{n:02d}" for n in range(24)),
    customers=900,
    borders=10,
    same=3,
    long=1,
    late=2,
    ancient=2,
    repeated=5,
)
"""Like a day at a help desk."""


@dataclass
class Walk:
    """One conversation as it goes on, from step to step."""

    name: str
    shape: Shape
    chance: Chooser
    at: int
    events: list[Row] = field(default_factory=list)
    phase: tuple[str, ...] = IDLE
    anchors: list[int] = field(default_factory=list)
    """Instants from which some rule measures a span."""

    def percent(self, share: int) -> bool:
        """Whether a thing of this share happens. (Draws the low end as no.)"""
        return share > 0 and self.chance.number(0, 99) >= 100 - share

    def step(self) -> None:
        """One more event."""
        before = self.at
        self.at = self._when()
        what = self.chance.pick(self.phase)
        made = {"id": self._id(), "at": self.at, "conversation": self.name, **self._what(what)}
        if self.at == before and self.percent(60):
            made["seq"] = self.chance.number(0, 3)
        self.events.append(made)
        self._note(what)

    def _id(self) -> str:
        """Unique in the conversation; its order is not that of making."""
        return f"{self.chance.pick('mbxAé')}{len(self.events):03d}"

    def _when(self) -> int:
        if self.percent(self.shape.same):
            return self.at
        if self.percent(self.shape.long):
            return self.at + self.chance.pick(LONG) + self.chance.number(-1, 1)
        if self.percent(self.shape.borders):
            borders = [border for anchor in self.anchors for span in SPANS if (border := anchor + span) > self.at]
            minute = (self.at // MINUTE + 1) * MINUTE
            return max(self.at, self.chance.pick([minute, *borders]) + self.chance.number(-1, 1))
        return self.at + self.chance.pick((5 * SECOND, SECOND, 1, 20 * SECOND, 45 * SECOND, 2 * MINUTE, 7 * MINUTE))

    def _note(self, what: str) -> None:
        """What matters for the steps to come."""
        if what in ("customer", "left", "closed", "bot", "handoff", "queued"):
            self.anchors = [*self.anchors[-3:], self.at]
        if what == "closed":
            self.phase = CLOSED
        elif what == "left" and self.phase is OPEN:
            self.phase = AWAY
        elif what in ("customer", "opened", "back") or (what == "agent" and self.phase is not AWAY):
            self.phase = OPEN

    def _what(self, what: str) -> Row:
        if what in ("customer", "agent", "bot", "system", "note", "goodbye"):
            return self._message(what)
        pick = self.chance.pick
        somebody, somewhere = pick(self.shape.agents), pick(self.shape.queues)
        plain: dict[str, Row] = {
            "queued": {"kind": "queued"},
            "queued_to": {"kind": "queued", "queue": somewhere},
            "moved": {"kind": "transferred", "queue": somewhere},
            "given": {"kind": "transferred", "agent": somebody},
            "given_to": {"kind": "transferred", "agent": somebody, "queue": somewhere},
            "passed": {"kind": "transferred"},
            "assigned": {"kind": "assigned", "agent": somebody},
            "assigned_to": {"kind": "assigned", "agent": somebody, "queue": somewhere},
            "left": {"kind": "customer_left"},
            "back": {"kind": "customer_back"},
            "handoff": {"kind": "handoff"},
        }
        if what in plain:
            return plain[what]
        if what == "rated":
            return {"kind": "rated", "score": self.chance.number(1, 5)}
        if what == "label":
            return {"kind": "label", "topic": pick(("refund", "delivery", "invoice"))}
        return self._opened(somewhere) if what == "opened" else self._closed(somebody)

    def _opened(self, queue: str) -> Row:
        made: Row = {"kind": "opened"}
        if self.percent(50):
            made |= {"queue": queue, "channel": self.chance.pick(self.shape.channels)}
        if self.percent(20):
            made["customer"] = self._somebody()
        return made

    def _closed(self, agent: str) -> Row:
        made: Row = {"kind": "closed"}
        if by := self.chance.pick(("agent", "customer", "system", "bot", None)):
            made["by"] = by
        if self.percent(30):
            made["agent"] = agent
        if self.percent(30):
            made["resolved"] = self.chance.pick((True, False, None))
        if self.percent(20):
            made["topic"] = self.chance.pick(("refund", "delivery"))
        return made

    def _somebody(self) -> str:
        return f"u-{self.chance.number(0, self.shape.customers - 1)}"

    def _message(self, what: str) -> Row:
        author = {"note": "agent", "goodbye": "customer"}.get(what, what)
        made: Row = {"kind": "message", "author": author, "text": "您好，我来看一下"}
        if author == "agent":
            made["author_id"] = self.chance.pick(self.shape.agents)
        if what == "note":
            made["private"] = True
        if author == "customer":
            made["author_id"] = self._somebody() if not self.events else f"u-{self.name}"
            made["text"] = self.chance.pick(GOODBYES) if what == "goodbye" else "我的订单还没到"
            if self.percent(30):
                made["customer"] = self._somebody()
        if self.phase is not OPEN and self.percent(50):
            made["channel"] = self.chance.pick(self.shape.channels)
        if self.percent(20):
            made["queue"] = self.chance.pick(self.shape.queues)
        return made


def conversation(chance: Chooser, shape: Shape, name: str, at: int, steps: int) -> list[Row]:
    """One conversation of so many events, in the order in which they happened."""
    walk = Walk(name, shape, chance, at)
    for _ in range(steps):
        walk.step()
    return walk.events


def shifts(chance: Chooser, shape: Shape, at: int, steps: int) -> list[Row]:
    """So many changes of status, one agent or another's."""
    events = []
    for number in range(steps):
        at += chance.pick((MINUTE, 0, 1, 20 * MINUTE, HOUR, 3 * HOUR))
        made = {
            "id": f"s{number:04d}",
            "kind": "agent_status",
            "at": at,
            "agent": chance.pick(shape.agents),
            "status": chance.pick(("online", "busy", "away", "offline")),
        }
        if (capacity := chance.pick((3, None, 1, 0))) is not None:
            made["capacity"] = capacity
        events.append(made)
    return events


def arriving(chance: Chooser, shape: Shape, events: list[Row]) -> list[Row]:
    """The events as they arrive: disorder within the lateness, some far later, some again.

    A repeat comes within the lateness of the first copy: what is sent again a day later is late, not a repeat.
    """
    keyed: list[tuple[int, int, Row]] = []
    for event in events:
        arrival = event["at"] + _delay(chance, shape)
        keyed.append((arrival, len(keyed), event))
        if shape.repeated and chance.number(0, 99) >= 100 - shape.repeated:
            keyed.append((arrival + chance.number(0, LATENESS_MS), len(keyed), event))
    return [event for _, _, event in sorted(keyed, key=lambda item: item[:2])]


def _delay(chance: Chooser, shape: Shape) -> int:
    lot = chance.number(0, 99)
    if lot >= 100 - shape.ancient:
        return chance.number(23 * HOUR, 50 * HOUR)
    if lot >= 100 - shape.ancient - shape.late:
        return chance.number(2 * MINUTE, 6 * HOUR)
    return chance.number(0, LATENESS_MS) if lot >= 30 else 0


def settings_for(chance: Chooser) -> Row:
    """Settings off the defaults here and there."""
    weekly = {day: [["09:00", "12:00"], ["13:30", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
    calendar = {"zone": "Asia/Shanghai", "weekly": weekly, "holidays": ["2026-03-04"], "workdays": {}}
    calendar["workdays"] = {"2026-03-07": [["10:00", "24:00"]]}
    berlin = {"zone": "Europe/Berlin", "versions": [{"from": None, "weekly": weekly}, _SECOND_VERSION]}
    options: tuple[Row, ...] = (
        {},
        {"queues": {"vip": {"target_s": 30, "short_s": 5}}},
        {"zone": "Asia/Shanghai", "calendar": calendar},
        {"queues": {"returns": {"calendar": berlin, "target_s": 120}}, "zone": "Europe/Berlin", "short_s": 30},
        {"expire_s": 3_600, "expire_backlog_s": 7_200},
        {"bot_window_s": 10, "target_s": 10},
        {"async_channels": []},
    )
    return dict(chance.pick(options))


_SECOND_VERSION: Row = {
    "from": "2026-03-02T12:00:00+01:00",
    "weekly": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "sat", "sun")},
}


@st.composite
def streams(draw: st.DrawFn, conversations: int = 3, steps: int = 14, shape: Shape = LIVELY) -> Stream:
    """Small streams of one tenant that hit the borders; at most so many conversations of at most so many events."""
    return tell(Drawn(draw), shape, conversations, steps)


def story(seed: int, shape: Shape = LIVELY, conversations: int = 3, steps: int = 14) -> Stream:
    """What `streams` gives, from a seed."""
    return tell(Dice(Random(seed)), shape, conversations, steps)


def tell(chance: Chooser, shape: Shape, conversations: int, steps: int) -> Stream:
    """A small stream, as chance will have it."""
    settings = settings_for(chance)
    events: list[Row] = []
    for number in range(chance.number(1, conversations)):
        begin = START + chance.pick((0, 30 * SECOND, 59_999, HOUR, 13 * HOUR, 5 * DAY))
        events += conversation(chance, shape, f"c{number}", begin, chance.number(1, steps))
    events += shifts(chance, shape, START, chance.number(0, 4))
    return Stream(arriving(chance, shape, events), settings, _tick(chance, events))


def _tick(chance: Chooser, events: list[Row]) -> int:
    newest = max(int(event["at"]) for event in events)
    later: int = chance.pick((MINUTE, 0, SECOND, 10 * MINUTE, 16 * MINUTE, HOUR, DAY, 3 * DAY, 8 * DAY))
    return newest + later


def stream(
    seed: int, events: int = 20_000, *, shape: Shape = BUSY, hours: float = 8, tenant: str | None = None
) -> list[Row]:
    """About `events` wire events of one tenant in order of arrival, `at` in ms: conversations interleaved over `hours`
    (one in twenty went on over days before), with disorder within the lateness, some late, a few too late, and repeats.
    """
    chance = Dice(Random(seed))
    made = shifts(chance, shape, START, min(events // 100, 200))
    end = START + round(hours * HOUR)
    for number in range(events):
        if len(made) * (100 + shape.repeated) >= events * 100:
            break
        pace = shape if number % 20 else replace(shape, long=35)
        begin = START + chance.number(0, round(hours * HOUR))
        one = conversation(chance, pace, f"c{number:05d}", begin, chance.number(2, 16))
        over = max(0, one[-1]["at"] - end + chance.number(0, HOUR))
        made += [{**event, "at": event["at"] - over // MINUTE * MINUTE} for event in one]
    arrived = arriving(chance, shape, made)
    return arrived if tenant is None else [{**event, "tenant": tenant} for event in arrived]
