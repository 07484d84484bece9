"""The reference: METRICS.md §1–7 over a whole history at once.

`reckon(events, settings, tick)` answers with `episodes`, `live`, `minutes`, `outcomes_by_day`, `agents_by_hour`,
`agents` and `late`: rows by the names of CONTRACT §2 and §4, instants in ms. What models make, gauges of closed panes
and versions are not in it. Everything is worked out from the beginning on every call: no state is carried, so no order
of arrival can matter, except for which of two events with one id came first, and what came over 24 h late.

Where the page leaves something open, this is how it is read:

Opening, closing, belonging
 1. A `queue` on `queued`, `assigned`, `transferred` or a bot's or system's message outside an episode becomes the
    conversation's last queue, which the next opener takes; one on a goodbye does not. A `channel` counts on openers
    only, so a message outside is counted under the channel of the last opening, else `web`.
 2. `closed` outside an episode is nothing, its `topic` too. Expiry counts from the last event of any kind that is not
    private (ratings, labels and a bot's words too).
 3. Goodbyes follow a closing by the clock as well; the 20 characters are those of the text as it stands; what is
    nothing but signs (an emoji alone) is no phrase. Of a second `reopen` only the very next episode is the follower.
 4. An episode's `customer` is the conversation's as of its last event while open; a later id does not rewrite it. One
    on a goodbye counts for the conversation, from its next episode on.
Bots and demand
 5. Where a bot is engaged, an agent writes and no customer has: no `d` yet, state and outcome stay `with_bot`
    (`bot_only` when closed); the customer's first message, when it comes, is `d`.
 6. A bot message before any customer message engages at once.
 7. A `with_bot` episode whose customer is gone stays `with_bot`; with neither `d` nor bot it is `waiting_on_customer`.
 8. T and S are those of the queue in which the episode was at `d`, wherever the credit goes later; the calendar is that
    of the queue with the credit.
Queues and people
 9. A stay is not begun while the customer is gone; taking it then makes no value, but changes who holds it, and
    `handle_ms`, `greeting_ms` and `agent_messages` count the empty chair's agent too.
10. Every `transferred` enters a queue, also one that names a person: they hold it, but it waits there until somebody
    takes it by `assigned` or a message (that is who is held and "still waits in a queue"). One to the queue it waits
    in goes on with the stay, as `queued` does.
11. `opened` inside an episode naming another queue moves it; where it waits, the stay moves on; where somebody holds
    it, they keep it. `assigned` naming another queue moves it and takes it.
12. `greeting` and `handle_time` know `assigned` and messages only, no `transferred` with a name.
13. `unassigned` and `agent` mean the holder; a closed episode keeps the one it had.
Leaving
14. On asynchronous channels nothing is dropped either.
15. `dropped` needs the evidence: no return within 15 min, before the close. Of several leavings without a return in
    between only the first counts. With no `d` yet and an agent message it is `dropped`.
16. A close within the 15 min makes the leaving final, as of its own time.
Numbers
17. A wait touches a window when its end is at or after the window's start and `d` lies before its end. With no wait
    at all the estimate is null and not censored.
18. `queue_left_ms` of one that waits in no queue at `d` is 0 even if it enters one later.
19. `over_target` counts those in the backlog who wait for T or more since `waiting_since`, T being the episode's.
20. `drain_s` divides by the difference of the 30m window's sums over 1,800 s, though its last pane is in progress.
21. A rating stands under the queue where the episode was at the rating.
22. `handled` needs a handle time and a holder at the close. Time shares end with the tick where nothing ended them.
    A person who writes without an id answers and ends the stay, but nobody holds it then.
23. `repeat_contact(W)`: only those whose W has passed are in either part; within means less than W, at least 1 h. Who
    has no id is known by the conversation alone.
24. A status that lasted no time still ended the one before it: `since` begins anew.
25. Repeats are known for ever here; a repeat never counts as late, nor does it become a new event.
26. A private message is no part of the greatest `at` of its conversation: nothing is late behind a note.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.conformance.cases import Row, events_of, now_ms
from tests.reference.fold import Conversation, fold
from tests.reference.given import SECOND, arrive, by_tenant, complete
from tests.reference.people import by_hour, present, spans_of
from tests.reference.present import live
from tests.reference.tables import minute_rows, minutes, outcomes_by_day

UNCERTAIN_MS = 80 * SECOND
"""The watermark is behind the tick: a closing by the clock this soon before a tick need not be known at it."""


def reckon(events: Sequence[Row], settings: Row, tick: int, *, live_door: bool = False) -> Row:
    """All numbers of one tenant as of the tick (ms), from its wire events in order of arrival.

    `live_door`: the events came live, each with `received_at` in ms, and lateness is measured from that.
    """
    given = complete(settings)
    scopes, late = arrive(events, live=live_door)
    conversations = _folded(scopes, given, tick)
    statuses = {name: spans_of(some) for (sort, name), some in scopes.items() if sort == "agent"}
    return _answer(conversations, statuses, given, tick) | {
        "late": late + [one for conversation in conversations for one in conversation.late]
    }


def _folded(scopes: dict[tuple[str, str], list[Row]], given: Row, tick: int) -> list[Conversation]:
    return [fold(name, some, given, tick) for (sort, name), some in sorted(scopes.items()) if sort == "conversation"]


def calm(events: Sequence[Row], settings: Row, tick: int) -> int:
    """The first tick from this one on with no closing by the clock in the 80 s before it, unless an event shows it."""
    given = complete(settings)
    scopes, _ = arrive(events)
    while True:
        last = [c.episodes[-1] for c in _folded(scopes, given, tick) if c.episodes]
        shown = {name: some[-1]["at"] for (_, name), some in scopes.items()}
        soon = [
            end
            for episode in last
            if (end := episode.closed_at) is not None
            and tick - UNCERTAIN_MS <= end
            and shown[episode.opening.conversation] < end
        ]
        if not soon:
            return tick
        tick = max(soon) + UNCERTAIN_MS + SECOND


def _answer(conversations: list[Conversation], statuses: Row, settings: Row, tick: int) -> Row:
    episodes = [episode for conversation in conversations for episode in conversation.episodes]
    episodes.sort(key=lambda e: (e.row["opened_at"], e.row["conversation"], e.row["episode"]))
    panes = minutes(conversations, tick)
    return {
        "episodes": [episode.row for episode in episodes],
        "live": live(conversations, panes, settings, tick),
        "minutes": minute_rows(panes),
        "outcomes_by_day": outcomes_by_day(conversations, settings, tick),
        "agents_by_hour": by_hour(statuses, episodes, tick),
        "agents": present(statuses, episodes),
    }


def reckon_tenants(events: Sequence[Row], settings: dict[str, Row], ticks: dict[str, int]) -> dict[str, Row]:
    """The same for every tenant in a stream of several."""
    return {name: reckon(some, settings.get(name, {}), ticks[name]) for name, some in by_tenant(events).items()}


def answer_to(case: Row, events: Sequence[Row] | None = None) -> Row:
    """What the reference says to a worked case, its events as listed or as given."""
    return reckon(events_of(case) if events is None else events, case["settings"], now_ms(case))
