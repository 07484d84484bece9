"""How well topics and sentiment are read on real chat, and what it costs.

    python -m tests.bench.topics DIR [PART …]

DIR holds the data sets by the names of docs/topics.md, as JSON Lines (`multidogo/*.jsonl.gz` …). Of each the first 80 %
of the conversations teach, one after another, each once; the others are asked, message by message. CrossWOZ stays in
its order; the others, of which some are sorted by class, are shuffled by a seed. None of them has times.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from models.topics import Topics
from models.words import _short, read, sentiment, warm, words
from streams.hashing import hashed
from streams.labels import MOST_WORDS
from tidewatch import datasets

SEED = 7
DOMAINS = datasets.DOMAINS
SMALL_TALK = {
    "openinggreeting", "closinggreeting", "thankyou", "contentonly", "confirmation", "rejection", "outofdomain",
}  # fmt: skip


class Talk(NamedTuple):
    """One conversation: what the customer wrote, what each message is about (None: not said), and the whole."""

    said: list[str]
    topics: list[str | None]
    topic: str


def rows(root: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a set."""
    return [row for path in sorted((root / name).glob("*.jsonl.gz")) for row in datasets.rows(path)]


def sentences(root: Path, name: str, by: str) -> list[Talk]:
    """Sets of single sentences: each a conversation."""
    return [Talk([row["text"]], [row[by]], row[by]) for row in rows(root, name) if row[by] != "oos"]


def shuffled(talks: list[Talk]) -> list[Talk]:
    """In an order that does not depend on the file's."""
    Random(SEED).shuffle(talks)
    return talks


def multidogo(root: Path, by: str) -> list[Talk]:
    """By `domain`; or by `intent`: what the customer wants most often, small talk left out."""
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(root, "multidogo"):
        parts[row["conv"]].append(row)
    talks = []
    for said in parts.values():
        wants = Counter(row["intent"] for row in said if row["intent"] not in SMALL_TALK)
        if by == "intent" and not wants:
            continue
        topic = said[0]["domain"] if by == "domain" else f"{said[0]['domain']}.{wants.most_common(1)[0][0]}"
        talks.append(Talk([row["text"] for row in said], [topic] * len(said), topic))
    return talks


def crosswoz(root: Path) -> list[Talk]:
    """By what most of the customer's messages are about."""
    talks = []
    for row in rows(root, "crosswoz"):
        said = [one for one in row["messages"] if one["role"] == "usr"]
        about = Counter(DOMAINS[domain] for one in said for domain in one["domains"])
        if about:
            each = [DOMAINS[one["domains"][0]] if one["domains"] else None for one in said]
            talks.append(Talk([one["text"] for one in said], each, about.most_common(1)[0][0]))
    return talks


SETS: dict[str, Callable[[Path], list[Talk]]] = {
    "crosswoz": crosswoz,
    "multidogo-domains": lambda root: shuffled(multidogo(root, "domain")),
    "multidogo-intents": lambda root: shuffled(multidogo(root, "intent")),
    "banking77": lambda root: shuffled(sentences(root, "banking77", "intent")),
    "clinc150": lambda root: shuffled(sentences(root, "clinc150", "intent")),
    "clinc150-domains": lambda root: shuffled(sentences(root, "clinc150", "domain")),
}


def topics(name: str, talks: list[Talk]) -> str:
    """One line on a set."""
    cut = len(talks) * 4 // 5
    model, begun = Topics(), time.process_time()
    for talk in talks[:cut]:
        model.learn_one(hashed(word for text in talk.said for word in words(text))[: 4 * MOST_WORDS], talk.topic)
    learning = (time.process_time() - begun) / cut
    messages, whole, asked, known, spent = Counter[bool](), Counter[bool](), 0, 0, 0.0
    for talk in talks[cut:]:
        sums: Counter[str] = Counter()
        for text, topic in zip(talk.said, talk.topics, strict=True):
            found = hashed(words(text))
            begun = time.process_time()
            ranked = model.rank(found)
            spent += time.process_time() - begun
            asked += 1
            known += bool(ranked)
            sums.update(dict(ranked))
            if ranked and topic is not None:
                messages[ranked[0][0] == topic] += 1
        best = min(sums, key=lambda one: (-sums[one], one), default=None)
        whole[best == talk.topic] += 1
    most = Counter(talk.topic for talk in talks[cut:]).most_common(1)[0][1]
    return (
        f"{name:18} {len(model.topics):4} classes {len(talks) - cut:6} conversations: {_share(whole):.3f}"
        f" (greatest class {most / (len(talks) - cut):.3f})   messages: {_share(messages):.3f} of {messages.total()},"
        f" {known / asked:.0%} say something   learn {learning * 1e6:.0f} µs, ask {spent / asked * 1e6:.1f} µs,"
        f" {len(model)} words, {len(model.to_bytes()) / 1024:.0f} KiB"
    )


def _share(counts: Counter[bool]) -> float:
    return counts[True] / max(counts.total(), 1)


def feelings(root: Path) -> str:
    """Restaurant reviews: how often one of 4 stars or more sounds better than one of 2 or fewer."""
    found = [(row["star"], sentiment(row["text"])) for row in rows(root, "asap-sample")]
    good, bad = [s for star, s in found if star >= 4], [s for star, s in found if star <= 2]
    below = [sum(s < -0.3 for s in some) / len(some) for some in (bad, good)]
    right = sum((a > b) + 0.5 * (a == b) for a in good for b in bad) / (len(good) * len(bad))
    return (
        f"sentiment: {len(good)} good and {len(bad)} bad reviews, AUC {right:.3f}; "
        f"below −0.3: {below[0]:.0%} of the bad, {below[1]:.0%} of the good"
    )


def speed(name: str, texts: Iterable[str]) -> str:
    """What reading a message costs: words and sentiment."""
    every = list(texts)[:20_000]
    best = float("inf")
    for _ in range(3):
        _short.cache_clear()
        begun = time.process_time()
        for text in every:
            read(text)
        best = min(best, time.process_time() - begun)
    mean = sum(map(len, every)) / len(every)
    return f"reading {name}: {len(every)} messages of {mean:.0f} characters: {best / len(every) * 1e6:.1f} µs each"


def main(root: Path, parts: list[str]) -> None:
    """Print a line for each part that is asked for."""
    begun = time.process_time()
    warm()
    print(f"loading the lists: {time.process_time() - begun:.2f} s")
    for name, talks in SETS.items():
        if not parts or name in parts:
            print(topics(name, talks(root)), flush=True)
    if not parts or "sentiment" in parts:
        print(feelings(root))
    if not parts or "speed" in parts:
        print(speed("Chinese", (text for talk in crosswoz(root) for text in talk.said)))
        print(speed("English", (row["text"] for row in rows(root, "multidogo"))))
        print(speed("IRC", (row["text"] for row in rows(root, "irc-ubuntu"))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
