"""What is learned from `chat.labels`, and how it is kept on the embedded stack."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from streams.events import encode
from streams.hashing import hashed
from streams.labels import MOST_WORDS, Example, bounded
from streams.learner import Learner
from streams.lessons import Lessons
from streams.states import Batch, Files


def example(name: str, topic: str = "refund", words: str = "退款", n: int | None = None, tenant: str = "t") -> Example:
    return Example(tenant, name, topic, hashed(words.split()), n)


def test_an_example_that_is_said_again_is_not_learned_again() -> None:
    learner = Learner()
    assert learner.learn(example("a"))
    assert not learner.learn(example("a"))
    assert learner.learn(example("a", tenant="other"))
    kept = learner.changed()
    assert kept.keys() == {"t", "other"}
    assert learner.changed() == {}
    learner.unkept(["t"])
    assert learner.changed() == {"t": kept["t"]}


def test_numbered_examples_are_learned_once_also_over_a_restart() -> None:
    learner = Learner()
    assert [learner.learn(example(str(n), n=n)) for n in (1, 2, 2, 1, 3)] == [True, True, False, False, True]
    again = Learner()
    assert again.restore(learner.changed().items(), learner.learned) == []
    assert not again.learn(example("3", n=3))
    assert again.learn(example("4", "delivery", "快递", n=4))
    assert [topic for topic, _ in again.rank("t", hashed(["退款"]))] == ["refund"]


def test_a_label_that_was_corrected_is_unlearned() -> None:
    learner, right = Learner(), Learner()
    for one in (learner, right):
        one.learn(example("a", "refund", "退款 到账"))
    learner.learn(example("b", "refund", "快递 单号"))
    corrected = example("c", "delivery", "快递 单号 催促")
    corrected.instead, corrected.known = "refund", 2
    learner.learn(corrected)
    right.learn(example("c", "delivery", "快递 单号 催促"))
    assert learner.changed() == right.changed()
    assert not learner.learn(corrected), "and once"


def test_the_same_sequence_gives_the_same_model_in_every_worker() -> None:
    one, other = Learner(), Learner()
    for learner in (one, other):
        for n in range(200):
            learner.learn(example(str(n % 150), f"t{n % 7}", f"w{n % 11} w{n % 5}"))
    assert one.changed() == other.changed()


def test_a_tenant_without_labels_has_no_topics_and_no_model() -> None:
    assert Learner().rank("t", hashed(["退款"])) == ()


def test_what_cannot_be_read_begins_anew_and_the_others_go_on() -> None:
    learner = Learner()
    learner.learn(example("a"))
    again = Learner()
    assert again.restore([("broken", b"\0"), *learner.changed().items()], 0) == ["broken"]
    assert again.rank("t", hashed(["退款"]))


def test_hostile_examples_are_cut_or_left_out() -> None:
    learner = Learner()
    assert not learner.learn(example("a", topic=""))
    assert not learner.learn(example("a", topic="x" * 129))
    assert learner.learn(Example("t", "b", "refund", b"\1" * 100_001))
    assert len(bounded([b"\0" * 1_000] * 3)) == 4 * MOST_WORDS


async def _round(path: Path, values: list[Example]) -> tuple[list[bytes], Learner]:
    """A worker's life: take up, commit these, say, learn, keep. What it said, and what it knows."""
    said: list[bytes] = []

    async def publish(value: bytes) -> None:
        said.append(value)

    files, lessons = Files(path), Lessons(Learner(), publish)
    lessons.take_up(files)
    await lessons.say_kept(files)
    files.commit([Batch(0, 1, [], [], [encode(value) for value in values])])
    await lessons.say_kept(files)
    files.close()
    return said, lessons.learner


def test_examples_are_said_again_at_a_start_until_they_are_learned_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "worker.db"
    said, _ = asyncio.run(_round(path, [example("a"), example("b", "delivery", "快递")]))
    assert len(said) == 2
    again, _ = asyncio.run(_round(path, [example("c")]))
    assert again[:2] == said
    learner = Learner()
    from msgspec.json import decode

    assert all(learner.learn(decode(value, type=Example)) for value in again[:2])
    files = Files(path)
    files.keep_models(learner.changed(), learner.learned)
    files.close()
    last, known = asyncio.run(_round(path, []))
    assert [decode(value, type=Example).id for value in last] == ["c"]
    assert known.rank("t", hashed(["快递"]))


def test_models_that_cannot_be_kept_are_kept_later(tmp_path: Path) -> None:
    async def publish(value: bytes) -> None:
        """Nobody listens."""

    class Full(Files):
        def keep_models(self, models: object, learned: int) -> None:
            raise sqlite3.OperationalError("disk full")

    async def keep() -> dict[str, bytes]:
        lessons = Lessons(Learner(), publish)
        lessons._kept_at = -1e9
        lessons.learner.learn(example("a", n=1))
        lessons.keep(Full(tmp_path / "worker.db"))
        return lessons.learner.changed()

    assert asyncio.run(keep()).keys() == {"t"}


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"tenant":"t"}', b"\xff"])
def test_a_label_that_nobody_can_read_is_left_out(value: bytes) -> None:
    async def publish(value: bytes) -> None:
        """Nobody listens."""

    class Record:
        topic, offset = "chat.labels", 7

    async def hear() -> int:
        lessons = Lessons(Learner(), publish)
        record = Record()
        record.value = value  # type: ignore[attr-defined]  # as aiokafka's has
        lessons._hear(record)
        return len(lessons.learner.changed())

    assert asyncio.run(hear()) == 0


def test_a_worker_that_starts_waits_for_what_it_had_not_learned_but_not_for_ever(tmp_path: Path) -> None:
    async def start(deaf: bool) -> tuple[bool, int]:
        told: list[bytes] = []

        async def publish(value: bytes) -> None:
            told.append(value)

        files, lessons = Files(tmp_path / "worker.db"), Lessons(Learner(), publish)
        files.commit([Batch(0, 1, [], [], [encode(example(str(n))) for n in range(3)])])
        await lessons.say_kept(files)
        files.close()

        class Record:
            topic, offset = "chat.labels", 1

            def __init__(self, value: bytes) -> None:
                self.value = value

        async def hear() -> None:
            for value in told:
                await asyncio.sleep(0)
                lessons._hear(Record(value))

        hearing = asyncio.create_task(hear() if not deaf else asyncio.sleep(0))
        heard = await lessons.heard(0.05 if deaf else 10)
        await hearing
        return heard, lessons.learner.learned

    assert asyncio.run(start(deaf=False)) == (True, 3)
    assert asyncio.run(start(deaf=True)) == (False, 0)


def test_new_examples_are_numbered_above_what_was_learned_even_in_a_file_made_anew(tmp_path: Path) -> None:
    files = Files(tmp_path / "worker.db")
    files.keep_models({"t": b"model"}, 5_000)
    files.commit([Batch(0, 1, [], [], [b"one", b"two"])])
    assert files.examples(0) == [(5_001, b"one"), (5_002, b"two")]
    files.keep_models({}, 5_002)
    files.commit([Batch(0, 2, [], [], [b"three"])])
    assert files.examples(0) == [(5_003, b"three")]
    assert (files.learned(), files.models()) == (5_002, [("t", b"model")])
    files.close()
