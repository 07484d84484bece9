"""A conversation's history as a series of episodes (METRICS §2), and each as a row of CONTRACT §4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.cases import Row
from tests.reference.clocks import business_ms
from tests.reference.given import DAY, MINUTE, SECOND, of_queue
from tests.reference.judge import GONE_MS, Opening, Verdict, first, is_message, judge

REOPEN_MS = 7 * DAY
GOODBYE_MS = 10 * MINUTE
GOODBYE_CHARACTERS = 20
KNOWN_MS = 90 * DAY
"""So long after its last closing a conversation is known whole."""


@dataclass
class Said:
    """A public message, where it is counted."""

    at: int
    queue: str
    channel: str
    author: str
    author_id: str | None


@dataclass
class Episode:
    """An episode: its events while open, and what was said about it afterwards."""

    opening: Opening
    events: list[Row] = field(default_factory=list)
    goodbyes: list[Row] = field(default_factory=list)
    remarks: list[Row] = field(default_factory=list)
    """Ratings and labels after closing."""
    customer: str | None = None
    closed_at: int | None = None
    verdict: Verdict | None = None
    row: Row = field(default_factory=dict)
    target_ms: int | None = None
    said: list[Said] = field(default_factory=list)
    rated: tuple[int, str, int] | None = None
    """When, in which queue, and what, the rating that counts."""

    @property
    def judged(self) -> Verdict:
        """What its events amount to."""
        assert self.verdict is not None
        return self.verdict

    @property
    def key(self) -> tuple[str, str]:
        """The queue and channel where it is."""
        return self.judged.routing.queue, self.opening.channel

    @property
    def cohort(self) -> tuple[str, str]:
        """The queue and channel that its cohort numbers belong to."""
        return self.row["credit_queue"], self.opening.channel

    def at(self, position: int | None) -> int | None:
        """When the event at a position happened."""
        return None if position is None else int(self.events[position]["at"])


@dataclass
class Conversation:
    """Everything a conversation comes to."""

    name: str
    episodes: list[Episode] = field(default_factory=list)
    outside: list[Said] = field(default_factory=list)
    """Messages that belong to no episode."""
    late: list[str] = field(default_factory=list)
    """Ratings and labels after it was forgotten."""
    queue: str | None = None
    channel: str | None = None
    given: str | None = None
    wrote: str | None = None

    @property
    def customer(self) -> str | None:
        """The customer's id given last, else the first author among the customers."""
        return self.given or self.wrote


def fold(name: str, events: list[Row], settings: Row, tick: int) -> Conversation:
    """The conversation, from all its events that count in their order, as of the tick."""
    whole = Conversation(name)
    current: Episode | None = None
    for event in events:
        if event.get("private"):
            continue
        if current is not None and _due(current, event["at"], settings):
            _close(whole, current, by_the_clock(current, settings))
            current = None
        _know(whole, event)
        if current is None:
            current = _outside(whole, event, settings)
            if current is not None:
                current.customer = whole.customer
            continue
        current.events.append(event)
        current.customer = whole.customer
        if event["kind"] == "closed":
            current.verdict = judge(current.events, current.opening, settings)
            _close(whole, current, event["at"])
            current = None
    if current is not None and _due(current, tick, settings):
        _close(whole, current, by_the_clock(current, settings))
    for episode in whole.episodes:
        finish(episode, settings)
    return whole


def _due(episode: Episode, at: int, settings: Row) -> bool:
    """Whether the clock has closed the open episode by then. (Asks in full only where it might have.)"""
    patience = min(settings["expire_s"], settings["expire_backlog_s"]) * SECOND
    left = any(event["kind"] == "customer_left" for event in episode.events)
    return (left or at - episode.events[-1]["at"] >= patience) and at >= by_the_clock(episode, settings)


def by_the_clock(episode: Episode, settings: Row) -> int:
    """When the open episode closes if nothing more happens."""
    last = episode.events[-1]["at"]
    verdict = episode.verdict = judge(episode.events, episode.opening, settings)
    backlog = verdict.state in ("awaiting_first", "awaiting_reply")
    patience = settings["expire_backlog_s" if backlog else "expire_s"] * SECOND
    expires = last + round(patience)
    if verdict.gone is None:
        return int(expires)
    return int(min(expires, episode.events[verdict.gone]["at"] + GONE_MS))


def _know(whole: Conversation, event: Row) -> None:
    """Who the customer is, the id given last."""
    if event["kind"] in ("opened", "message") and event.get("customer"):
        whole.given = event["customer"]
    if is_message(event, "customer") and whole.wrote is None:
        whole.wrote = event.get("author_id")


def _close(whole: Conversation, episode: Episode, at: int) -> None:
    episode.closed_at = at
    whole.queue = episode.judged.routing.queue


def _outside(whole: Conversation, event: Row, settings: Row) -> Episode | None:
    """What an event does where no episode is open: the episode it opens, if it does."""
    last = whole.episodes[-1] if whole.episodes else None
    if event["kind"] in ("rated", "label"):
        _remark(whole, last, event)
        return None
    if last is not None and is_goodbye(event, last, settings):
        last.goodbyes.append(event)
        return None
    if event["kind"] in ("opened", "queued", "assigned", "transferred", "message"):
        whole.queue = event.get("queue") or whole.queue
    if event["kind"] == "opened" or is_message(event, "customer", "agent"):
        return _open(whole, event)
    if event["kind"] == "message":
        queue, channel = whole.queue or "default", whole.channel or "web"
        whole.outside.append(Said(event["at"], queue, channel, event["author"], event.get("author_id")))
    return None


def _remark(whole: Conversation, last: Episode | None, event: Row) -> None:
    """A rating or label belongs to the last episode, as long as that is known."""
    if last is None or last.closed_at is None:
        return
    if event["at"] >= last.closed_at + KNOWN_MS:
        whole.late.append(event["id"])
    else:
        last.remarks.append(event)


def _open(whole: Conversation, event: Row) -> Episode:
    last = whole.episodes[-1] if whole.episodes else None
    outbound = is_message(event, "agent")
    soon = last is not None and last.closed_at is not None and event["at"] - last.closed_at < REOPEN_MS
    whole.channel = event.get("channel") or whole.channel or "web"
    opening = Opening(
        conversation=whole.name,
        number=len(whole.episodes) + 1,
        channel=whole.channel,
        queue=whole.queue or "default",
        reopen=soon and not outbound,
        outbound=outbound,
    )
    episode = Episode(opening, [event])
    whole.episodes.append(episode)
    return episode


def is_goodbye(event: Row, last: Episode, settings: Row) -> bool:
    """Whether a message after closing still belongs to the closed episode."""
    if last.closed_at is None or event["at"] >= last.closed_at + GOODBYE_MS:
        return False
    if is_message(event, "agent"):
        return True
    return is_message(event, "customer") and only_phrases(event.get("text", ""), settings["closing_phrases"])


def only_phrases(text: str, phrases: list[str]) -> bool:
    """Whether a text of at most 20 characters is nothing but closing phrases, one or more in a row."""
    left = _letters(text)
    if len(text) > GOODBYE_CHARACTERS or not left:
        return False
    plain = [_letters(phrase) for phrase in phrases]
    reached = {0}
    for i in range(len(left)):
        if i in reached:
            reached |= {i + len(phrase) for phrase in plain if phrase and left.startswith(phrase, i)}
    return len(left) in reached


def _letters(text: str) -> str:
    """The letters and digits of a text, in one case."""
    return "".join(c for c in text.casefold() if c.isalnum())


def finish(episode: Episode, settings: Row) -> None:
    """Judge the episode for the last time, and write its row."""
    verdict = episode.verdict = judge(episode.events, episode.opening, settings)
    if episode.closed_at is not None and verdict.routing.holder is not None:
        agent, since, _ = verdict.routing.holds[-1]
        verdict.routing.holds[-1] = (agent, since, episode.closed_at)
    episode.row = {
        "conversation": episode.opening.conversation,
        "episode": episode.opening.number,
        "channel": episode.opening.channel,
        "queue": verdict.routing.queue,
        "customer": episode.customer,
        "agent": verdict.routing.holder,
        "opened_at": episode.events[0]["at"],
        "closed_at": episode.closed_at,
        "reopen": episode.opening.reopen,
        "outbound": episode.opening.outbound,
        "state": verdict.state if episode.closed_at is None else "closed",
        "formula_id": "tidewatch-1",
        **_waits(episode, verdict, settings),
        **_work(episode, verdict),
        **_remarks(episode, verdict),
    }
    episode.said = _said(episode, verdict)
    row = episode.row
    for author in ("customer", "agent", "bot"):
        row[f"{author}_messages"] = sum(said.author == author for said in episode.said)


def _waits(episode: Episode, verdict: Verdict, settings: Row) -> Row:
    """The columns of METRICS §3 and §5."""
    d, reply, customer = episode.at(verdict.demand), episode.at(verdict.reply), episode.at(verdict.first_customer)
    routing, closed = verdict.routing, episode.closed_at
    left = None if verdict.gone is None or d is None else episode.events[verdict.gone]["at"]
    typed = verdict.first_customer is not None and verdict.reply is not None and verdict.first_customer < verdict.reply
    credit = _credit(verdict)
    calendar = of_queue(settings, credit, "calendar")
    unanswered = d is not None and reply is None and left is None and closed is not None
    at_d = routing.queues[verdict.demand] if verdict.demand is not None else None
    return {
        "credit_queue": credit,
        "demand_at": d,
        "first_reply_at": reply,
        "first_reply_agent": None if verdict.reply is None else episode.events[verdict.reply].get("author_id"),
        "outcome": _outcome(verdict, closed is not None),
        "frt_ms": _minus(reply, d),
        "frt_business_ms": None if reply is None or d is None else business_ms(calendar, d, reply),
        "frt_customer_ms": _minus(reply, customer) if typed else None,
        "frt_any_ms": _minus(episode.at(verdict.any_reply), customer),
        "reply_times_ms": verdict.reply_times,
        "queue_waits": [list(wait) for wait in routing.queue_waits],
        "queue_left_ms": _minus(routing.left_at, d),
        "waiting_since": verdict.waiting_since if closed is None else None,
        "abandon_wait_ms": _minus(left, d),
        "censored_wait_ms": _minus(closed, d) if unanswered else None,
        "target_ms": None if at_d is None else round(of_queue(settings, at_d, "target_s") * SECOND),
        "short_ms": None if at_d is None else round(of_queue(settings, at_d, "short_s") * SECOND),
    }


def _minus(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def _credit(verdict: Verdict) -> str:
    """The queue at the first reply; not answered: when the customer gave up; else the last."""
    settled = verdict.reply if verdict.reply is not None else verdict.gone
    return verdict.routing.queue if settled is None else verdict.routing.queues[settled]


def _outcome(verdict: Verdict, closed: bool) -> str | None:
    if verdict.demand is None:
        return ("bot_only" if closed else "with_bot") if verdict.engaged else None
    if verdict.reply is not None:
        return "answered"
    if verdict.gone is not None:
        return "abandoned"
    return "closed_unanswered" if closed else "waiting"


def _work(episode: Episode, verdict: Verdict) -> Row:
    """The columns of METRICS §7 that count work, and `greeting`."""
    events = episode.events
    started = episode.at(first(events, ("assigned",), ("agent",)))
    greeted = first(events, authors=("agent",))
    given = [event["at"] for event in events[:greeted] if event["kind"] == "assigned"] if greeted is not None else []
    return {
        "handle_ms": _minus(episode.closed_at, started),
        "greeting_ms": _minus(episode.at(greeted), given[-1]) if given else None,
        "transfers": sum(event["kind"] == "transferred" for event in events),
        "resolved": _resolved(episode, verdict),
    }


def _resolved(episode: Episode, verdict: Verdict) -> bool | None:
    last = episode.events[-1]
    if episode.closed_at is None:
        return None
    if last["kind"] != "closed":
        return False
    if last.get("resolved") is not None:
        return bool(last["resolved"])
    by = last.get("by") or ("agent" if last.get("agent") else "system")
    return verdict.reply is not None and by in ("agent", "customer")


def _remarks(episode: Episode, verdict: Verdict) -> Row:
    """The last rating, and the last thing a person said it was about."""
    score: int | None = None
    topic: Any = None
    queues = [*verdict.routing.queues, *[verdict.routing.queue] * len(episode.remarks)]
    for event, queue in zip([*episode.events, *episode.remarks], queues, strict=True):
        if event["kind"] == "rated":
            score = event["score"]
            episode.rated = (event["at"], queue, event["score"])
        if event["kind"] in ("label", "closed"):
            topic = event.get("topic") or topic
    return {"csat": score, "agent_topic": topic}


def _said(episode: Episode, verdict: Verdict) -> list[Said]:
    queues = [*verdict.routing.queues, *[verdict.routing.queue] * len(episode.goodbyes)]
    return [
        Said(event["at"], queue, episode.opening.channel, event["author"], event.get("author_id"))
        for event, queue in zip([*episode.events, *episode.goodbyes], queues, strict=True)
        if event["kind"] == "message"
    ]
