"""One conversation drawn: its waits to scale, and of every event whether it counts and why not. Pure.

What counted is in the stored rows; here is found where each span lies. It is walked through once more, on its own, and
`exact` says whether the spans that were found add up to what was counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""An episode or an event, as ClickHouse has it, instants in ms."""

WHY = {
    "late": ("来得太晚：不计入任何数字", "came too late: counts in no number"),
    "suspect": ("来源时钟超前：按收到的时间计", "the source's clock was ahead: the time of receipt counts"),
    "outside": ("不属于任何咨询", "belongs to no episode"),
    "goodbye": ("告别：不重新打开", "a goodbye: opens nothing"),
    "bot": ("机器人消息：不结束等待", "a bot's message: ends no wait"),
    "system": ("系统消息：不结束等待", "a system message: ends no wait"),
    "opens": ("打开这次咨询", "opens the episode"),
    "demand": ("需求时刻 d：从这里起需要人工", "d: from here a person is needed"),
    "turn": ("从这里起等待回复", "from here a reply is waited for"),
    "again": ("已在等待：不重新计时", "the wait runs already: begins nothing"),
    "first": ("首次人工回复：首次响应到此结束", "the first human reply: ends the first response"),
    "reply": ("人工回复：这一轮到此结束", "a human reply: ends this turn"),
    "early": ("在 d 之前：不算回复", "before d: no reply"),
    "nothing": ("没有未回复的消息：不算回复时长", "nothing was unanswered: no reply time"),
    "gone": ("客户已离开：不算回复", "the customer is gone: no reply"),
    "left": ("客户放弃：等待到此结束", "the customer gives up: the wait ends"),
    "stayed": ("15 分钟内返回，或已不在等待：不算放弃", "back within 15 min, or waits no more: gives up nothing"),
    "taken": ("由人接手：离开队列", "a person takes it: it leaves the queue"),
    "moved": ("进入另一队列", "goes to another queue"),
    "closed": ("关闭", "closes it"),
}
"""Every reason, in both languages."""

_ASKS = {"handoff", "queued", "transferred", "assigned"}
_ROUTES = {"opened", "queued", "transferred", "assigned"}


@dataclass(slots=True)
class Drawing:
    """The spans of one episode, and the reasons of its events."""

    waits: list[Row] = field(default_factory=list)
    why: dict[str, list[str]] = field(default_factory=dict)
    """Id of an event → its reasons."""
    replies: set[str] = field(default_factory=set)
    """Ids of the human replies."""
    exact: bool = True


class _Walk:
    """Goes through the events of one episode in their order."""

    def __init__(self, episode: Row, now: int) -> None:
        self.episode, self.now = episode, now
        self.out = Drawing()
        self.demand: int | None = episode["demand_ms"]
        self.gone = self._gone_at()
        self.queue: str | None = None
        self.held: str | None = None
        self.needed = self.answered = False
        self.stay: tuple[str, int] | None = None
        self.unanswered: int | None = None
        self.stays: list[tuple[str, int]] = []
        self.turns: list[int] = []
        self.bot_since: int | None = None

    def _gone_at(self) -> int | None:
        given_up = self.episode["abandon_wait_ms"]
        return None if given_up is None or self.demand is None else self.demand + given_up

    def event(self, event: Row) -> None:
        """Take the next one."""
        closed = self.episode["closed_ms"]
        if closed is not None and event["ms"] >= closed and event["kind"] in ("message", "rated", "label"):
            if event["kind"] == "message":
                self._say(event, "goodbye")
            return
        if self.queue is None:
            self.queue = event["stood"]
            self._say(event, "opens")
        what = event["author"] if event["kind"] == "message" else event["kind"]
        if what == "agent":
            self._agent(event)
        elif what == "customer":
            self._customer(event)
        elif what in ("bot", "system"):
            self._say(event, what)
            if what == "bot" and self.bot_since is None and not self.needed:
                self.bot_since = event["ms"]
        elif what in _ROUTES | _ASKS:
            self._route(event)
        elif what == "customer_left":
            self._left(event)
        elif what == "closed":
            self._say(event, "closed")
        if not self.needed and event["ms"] == self.demand and (what == "customer" or what in _ASKS):
            self._need(event)

    def _need(self, event: Row) -> None:
        self.needed = True
        self._say(event, "demand")
        if self.stay is None and self.held is None:
            self.stay = (self.queue or "", event["ms"])

    def _customer(self, event: Row) -> None:
        if self.unanswered is None:
            self.unanswered = event["ms"]
            if self.needed:
                self._say(event, "turn")
        elif self.needed:
            self._say(event, "again")

    def _agent(self, event: Row) -> None:
        if self.held is None or self.stay is not None:
            self._leave(event, "taken")
            self.held = event["author_id"] or None
        if self.gone is not None and event["ms"] >= self.gone:
            self._say(event, "gone")
        elif not self.needed:
            self._say(event, "early")
        elif not self.answered or self.unanswered is not None:
            self._reply(event)
        else:
            self._say(event, "nothing")

    def _reply(self, event: Row) -> None:
        since = self._turn()
        self.turns.append(event["ms"] - since)
        self.out.replies.add(event["id"])
        if self.answered:
            self._wait("reply", since, event["ms"], "reply")
            self._say(event, "reply")
        else:
            self._say(event, "first")
        self.answered, self.unanswered = True, None

    def _turn(self) -> int:
        demand = self.demand or 0
        return demand if self.unanswered is None else max(demand, self.unanswered)

    def _route(self, event: Row) -> None:
        what, to = event["kind"], event["queue"]
        if what == "assigned":
            self._leave(event, "taken")
            self.held = event["agent"] or ""
        if what in _ROUTES and to is not None and to != self.queue:
            if self.stay is not None:
                self._leave(event, "moved")
                self.stay = (to, event["ms"])
            self.queue = to
        if what in ("queued", "transferred"):
            if self.stay is None and self.gone is None:
                self.stay = (self.queue or "", event["ms"])
            self.held = event["agent"] if what == "transferred" else None

    def _left(self, event: Row) -> None:
        if event["ms"] == self.gone:
            self._say(event, "left")
            self._cut(event["ms"], "left")
        else:
            self._say(event, "stayed")

    def _leave(self, event: Row, how: str) -> None:
        if self.stay is None:
            return
        queue, since = self.stay
        self.stays.append((queue, event["ms"] - since))
        self._wait("queue", since, event["ms"], how, queue)
        self._say(event, how)
        self.stay = None

    def _cut(self, at: int, how: str | None) -> None:
        if self.stay is not None:
            self._wait("queue", self.stay[1], None if how is None else at, how, self.stay[0])
            self.stay = None

    def end(self) -> Drawing:
        """What is left when the last event was taken."""
        episode, closed = self.episode, self.episode["closed_ms"]
        self._cut(self.now if closed is None else closed, None if closed is None else "closed")
        if self.demand is not None:
            self._first(closed)
        if episode["waiting_ms"] is not None and episode["first_reply_ms"] is not None:
            self._wait("reply", episode["waiting_ms"], None, None)
        until = self.demand if self.demand is not None else closed
        if self.bot_since is not None and (until is None or until > self.bot_since):
            self._wait("bot", self.bot_since, until, None if until is None else "taken" if self.demand else "closed")
        self.out.waits.sort(key=lambda wait: (wait["from_ms"], wait["kind"]))
        counted = [(queue, ms) for queue, ms in episode["queue_waits"]]
        self.out.exact = counted == self.stays and list(episode["reply_times_ms"]) == self.turns
        return self.out

    def _first(self, closed: int | None) -> None:
        ends = ((self.episode["first_reply_ms"], "reply"), (self.gone, "left"), (closed, "closed"))
        end, how = next(((at, how) for at, how in ends if at is not None), (None, None))
        self._wait("first_reply", self.demand or 0, end, how)

    def _wait(self, kind: str, since: int, until: int | None, how: str | None, queue: str | None = None) -> None:
        ms = max((self.now if until is None else until) - since, 0)
        target = self.episode["target_ms"] if kind == "first_reply" else None
        met = None if target is None else ms <= target and how == "reply" if how else False if ms >= target else None
        self.out.waits.append({
            "kind": kind, "from_ms": since, "to_ms": until, "ms": ms, "queue": queue, "target_ms": target, "met": met,
            "ended_by": how, "agent": self.episode["first_reply_agent"] if kind == "first_reply" else None,
        })  # fmt: skip

    def _say(self, event: Row, reason: str) -> None:
        self.out.why.setdefault(event["id"], []).append(reason)


def draw(episode: Row, events: Iterable[Row], now: int) -> Drawing:
    """The waits of one episode, from its events in their order (late ones and notes left out), as of `now` (ms)."""
    walk = _Walk(episode, now)
    for event in events:
        walk.event(event)
    return walk.end()


def stand(events: Sequence[Row]) -> None:
    """Note in every event the queue in which its conversation stood then (`stood`). Source: METRICS §2."""
    queue, opened = "default", set()
    for event in events:
        number, kind = event["episode"], event["kind"]
        opens = number is not None and number not in opened
        opened.add(number)
        if event["queue"] is not None and (kind in _ROUTES or (kind == "message" and (opens or number is None))):
            queue = event["queue"]
        event["stood"] = queue
