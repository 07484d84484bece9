"""What stands open of one queue and channel in one partition. No clock: ages are asked for as of a tick."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from streams.events import GaugeRow, PaneRow
from streams.said import Changes
from streams.standing import Stance
from streams.waits import put, take
from streams.windows import DAY, MINUTE, NEVER, pane_of

AGES = (MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE, DAY)
"""Where the next age band begins."""


class Gauge:
    """Open episodes by state, and since when those in the backlog wait."""

    __slots__ = (
        "awaiting_first", "awaiting_reply", "came", "dues", "heat", "minute", "noted", "open", "opened", "pane", "past",
        "since", "told", "turned", "unassigned", "waiting", "waiting_on_customer", "with_bot",
    )  # fmt: skip

    def __init__(self) -> None:
        self.noted: Changes | None = None
        """Where it was last noted as changed."""
        self.heat, self.minute = -1, NEVER
        self.pane: PaneRow | None = None
        """Of its queue and channel the one that was last asked for: of which minute, and at which `Line.heat`."""
        self.open = self.unassigned = 0
        self.with_bot = self.awaiting_first = self.awaiting_reply = self.waiting_on_customer = 0
        self.opened: dict[int, int] = {}
        """Minute → how many of those that are open opened in it."""
        self.since: list[int] = []
        """Every `waiting_since`, in order."""
        self.dues: list[int] = []
        """When each of them is over target, in order."""
        self.past: list[tuple[int, int]] = []
        """Who went since the last pane that closed: when, and from when they had waited (`NEVER`: they had not)."""
        self.turned: dict[int, int] = {}
        """Of those who had begun to wait in the very pane they went in: minute → when the last of them went."""
        self.came: list[tuple[int, int]] = []
        """Who came from another queue since, and waited: when, and from when they had waited."""
        self.waiting = b""
        """Every `d` of those who wait for their first response, without the reopened (`streams.waits`)."""
        self.told: tuple[int, ...] = ()
        """What depends on time alone, as it was said last."""

    def add(self, stance: Stance) -> None:
        """An episode as it stands."""
        self._add(stance)
        if stance.since != NEVER:
            _put(self.since, stance.since)
            _put(self.dues, stance.due)

    def load(self, stance: Stance) -> None:
        """The same for one of many, in any order: sort `since` and `dues` behind the last."""
        self._add(stance)
        if stance.since != NEVER:
            self.since.append(stance.since)
            self.dues.append(stance.due)

    def _count(self, state: str, n: int) -> None:
        self.open += n
        if state == "awaiting_first":
            self.awaiting_first += n
        elif state == "awaiting_reply":
            self.awaiting_reply += n
        elif state == "waiting_on_customer":
            self.waiting_on_customer += n
        else:
            self.with_bot += n

    def _add(self, stance: Stance) -> None:
        self._count(stance.state, 1)
        _bump(self.opened, pane_of(stance.opened), 1)
        self.unassigned += stance.since != NEVER and stance.agent is None
        if stance.waits_from != NEVER:
            self.waiting = put(self.waiting, stance.waits_from)

    def withdraw(self, stance: Stance) -> None:
        """It stands so no more."""
        self._count(stance.state, -1)
        _bump(self.opened, pane_of(stance.opened), -1)
        if stance.since != NEVER:
            self._unqueue(stance.since, stance.due)
            self.unassigned -= stance.agent is None
        if stance.waits_from != NEVER:
            self.waiting = take(self.waiting, stance.waits_from)

    def shift(self, old: Stance, new: Stance) -> None:
        """One that counts here stands otherwise from now on, and goes on counting here."""
        if old.state != new.state:
            self._count(old.state, -1)
            self._count(new.state, 1)
        if pane_of(old.opened) != pane_of(new.opened):
            _bump(self.opened, pane_of(old.opened), -1)
            _bump(self.opened, pane_of(new.opened), 1)
        self.unassigned += (new.since != NEVER and new.agent is None) - (old.since != NEVER and old.agent is None)
        if old.since != new.since:
            _replace(self.since, old.since, new.since)
        if old.due != new.due:
            _replace(self.dues, old.due, new.due)
        if old.waits_from != new.waits_from:
            if old.waits_from != NEVER:
                self.waiting = take(self.waiting, old.waits_from)
            if new.waits_from != NEVER:
                self.waiting = put(self.waiting, new.waits_from)

    def take(self, stance: Stance, agent: str | None) -> None:
        """One is held by another agent from now on, or by nobody."""
        if stance.since != NEVER:
            self.unassigned += (agent is None) - (stance.agent is None)
        stance.agent = agent

    def turn(self, stance: Stance, since: int, due: int) -> None:
        """One that waited on the customer is in the backlog from now on."""
        self._count(stance.state, -1)
        self._count("awaiting_reply", 1)
        stance.state, stance.since, stance.due = "awaiting_reply", since, due
        _put(self.since, since)
        _put(self.dues, due)
        self.unassigned += stance.agent is None

    def rest(self, stance: Stance, left_at: int) -> None:
        """One in the backlog waits on the customer from now on. `left_at`: see `leave`; `NEVER`: nothing of it is."""
        if left_at != NEVER:
            self.leave(left_at, stance.since)
        self._count(stance.state, -1)
        self._count("waiting_on_customer", 1)
        if stance.since != NEVER:
            self._unqueue(stance.since, stance.due)
            self.unassigned -= stance.agent is None
        if stance.waits_from != NEVER:
            self.waiting = take(self.waiting, stance.waits_from)
            stance.waits_from = NEVER
        stance.state, stance.since, stance.due = "waiting_on_customer", NEVER, NEVER

    def _unqueue(self, since: int, due: int) -> None:
        """Take one out of both lists: where all have one target, it stands at the same place in them."""
        place = bisect_left(self.since, since)
        del self.since[place]
        dues = self.dues
        if dues[place] != due:
            place = bisect_left(dues, due)
        del dues[place]

    def leave(self, at: int, since: int) -> None:
        """Remember that an episode that waited from `since` (`NEVER`: did not) was here until `at`."""
        pane = pane_of(at)
        if since < pane:  # `NEVER` is before everything
            self.past.append((at, since))
        elif at > self.turned.get(pane, NEVER):
            self.turned[pane] = at

    def come(self, at: int, since: int) -> None:
        """Remember that an episode that had waited from `since` came from another queue, which had it until `at`."""
        self.came.append((at, since))

    def spans(self, first: int, until: int) -> Iterator[tuple[int, int, int, int | None]]:
        """The panes of `[first, until)` in which anything was open, as (since, until, backlog, oldest since).

        The backlog is that of a pane's end: who began to wait or came later is not in it, who went later still is.
        """
        begun = self._panes_since(first + MINUTE)
        begun |= {pane_of(since) for _, since in self.past if since != NEVER}
        begun |= self.opened.keys() | {pane_of(at) for at, _ in self.came}
        left = {pane_of(at) for at, _ in self.past} | self.turned.keys()
        begun |= self.turned.keys()
        ended = left | {pane + MINUTE for pane in left}
        starts = [first, *sorted(edge for edge in begun | ended if first < edge < until)]
        opened = min(self.opened, default=until)
        went = max([first, *[at for at, _ in self.past], *self.turned.values()])
        for start, stop in zip(starts, [*starts[1:], until], strict=True):
            if opened <= start or went > start:
                yield start, stop, *self._at_end(start + MINUTE)

    def _panes_since(self, first: int) -> set[int]:
        """The panes from `first` on in which anybody began to wait who still does."""
        panes, place = set(), bisect_left(self.since, first)
        while place < len(self.since):
            pane = pane_of(self.since[place])
            panes.add(pane)
            place = bisect_left(self.since, pane + MINUTE, place)
        return panes

    def _at_end(self, end: int) -> tuple[int, int | None]:
        gone = [since for at, since in self.past if NEVER < since < end <= at]
        elsewhere = [since for at, since in self.came if since < end <= at]
        waited = bisect_left(self.since, end)
        oldest = sorted([*gone, *self.since[: min(waited, len(elsewhere) + 1)]])
        for since in elsewhere:
            if since in oldest:
                oldest.remove(since)
        return waited + len(gone) - len(elsewhere), min(oldest, default=None)

    def close(self, until: int) -> None:
        """The panes that end by here are told."""
        if self.past:
            self.past = [one for one in self.past if one[0] > until]
        if self.turned:
            self.turned = {pane: at for pane, at in self.turned.items() if at > until}
        if self.came:
            self.came = [one for one in self.came if one[0] > until]

    def aged(self, now: int) -> tuple[int, ...]:
        """What depends on time alone: how many are over target, and the age bands."""
        since = self.since
        if not since:
            return ()
        edges = [len(since), *(bisect_right(since, now - bound) for bound in AGES), 0]
        return bisect_right(self.dues, now), *(edges[n] - edges[n + 1] for n in range(len(AGES) + 1))

    def row(self, tenant: str, queue: str, channel: str, version: int, now: int) -> GaugeRow:
        """As it goes out, as of a tick."""
        self.told = self.aged(now)
        over, *ages = self.told or (0, 0, 0, 0, 0, 0, 0)
        return GaugeRow(
            tenant, queue, channel, version, self.open, self.with_bot, self.awaiting_first,
            self.awaiting_reply, self.waiting_on_customer, self.unassigned, over, ages,
            self.since[0] if self.since else None, self.waiting,
        )  # fmt: skip


def _put(instants: list[int], new: int) -> None:
    """Put one into an ordered list: mostly it is the latest."""
    if not instants or new >= instants[-1]:
        instants.append(new)
    else:
        insort(instants, new)


def _replace(instants: list[int], old: int, new: int) -> None:
    """Take one out of an ordered list, and put one in."""
    if old != NEVER:
        del instants[bisect_left(instants, old)]
    if new != NEVER:
        insort(instants, new)


def bump(counts: dict[str, int], key: str, n: int) -> None:
    """Add to a count; one that comes to 0 is left out."""
    total: int = counts.get(key, 0) + n
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)


def _bump(counts: dict[int, int], key: int, n: int) -> None:
    total: int = counts.get(key, 0) + n
    if total:
        counts[key] = total
    else:
        counts.pop(key, None)
