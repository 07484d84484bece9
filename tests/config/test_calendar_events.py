"""Planned events: the file as people write it, and as the commands change it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.calendar_events import EventsError, Planned, listed, parse, planned
from config.calendar_file import add, remove

SALE = """# ours
zone = "Asia/Shanghai"

[[event]]
name = "Double 11"
from = 2026-11-11
to = 2026-11-12T00:00:00   # midnight
factor = 3

# the next one
[[event]]
name = "news"
from = 2026-03-02T10:00:00+01:00
to = 2026-03-02T13:00:00+01:00
factor = 0.5
match = { tenant = "ac*", queue = "sales*" }
"""


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_dates_and_local_times_are_those_of_the_zone_beside_them() -> None:
    double, news = parse(SALE)
    assert (double.since, double.until) == (ms("2026-11-11T00:00+08:00"), ms("2026-11-12T00:00+08:00"))
    assert (news.since, news.until) == (ms("2026-03-02T09:00Z"), ms("2026-03-02T12:00Z"))
    assert (news.tenant, dict(news.match), news.factor) == ("ac*", {"queue": "sales*"}, 0.5)


def test_an_event_of_some_tenants_is_not_that_of_the_others() -> None:
    news = parse(SALE)[1]
    assert news.of("acme")
    assert not news.of("bacme")


def test_no_file_plans_nothing(tmp_path: Path) -> None:
    assert planned(tmp_path / "events.toml") == []
    assert planned(None) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone = 3", ":1: zone: no such time zone: 3"),
        ("\nrest = 1", ":2: rest: not known here (allowed: zone, [[event]])"),
        ("event = 1", ":1: event: not a list"),
        ('[[event]]\nname = "x"', ":1: from is missing"),
        (SALE.replace("factor = 3", "factor = 0"), ":8: factor: 0 is not a factor"),
        (SALE.replace("factor = 3", "factor = nan"), ":8: factor: nan is not a factor"),
        (SALE.replace("factor = 3", "factor = true"), ":8: factor: True is not a factor"),
        (SALE.replace('zone = "Asia/Shanghai"', ""), ":6: from: 2026-11-11T00:00:00 has no offset"),
        (SALE.replace("2026-11-12T00:00:00 ", "2026-11-11 "), ":7: to: 2026-11-11 does not lie after from"),
        (SALE.replace("2026-11-12T00:00:00 ", "2028-11-11 "), ":7: to: over 400 days after from"),
        (SALE.replace('"news"', '"Double 11"'), ":12: name: 'Double 11' is given twice"),
        (
            SALE.replace("queue = ", "line = "),
            ":16: match: 'line' is not a dimension (allowed: tenant, queue, channel)",
        ),
        (SALE.replace("factor = 0.5", "fakter = 0.5"), ":15: fakter: not a key of an event"),
        (SALE + "[[event", ":17: not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(EventsError) as wrong:
        parse(text, "e.toml")
    assert str(wrong.value).startswith(f"e.toml{said}")
    assert "\n" not in str(wrong.value)


def test_what_is_added_and_removed_leaves_everything_else_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    file.write_text(SALE)
    made = add(
        file, {"name": 'a "b" \\', "from": "2026-05-01", "to": "2026-05-02", "factor": 2, "match": {"queue": "x*"}}
    )
    assert file.read_text().startswith(SALE)
    assert (
        planned(file)[2]
        == made
        == Planned(made.name, ms("2026-05-01T00:00+08:00"), made.until, 2.0, "*", {"queue": "x*"})
    )
    remove(file, "Double 11")
    assert "# ours" in file.read_text()
    assert "# the next one" in file.read_text()
    remove(file, made.name)
    assert [event.name for event in planned(file)] == ["news"]
    assert [path.name for path in tmp_path.iterdir()] == ["events.toml"]


def test_a_name_is_given_once_and_only_what_is_there_can_be_removed(tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    file.write_text(SALE)
    with pytest.raises(EventsError, match="there is an event 'news' already"):
        add(file, {"name": "news", "from": "2026-05-01", "to": "2026-05-02", "factor": 2})
    with pytest.raises(EventsError, match="there is no event 'new' "):
        remove(file, "new")
    with pytest.raises(EventsError, match="not a factor"):
        add(file, {"name": "other", "from": "2026-05-01", "to": "2026-05-02", "factor": -1})
    assert file.read_text() == SALE


def test_events_that_are_no_tables_of_their_own_are_taken_out_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    text = 'event = [{ name = "x", from = 2026-01-01T00:00:00Z, to = 2026-01-02T00:00:00Z, factor = 2 }]\n'
    file.write_text(text)
    with pytest.raises(EventsError, match="by hand"):
        remove(file, "x")
    with pytest.raises(EventsError):
        add(file, {"name": "y", "from": "2026-05-01T00:00Z", "to": "2026-05-02T00:00Z", "factor": 2})
    assert file.read_text() == text


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.toml"

    def plan(n: int) -> None:
        add(file, {"name": f"e{n}", "from": "2026-05-01T00:00Z", "to": "2026-05-02T00:00Z", "factor": 2})

    threads = [threading.Thread(target=plan, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event.name for event in planned(file)} == {f"e{n}" for n in range(16)}


def test_the_feed_lists_what_is_under_way_or_comes_within_a_day() -> None:
    day = 86_400_000
    double = parse(SALE)[0]
    assert listed([double], "acme", double.since - day - 1) == []
    assert listed([double], "acme", double.until) == []
    for now in (double.since - day, double.until - 1):
        assert listed([double], "acme", now) == [
            {
                "tenant": "acme", "name": "Double 11", "factor": 3.0,
                "from": "2026-11-10T16:00:00.000Z", "to": "2026-11-11T16:00:00.000Z",
                "match": {"queue": "*", "channel": "*"},
            }
        ]  # fmt: skip
    assert datetime.fromtimestamp(double.since / 1000, UTC).hour == 16
