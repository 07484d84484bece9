"""The data sets as events: what the data say is kept, what is guessed is marked, and every run gives the same."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatch import data, datasets
from tidewatch.datasets import MINUTE, SILENCE_MS, clock, drawn, events, irc, kind_of, percentiles, stretch

KINDS = {"message", "closed", "agent_status"}


def line(n: int, ts: str, author: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"file": "stripe.0", "n": n, "ts": ts, "author": author, "text": text} | more


def chat(*given: tuple[str, str, str], **more: Any) -> list[dict[str, Any]]:
    """Lines `(time, author, text)` of one annotated thread."""
    return [line(n, f"2019-09-04T{at}", author, text, conv=0, **more) for n, (at, author, text) in enumerate(given)]


@pytest.fixture(scope="module")
def helpdesks() -> datasets.Mapped:
    return irc(datasets.rows(data.IRC_HELPDESKS))


@pytest.fixture(scope="module")
def ubuntu() -> datasets.Mapped:
    return irc(datasets.rows(data.IRC_UBUNTU))


@pytest.fixture(scope="module")
def dialogues() -> datasets.Mapped:
    return datasets.crosswoz(datasets.rows(data.CROSSWOZ))


# --- time ------------------------------------------------------------------------------------------------------------


def test_lines_of_one_minute_are_spread_over_it_in_their_order() -> None:
    assert [at % MINUTE for at in clock(["2010-01-01T10:00"] * 3 + ["2010-01-01T10:01"])] == [0, 20_000, 40_000, 0]


def test_a_twelve_hour_clock_that_passes_one_o_clock_goes_on() -> None:
    before, after = clock(["2010-01-01T12:59", "2010-01-01T01:00"])
    assert after - before == MINUTE


def test_a_clock_that_falls_a_little_stands_still() -> None:
    ats = clock(["2010-01-01T10:05", "2010-01-01T10:03", "2010-01-01T10:06"])
    assert ats == sorted(ats)
    assert ats[2] - ats[0] == MINUTE


@given(st.lists(st.integers(0, 2_879), min_size=1, max_size=80))
def test_a_clock_never_falls(minutes: list[int]) -> None:
    ats = clock([f"2010-01-{1 + m // 1440:02}T{m // 60 % 24:02}:{m % 60:02}" for m in minutes])
    assert all(before <= after for before, after in pairwise(ats))


# --- roles and threads -----------------------------------------------------------------------------------------------


def test_who_opens_a_thread_is_its_customer_and_everybody_else_answers() -> None:
    (thread,) = stretch(
        "stripe.0", chat(("10:00:00", "u1", "help"), ("10:00:30", "u2", "yes?"), ("10:01:00", "u1", "thanks"))
    ).threads
    assert [said.author for said in thread.said] == ["customer", "agent", "customer"]
    assert [said.author_id for said in thread.said] == ["stripe.0:u1", "stripe.0:u2", "stripe.0:u1"]
    assert (thread.queue, thread.channel, thread.id) == ("stripe", "irc", "stripe.0:0")


def test_a_conversation_closes_half_an_hour_after_its_last_line_or_where_its_stretch_ends() -> None:
    rows = chat(("10:00:00", "u1", "help"))
    later = line(9, "2019-09-04T10:10:00", "u9", "bye")
    much_later = line(9, "2019-09-04T11:00:00", "u9", "bye")
    (soon,), (late,) = stretch("stripe.0", [*rows, later]).threads, stretch("stripe.0", [*rows, much_later]).threads
    assert soon.closed_at - soon.at == 10 * MINUTE
    assert late.closed_at - late.at == SILENCE_MS


def test_a_factoid_bot_is_known_by_what_its_lines_follow_upon() -> None:
    calls = [
        row
        for n in range(0, 10, 2)
        for row in (
            line(n, f"2019-09-04T10:{n:02}:00", "u1", "!wifi", conv=n),
            line(n + 1, f"2019-09-04T10:{n:02}:01", "u7", "wifi is at …", conv=n),
        )
    ]
    threads = stretch("stripe.0", calls).threads
    assert {said.author for thread in threads for said in thread.said[1:]} == {"bot"}


def test_notices_of_programs_are_left_out() -> None:
    rows = [line(n, "2019-09-04T10:00:00", "u3", "New patchset: x", conv=n) for n in range(5)]
    data_set = stretch("mediawiki.0", [*rows, line(9, "2019-09-04T10:00:00", "u1", conv=9)])
    assert len(data_set.threads) == 1
    assert data_set.left_out == {"notices of a program": 5}


def test_lines_nobody_annotated_are_left_out_and_counted_unless_guessing_is_asked_for() -> None:
    rows = [line(0, "2019-09-04T10:00:00", "u001", "help?"), line(1, "2019-09-04T10:01:00", "u002", "u001: yes")]
    assert stretch("rust.0", rows).threads == ()
    assert stretch("rust.0", rows).left_out == {"nobody annotated them": 2}
    (thread,) = stretch("rust.0", rows, guess=True).threads
    assert [said.author for said in thread.said] == ["customer", "agent"]
    (opened, answered, _) = datasets.thread_events(thread)
    assert opened["attrs"] == {"thread": "guessed"}
    assert "attrs" not in answered


def test_a_guess_follows_who_addresses_whom_and_ten_quiet_minutes_begin_anew() -> None:
    said = [("10:00:00", "u001", "help"), ("10:00:10", "u005", "me too"), ("10:01:00", "u002", "u001: try this")]
    said += [("10:02:00", "u001", "it works"), ("10:20:00", "u001", "another thing")]
    rows = [line(n, f"2019-09-04T{at}", author, text) for n, (at, author, text) in enumerate(said)]
    threads = stretch("rust.0", rows, guess=True).threads
    assert [[one.id for one in thread.said] for thread in threads] == [
        ["rust.0:0", "rust.0:2", "rust.0:3"],
        ["rust.0:1"],
        ["rust.0:4"],
    ]


def test_who_answered_five_times_was_there_from_the_first_to_the_last() -> None:
    rows = [line(n, f"2019-09-04T10:0{n}:00", "u2" if n % 2 else "u1", conv=0) for n in range(10)]
    (shift,) = stretch("stripe.0", rows).shifts
    assert (shift.agent, shift.until - shift.since) == ("stripe.0:u2", 8 * MINUTE)
    on, off = datasets.shift_events(shift)
    assert (on["status"], off["status"]) == ("online", "offline")
    assert "capacity" not in on


def test_what_happens_at_one_instant_is_numbered() -> None:
    (thread,) = stretch("stripe.0", chat(("10:00:00", "u1", "a"))).threads
    assert [event.get("seq", 0) for event in datasets.thread_events(thread)] == [0, 1]


# --- the guess, measured ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_guessed_threads_agree_with_the_annotators_on_the_help_desks_as_far_as_we_say() -> None:
    right = of = 0
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in datasets.rows(data.IRC_HELPDESKS):
        by_file[row["file"]].append(row)
    for rows in by_file.values():
        log = datasets.log_lines(rows)
        noise = datasets.notices(log)
        people = [one for one in log if one.author not in noise]
        blind = [datasets.Line(one.n, one.at, one.author, one.text, None) for one in people]
        place = {one.n: n for n, thread in enumerate(datasets.guessed(blind)) for one in thread}
        truth = {one.n: one.conv for one in people if one.conv is not None}
        right, of = right + overlap(truth, place), of + len(truth)
    assert 0.70 <= right / of <= 0.78


def overlap(truth: dict[int, Any], place: dict[int, int]) -> int:
    """Lines in the right thread when every true thread is matched to at most one guess, the greatest overlaps first."""
    pairs = Counter((conv, place[n]) for n, conv in truth.items())
    convs: set[Any] = set()
    guesses: set[int] = set()
    right = 0
    for (conv, guess), n in pairs.most_common():
        if conv not in convs and guess not in guesses:
            convs.add(conv)
            guesses.add(guess)
            right += n
    return right


# --- the shipped cut -------------------------------------------------------------------------------------------------


def test_the_shipped_cut_is_small_and_says_where_it_comes_from() -> None:
    files = (data.IRC_HELPDESKS, data.IRC_UBUNTU, data.CROSSWOZ)
    assert sum(file.stat().st_size for file in files) < 2_500_000
    told = (data.HERE / "CREDITS.md").read_text()
    for needed in ("CC BY 4.0", "Apache-2.0", "Kummerfeld", "Gouravajhala", "CrossWOZ", *(file.name for file in files)):
        assert needed in told


@pytest.mark.slow
def test_the_shipped_cut_holds_what_its_page_says(
    helpdesks: datasets.Mapped, ubuntu: datasets.Mapped, dialogues: datasets.Mapped
) -> None:
    def numbers(mapped: datasets.Mapped) -> tuple[int, int, int]:
        answered = sum(thread.answered for thread in mapped.threads)
        return len(mapped.threads), answered, sum(len(thread.said) for thread in mapped.threads)

    assert numbers(helpdesks) == (122, 95, 1_166)
    assert numbers(ubuntu) == (7_819, 3_752, 49_633)
    assert numbers(dialogues) == (500, 500, 8_458)


@pytest.mark.parametrize("name", ["helpdesks", pytest.param("ubuntu", marks=pytest.mark.slow), "dialogues"])
def test_events_keep_to_the_contract_and_to_the_order_of_time(name: str, request: pytest.FixtureRequest) -> None:
    made = events(request.getfixturevalue(name))
    assert [event["at"] for event in made] == sorted(event["at"] for event in made)
    ids = Counter(
        (event.get("conversation"), event.get("agent") if "status" in event else None, event["id"]) for event in made
    )
    assert max(ids.values()) == 1
    assert len({event["id"] for event in made}) == len(made)
    for event in made:
        assert event["kind"] in KINDS
        assert len(event["id"]) <= 64
        assert len(event.get("conversation", "c")) <= 128
        assert len(event.get("text", "")) <= 8_000
        assert datetime.fromisoformat(event["at"]).tzinfo is not None


@pytest.mark.parametrize("name", ["helpdesks", pytest.param("ubuntu", marks=pytest.mark.slow), "dialogues"])
def test_every_conversation_opens_in_a_queue_and_ends_with_its_closing(
    name: str, request: pytest.FixtureRequest
) -> None:
    by_conversation: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events(request.getfixturevalue(name)):
        if "conversation" in event:
            by_conversation[event["conversation"]].append(event)
    for told in by_conversation.values():
        assert told[0]["author"] == "customer"
        assert told[0]["queue"]
        assert told[0]["customer"] == told[0]["author_id"]
        assert [event["kind"] for event in told].count("closed") == 1
        assert told[-1]["kind"] == "closed"


def test_two_readings_give_the_same_events(dialogues: datasets.Mapped) -> None:
    assert events(datasets.crosswoz(datasets.rows(data.CROSSWOZ))) == events(dialogues)


@pytest.mark.slow
def test_the_first_answers_of_ubuntu_are_those_that_can_be_counted_in_the_rows(ubuntu: datasets.Mapped) -> None:
    """Against an independent count: per annotated thread the first line of another author, by the log's own minutes."""
    opened: dict[tuple[str, int], dict[str, Any]] = {}
    waits: dict[tuple[str, int], float] = {}
    robots = {(row["file"], row["author"]) for row in datasets.rows(data.IRC_UBUNTU) if row.get("bot")}
    for row in datasets.rows(data.IRC_UBUNTU):
        thread = row["file"], row["conv"]
        first = opened.setdefault(thread, row)
        if row["author"] != first["author"] and (row["file"], row["author"]) not in robots and thread not in waits:
            waits[thread] = (datetime.fromisoformat(row["ts"]) - datetime.fromisoformat(first["ts"])).total_seconds()
    ours = [
        next(said.at - thread.at for said in thread.said if said.author == "agent") / 1_000
        for thread in ubuntu.threads
        if thread.answered
    ]
    assert abs(len(ours) - len(waits)) <= 10  # a bot's own threads, and a few programs' notices
    assert abs(median(ours) - median(waits.values())) <= 60


# --- CrossWOZ --------------------------------------------------------------------------------------------------------


def test_a_dialogue_goes_to_the_queue_of_its_first_domain_and_is_about_the_one_most_asked_for() -> None:
    said = [("usr", "餐馆"), ("sys", "餐馆"), ("usr", "酒店"), ("sys", "酒店"), ("usr", "酒店"), ("sys", None)]
    row = {"conv": "7", "messages": [{"role": r, "text": "…", "domains": [d] if d else []} for r, d in said]}
    thread = datasets.dialogue(row, 0, Random(1))
    assert (thread.queue, thread.topic, thread.channel) == ("dining", "hotels", "web")
    closed = datasets.thread_events(thread)[-1]
    assert (closed["by"], closed["agent"], closed["topic"]) == ("agent", "desk-8", "hotels")


def test_gaps_of_dialogues_are_those_of_the_help_desks(helpdesks: datasets.Mapped) -> None:
    """How REPLIES and RETURNS were measured."""
    gaps: dict[tuple[str, str], list[int]] = defaultdict(list)
    for thread in helpdesks.threads:
        for before, after in pairwise(thread.said):
            gaps[before.author, after.author].append(after.at - before.at)
    for pair, table in {("customer", "agent"): datasets.REPLIES, ("agent", "customer"): datasets.RETURNS}.items():
        shorter = sorted(gaps[pair])[: round(0.975 * len(gaps[pair]))]
        assert percentiles(shorter) == table


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50), st.integers())
def test_a_drawn_value_lies_within_its_distribution(values: list[int], seed: int) -> None:
    assert min(values) <= drawn(Random(seed), percentiles(values)) <= max(values)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_file_is_read_gzipped_or_plain_whatever_it_is_called(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"a": 2}]
    text = "\n".join(map(json.dumps, rows)).encode() + b"\n\n"
    (tmp_path / "plain.gz").write_bytes(text)
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(text))
    assert list(datasets.rows(tmp_path / "plain.gz")) == list(datasets.rows(tmp_path / "packed.jsonl")) == rows


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (line(0, "2019-09-04T10:00:00", "u1"), "irc"),
        ({"conv": "1", "type": "t", "messages": []}, "crosswoz"),
        ({"id": "1", "kind": "message", "at": 1, "conversation": "c"}, None),
        ([1], None),
        ({}, None),
    ],
)
def test_a_data_set_is_known_by_its_first_object(first: object, kind: str | None) -> None:
    assert kind_of(first) == kind
