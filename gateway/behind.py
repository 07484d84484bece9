"""What is behind each number: the rows of `episodes` or `events` that METRICS counts, as fragments of SQL. Pure.

A fragment is text of ours; values are bound (`{name:Type}`). Two shapes:

- of episodes, by the queue that has the credit and `d` (cohorts), by the queue and instant of the closing, or open now;
- of events, each in the queue and channel where it counted (`PLACED`): a message counts where its conversation stood.

`hit` is what the numerator of a share counts; elsewhere every row is one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Reckoned(StrEnum):
    """How the number comes of its rows."""

    COUNT = "count"
    SHARE = "share"
    SUM = "sum"
    MEAN = "mean"
    P50 = "p50"
    P90 = "p90"
    KM50 = "km50"
    KM90 = "km90"
    OLDEST = "oldest"
    LOW = "low"
    HIGH = "high"
    RATE = "rate"
    NONE = "none"
    """Of no rows alone: a model, or a ratio of two of them."""


class Source(StrEnum):
    """Whose rows."""

    COHORT = "cohort"
    CLOSED = "closed"
    STANDING = "standing"
    WAITS = "waits"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Behind:
    """The rows behind one number."""

    source: Source
    where: str = "true"
    hit: str = "true"
    add: str = "1"
    """How much a row adds to a sum, as SQL."""
    reckoned: Reckoned = Reckoned.COUNT
    touched: str = "true"
    """Of events: which ones tell the conversations that may have such rows."""

    @property
    def counted(self) -> str:
        """What `n` counts."""
        return "messages" if self.source is Source.EVENTS and self.touched in _MESSAGES else "episodes"


_UNDECIDED = "(outcome = 'waiting' AND ifNull(greatest(now_ms - demand_ms, 0) < target_ms, true))"
_SHORT = "(outcome = 'abandoned' AND abandon_wait_ms <= short_ms)"
_IN_TARGET = "(outcome = 'answered' AND frt_ms <= target_ms)"
_HEADLINE = "outcome = 'answered' AND NOT reopen"
_BACKLOG = "state IN ('awaiting_first', 'awaiting_reply')"

_OFFERED = Behind(Source.COHORT)
_FRT = Behind(Source.COHORT, _HEADLINE, add="frt_ms")
_REOPENED = Behind(Source.COHORT, "outcome = 'answered' AND reopen", add="frt_ms")
_CLOSED = Behind(Source.CLOSED)
_OPEN = Behind(Source.STANDING)
_WAITS = Behind(Source.WAITS)

_PUBLIC = "kind = 'message' AND NOT private"
_CUSTOMER = _PUBLIC + " AND author = 'customer'"
_MESSAGES = (_PUBLIC, _CUSTOMER, _PUBLIC + " AND author = 'agent'", _PUBLIC + " AND author = 'bot'")
_RATED = "kind = 'rated' AND episode IS NOT NULL"


def _events(where: str, touched: str | None = None) -> Behind:
    return Behind(Source.EVENTS, where, touched=where if touched is None else touched)


_SAID = _events(_CUSTOMER)
_FELT = _events(_CUSTOMER + " AND sentiment IS NOT NULL", _CUSTOMER)
_RATINGS = _events("rating = 1", _RATED)
_ARRIVED = _events("needs = 1", "kind IN ('message', 'handoff', 'queued', 'assigned', 'transferred')")
_MOVES = "kind IN ('opened', 'queued', 'assigned', 'transferred')"

BEHIND: Mapping[str, Behind] = {
    "messages": _events(_PUBLIC),
    "customer_messages": _SAID,
    "agent_messages": _events(_MESSAGES[2]),
    "bot_messages": _events(_MESSAGES[3]),
    "opened": _events("opens = 1", "kind IN ('message', 'opened')"),
    "closed": _CLOSED,
    "moved_in": _events("moves = 1", _MOVES),
    "moved_out": _events("moves = 1", _MOVES),
    "arrivals": _ARRIVED,
    "offered": _OFFERED,
    "answered": replace(_OFFERED, where="outcome = 'answered'"),
    "answered_in_target": replace(_OFFERED, where=_IN_TARGET),
    "abandoned": replace(_OFFERED, where="outcome = 'abandoned'"),
    "short_abandoned": replace(_OFFERED, where=_SHORT),
    "closed_unanswered": replace(_OFFERED, where="outcome = 'closed_unanswered'"),
    "waiting": replace(_OFFERED, where="outcome = 'waiting'"),
    "undecided": replace(_OFFERED, where=_UNDECIDED),
    "connected": replace(_OFFERED, where="queue_left_ms <= target_ms"),
    "dropped": _events("drops = 1", "kind = 'customer_left'"),
    "frt_n": _FRT,
    "frt_sum_ms": replace(_FRT, reckoned=Reckoned.SUM),
    "reopen_frt_n": _REOPENED,
    "reopen_frt_sum_ms": replace(_REOPENED, reckoned=Reckoned.SUM),
    "resolved": replace(_CLOSED, where="resolved"),
    "ratings": _RATINGS,
    "csat_good": replace(_RATINGS, where="rating = 1 AND score >= 4"),
    "score_sum": replace(_RATINGS, add="score", reckoned=Reckoned.SUM),
    "sentiment_sum": replace(_FELT, add="sentiment", reckoned=Reckoned.SUM),
    "negative": replace(_FELT, where=_CUSTOMER + " AND round(sentiment * 1000) < -300"),
    "frt_avg_ms": replace(_FRT, reckoned=Reckoned.MEAN),
    "frt_p50_ms": replace(_FRT, reckoned=Reckoned.P50),
    "frt_p90_ms": replace(_FRT, reckoned=Reckoned.P90),
    "frt_p50_km_ms": replace(_WAITS, reckoned=Reckoned.KM50),
    "frt_p90_km_ms": replace(_WAITS, reckoned=Reckoned.KM90),
    "service_level": replace(
        _OFFERED, where="NOT " + _SHORT + " AND NOT " + _UNDECIDED, hit=_IN_TARGET, reckoned=Reckoned.SHARE
    ),
    "connect": replace(_OFFERED, hit="queue_left_ms <= target_ms", reckoned=Reckoned.SHARE),
    "answered_only": replace(_OFFERED, where="outcome = 'answered'", hit=_IN_TARGET, reckoned=Reckoned.SHARE),
    "abandon_rate": replace(_OFFERED, where="NOT " + _SHORT, hit="outcome = 'abandoned'", reckoned=Reckoned.SHARE),
    "csat": replace(_RATINGS, hit="score >= 4", reckoned=Reckoned.SHARE),
    "csat_low": replace(_RATINGS, hit="score >= 4", reckoned=Reckoned.LOW),
    "csat_high": replace(_RATINGS, hit="score >= 4", reckoned=Reckoned.HIGH),
    "open": _OPEN,
    "with_bot": replace(_OPEN, where="state = 'with_bot'"),
    "awaiting_first": replace(_OPEN, where="state = 'awaiting_first'"),
    "awaiting_reply": replace(_OPEN, where="state = 'awaiting_reply'"),
    "waiting_on_customer": replace(_OPEN, where="state = 'waiting_on_customer'"),
    "backlog": replace(_OPEN, where=_BACKLOG),
    "oldest_ms": replace(_OPEN, where=_BACKLOG, reckoned=Reckoned.OLDEST),
    "unassigned": replace(_OPEN, where=_BACKLOG + " AND agent IS NULL"),
    "over_target": replace(_OPEN, where=_BACKLOG + " AND turn_ms >= target_ms"),
    "drain_s": replace(_OPEN, where=_BACKLOG, reckoned=Reckoned.NONE),
    "sentiment_n": _FELT,
    "sentiment": replace(_FELT, add="sentiment", reckoned=Reckoned.MEAN),
    "rate_per_min": replace(_SAID, reckoned=Reckoned.RATE),
    **dict.fromkeys(("expected", "low", "high", "surge", "lull", "novelty"), replace(_SAID, reckoned=Reckoned.NONE)),
    **dict.fromkeys(("arrivals_surge", "arrivals_lull"), replace(_ARRIVED, reckoned=Reckoned.NONE)),
}
"""Every number that has conversations behind it. Source: METRICS §1–§8."""

NOW = """
now AS (SELECT toUnixTimestamp64Milli(any(as_of)) AS now_ms FROM clocks WHERE tenant = {tenant:String})"""

EPISODES = """
seen AS
(
    SELECT
        *, (SELECT now_ms FROM now) AS now_ms, toUnixTimestamp64Milli(demand_at) AS demand_ms,
        toUnixTimestamp64Milli(closed_at) AS closed_ms,
        greatest(now_ms - toUnixTimestamp64Milli(waiting_since), 0) AS turn_ms,
        multiIf(outcome = 'answered', frt_ms, outcome = 'abandoned', abandon_wait_ms, outcome = 'closed_unanswered',
            censored_wait_ms, outcome = 'waiting', greatest(now_ms - demand_ms, 0), NULL) AS first_ms,
        demand_ms + first_ms AS ended_ms
    FROM episodes
    WHERE tenant = {tenant:String} AND ({channel:String} = '*' OR channel = {channel:String})
)"""
"""The episodes of a tenant and channel, with their waits as of now."""

KEYED: Mapping[Source, str] = {
    Source.COHORT: "({queue:String} = '*' OR credit_queue = {queue:String})"
    " AND demand_ms >= {since:Int64} AND demand_ms < {until:Int64}",
    Source.CLOSED: "({queue:String} = '*' OR queue = {queue:String})"
    " AND closed_ms >= {since:Int64} AND closed_ms < {until:Int64}",
    Source.STANDING: "({queue:String} = '*' OR queue = {queue:String}) AND closed_at IS NULL",
    Source.WAITS: "({queue:String} = '*' OR credit_queue = {queue:String}) AND demand_at IS NOT NULL AND NOT reopen"
    " AND if(outcome = 'waiting', demand_ms < {until:Int64}, ended_ms >= {since:Int64} AND ended_ms < {until:Int64})",
}
"""Which of them are of the key and the span."""

PLACED = """
own AS
(
    SELECT
        conversation, episode, toNullable(channel) AS in_channel, queue AS last_queue, demand_at, closed_at,
        first_reply_at, bot_messages, agent_messages
    FROM episodes
    WHERE tenant = {tenant:String}
),
told AS
(
    SELECT e.*, (e.event_time, e.seq, e.id) AS place
    FROM events AS e
    WHERE e.tenant = {tenant:String} AND NOT e.late AND e.conversation IN
    (
        SELECT conversation FROM events
        WHERE tenant = {tenant:String} AND conversation IS NOT NULL AND NOT late
            AND event_time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND event_time < fromUnixTimestamp64Milli({until:Int64}, 'UTC') AND «touched»
    )
),
named AS
(
    SELECT
        t.*, o.in_channel AS in_channel, o.last_queue AS last_queue, o.closed_at AS closed_at, o.demand_at AS demand_at,
        o.first_reply_at AS first_reply_at, o.bot_messages AS bots, o.agent_messages AS people,
        t.episode IS NOT NULL
            AND row_number() OVER (PARTITION BY t.conversation, t.episode ORDER BY t.place) = 1 AS opens,
        multiIf(
            t.kind IN ('opened', 'queued', 'assigned', 'transferred'), t.queue,
            t.kind = 'message' AND NOT t.private AND (opens OR t.episode IS NULL), t.queue,
            NULL) AS names
    FROM told AS t LEFT JOIN own AS o ON o.conversation = t.conversation AND o.episode = t.episode
),
stood AS
(
    SELECT
        *,
        ifNull(anyLast(names) OVER before, 'default') AS running,
        if(episode IS NOT NULL AND closed_at IS NOT NULL AND event_time >= closed_at, last_queue, running) AS here,
        if(episode IS NULL, ifNull(anyLast(in_channel) OVER before, 'web'), in_channel) AS there,
        kind = 'customer_left' AND episode IS NOT NULL AND (closed_at IS NULL OR event_time < closed_at)
            AND (first_reply_at <= event_time OR (demand_at IS NULL AND people > 0))
            AND there NOT IN {asynchronous:Array(String)} AS leaves,
        kind = 'customer_back' OR (kind = 'message' AND NOT private AND author = 'customer') AS returns
    FROM named
    WINDOW before AS (PARTITION BY conversation ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
placed AS
(
    SELECT
        *,
        lagInFrame(running) OVER whole AS was,
        NOT opens AND episode IS NOT NULL AND names IS NOT NULL AND running != was
            AND (closed_at IS NULL OR event_time <= closed_at) AND kind != 'message' AS moves,
        kind = 'rated' AND episode IS NOT NULL
            AND place = maxIf(place, kind = 'rated') OVER (PARTITION BY conversation, episode) AS rating,
        event_time = demand_at AND (
                (kind = 'message' AND author = 'customer' AND NOT private)
                OR kind IN ('handoff', 'queued', 'transferred') OR (kind = 'assigned' AND bots > 0)
            ) AS asks,
        asks AND row_number() OVER (PARTITION BY conversation, episode, asks ORDER BY place) = 1 AS needs,
        leaves AND ifNull(anyLast(if(leaves, 1, if(returns, 0, NULL))) OVER earlier, 0) = 0
            AND ifNull(toUnixTimestamp64Milli(min(if(returns, toNullable(event_time), NULL)) OVER later)
                - toUnixTimestamp64Milli(event_time) >= 900000, true) AS drops
    FROM stood
    WINDOW
        whole AS (PARTITION BY conversation ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
        earlier AS (PARTITION BY conversation, episode ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        later AS (PARTITION BY conversation, episode ORDER BY place ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
)"""
"""The events of all conversations that may have such rows, each with the queue and channel in which it counted."""

IN_KEY = (
    "({channel:String} = '*' OR there = {channel:String}) AND ({queue:String} = '*' OR «queue» = {queue:String})"
    " AND event_time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
    " AND event_time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
)

MATCHED_EPISODES = """
matched AS
(
    SELECT
        conversation, toNullable(episode) AS episode, 1 AS n, toUInt8(ifNull(«hit», 0)) AS hits,
        toFloat64(ifNull(«add», 0)) AS adds, «shown»
    FROM seen
    WHERE «key» AND («where»)«episode»
)"""

MATCHED_EVENTS = """
found AS
(
    SELECT
        conversation, episode, count() AS n, toUInt64(countIf(ifNull(«hit», 0))) AS hits,
        toFloat64(sum(ifNull(«add», 0))) AS adds
    FROM placed
    WHERE «key» AND («where»)«message»
    GROUP BY conversation, episode
),
matched AS
(
    SELECT f.conversation AS conversation, f.episode AS episode, f.n AS n, f.hits AS hits, f.adds AS adds, «shown»
    FROM found AS f LEFT JOIN (SELECT toNullable(conversation) AS joined, * FROM seen) AS s
        ON s.joined = f.conversation AND s.episode = f.episode
    WHERE true«episode»
)"""

_SHOWN = """channel, queue, credit_queue, agent, opened_at, demand_at, first_reply_at, closed_at, state, outcome,
        reopen, outbound, target_ms, topic, sentiment, csat, now_ms, «wait» AS wait_ms,
        ifNull(«waiting», false) AS waiting,
        toInt64(if(waiting, ifNull(«since», 0), -ifNull(wait_ms, -1))) AS rank"""
"""What is shown of an episode, and where it stands in the list: longest wait first, still waiting ones at the end."""

_OWN_TOPIC = " AND model_topic = {topic:String}"
_OF_EPISODE = {"topic": " AND topic = {topic:String}", "agent": " AND agent = {agent:String}"}

_FIRST = {"wait": "first_ms", "waiting": "outcome = 'waiting'", "since": "demand_ms"}
_TURN = {
    "wait": "turn_ms", "waiting": "waiting_since IS NOT NULL", "since": "toUnixTimestamp64Milli(waiting_since)",
}  # fmt: skip

TOTALS = """
SELECT
    sum(m.n) AS n, sum(m.hits) AS hits, sum(m.adds) AS adds, uniqExact(m.conversation) AS conversations,
    max(m.wait_ms) AS longest
FROM matched AS m"""
PAGE = """
SELECT * EXCEPT (opened_at, demand_at, first_reply_at, closed_at),
    toUnixTimestamp64Milli(opened_at) AS opened_ms, toUnixTimestamp64Milli(demand_at) AS demand_ms,
    toUnixTimestamp64Milli(first_reply_at) AS first_reply_ms, toUnixTimestamp64Milli(closed_at) AS closed_ms
FROM matched
WHERE (toUInt8(waiting), rank, assumeNotNull(conversation), ifNull(episode, 0))
    > ({waiting:UInt8}, {rank:Int64}, {conversation:String}, {episode:UInt32})
ORDER BY waiting, rank, conversation, episode
LIMIT {limit:UInt32}"""
WAITS = """
SELECT wait_ms, toBool(ifNull(outcome = 'answered', false)) AS answered, count() AS times FROM matched
WHERE wait_ms IS NOT NULL
GROUP BY wait_ms, answered"""


def narrowed(name: str, by: Collection[str]) -> dict[str, str]:
    """What else must hold of the rows behind a number that is asked for narrower: by `topic`, by `agent`.

    What customers wrote goes by what the model took each message to be about, as topics are counted; all else by the
    topic of its episode. An agent's are the episodes that the agent holds, or held at the close.
    """
    fill = {"message": "", "episode": ""}
    for one in ("topic", "agent"):
        if one in by:
            own = one == "topic" and BEHIND[name].touched == _CUSTOMER
            fill["message" if own else "episode"] += _OWN_TOPIC if own else _OF_EPISODE[one]
    return fill


def statement(name: str, select: str, by: Collection[str] = ()) -> str:
    """The statement about the rows behind a number: `TOTALS`, `PAGE` or `WAITS` of them, narrowed `by` topic, agent."""
    behind = BEHIND[name]
    words = _TURN if behind.source is Source.STANDING else _FIRST
    fill = {"hit": behind.hit, "add": behind.add, "where": behind.where, "touched": behind.touched}
    fill |= narrowed(name, by)
    if behind.source is Source.EVENTS:
        parts = [NOW, EPISODES, PLACED, MATCHED_EVENTS]
        fill["key"] = IN_KEY.replace("«queue»", "was" if name == "moved_out" else "here")
    else:
        parts = [NOW, EPISODES, MATCHED_EPISODES]
        fill["key"] = KEYED[behind.source]
    text = "WITH" + ",".join(parts).replace("«shown»", _SHOWN) + select
    for hole, words_in in (fill | words).items():
        text = text.replace(f"«{hole}»", words_in)
    return text
