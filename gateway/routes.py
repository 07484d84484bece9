"""Every path of the gateway, in one table: who may ask, what may be said, what comes back. Pure.

The entrance lets in what stands here and nothing else; `/v1/openapi.json` is written from it (`gateway.openapi`); the
tests make their matrix of roles, routes and tenants from it. So a route cannot be open without standing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.behind import BEHIND
from gateway.frames import RIGHTS
from streams.metrics import CATALOGUE, Place

WINDOWS = ("1m", "5m", "30m", "today")
METRICS = tuple(name for name in CATALOGUE if name in BEHIND)
"""Every number of a key that has conversations behind it."""
HISTORIES = (
    *(name for name, metric in CATALOGUE.items() if metric.place is Place.WINDOW), "backlog", "oldest_ms",
    "rate_per_min", "expected", "low", "high", "sentiment",
)  # fmt: skip
"""Every number of a key that has a history: what minutes hold, or what is reckoned from them."""
FACTS = ("frt_ms", "frt_customer_ms", "frt_any_ms", "greeting_ms", "handle_ms", "abandon_wait_ms", "censored_wait_ms",
         "queue_left_ms")  # fmt: skip
"""Numbers of one episode that have a receipt."""

MOST_ITEMS, MOST_POINTS, MOST_SERIES, MOST_DAYS = 500, 1_500, 8, 400

Kind = Literal["text", "whole", "instant", "choice", "choices"]
Schema = Mapping[str, Any]
"""Field → `type: what it is`, or [fields of each item], or fields. `type` may end in `?`: it may be null."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that may be said in the URL."""

    name: str
    says: str
    kind: Kind = "text"
    required: bool = False
    default: str | int | None = None
    allowed: tuple[str, ...] = ()
    """Of a choice."""
    least: int = 1
    most: int = 128
    """Of a whole number; of a text the characters; of choices how many."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `{name}` in it stands for one part."""

    path: str
    says: str
    roles: frozenset[str]
    """Who may ask; empty: everybody, for nothing of a customer is in it."""
    parameters: tuple[Parameter, ...] = ()
    answer: Schema | None = None
    """None: not JSON, or a socket."""
    tenanted: bool = False
    """Whether it answers about one tenant."""
    stored: bool = False
    """Whether it asks ClickHouse, and so may answer 503."""

    @property
    def variable(self) -> str | None:
        """The name of the part that varies."""
        return self.path.rpartition("{")[2].rstrip("}") if "{" in self.path else None


def may(right: str) -> frozenset[str]:
    """The roles that have a right."""
    return frozenset(role for role, rights in RIGHTS.items() if right in rights)


LOOKERS = frozenset(RIGHTS)
DRILLERS = may("drill")

_TENANT = Parameter("tenant", "Whose. Default: the token's own; where that is `*`, the only one there is", most=64)
_KEY = (
    Parameter("queue", "A queue; `*`: the sum over all", default="*"),
    Parameter("channel", "A channel; `*`: the sum over all", default="*"),
)
NARROWER = (
    Parameter("topic", "Only of what is about it: what customers wrote by what the model took each message to be "
              "about, all else by the topic of its episode", most=200),
    Parameter("agent", "Only of episodes that this agent holds, or held at the close", most=200),
)  # fmt: skip
"""What a list may be narrowed by, beside its key."""
_SPAN = (
    Parameter("window", "A window of the live feed, as of now", "choice", allowed=WINDOWS),
    Parameter("from", "Begin of a span instead of a window: RFC 3339 with offset, or ms since the epoch", "instant"),
    Parameter("to", "End of the span, excluded. Default: now", "instant"),
)
_PAGE = (
    Parameter("limit", "How many items at most", "whole", default=100, most=MOST_ITEMS),
    Parameter("cursor", "`next` of the page before", most=1_024),
)
_ASKED = {
    "tenant": "string: whose", "queue": "string: the queue, or `*`", "channel": "string: the channel, or `*`",
    "as_of": "string?: the clock of the tenant up to which everything asked is stored",
}  # fmt: skip

EPISODE: Schema = {
    "conversation": "string: its id", "episode": "integer: number in its conversation, from 1",
    "channel": "string: of the event that opened it", "queue": "string: where it is, or closed",
    "credit_queue": "string: where its cohort numbers count", "agent": "string?: who holds it, or held it at the close",
    "opened_at": "string", "demand_at": "string?: d, from when a person is needed", "first_reply_at": "string?",
    "closed_at": "string?", "state": "string: METRICS §4", "outcome": "string?: CONTRACT §4",
    "reopen": "boolean", "outbound": "boolean", "target_ms": "integer?: T in force at d",
    "wait_ms": "integer?: the wait that the list is sorted by, up to as_of where it goes on",
    "waiting": "boolean: it still goes on", "met": "boolean?: within T; null while undecided, or there is no target",
    "hit": "boolean: it is in the numerator of a share; true elsewhere", "count": "integer: how much it adds to n",
    "topic": "string?", "sentiment": "number?", "csat": "integer?: 1 to 5",
}  # fmt: skip

_CONVERSATIONS: Schema = {
    **_ASKED,
    "topic": "string?: only what is about it; null: all", "agent": "string?: only this agent's; null: everybody's",
    "metric": "string", "unit": "string", "means": "string: its definition", "zh": "string", "en": "string",
    "window": "string?", "from": "string?", "to": "string?: null for what stands open now",
    "counted": "string: what n counts: episodes or messages",
    "n": "integer: how many cases are behind the number, on all pages",
    "value": "number?: the number itself, from the same rows", "censored": "boolean: longer than the longest observed",
    "conversations": "integer: how many conversations they belong to", "target_ms": "integer?: T of the queue now",
    "items": [EPISODE], "next": "string?: cursor of the next page; null: the last one",
    "sql": "string: the query, with its parameters, to copy",
    "shown": "number?: the same number as the live feed has it now, of a window", "shown_as_of": "string?",
}  # fmt: skip

_WAIT: Schema = {
    "kind": "string: first_reply, queue, bot or reply", "from": "string", "to": "string?: null: goes on",
    "ms": "integer: its length, up to as_of where it goes on", "queue": "string?", "agent": "string?",
    "target_ms": "integer?", "met": "boolean?", "ended_by": "string?: reply, left, closed, taken or moved",
}  # fmt: skip

_CONVERSATION: Schema = {
    "tenant": "string", "conversation": "string", "as_of": "string?", "channel": "string", "customer": "string?",
    "text": "boolean: whether this reader may read what was written",
    "episodes": [{
        **{name: says for name, says in EPISODE.items() if name not in ("hit", "count")},
        "first_reply_agent": "string?", "frt_ms": "integer?", "frt_business_ms": "integer?",
        "frt_customer_ms": "integer?", "frt_any_ms": "integer?", "greeting_ms": "integer?", "handle_ms": "integer?",
        "abandon_wait_ms": "integer?", "censored_wait_ms": "integer?", "queue_left_ms": "integer?",
        "short_ms": "integer?", "agent_topic": "string?", "resolved": "boolean?", "transfers": "integer",
        "customer_messages": "integer", "agent_messages": "integer", "bot_messages": "integer",
        "formula_id": "string", "version": "integer", "customer": "string?",
        "waits": [_WAIT],
        "exact": "boolean: the waits drawn add up to those that were counted",
    }],
    "events": [{
        "id": "string", "at": "string: as it counts", "given_at": "string?: as the source said, where that differs",
        "kind": "string", "role": "string?: customer, agent, bot or system", "who": "string?",
        "text": "string?: masked; null without the right to read it", "type": "string?", "queue": "string?",
        "agent": "string?", "by": "string?", "topic": "string?", "score": "integer?", "episode": "integer?",
        "late": "boolean", "clock_suspect": "boolean", "counts": "boolean: it is a human reply, or makes a wait begin",
        "why": [{"zh": "string", "en": "string"}],
        "sentiment": "number?",
    }],
    "hidden": "integer: internal notes, which no metric sees and nobody sees here",
    "cut": "boolean: there are more events than are shown",
}  # fmt: skip

_RECEIPT: Schema = {
    **_ASKED,
    "metric": "string", "unit": "string", "means": "string", "zh": "string", "en": "string",
    "conversation": "string?", "episode": "integer?", "window": "string?", "from": "string?: the first instant",
    "to": "string?: the second instant", "value": "number?: the number as it is shown",
    "target_ms": "integer?", "met": "boolean?", "minute": "string?: the minute it stands in",
    "in_queue": "string?: the queue it stands in", "in_channel": "string?",
    "parts": "object: what the number is made of: column → its sum; of a percentile the number of cases",
    "excluded": [{"zh": "string", "en": "string", "n": "integer?", "ms": "integer?"}],
    "formula_id": "string?", "formula": "string: how it is reckoned", "version": "integer?: of the stored row",
    "sql": "string: the query to copy", "stored": "number?: as the stored row has it",
    "recomputed": "number?: reckoned anew from `events` (of an episode) or `episodes` and `events`",
    "recomputed_sql": "string: the query of that", "difference": "number?: recomputed less value; 0 is expected",
    "settled": "boolean: all of it is as of the same instant, so that a difference is a fault",
    "value_as_of": "string?",
}  # fmt: skip

_HISTORY: Schema = {
    **_ASKED,
    "from": "string", "to": "string", "step_s": "integer", "at": ["string: begin of each step"],
    "series": [{
        "metric": "string", "unit": "string", "values": ["number?"], "n": ["integer?: cases behind each value"],
        "censored": ["boolean"],
    }],
    "restated": [{"at": "string", "times": "integer"}],
    "usual": "object: expected, low, high, surge by step, where customer_messages is asked for",
}  # fmt: skip

_OUTCOMES: Schema = {
    **_ASKED,
    "from": "string", "to": "string",
    "first_replies": {
        "n": "integer: first replies", "bar_ms": "integer: how wide a bar is; the last one has no end",
        "counts": ["integer: how many took so long"],
    },
    "days": [{
        "day": "string: of the tenant's zone", "closed": "integer: episodes that closed", "resolved": "integer",
        "judged": "integer: of closed: with a d", "stayed": "integer: of judged: resolved, not reopened within 72 h",
        "resolution_rate": "number?: stayed ÷ judged", "provisional": "boolean: one may still be reopened",
    }],
    "topics": {
        "days": ["string"], "messages": ["integer: customer messages of each day, of any topic"],
        "items": [{"topic": "string: `other`: all beyond the first", "n": "integer", "counts": ["integer: by day"]}],
    },
}  # fmt: skip

_ALERTS: Schema = {
    "tenant": "string?: null: all that the token may see", "from": "string", "to": "string", "n": "integer",
    "items": ["object: an alert as CONTRACT §5 has it, in its last state, with `changes`: [{state, at}]"],
    "next": "string?",
    "rules": [{
        "rule": "string", "fired": "integer", "graded": "integer", "useful": "integer", "noise": "integer",
        "useful_share": "number?: useful ÷ graded", "graded_share": "number?: graded ÷ fired",
        "acknowledged": "integer", "median_s": "number?: how long they lasted",
    }],
}  # fmt: skip

BOARD: Schema = {
    "name": "string", "title": {"zh": "string", "en": "string"}, "tenant": "string?: whose; null: everybody's",
    "tiles": ["string: names of BOARD §3"], "queues": ["string: patterns"], "channels": ["string: patterns"],
    "thresholds": ["object: {metric, queue, channel, near, warning, critical, min_n}"],
    "rotate": "object: {every_s, ribbons}", "table": ["string: metrics of the columns"],
    "version": "string: digest of the file; an order to save names the one it changed",
}  # fmt: skip

_DRILL = (_TENANT, Parameter("metric", "The number", "choice", required=True, allowed=METRICS), *_KEY, *_SPAN)

ROUTES: tuple[Route, ...] = (
    Route("/healthz", "Liveness", frozenset()),
    Route("/readyz", "Readiness, with a reason each", frozenset()),
    Route("/metrics", "Prometheus text", frozenset()),
    Route("/", "The board", frozenset(), (Parameter("ticket", "Opens a session", most=8_192),)),
    Route("/board/{file}", "A file of the board", frozenset()),
    Route("/v1/openapi.json", "This document", frozenset(), answer={"openapi": "string", "info": "object",
          "paths": "object", "components": "object"}),
    Route("/v1/ingest", "Chat in (WebSocket)", frozenset({"ingest"})),
    Route("/v1/live", "Numbers out (WebSocket); plainly asked for, one snapshot of them", LOOKERS,
          answer={"kind": "string: snapshot; the rest as CONTRACT §2 has it"}),
    Route("/v1/conversations", "The conversations behind a number: longest wait first, still waiting ones at the end",
          DRILLERS, (*_DRILL, *NARROWER, *_PAGE), _CONVERSATIONS, tenanted=True, stored=True),
    Route("/v1/conversation", "One conversation: its time line, waits, and what counts", DRILLERS,
          (_TENANT, Parameter("conversation", "Its id", required=True)), _CONVERSATION, tenanted=True, stored=True),
    Route("/v1/receipt", "How one number came about: of an episode (`conversation`, `episode`), or of a key and a span",
          DRILLERS,
          (_TENANT, Parameter("metric", "The number", "choice", required=True, allowed=(*METRICS, *FACTS)),
           Parameter("conversation", "With `episode`: the number of one episode"),
           Parameter("episode", "Its number", "whole", most=2**31), *_KEY, *_SPAN), _RECEIPT, tenanted=True,
          stored=True),
    Route("/v1/history", "Series of metrics of one key, merged from minutes", LOOKERS,
          (_TENANT, Parameter("metric", f"Up to {MOST_SERIES}, with commas", "choices", required=True,
                              allowed=HISTORIES, most=MOST_SERIES), *_KEY,
           Parameter("from", "Begin: RFC 3339 with offset, or ms since the epoch", "instant", required=True),
           Parameter("to", "End, excluded. Default: now", "instant"),
           Parameter("step", "Seconds of a step: a multiple of 60. Default: what gives up to 180 steps", "whole",
                     least=60, most=86_400 * 31)), _HISTORY, tenanted=True, stored=True),
    Route("/v1/outcomes", "What came of a key: how long first replies took, topics by day, what was resolved", LOOKERS,
          (_TENANT, *_KEY,
           Parameter("from", "Begin: RFC 3339 with offset, or ms since the epoch", "instant", required=True),
           Parameter("to", "End, excluded. Default: now", "instant"),
           Parameter("bar", "Seconds that a bar of the histogram is wide", "whole", default=10, most=86_400)),
          _OUTCOMES, tenanted=True, stored=True),
    Route("/v1/alerts", "Past alerts, and per rule what people thought of them", LOOKERS,
          (_TENANT, Parameter("rule", "One rule"), Parameter("severity", "One severity", "choice",
           allowed=("info", "warning", "critical")), Parameter("queue", "One queue"),
           Parameter("channel", "One channel"),
           Parameter("state", "The state it is in now", "choice", allowed=("firing", "acknowledged", "resolved")),
           Parameter("from", "Begin. Default: 7 days ago", "instant"),
           Parameter("to", "End, excluded. Default: now", "instant"), *_PAGE), _ALERTS, stored=True),
    Route("/v1/boards", "The boards there are", LOOKERS, (_TENANT,), {"boards": [BOARD],
          "tiles": ["string: allowed tiles"], "metrics": ["string: allowed metrics of thresholds and columns"],
          "ribbons": ["string: allowed ribbons"], "problems": ["string: files that cannot be used, and why"]}),
    Route("/v1/boards/{name}", "One board: the tenant's own before everybody's", LOOKERS, (_TENANT,), BOARD),
    Route("/v1/keys", "What may be asked about: tenants, queues, channels, metrics", LOOKERS, (_TENANT,),
          {"tenants": ["string"], "keys": [{"tenant": "string", "queues": ["string"], "channels": ["string"]}],
           "metrics": [{"name": "string", "unit": "string", "place": "string", "zh": "string", "en": "string",
                        "means": "string", "drill": "boolean: it has conversations behind it",
                        "history": "boolean: it has a history"}],
           "windows": ["string"]}),
    Route("/v1/links", "The TV links there are", may("admin"), answer={"links": [
        {"id": "string", "name": "string", "tenant": "string", "by": "string", "made_at": "string",
         "until": "string", "opened_at": "string?", "revoked_at": "string?"}]}),
)  # fmt: skip
"""All of them."""


def find(path: str) -> tuple[Route, str] | None:
    """The route of a path, and what stands for its variable part (empty: it has none); None: there is none."""
    for route in ROUTES:
        if route.path == path:
            return route, ""
    head, _, part = path.rpartition("/")
    for route in ROUTES:
        if route.variable and part and route.path.rpartition("/")[0] == head:
            return route, part
    return None
