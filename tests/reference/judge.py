"""One episode, from its events alone (METRICS §2, §3, §5): nothing is carried from one to the next, so an event that
came in between changes exactly what it would have changed had it come first.

`judge` looks at the public events of one episode in their order, the opener first, and says what they amount to. It is
asked again from the beginning whenever it matters. Positions are indexes into these events.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.conformance.cases import Row
from tests.reference.given import MINUTE, SECOND

GONE_MS = 15 * MINUTE
ASKS = ("handoff", "queued", "transferred")


@dataclass
class Opening:
    """What stands when an episode opens."""

    conversation: str
    number: int
    channel: str
    queue: str
    reopen: bool
    outbound: bool


@dataclass
class Routing:
    """Where the episode was, and who held it."""

    queue: str
    holder: str | None = None
    stay: tuple[str, int] | None = None
    """The queue it waits in, and since when."""
    holds: list[tuple[str, int, int | None]] = field(default_factory=list)
    """Agent, since, until (None: still)."""
    moves: list[tuple[int, str, str]] = field(default_factory=list)
    """When, from, to."""
    queue_waits: list[tuple[str, int]] = field(default_factory=list)
    left_at: int | None = None
    """When, at or after `d`, it first left a queue."""
    queues: list[str] = field(default_factory=list)
    """The queue it was in after each event."""


@dataclass
class Verdict:
    """What the events of an episode, as long as it is open, amount to."""

    gone: int | None
    """The position of the leaving that stands."""
    engaged: bool
    demand: int | None
    """The position of the event that made `d`."""
    first_customer: int | None
    reply: int | None
    """The position of the first human reply."""
    any_reply: int | None
    """The position of the first bot or agent message after the customer's first."""
    unanswered: int | None
    """When the first customer message not yet answered by a person was written."""
    reply_times: list[int]
    dropped: list[int]
    """Positions of leavings after the first human reply that count."""
    routing: Routing
    waiting_since: int | None
    state: str


def is_message(event: Row, *authors: str) -> bool:
    """Whether the event is a message of one of the authors."""
    return event["kind"] == "message" and event["author"] in authors


def first(
    events: list[Row], wanted: tuple[str, ...] = (), authors: tuple[str, ...] = (), after: int = -1
) -> int | None:
    """The position of the first event behind `after` of these kinds, or message of these authors."""
    for i in range(after + 1, len(events)):
        if events[i]["kind"] in wanted or is_message(events[i], *authors):
            return i
    return None


def judge(events: list[Row], opening: Opening, settings: Row) -> Verdict:
    """What the events of an open episode amount to."""
    gone, dropped = leavings(events, opening, settings)
    heard = events if gone is None else events[:gone]
    engaged, demand = demanded(heard, opening, settings)
    reply = None if demand is None else first(heard, authors=("agent",), after=demand)
    customer = first(heard, authors=("customer",))
    any_reply = None if customer is None else first(heard, authors=("agent", "bot"), after=customer)
    times, unanswered = turns(heard, demand)
    state = state_of(engaged, demand, reply, unanswered, gone)
    since = None
    if demand is not None and state in ("awaiting_first", "awaiting_reply"):
        d = events[demand]["at"]
        since = d if unanswered is None else max(d, unanswered)
    return Verdict(
        gone=gone,
        engaged=engaged,
        demand=demand,
        first_customer=customer,
        reply=reply,
        any_reply=any_reply,
        unanswered=unanswered,
        reply_times=times,
        dropped=dropped,
        routing=routed(events, opening, demand, gone),
        waiting_since=since,
        state=state,
    )


def state_of(engaged: bool, demand: int | None, reply: int | None, unanswered: int | None, gone: int | None) -> str:
    """METRICS §4: the state of an open episode."""
    if demand is None:
        return "with_bot" if engaged else "waiting_on_customer"
    if reply is None:
        return "awaiting_first" if gone is None else "waiting_on_customer"
    return "awaiting_reply" if unanswered is not None else "waiting_on_customer"


def leavings(events: list[Row], opening: Opening, settings: Row) -> tuple[int | None, list[int]]:
    """METRICS §5: the leaving that stands before the first human reply, if any; and those that count as dropped.

    A leaving is evidence unless the customer returns within 15 min and before the close. The first one before a human
    reply ends the story; those after it are dropped, once until the customer is back.
    """
    dropped: list[int] = []
    if opening.channel in settings["async_channels"]:
        return None, dropped
    away = False
    for i, event in enumerate(events):
        if is_message(event, "customer") or event["kind"] == "customer_back":
            away = False
        if event["kind"] != "customer_left" or returns(events, i):
            continue
        if not answered(events[:i], opening, settings):
            return i, dropped
        if not away:
            dropped.append(i)
        away = True
    return None, dropped


def returns(events: list[Row], left: int) -> bool:
    """Whether the customer is back within 15 min of the leaving, the end excluded, before it is closed."""
    for event in events[left + 1 :]:
        if event["at"] >= events[left]["at"] + GONE_MS or event["kind"] == "closed":
            return False
        if is_message(event, "customer") or event["kind"] == "customer_back":
            return True
    return False


def answered(events: list[Row], opening: Opening, settings: Row) -> bool:
    """Whether there was a human reply; with no `d` yet, any agent message."""
    _, demand = demanded(events, opening, settings)
    return first(events, authors=("agent",), after=-1 if demand is None else demand) is not None


def demanded(events: list[Row], opening: Opening, settings: Row) -> tuple[bool, int | None]:
    """METRICS §2: whether a bot is engaged, and the position of the event whose time is `d`."""
    customer, agent = first(events, authors=("customer",)), first(events, authors=("agent",))
    bot = first(events, authors=("bot",))
    if bot is not None and engages(events, bot, customer, settings):
        ask = first(events, (*ASKS, "assigned"), after=bot)
        if ask is not None and (agent is None or ask < agent):
            return True, ask
        return True, customer if agent is not None else None
    if opening.outbound:
        return False, customer
    return False, first(events, ASKS, ("customer",))


def engages(events: list[Row], bot: int, customer: int | None, settings: Row) -> bool:
    """Whether the first bot message comes early enough. A later bot message never does if this one does not."""
    asked = first(events, ASKS, ("agent",))
    if asked is not None and asked < bot:
        return False
    if customer is None or bot < customer:
        return True
    return bool(events[bot]["at"] - events[customer]["at"] < settings["bot_window_s"] * SECOND)


def turns(events: list[Row], demand: int | None) -> tuple[list[int], int | None]:
    """METRICS §3, `reply_time`: one value per turn, and since when the customer has had no answer by a person."""
    times: list[int] = []
    unanswered: int | None = None
    typed = replied = False
    for i, event in enumerate(events):
        if is_message(event, "customer"):
            typed = True
            unanswered = event["at"] if unanswered is None else unanswered
        elif is_message(event, "agent") and demand is not None and i > demand:
            d = events[demand]["at"]
            if unanswered is not None:
                times.append(event["at"] - max(d, unanswered))
            elif not typed and not replied:
                times.append(event["at"] - d)
            replied, unanswered = True, None
    return times, unanswered


def routed(events: list[Row], opening: Opening, demand: int | None, gone: int | None) -> Routing:
    """Queues, holders and stays, event by event (METRICS §2, §3). Of a customer who is gone no stay is measured."""
    routing = Routing(opening.queue)
    for i, event in enumerate(events):
        known = demand is not None and i > demand
        _route(routing, event, known, i > 0 and _moves(routing, event))
        if i == demand:
            if routing.holder is None and routing.stay is None:
                routing.stay = (routing.queue, event["at"])
            if routing.stay is None:
                routing.left_at = event["at"]
        if gone is not None and i >= gone:
            if i == gone and known and routing.left_at is None:
                routing.left_at = event["at"]
            routing.stay = None
        routing.queues.append(routing.queue)
    return routing


def _route(routing: Routing, event: Row, known: bool, moved: bool) -> None:
    """Who takes it, lets it go or moves it on; `known`: `d` lies behind; `moved`: the event names another queue."""
    at = event["at"]
    if is_message(event, "agent"):
        if routing.holder is None or routing.stay is not None:
            _take(routing, event.get("author_id"), at, known)
    elif event["kind"] == "assigned":
        _take(routing, event["agent"], at, known)
    elif event["kind"] in ("queued", "transferred"):
        _hold(routing, event.get("agent") if event["kind"] == "transferred" else None, at)
        if routing.stay is None or moved:
            _enter(routing, at, known)
    elif event["kind"] == "opened" and moved and routing.stay is not None:
        _enter(routing, at, known)


def _moves(routing: Routing, event: Row) -> bool:
    """Record that the event names another queue, where it does."""
    named = event.get("queue") if event["kind"] in ("opened", "queued", "assigned", "transferred") else None
    if named is None or named == routing.queue:
        return False
    routing.moves.append((event["at"], routing.queue, named))
    routing.queue = named
    return True


def _leave(routing: Routing, at: int, known: bool) -> None:
    if routing.stay is not None:
        queue, since = routing.stay
        routing.queue_waits.append((queue, at - since))
        routing.stay = None
        if known and routing.left_at is None:
            routing.left_at = at


def _enter(routing: Routing, at: int, known: bool) -> None:
    _leave(routing, at, known)
    routing.stay = (routing.queue, at)


def _take(routing: Routing, agent: str | None, at: int, known: bool) -> None:
    _leave(routing, at, known)
    _hold(routing, agent, at)


def _hold(routing: Routing, agent: str | None, at: int) -> None:
    """Somebody else holds it, or nobody."""
    if agent == routing.holder:
        return
    if routing.holder is not None:
        before, since, _ = routing.holds[-1]
        routing.holds[-1] = (before, since, at)
    routing.holder = agent
    if agent is not None:
        routing.holds.append((agent, at, None))
