"""Sentiment and topics through the fold, against a reference that shares no code with it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from zlib import crc32

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from streams.agents import read_record
from streams.conversation import Conversation
from streams.entries import Entry
from streams.episode import Episode, Hints
from streams.events import Event, PaneRow
from streams.hashing import hashed
from streams.line import pane_from, tenant_from
from streams.packing import packed, unpacked
from streams.present import View
from tests.conformance.cases import Row
from tests.reference.streams import START, Stream, story, streams
from tests.reference.words import Says, worded
from tests.streams.line import Line, event_of

TENANT = "case"
WORDS: dict[str, list[tuple[str, int]]] = {
    "parcel": [("delivery", 2310), ("refund", 700)],
    "money": [("refund", 1605), ("invoice", 1605), ("delivery", 2)],
    "bill": [("invoice", 1610)],
    "hello": [],
}
"""What a made-up model says of a word: equal gains and near ones among them."""
FEELINGS = (None, 0, -300, -301, 455, -999, 1_000)


class Table:
    """A reader that knows `WORDS` and learns nothing."""

    def __init__(self) -> None:
        self._known = {
            hashed([word]): sorted(gains, key=lambda pair: (-pair[1], pair[0])) for word, gains in WORDS.items()
        }

    def rank(self, tenant: str, words: bytes) -> Sequence[tuple[str, int]]:
        return self._known[words]


def lot(wire: Row) -> int:
    return crc32(f"{wire['conversation']}{wire['id']}".encode())


def says(wire: Row) -> Says:
    """What a message says, by its id."""
    word = list(WORDS)[lot(wire) % len(WORDS)]
    return Says(FEELINGS[lot(wire) // 16 % len(FEELINGS)], dict(WORDS[word]))


def stamped(wire: Row) -> Event:
    """The event as a gateway would have stamped it."""
    event = event_of(wire, TENANT)
    if event.author == "customer" and not event.private:
        feeling = says(wire).sentiment
        event.keywords = (list(WORDS)[lot(wire) % len(WORDS)],)
        event.sentiment, event.type = (None, "image") if feeling is None else (feeling / 1_000, "text")
    return event


def through(stream: Stream, seed: int) -> Line:
    """The line after a stream, with ticks, restarts and record borders as chance will have them."""
    chance, line = Random(seed), Line(stream.settings, reader=Table())
    events = [stamped(wire) for wire in stream.events]
    while events:
        some = chance.choice((1, 2, 5, 20))
        line.send(events[:some])
        events = events[some:]
        if chance.random() < 0.5:
            line.flush()
            if chance.random() < 0.5:
                line.restart(chance.randrange(line.partitions))
    line.tick(stream.tick, TENANT)
    line.flush()
    return line


def check(stream: Stream, seed: int = 0) -> None:
    want, line = worded(stream.events, stream.settings, stream.tick, says), through(stream, seed)
    got = {(row.conversation, row.episode): row for row in line.episode_rows()}
    assert got.keys() == want["episodes"].keys()
    for name, row in want["episodes"].items():
        assert got[name].topic == row["topic"], name
        feeling = got[name].sentiment
        assert (feeling is None) == (row["sentiment"] is None), name
        assert abs((feeling or 0) - (row["sentiment"] or 0)) < 1e-9, name
    for minute in line.minute_rows():
        pane = want["minutes"].get((minute["queue"], minute["channel"], minute["minute"]), {})
        for name in ("sentiment_n", "sentiment_sum", "negative"):
            assert minute[name] == pane.get(name, 0), (minute["minute"], name)
        assert minute["topics"] == pane.get("topics", {})


@pytest.mark.parametrize("seed", range(40))
def test_a_made_up_stream_says_in_words_what_the_reference_says(seed: int) -> None:
    check(story(seed), seed)


@given(stream=streams())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_stream_says_in_words_what_the_reference_says(stream: Stream) -> None:
    check(stream)


def customer(name: str, at: int, text: str = "我要退款", **more: object) -> Event:
    return Event(
        id=name, kind="message", at=START + at, tenant=TENANT, conversation="c", author="customer", text=text,
        replay=True, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_event_that_nobody_has_read_is_read_by_the_worker() -> None:
    line = Line()
    line.send(
        [
            customer("a", 0, "你们太差劲了"),
            customer("b", 1, "hello <phone>", private=True),
            customer("c", 2, "", type="image"),
        ]
    )
    line.flush()
    rows = {row.event.id: row for row in line.events.values()}
    assert rows["a"].sentiment is not None
    assert rows["a"].sentiment < -0.3
    assert rows["a"].keywords == ("差劲",)
    assert (rows["b"].sentiment, rows["b"].keywords, rows["c"].sentiment) == (None, (), None)


def test_the_key_shows_topics_sentiment_and_their_n_over_half_an_hour() -> None:
    line = Line(reader=Table())
    for number, word in enumerate(("parcel", "parcel", "bill", "hello")):
        line.send([customer(f"e{number}", number, sentiment=-0.5, keywords=(word,))])
    line.send([customer("later", 31 * 60_000, "", type="image", keywords=("bill",))])
    line.tick(START + 29 * 60_000, TENANT)
    line.flush()
    view: View = line.present.view(TENANT)
    key = view.key(("*", "*"), START + 29 * 60_000)
    assert key["topics"] == [
        {"topic": "delivery", "count": 2, "share": 0.5, "change": None},
        {"topic": "invoice", "count": 1, "share": 0.25, "change": None},
    ]
    assert (key["sentiment"], key["sentiment_n"]) == (-0.5, 4)
    assert key["windows"]["30m"]["sentiment_sum"] == -2.0
    assert view.topic_counts(("default", "web"), 1, START) == {"delivery": 2, "invoice": 1}
    assert view.pane_topics(("default", "web"), START + 31 * 60_000) == {"invoice": 1}


def test_state_of_the_form_before_still_loads() -> None:
    """Fields that came later stand at the end and have defaults: rows kept by the release before are read."""
    pane = PaneRow("t", "q", "web", 0, 1)
    assert pane_from(msgspec.msgpack.encode(pane)) == pane
    one = Conversation("t", "c")
    one.episodes.append(Episode(1, 0, one.memory, Hints(), "web", "q", 0, reopen=False, outbound=False))
    one.log.append(Entry(1, 0, "e", "customer"))
    kept = msgspec.msgpack.decode(packed(one))
    entry = msgspec.msgpack.decode(kept[7][3])
    kept[7][3] = msgspec.msgpack.encode(entry[:-3])
    kept[9][0] = kept[9][0][:-3]
    kept[9][0][3] = []
    again = unpacked(msgspec.msgpack.encode(kept))
    assert packed(again)[:40] == packed(one)[:40]
    assert (again.episodes[0].sentiment_n, again.episodes[0].gains) == (0, None)
    assert [(old.id, old.sentiment, old.words) for old in again.log.entries()] == [("e", None, b"")]
    assert tenant_from(msgspec.msgpack.encode({"name": "t"})).topics == []


def label(name: str, at: int, topic: str, kind: str = "label") -> Event:
    return Event(id=name, kind=kind, at=START + at, tenant=TENANT, conversation="c", topic=topic, replay=True)


def taught_by(*records: list[Event]) -> list[tuple[str, bytes, str, int]]:
    """What is said to be learned of these records: topic, words, the topic it stands in for, words known then."""
    line = Line(partitions=1)
    told = []
    for record in records:
        line.send(record)
        told += [(one.topic, one.words, one.instead, one.known) for one in line.shards[0].examples()]
    return told


SAID = [customer("a", 0, keywords=("parcel",), sentiment=0.0), customer("b", 1, keywords=("money",), sentiment=0.0)]
BOTH = hashed(["parcel", "money"])


def test_a_label_becomes_an_example_of_the_words_of_its_episode_and_says_no_text() -> None:
    closed, changed = label("z", 5, "delivery", "closed"), label("y", 9, "refund")
    told = taught_by(SAID, [closed], [changed], [changed], [label("yy", 10, "refund")])
    assert told == [("delivery", BOTH, "", 0), ("refund", BOTH, "delivery", 2)], "a topic said again is nothing new"


def test_a_label_takes_back_what_the_one_before_it_taught_and_no_more() -> None:
    more = customer("d", 7, keywords=("bill",), sentiment=0.0)
    told = taught_by(SAID, [label("x", 5, "invoice")], [more], [label("y", 8, "refund")], [label("z", 9, "invoice")])
    every = hashed(["parcel", "money", "bill"])
    assert told == [("invoice", BOTH, "", 0), ("refund", every, "invoice", 2), ("invoice", every, "refund", 3)]


def test_of_labels_that_come_together_the_last_is_learned_and_one_that_comes_too_late_is_not() -> None:
    together = [label("x", 5, "delivery"), label("y", 9, "refund")]
    assert taught_by(SAID, together) == [("refund", BOTH, "", 0)]
    assert taught_by(SAID, together, [label("w", 7, "invoice")]) == [("refund", BOTH, "", 0)]
    assert taught_by([*SAID, *together], [label("z", 11, "invoice")])[1:] == [("invoice", BOTH, "refund", 2)]


@pytest.mark.parametrize("seed", range(10))
def test_the_rows_of_events_are_enough_to_fold_words_again_without_the_model(seed: int) -> None:
    first = through(story(seed), seed)
    again = Line(story(seed).settings)
    stored = sorted(first.events.values(), key=lambda row: row.position)
    again.send([msgspec.json.decode(msgspec.json.encode(row.event), type=Event) for row in stored if not row.late])
    again.tick(story(seed).tick, TENANT)
    again.flush()
    told = [
        [(row.conversation, row.episode, row.topic, row.sentiment) for row in one.episode_rows()]
        for one in (first, again)
    ]
    assert told[0] == told[1]


def test_what_a_foreign_producer_says_of_topics_counts_on_customers_messages_only() -> None:
    gains, line = {"parcel": 5, "refund": 9}, Line(partitions=1)
    line.send([customer("a", 0, keywords=("x",), sentiment=0.0, gains=gains)])
    line.send([Event(id="b", kind="opened", at=START + 1, tenant=TENANT, conversation="d", gains=gains, replay=True)])
    line.flush()
    assert {row.conversation: row.topic for row in line.episode_rows()} == {"c": "refund", "d": None}
    (pane,) = line.minute_rows()
    assert pane["topics"] == {"refund": 1}


def test_the_change_of_sentiment_is_against_the_day_before_the_half_hour_and_needs_enough_messages() -> None:
    line, noon = Line(), START + 2 * 3_600_000
    line.send([customer(f"a{n}", n, sentiment=0.5) for n in range(19)])
    line.send([customer(f"b{n}", noon - START + n, sentiment=-0.25) for n in range(20)])
    line.tick(noon + 1_000, TENANT)
    line.flush()
    assert line.present.view(TENANT).key(("*", "*"), noon + 1_000)["sentiment_change"] is None
    line.send([customer("a19", 19, sentiment=0.5)])
    line.tick(noon + 2_000, TENANT)
    line.flush()
    assert line.present.view(TENANT).key(("*", "*"), noon + 2_000)["sentiment_change"] == -0.75
    midnight = START // 86_400_000 * 86_400_000 + 86_400_000
    assert line.present.view(TENANT).key(("*", "*"), midnight + 60_000)["sentiment_change"] is None


@pytest.mark.parametrize(
    "absurd",
    [{"sentiment": 1e300}, {"sentiment": -1.001}, {"keywords": ["w"] * 9}, {"gains": {"a": 0}}, {"gains": {"a": 2**40}},
     {"gains": {str(n): 1 for n in range(9)}}],
)  # fmt: skip
def test_absurd_stamps_of_a_foreign_producer_are_a_dead_letter(absurd: Row) -> None:
    plain = {"id": "a", "kind": "message", "at": START, "conversation": "c", "author": "customer", "text": "x"}
    assert not isinstance(read_record(msgspec.json.encode(plain)), str)
    assert isinstance(read_record(msgspec.json.encode(plain | absurd)), str)
