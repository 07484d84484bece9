"""What a board asks beside the feed, through the running stack: the same numbers, the same rights, clear errors."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conftest import RunningStack
from tests.integration.outside import History, Sender, ms, snapshot, wait
from tidewatch.access import make_token

START = 1_795_226_400_000
"""2026-11-21T02:00:00Z."""
NOW = START + 900_000
TENANT = "drilled"


def message(conversation: str, ident: str, at_s: float, author: str, **more: Any) -> Row:
    event = {"id": ident, "kind": "message", "conversation": conversation, "author": author, "text": f"text of {ident}"}
    return {**event, "at": rfc3339(START + round(at_s * 1_000)), "tenant": TENANT, **more}


def event(conversation: str, ident: str, at_s: float, kind: str, **more: Any) -> Row:
    at = rfc3339(START + round(at_s * 1_000))
    return {"id": ident, "kind": kind, "conversation": conversation, "at": at, "tenant": TENANT, **more}


STORY = [
    message("quick", "q1", 0, "customer", queue="billing", author_id="u1"),
    message("quick", "q2", 30, "agent", author_id="ann"),
    message("quick", "q3", 40, "customer"),
    message("quick", "q4", 100, "agent", author_id="ann"),
    message("quick", "q5", 101, "agent", author_id="ann", private=True, text="internal note"),
    event("quick", "q6", 200, "closed", by="agent", agent="ann"),
    message("slow", "s1", 0, "customer", queue="billing"),
    message("slow", "s2", 5, "bot"),
    event("slow", "s3", 60, "handoff"),
    message("slow", "s4", 360, "agent", author_id="bob"),
    message("given-up", "g1", 10, "customer", queue="returns"),
    event("given-up", "g2", 100, "customer_left"),
    message("still", "w1", 600, "customer", queue="billing"),
    message("fresh", "f1", 870, "customer", queue="billing"),
]


@dataclass
class Asked:
    """The gateway, asked by plain GET."""

    access: Row
    secret: str

    def get(self, path: str, token: str | None = None, **said: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, body, headers. Names ending in _ lose it."""
        query = urllib.parse.urlencode({name.rstrip("_"): value for name, value in said.items()})
        request = urllib.request.Request(f"{self.access['url']}{path}" + (f"?{query}" if query else ""))
        if token != "":
            request.add_header("Authorization", f"Bearer {token or self.access['board_token']}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), dict(error.headers)

    def good(self, path: str, **said: Any) -> Any:
        """The body of an answer that must be one."""
        status, body, _ = self.get(path, tenant=TENANT, **said)
        assert status == 200, body
        return body

    def token(self, tenant: str, *roles: str) -> str:
        """A token of this stack."""
        from datetime import timedelta

        return make_token(self.secret, "someone", tenant, roles, timedelta(hours=1))


@pytest.fixture(scope="module")
def asked(stack: RunningStack) -> Asked:
    """A tenant with a story of four conversations, stored and shown as of one tick."""
    access: Row = dict(stack.access)
    sender = Sender(access)
    sender.send([{"events": STORY}, {"tick": rfc3339(NOW), "tenant": TENANT}])
    assert sender.rejected == []
    wait("the feed", lambda: ms(snapshot(access)["clocks"].get(TENANT)) == NOW)
    history = History(access)
    wait(
        "ClickHouse",
        lambda: [row["as_of"] for row in history.rows("SELECT as_of FROM clocks WHERE tenant = 'drilled'")] == [NOW],
    )
    return Asked(access, stack.environment["TIDEWATCH_SECRET"])


def names(answer: Row) -> list[str]:
    return [item["conversation"] for item in answer["items"]]


def test_the_longest_wait_comes_first_and_who_still_waits_at_the_end(asked: Asked) -> None:
    answer = asked.good("/v1/conversations", metric="offered", window="30m")
    assert names(answer) == ["slow", "given-up", "quick", "still", "fresh"]
    assert [item["wait_ms"] for item in answer["items"]] == [300_000, 90_000, 30_000, 300_000, 30_000]
    assert [item["waiting"] for item in answer["items"]] == [False, False, False, True, True]
    assert [item["met"] for item in answer["items"]] == [False, False, True, False, None]
    assert (answer["n"], answer["value"], answer["shown"]) == (5, 5, 5)
    assert answer["as_of"] == answer["shown_as_of"] == rfc3339(NOW)


def test_pages_follow_each_other_without_a_gap_or_a_repeat(asked: Asked) -> None:
    found: list[str] = []
    said: dict[str, Any] = {}
    while True:
        answer = asked.good("/v1/conversations", metric="offered", window="30m", limit=2, **said)
        found += names(answer)
        if answer["next"] is None:
            break
        said = {"cursor": answer["next"]}
    assert found == ["slow", "given-up", "quick", "still", "fresh"]


def test_the_query_to_copy_gives_the_same_rows_to_anybody(asked: Asked) -> None:
    answer = asked.good("/v1/conversations", metric="backlog")
    rows = History(asked.access).rows(answer["sql"])
    assert [row["conversation"] for row in rows] == names(answer) == ["still", "fresh"]


def test_one_conversation_is_drawn_to_scale_masked_and_without_notes(asked: Asked) -> None:
    answer = asked.good("/v1/conversation", conversation="quick")
    assert [one["id"] for one in answer["events"]] == ["q1", "q2", "q3", "q4", "q6"]
    assert answer["hidden"] == 1
    assert "internal note" not in json.dumps(answer)
    (episode,) = answer["episodes"]
    assert episode["exact"]
    assert [(wait["kind"], wait["ms"]) for wait in episode["waits"]] == [
        ("first_reply", 30_000), ("queue", 30_000), ("reply", 60_000),
    ]  # fmt: skip
    assert answer["events"][0]["text"] == "text of q1"


@pytest.mark.parametrize(
    ("conversation", "metric", "value"),
    [("quick", "frt_ms", 30_000), ("slow", "frt_ms", 300_000), ("slow", "frt_any_ms", 5_000),
     ("quick", "handle_ms", 170_000), ("given-up", "abandon_wait_ms", 90_000), ("still", "frt_ms", None)],
)  # fmt: skip
def test_a_receipt_of_an_episode_reckons_its_number_anew(
    asked: Asked, conversation: str, metric: str, value: int | None
) -> None:
    answer = asked.good("/v1/receipt", metric=metric, conversation=conversation, episode=1)
    assert (answer["value"], answer["recomputed"], answer["difference"]) == (value, value, 0)
    if value is not None:
        first, second = ms(answer["from"]), ms(answer["to"])
        assert first is not None
        assert second is not None
        assert second - first == value
    assert [list(row.values()) for row in History(asked.access).rows(answer["sql"])]


def test_receipts_of_every_number_of_a_key_agree_with_the_feed(asked: Asked) -> None:
    told = asked.good("/v1/keys")
    assert told["tenants"] == [TENANT]
    usual = {"expected", "low", "high", "surge", "lull", "arrivals_surge", "arrivals_lull", "novelty"}
    flowing = usual | {"drain_s", "rate_per_min"}
    for metric in (one["name"] for one in told["metrics"] if one["drill"] and one["name"] not in flowing):
        answer = asked.good("/v1/receipt", metric=metric)
        assert answer["settled"], metric
        assert answer["difference"] == pytest.approx(0, abs=1e-9), (metric, answer["value"], answer["recomputed"])
        assert answer["stored"] is None or answer["stored"] == pytest.approx(answer["value"], abs=1e-9), metric


def test_a_history_is_merged_from_minutes(asked: Asked) -> None:
    answer = asked.good(
        "/v1/history", metric="offered,service_level,backlog,frt_p90_km_ms", from_=START - 60_000, step=300
    )
    series = {one["metric"]: one["values"] for one in answer["series"]}
    assert sum(value or 0 for value in series["offered"]) == 5
    assert series["offered"][0] == 3
    assert series["backlog"][-2:] == [1, None]  # the last step has no minute yet that closed
    assert len(answer["at"]) == len(series["service_level"]) == len(series["frt_p90_km_ms"])
    assert series["service_level"][0] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("path", "said", "status", "word"),
    [
        ("/v1/conversations", {"metric": "nonsense"}, 400, "backlog"),
        ("/v1/conversations", {"metric": "backlog", "colour": "red"}, 400, "queue"),
        ("/v1/conversations", {}, 400, "metric"),
        ("/v1/conversations", {"metric": "offered", "limit": "0"}, 400, "500"),
        ("/v1/conversations", {"metric": "offered", "cursor": "x" * 40}, 400, "next"),
        ("/v1/conversations", {"metric": "offered", "from": "yesterday"}, 400, "RFC 3339"),
        ("/v1/conversations", {"metric": "backlog", "from": str(START)}, 400, "history"),
        ("/v1/conversation", {"conversation": "nobody"}, 404, "list"),
        ("/v1/receipt", {"metric": "frt_ms", "conversation": "quick", "episode": "9"}, 404, "1"),
        ("/v1/receipt", {"metric": "offered", "conversation": "quick", "episode": "1"}, 400, "frt_ms"),
        ("/v1/history", {"metric": "offered", "from": str(START), "step": "61"}, 400, "60"),
        ("/v1/history", {"metric": "offered", "from": str(START - 86_400_000 * 300), "step": "60"}, 400, "1500"),
        ("/v1/boards/none-such", {}, 404, "boards"),
    ],
)
def test_a_question_that_is_wrong_is_told_what_is_allowed(
    asked: Asked, path: str, said: Row, status: int, word: str
) -> None:
    given = said if path.startswith("/v1/boards") else {"tenant": TENANT, **said}
    got, body, _ = asked.get(path, **given)
    assert got == status, body
    assert body.keys() == {"error", "mend"}
    assert word in body["mend"]


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,),
    "array": (list,),
}  # fmt: skip


def unlike(schema: Any, body: Any, at: str = "") -> list[str]:
    """Where an answer is not what the document says."""
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if body is None:
        return [] if "null" in kinds else [f"{at}: null"]
    if not any(isinstance(body, _KINDS[kind]) for kind in kinds if kind != "null"):
        return [f"{at}: {type(body).__name__} is not {kinds}"]
    if isinstance(body, list):
        return [
            line for item in body[:5] for line in unlike(schema.get("items", {"type": [*_KINDS, "null"]}), item, at)
        ]
    known = schema.get("properties")
    if not isinstance(body, dict) or known is None:
        return []
    missing = [f"{at}.{name}" for name in known.keys() ^ body.keys()]
    return missing + [
        line for name in known.keys() & body.keys() for line in unlike(known[name], body[name], f"{at}.{name}")
    ]


def test_every_answer_is_what_the_document_says(asked: Asked) -> None:
    document = asked.get("/v1/openapi.json")[1]["paths"]
    asking: list[tuple[str, Row]] = [
        ("/v1/conversations", {"metric": "offered"}), ("/v1/conversations", {"metric": "backlog"}),
        ("/v1/conversations", {"metric": "messages", "window": "today"}),
        ("/v1/conversation", {"conversation": "slow"}), ("/v1/conversation", {"conversation": "still"}),
        ("/v1/conversation", {"conversation": "given-up"}),
        ("/v1/receipt", {"metric": "frt_ms", "conversation": "quick", "episode": 1}),
        ("/v1/receipt", {"metric": "service_level"}), ("/v1/receipt", {"metric": "oldest_ms"}),
        ("/v1/history", {"metric": "customer_messages,csat", "from_": START}), ("/v1/alerts", {}), ("/v1/keys", {}),
        ("/v1/boards", {}), ("/v1/outcomes", {"from_": START}),
    ]  # fmt: skip
    for path, said in asking:
        schema = document[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert unlike(schema, asked.good(path, **said)) == [], (path, said)


def test_another_tenants_is_as_unknown_as_one_that_never_was(asked: Asked) -> None:
    stranger = asked.token("elsewhere", "admin")
    asking: list[tuple[str, Row]] = [
        ("/v1/conversations", {"metric": "offered"}), ("/v1/conversation", {"conversation": "quick"}),
        ("/v1/receipt", {"metric": "frt_ms", "conversation": "quick", "episode": 1}),
        ("/v1/history", {"metric": "offered", "from": START}), ("/v1/alerts", {}), ("/v1/keys", {}),
        ("/v1/outcomes", {"from": START}),
    ]  # fmt: skip
    for path, said in asking:
        theirs = asked.get(path, stranger, tenant=TENANT, **said)
        nobodys = asked.get(path, stranger, tenant="never-was", **said)
        assert theirs[:2] == nobodys[:2], path
        assert theirs[0] == 404, path
        status, body, _ = asked.get(path, stranger, **said)
        assert "quick" not in json.dumps(body), (path, status)
        assert TENANT not in json.dumps(body), (path, status)


def test_clickhouse_away_is_said_with_when_to_ask_again_and_the_feed_goes_on(asked: Asked, stack: RunningStack) -> None:
    stack.kill("sink")
    deadline, seen = time.monotonic() + 20, None
    while seen is None:
        assert time.monotonic() < deadline, "it never was away"
        status, body, headers = asked.get("/v1/history", tenant=TENANT, metric="offered", from_=START)
        if status == 503:
            seen = (body, headers)
    assert int(seen[1]["Retry-After"]) > 0
    assert "ClickHouse" in seen[0]["error"]
    assert snapshot(asked.access)["kind"] == "snapshot"
    wait("ClickHouse again", lambda: asked.get("/v1/history", tenant=TENANT, metric="offered", from_=START)[0] == 200)
