"""Which customers an excess comes from: `attrs.segment`, against its usual share."""

from __future__ import annotations

import math
import zlib
from typing import Any

import msgspec

from streams.events import Event
from streams.reasons import Reasons
from streams.segments import CONVERSATIONS, EACH, LATELY, LONGEST, Segments
from streams.windows import MINUTE
from tests.streams.watching import MONDAY

WEB, APP, ALL = ("billing", "web"), ("billing", "app"), ("*", "*")
ONSET = MONDAY + 60 * MINUTE
NOW = ONSET + MINUTE + 30_000


def message(segments: Segments, at: int, segment: str | None, leaf: tuple[str, str] = WEB, name: str = "") -> None:
    attrs = None if segment is None else {"segment": segment}
    event = Event("m", "message", at, conversation=name or f"c{at}{segment}", author="customer", attrs=attrs)
    segments.take(leaf, at, segments.note(event))


def hour(segments: Segments, leaf: tuple[str, str] = WEB, each: int = 10_000) -> None:
    """What is usual: three of ten are resellers, one of ten says nothing of itself."""
    for n, at in enumerate(range(MONDAY, NOW, each)):
        message(segments, at, "reseller" if n % 10 < 3 else None if n % 10 == 9 else "consumer", leaf)


def said(segments: Segments, rate: float, expected: float, key: tuple[str, str] = WEB) -> dict[str, float]:
    volume: dict[str, Any] = {"rate_per_min": rate, "expected": expected}
    parts = segments.parts(key, volume, NOW)
    assert all(part["dimension"] == "segment" for part in parts)
    assert not parts or math.isclose(sum(part["excess"] for part in parts), rate - expected, abs_tol=1e-9)
    assert not parts or math.isclose(sum(part["share"] for part in parts), 1.0, abs_tol=1e-9)
    return {part["value"]: part["excess"] for part in parts}


def test_the_segment_that_writes_more_than_usual_is_named_first_and_the_parts_sum_to_the_excess() -> None:
    segments = Segments()
    hour(segments)
    for at in range(ONSET, NOW, 1_000):
        message(segments, at + 1, "reseller")
    found = said(segments, 66.0, 6.0)
    assert next(iter(found)) == "reseller"
    assert found["reseller"] > 50


def test_a_segment_given_as_a_conversation_opens_holds_for_its_messages() -> None:
    segments = Segments()
    hour(segments)
    for n in range(20):
        opened = Event("o", "opened", ONSET, conversation=f"vip{n}", attrs={"segment": " vip\n gold ", "plan": "x"})
        segments.note(opened)
        message(segments, ONSET + n * 1_000, None, name=f"vip{n}")
    assert next(iter(said(segments, 40.0, 6.0))) == "vip gold"


def test_a_queue_whose_source_knows_no_segments_is_not_said_to_be_of_anothers() -> None:
    segments = Segments()
    hour(segments)
    hour(segments, APP)
    for at in range(ONSET, NOW, 100):
        message(segments, at + 1, None, ("returns", "web"))
    found = said(segments, 600.0, 12.0, ALL)
    assert found["other"] > 0.97 * 588


def test_nothing_is_said_of_segments_where_none_are_given_or_too_little_is_known() -> None:
    segments = Segments()
    for at in range(MONDAY, NOW, 5_000):
        message(segments, at, None)
    assert said(segments, 60.0, 6.0) == {}
    for at in range(NOW - 60_000, NOW, 500):
        message(segments, at, "vip")
    assert said(segments, 60.0, 6.0) == {}, "nothing of it is usual yet"


def test_a_source_that_puts_ids_in_place_of_segments_names_nobody_and_fills_no_memory() -> None:
    segments = Segments()
    for n, at in enumerate(range(MONDAY, NOW, 150)):
        message(segments, at, f"customer {n} " + "x" * 100)
    found = said(segments, 900.0, 400.0)
    assert not set(found) - {"other"}
    of, leaves = msgspec.msgpack.decode(zlib.decompress(segments.to_bytes()))
    assert len(of) <= CONVERSATIONS
    assert all(len(segment) <= LONGEST for _, segment in of)
    (_, _, (recent, usual, _)) = leaves[0]
    assert len(usual) <= EACH + 1
    assert len(recent) <= LATELY // MINUTE
    assert all(len(counts) <= 2 * EACH + 1 for counts in recent.values())


def test_what_is_kept_says_the_same_as_what_went_on() -> None:
    segments = Segments()
    hour(segments)
    again = Segments().restored(segments.to_bytes())
    for one in (segments, again):
        message(one, ONSET + 1, "vip", name="c")
        for n in range(30):
            message(one, ONSET + 2 + n, None, name="c")
    assert said(segments, 30.0, 6.0) == said(again, 30.0, 6.0) != {}


def test_what_an_older_version_kept_of_segments_is_left_and_the_words_beside_it_are_taken_up() -> None:
    reasons = Reasons()
    hour(reasons.segments)
    reasons.tick = NOW
    kept = msgspec.msgpack.decode(reasons.to_bytes())
    kept[-1] = [[], []]
    again = Reasons()
    again.load(msgspec.msgpack.encode(kept))
    assert again.tick == NOW
    assert said(again.segments, 30.0, 6.0) == {}
