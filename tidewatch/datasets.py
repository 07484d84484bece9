"""Real conversations as events of the contract: pure mappings, and one thin reader.

Two shapes are known. *IRC help channels* (`irc-helpdesks`, `irc-ubuntu`): one object a line of chat, in stretches, with
threads annotated by hand (`conv`). *CrossWOZ*: one object a dialogue between a traveller and an information desk.
What is taken from the data and what is guessed stands in `docs/data.md`; the short form:

- a thread is a conversation; who opens it is its customer, everybody else in it answers, so is an agent, except the
  channel's factoid bot, which is told by its behaviour;
- the annotators' threads say when nothing more comes, so a conversation closes 30 min after its last line, or where
  its stretch ends; nobody says whether it was solved, so `closed` names only the system;
- lines without annotation are left out, unless the caller asks for threads guessed from who addresses whom;
- CrossWOZ has no times: arrivals and gaps are drawn, with a fixed seed, from those measured in the IRC threads.

The same input gives the same events, ids and instants in every run.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

SECOND = 1_000
MINUTE = 60_000
SILENCE_MS = 30 * MINUTE
"""A conversation is over after this much silence."""
TURN_MS = 10 * MINUTE
"""Guessed threads: who goes on within this time goes on in the thread he was in."""
HALF_DAY_MS = 12 * 60 * MINUTE
REGULAR = 5
"""Answers in a stretch that make somebody's presence a shift; who answered less often merely came by."""

Author = Literal["customer", "agent", "bot"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `at` in ms since the epoch."""

    id: str
    at: int
    author: Author
    author_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Thread:
    """One conversation, oldest message first, at least one, the first by its customer."""

    id: str
    queue: str
    channel: str
    said: tuple[Said, ...]
    closed_at: int
    closed_by: Literal["system", "agent", "customer"] = "system"
    topic: str | None = None
    """What the data say it was about; None where they don't."""
    guessed: bool = False
    """Made by our rule from lines nobody annotated."""

    @property
    def at(self) -> int:
        return self.said[0].at

    @property
    def answered(self) -> bool:
        """A person wrote in it who is not its customer."""
        return any(said.author == "agent" for said in self.said)


@dataclass(frozen=True, slots=True)
class Shift:
    """A time in which somebody was there to answer: from the first to the last line of a regular in a stretch."""

    id: str
    agent: str
    since: int
    until: int

    @property
    def at(self) -> int:
        return self.since


@dataclass(frozen=True, slots=True)
class Mapped:
    """A data set, read: what it gave, and how many of its messages were left out, by reason."""

    threads: tuple[Thread, ...]
    shifts: tuple[Shift, ...]
    left_out: Mapping[str, int]


# --- reading ---------------------------------------------------------------------------------------------------------


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, gzip or plain, by what it is and not by its name."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        yield from file


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, gzip or plain."""
    return (json.loads(line) for line in lines(path) if line.strip())


def kind_of(first: object) -> Literal["irc", "crosswoz"] | None:
    """Which data set an object comes from; None: none of ours (events, most likely)."""
    if not isinstance(first, dict) or "kind" in first:
        return None
    if {"file", "n", "ts", "author", "text"} <= first.keys():
        return "irc"
    if isinstance(first.get("messages"), list) and "conv" in first:
        return "crosswoz"
    return None


def mapped(kind: Literal["irc", "crosswoz"], given: Iterable[Row]) -> Mapped:
    """The data set that `given` are the objects of."""
    return irc(given) if kind == "irc" else crosswoz(given)


# --- events ----------------------------------------------------------------------------------------------------------


def instant(ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def events(data: Mapped) -> list[dict[str, Any]]:
    """Everything the data set says, as events of the contract in order of their time."""
    made = [event for thread in data.threads for event in thread_events(thread)]
    made += [event for shift in data.shifts for event in shift_events(shift)]
    made.sort(key=lambda event: event["at"])  # Python's sort is stable: events of a thread keep their order
    return [event | {"at": instant(event["at"])} for event in made]


def thread_events(thread: Thread) -> list[dict[str, Any]]:
    """A thread's messages and its closing; `at` in ms, never falling, `seq` where it stands still."""
    customer = thread.said[0].author_id
    made: list[dict[str, Any]] = []
    for said in thread.said:
        made.append(
            _event(thread, said.id, "message", said.at, author=said.author, author_id=said.author_id, text=said.text)
        )
        if len(made) == 1:
            made[0] |= {"queue": thread.queue, "customer": customer}
            made[0] |= {"attrs": {"thread": "guessed"}} if thread.guessed else {}
    made.append(_event(thread, f"{thread.said[0].id}:closed", "closed", thread.closed_at, **_closing(thread)))
    for before, after in pairwise(made):
        if before["at"] == after["at"]:
            after["seq"] = before.get("seq", 0) + 1
    return made


def _event(thread: Thread, id_: str, kind: str, at: int, **more: Any) -> dict[str, Any]:
    return {"v": 1, "id": id_, "kind": kind, "at": at, "conversation": thread.id, "channel": thread.channel, **more}


def _closing(thread: Thread) -> dict[str, Any]:
    last = next((said.author_id for said in reversed(thread.said) if said.author == "agent"), None)
    agent = {"agent": last} if thread.closed_by == "agent" and last else {}
    return {"by": thread.closed_by, **agent} | ({"topic": thread.topic} if thread.topic else {})


def shift_events(shift: Shift) -> list[dict[str, Any]]:
    """Somebody comes and goes. How many chats he could take at once is not known, so no capacity is given."""
    about = {"v": 1, "kind": "agent_status", "agent": shift.agent}
    return [
        about | {"id": f"{shift.id}:on", "at": shift.since, "status": "online"},
        about | {"id": f"{shift.id}:off", "at": shift.until, "status": "offline"},
    ]


# --- IRC help channels -----------------------------------------------------------------------------------------------

_DATED = re.compile(r"\d{4}-\d\d-\d\d\.")
_ADDRESSED = re.compile(r"@?<?(u\d{3,})\b")
_NOTICE = re.compile(r"\x03|\d\d?\(|New (?:patchset|review)|Change (?:merged|abandoned|on)|\[")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a channel's log. `conv` None: nobody annotated it."""

    n: int
    at: int
    author: str
    text: str
    conv: str | None
    bot: bool = False
    """Marked as the channel's bot in the shipped cut, where the lines that show it are missing."""


def irc(given: Iterable[Row], *, guess: bool = False) -> Mapped:
    """Help channels: annotated threads, and with `guess` also threads guessed from the lines nobody annotated."""
    stretches: dict[str, list[Row]] = defaultdict(list)
    for row in given:
        stretches[row["file"]].append(row)
    parts = [stretch(name, rows_, guess=guess) for name, rows_ in stretches.items()]
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    return Mapped(
        tuple(thread for part in parts for thread in part.threads),
        tuple(shift for part in parts for shift in part.shifts),
        left_out,
    )


def stretch(name: str, given: Sequence[Row], *, guess: bool = False) -> Mapped:
    """One stretch of a channel's log: nicks, line numbers and `conv` mean something only inside it."""
    log = log_lines(given)
    noise, robots = notices(log), bots(log)
    people = [line for line in log if line.author not in noise]
    threads = [_thread(name, members, robots, log[-1].at, guessed=False) for members in annotated(people)]
    rest = [line for line in people if line.conv is None]
    if guess:
        threads += [_thread(name, members, robots, log[-1].at, guessed=True) for members in guessed(people)]
        rest = []
    opened_by_bot = [thread for thread in threads if thread.said[0].author == "bot"]
    threads = [thread for thread in threads if thread.said[0].author != "bot"]
    left_out = {
        "nobody annotated them": len(rest),
        "notices of a program": len(log) - len(people),
        "a bot talking to itself": sum(len(thread.said) for thread in opened_by_bot),
    }
    return Mapped(tuple(threads), shifts(threads), {why: n for why, n in left_out.items() if n})


def queue_of(name: str) -> str:
    """The help desk a stretch comes from: `stripe.0` → stripe; those of #ubuntu are named by their day."""
    return "ubuntu" if _DATED.match(name) else name.partition(".")[0]


def log_lines(given: Sequence[Row]) -> list[Line]:
    """A stretch's rows as lines whose times never fall and differ within a minute (or second) of the log."""
    return [
        Line(
            row["n"],
            at,
            row["author"],
            row["text"],
            None if row.get("conv") is None else str(row["conv"]),
            bool(row.get("bot")),
        )
        for row, at in zip(given, clock([row["ts"] for row in given]), strict=True)
    ]


def clock(stamps: Sequence[str]) -> list[int]:
    """Log times as ms since the epoch, read as UTC, in the order of the log.

    A clock that falls by some twelve hours is a twelve-hour clock passing one o'clock: it goes on. Where it falls by
    less, time stands still. Lines with the same stamp are spread evenly over its minute (or second).
    """
    read: list[int] = []
    shift, before = 0, 0
    for stamp in stamps:
        at = round(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()) * SECOND + shift
        if read and before - at > HALF_DAY_MS // 2:
            shift, at = shift + HALF_DAY_MS, at + HALF_DAY_MS
        before = max(before, at)
        read.append(before)
    unit = SECOND if stamps and len(stamps[0]) > len("2004-12-25T09:14") else MINUTE
    count, seen = Counter(read), Counter[int]()
    spread = []
    for at in read:
        spread.append(at + unit * seen[at] // count[at])
        seen[at] += 1
    return spread


def notices(log: Sequence[Line]) -> frozenset[str]:
    """Authors that are programs announcing things (commits, tickets): most of their lines have a notice's form."""
    said, form = Counter(line.author for line in log), Counter(line.author for line in log if _NOTICE.match(line.text))
    return frozenset(author for author, n in said.items() if n >= 4 and 2 * form[author] > n)


def bots(log: Sequence[Line]) -> frozenset[str]:
    """Factoid bots: authors of four lines or more of which most follow right upon a `!keyword`; and those marked."""
    said = Counter(line.author for line in log)
    called = Counter(line.author for before, line in pairwise(log) if before.text.startswith("!"))
    marked = {line.author for line in log if line.bot}
    return frozenset({author for author, n in said.items() if called[author] >= 4 and 2 * called[author] > n} | marked)


def annotated(log: Sequence[Line]) -> list[list[Line]]:
    """The threads the annotators made, by their first line."""
    threads: dict[str, list[Line]] = defaultdict(list)
    for line in log:
        if line.conv is not None:
            threads[line.conv].append(line)
    return list(threads.values())


def guessed(log: Sequence[Line]) -> list[list[Line]]:
    """Threads among the lines nobody annotated, by who addresses whom.

    A line addressed to somebody goes to the thread that person was last in, within 30 min; else it goes on in its
    author's own, within 10 min; else it opens one. Against the annotated part of the help desks, 74 % of the lines
    fall to the right thread (one-to-one overlap).
    """
    threads: list[list[Line]] = []
    last: dict[str, list[Line]] = {}

    def running(author: str, within: int, now: int) -> list[Line] | None:
        thread = last.get(author)
        return thread if thread and now - thread[-1].at <= within else None

    for line in (line for line in log if line.conv is None):
        found = _ADDRESSED.match(line.text)
        to = found[1] if found and found[1] != line.author else None
        thread = running(to, SILENCE_MS, line.at) if to else running(line.author, TURN_MS, line.at)
        if thread is None:
            thread = []
            threads.append(thread)
        thread.append(line)
        last[line.author] = thread
        if to:
            last.setdefault(to, thread)
    return threads


def _thread(name: str, members: Sequence[Line], robots: frozenset[str], end: int, *, guessed: bool) -> Thread:
    opener = members[0].author
    said = tuple(
        Said(f"{name}:{line.n}", line.at, _role(line.author, opener, robots), f"{name}:{line.author}", line.text)
        for line in members
    )
    closed_at = max(min(said[-1].at + SILENCE_MS, end), said[-1].at)
    queue = queue_of(name)
    prefix = "" if name.startswith(queue) else f"{queue}."
    return Thread(f"{prefix}{name}:{members[0].n}", queue, "irc", said, closed_at, guessed=guessed)


def _role(author: str, opener: str, robots: frozenset[str]) -> Author:
    if author in robots:
        return "bot"
    return "customer" if author == opener else "agent"


def shifts(threads: Iterable[Thread]) -> tuple[Shift, ...]:
    """Who answered at least five times in a stretch was there from the first answer to the last."""
    answers: dict[str, list[int]] = defaultdict(list)
    for thread in threads:
        for said in thread.said:
            if said.author == "agent":
                answers[said.author_id].append(said.at)
    return tuple(Shift(agent, agent, min(ats), max(ats)) for agent, ats in answers.items() if len(ats) >= REGULAR)


# --- CrossWOZ --------------------------------------------------------------------------------------------------------

DOMAINS = {"餐馆": "dining", "景点": "sights", "酒店": "hotels", "地铁": "transport", "出租": "transport"}
DESKS = 8
"""Made up: the data do not say who sat at the desk, so a dialogue's number chooses among as many."""
OPENS = round(datetime(2018, 6, 4, 1, tzinfo=UTC).timestamp()) * SECOND
"""Made up: the first dialogue arrives at nine in the morning in Beijing, on a Monday of the year of collection."""

# The 0th, 5th … 95th percentile and, for the 100th, the 97.5th (the longest gaps are left out), in ms; between them it
# is interpolated. Measured in the annotated threads: ARRIVALS from one opening to the next in a stretch of #ubuntu
# (n = 8,969), REPLIES from a customer's message to the agent's that follows it (n = 282) and RETURNS from an agent's to
# the customer's (n = 231) in the help desks, whose log has seconds.
# fmt: off
ARRIVALS = (
    2_222, 5_454, 7_500, 10_000, 12_000, 15_000, 19_847, 22_500, 26_667, 30_000, 37_166, 43_809, 52_500, 60_000, 72_000,
    89_167, 109_804, 135_000, 186_000, 276_000, 600_000,
)
REPLIES = (
    500, 2_000, 6_000, 10_000, 13_000, 17_000, 23_000, 26_000, 29_000, 34_000, 43_000, 49_000, 56_000, 67_000, 78_000,
    95_500, 120_000, 162_000, 216_000, 295_000, 1_014_000,
)
RETURNS = (
    500, 3_000, 6_000, 9_000, 11_000, 13_000, 15_000, 20_000, 23_000, 26_000, 30_000, 38_000, 50_000, 62_000, 76_000,
    91_000, 118_200, 143_000, 190_000, 256_000, 991_000,
)
# fmt: on


def crosswoz(given: Iterable[Row], *, seed: int = 1) -> Mapped:
    """The dialogues, arriving at drawn times: usr is the customer, sys the agent, the first domain the queue."""
    random, at, threads = Random(seed), OPENS, []
    for row in given:
        at += drawn(random, ARRIVALS)
        threads.append(dialogue(row, at, random))
    return Mapped(tuple(threads), (), {})


def dialogue(row: Row, at: int, random: Random) -> Thread:
    """One dialogue that begins at `at`. Its end is told: both say goodbye, so who speaks last closes it."""
    id_, said = f"crosswoz:{row['conv']}", []
    names: dict[str, tuple[Author, str]] = {
        "usr": ("customer", f"{id_}:usr"),
        "sys": ("agent", f"desk-{int(row['conv']) % DESKS + 1}"),
    }
    for index, message in enumerate(row["messages"]):
        if index:
            at += drawn(random, REPLIES if message["role"] == "sys" else RETURNS)
        said.append(Said(f"{id_}:{index}", at, *names[message["role"]], message["text"]))
    closed_by: Literal["agent", "customer"] = "agent" if said[-1].author == "agent" else "customer"
    return Thread(id_, _queue(row), "web", tuple(said), at + SECOND, closed_by, _topic(row))


def _queue(row: Row) -> str:
    return next((DOMAINS[domain] for message in row["messages"] for domain in message["domains"]), "default")


def _topic(row: Row) -> str | None:
    """The domain most of the customer's messages are about; of equals the first."""
    about = Counter(DOMAINS[d] for message in row["messages"] if message["role"] == "usr" for d in message["domains"])
    return about.most_common(1)[0][0] if about else None


def drawn(random: Random, percentiles: Sequence[int]) -> int:
    """A value from a distribution given by its evenly spaced percentiles, at least 1."""
    place = random.random() * (len(percentiles) - 1)
    low = int(place)
    return max(1, round(percentiles[low] + (place - low) * (percentiles[low + 1] - percentiles[low])))


def percentiles(values: Iterable[int], steps: int = 20) -> tuple[int, ...]:
    """The distribution of `values` in the form that `drawn` takes."""
    ranked = sorted(values)
    return tuple(ranked[round(step * (len(ranked) - 1) / steps)] for step in range(steps + 1))


# --- moving things in time -------------------------------------------------------------------------------------------


def moved(thread: Thread, by: int, prefix: str = "") -> Thread:
    """The same conversation `by` ms later, under ids of its own; its people stay who they are."""
    said = tuple(replace(said, id=prefix + said.id, at=said.at + by) for said in thread.said)
    return replace(thread, id=prefix + thread.id, said=said, closed_at=thread.closed_at + by)
