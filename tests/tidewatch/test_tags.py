"""What the demo's desk files conversations under, where the data do not say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from models.topics import Topics
from models.words import words
from streams.hashing import hashed
from tidewatch import demo
from tidewatch.datasets import Said, Thread
from tidewatch.tags import WORDS, topic_of
from tidewatch.weave import closed


def thread(*said: str, queue: str = "ubuntu", author: str = "customer") -> Thread:
    messages = tuple(Said(str(n), n, author, "u", text) for n, text in enumerate(said))  # type: ignore[arg-type]
    return Thread("t", queue, "irc", messages, 99)


@pytest.mark.parametrize(
    ("said", "topic"),
    [
        (("my upgrade failed", "it stopped in the middle"), "upgrade"),
        (("no sound", "wifi works, the network too"), "network"),
        (("wifi or sound?",), "network"),
        (("is anybody here?",), None),
        (("latitude",), None),
        (("ATI is slow",), "graphics"),
    ],
)
def test_the_words_used_most_often_decide_of_equals_the_first_in_the_list(
    said: tuple[str, ...], topic: str | None
) -> None:
    assert topic_of(thread(*said)) == topic


def test_only_the_customers_words_count_and_only_in_queues_that_have_a_list() -> None:
    assert topic_of(thread("try an upgrade", author="agent")) is None
    assert topic_of(thread("upgrade", queue="dining")) is None


def test_what_the_data_say_stands() -> None:
    assert closed(replace(thread("upgrade"), topic="given")).topic == "given"
    assert closed(thread("upgrade")).topic == "upgrade"


def test_no_topic_is_told_of_two_queues() -> None:
    topics = [topic for lists in WORDS.values() for topic in lists]
    assert len(topics) == len(set(topics))


@pytest.mark.slow
def test_the_model_that_learned_from_the_demos_closings_finds_the_surge_about_its_cause() -> None:
    desk, model = demo.shipped(), Topics()
    threads = [one for parts in desk.lanes.values() for part in parts for one in part.threads]
    for one in threads:
        if one.topic:
            said = [word for message in one.said if message.author == "customer" for word in words(message.text)]
            model.learn_one(hashed(said)[:256], one.topic)

    def about(some: list[Thread]) -> Counter[str | None]:
        asked = [message.text for one in some for message in one.said if message.author == "customer"]
        return Counter(model.predict_one(hashed(words(text))) for text in asked)

    surge, usual = about(list(desk.surge)), about([one for one in threads if one.queue == "ubuntu"])
    known = {topic: n for topic, n in surge.items() if topic}
    assert max(known, key=known.__getitem__) == "upgrade"
    assert surge["upgrade"] / surge.total() > 5 * usual["upgrade"] / usual.total()
