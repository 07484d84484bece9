"""Rising words: found against the key's own past, none from chance, bounded, exact over a restart."""

from __future__ import annotations

from random import Random

import pytest

from models.base import Corrupt
from models.rising import KEYS, RECENT, SPAN_MS, USUAL, RisingWords

T0 = 1_772_445_600_000
USUAL_WORDS = tuple(f"word{n}" for n in range(60))


def chat(model: RisingWords, since: int, spans: int, chance: Random, extra: str | None = None) -> None:
    """Thirty messages in each span, of three usual words each, and one in three with the extra word."""
    for n in range(30 * spans):
        words = chance.sample(USUAL_WORDS, 3)
        if extra and n % 3 == 0:
            words.append(extra)
        model.take(("returns", "web"), since + n * SPAN_MS // 30, words)


def test_a_word_that_was_rare_and_is_now_everywhere_rises_in_its_key_and_the_sums() -> None:
    model, chance = RisingWords(), Random(1)
    chat(model, T0, 144, chance)
    chat(model, T0 + 144 * SPAN_MS, 3, chance, extra="退款")
    now = T0 + 147 * SPAN_MS - 1
    for key in (("returns", "web"), ("returns", "*"), ("*", "web"), ("*", "*")):
        assert model.rising(key, now) == ["退款"]
    assert model.rising(("returns", "app"), now) == []


@pytest.mark.parametrize("minute", range(10))
def test_a_word_rises_also_where_a_span_has_heard_hundreds_of_others_before(minute: int) -> None:
    """A lively room has thousands of words; whenever in ten minutes a surge begins, its word is found in a minute."""
    model, chance = RisingWords(), Random(5)
    many = [f"rare{n}" for n in range(5_000)]

    def say(at: int, extra: list[str]) -> None:
        model.take(("ubuntu", "web"), at, [*chance.sample(USUAL_WORDS, 2), *chance.sample(many, 3), *extra])

    onset = T0 + 40 * SPAN_MS + minute * 60_000
    for at in range(T0, onset, 3_000):
        say(at, [])
    assert model.rising(("ubuntu", "*"), onset) == []
    for n in range(80):
        say(onset + n * 750, ["upgrade"] if n % 3 else [])
    assert model.rising(("ubuntu", "*"), onset + 60_000) == ["upgrade"]
    assert model.rising(("*", "*"), onset + 60_000) == ["upgrade"]


def test_usual_chat_has_no_rising_words() -> None:
    found = 0
    for seed in range(20):
        model, chance = RisingWords(), Random(seed)
        chat(model, T0, 160, chance)
        found += len(model.rising(("returns", "web"), T0 + 160 * SPAN_MS))
    assert found == 0


def test_a_key_without_a_past_has_no_rising_words() -> None:
    model = RisingWords()
    chat(model, T0, 2, Random(1), extra="退款")
    assert model.rising(("returns", "web"), T0 + 2 * SPAN_MS) == []


def test_what_keeps_being_written_becomes_usual_and_what_is_long_past_rises_again() -> None:
    model, chance = RisingWords(), Random(1)
    chat(model, T0, 20, chance)
    chat(model, T0 + 20 * SPAN_MS, 400, chance, extra="parcel")
    assert model.rising(("*", "*"), T0 + 420 * SPAN_MS - 1) == []


def test_a_restart_changes_nothing() -> None:
    one, chance = RisingWords(), Random(3)
    chat(one, T0, 30, chance)
    other = RisingWords().restored(one.to_bytes())
    for model, seed in ((one, 4), (other, 4)):
        chat(model, T0 + 30 * SPAN_MS, 5, Random(seed), extra="login")
    assert one.to_bytes() == other.to_bytes()
    assert one.rising(("*", "*"), T0 + 35 * SPAN_MS) == other.rising(("*", "*"), T0 + 35 * SPAN_MS) == ["login"]


@pytest.mark.parametrize("data", [b"", b"x", RisingWords().to_bytes()[:-3]])
def test_corrupt_state_is_said_to_be_so(data: bytes) -> None:
    with pytest.raises(Corrupt):
        RisingWords().restored(data)


def test_keys_and_words_by_the_thousand_stay_bounded() -> None:
    model = RisingWords(keys=50)
    for n in range(5_000):
        model.take((f"q{n}", "web"), T0 + n, [f"w{n}", f"v{n}"])
        model.take(("q", "web"), T0 + n * 60_000, [f"w{n}", f"v{n}"])
    assert len(model) == 50
    for heard in model._heard.values():
        assert len(heard.usual) <= USUAL
        assert all(len(words) <= 2 * RECENT for words in heard.recent.values())
    assert KEYS == 2_000


def test_time_that_jumps_back_counts_as_past() -> None:
    model = RisingWords()
    model.take(("q", "web"), T0 + 100 * SPAN_MS, ["new"])
    model.take(("q", "web"), T0, ["old"])
    assert model.rising(("q", "web"), T0 + 100 * SPAN_MS) == []
