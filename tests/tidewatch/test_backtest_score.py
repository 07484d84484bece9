"""What fires come to, against incidents and grades."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tidewatch.backtest_score import (
    EARLY_MS,
    WEEK_MS,
    Fire,
    Graded,
    Incident,
    IncidentsError,
    Score,
    at_night,
    confirmed,
    incidents_in,
    score,
    touches,
)

MINUTE = 60_000
T = 1_772_409_600_000
"""2026-03-02T00:00Z, a Monday."""
UTC = ZoneInfo("UTC")


def fire(since: int, until: int, queue: str = "q", channel: str = "*", tenant: str = "t") -> Fire:
    return Fire("r", tenant, queue, channel, T + since * MINUTE, T + until * MINUTE, firing_ms=(until - since) * MINUTE)


def incident(since: int, until: int, queue: str = "q", tenant: str = "t") -> Incident:
    return Incident("", tenant, T + since * MINUTE, T + until * MINUTE, queue)


def scored(fires: list[Fire], incidents: list[Incident], graded: list[Graded] | None = None) -> Score:
    return score(("r", "warning"), fires, WEEK_MS * 2, lambda _: UTC, incidents, graded or [])


def test_a_fire_is_about_an_incident_of_its_place_at_its_time_or_just_before() -> None:
    one = incident(60, 90)
    early = EARLY_MS // MINUTE
    assert touches(fire(70, 80), one)
    assert touches(fire(89, 200), one)
    assert not touches(fire(90, 200), one)
    assert touches(fire(0, 60 - early + 1), one)
    assert not touches(fire(0, 60 - early), one)
    assert touches(fire(70, 80, queue="*"), one)
    assert touches(fire(70, 80), incident(60, 90, queue="*"))
    assert not touches(fire(70, 80, queue="other"), one)
    assert not touches(fire(70, 80, tenant="other"), one)
    assert touches(fire(70, 80, tenant="other"), incident(60, 90, tenant="*"))


def test_lead_is_from_the_first_fire_to_the_beginning_of_the_incident() -> None:
    fires = [fire(55, 58), fire(62, 70), fire(130, 140), fire(300, 301)]
    found = scored(fires, [incident(60, 90), incident(120, 150), incident(500, 600)])
    assert (found.found, found.incidents, found.right, found.fires) == (2, 3, 3, 4)
    assert found.lead_ms == (5 - 10) * MINUTE / 2
    assert found.minutes == 3 + 8 + 10 + 1
    assert found.per_week == 2.0


def test_without_incidents_nothing_is_said_of_overlap() -> None:
    found = scored([fire(0, 1)], [])
    assert (found.right, found.found, found.lead_ms, found.useful_rate) == (None, None, None, None)


def test_the_rate_of_useful_alerts_is_that_of_the_graded_of_this_rule() -> None:
    graded = [Graded(rule, "t", "q", "*", T, T, grade) for rule, grade in
              (("r", "useful"), ("r", "useful"), ("r", "noise"), ("r", None), ("other", "noise"))]  # fmt: skip
    found = scored([], [], graded)
    assert (found.useful, found.noise, found.useful_rate) == (2, 1, 2 / 3)


def test_the_night_is_that_of_the_tenants_zone() -> None:
    assert not at_night(T + 21 * 60 * MINUTE, UTC)
    assert at_night(T + 22 * 60 * MINUTE, UTC)
    assert at_night(T + 7 * 60 * MINUTE, UTC)
    assert not at_night(T + 8 * 60 * MINUTE, UTC)
    assert not at_night(T + 1 * 60 * MINUTE, ZoneInfo("Asia/Shanghai"))
    assert scored([fire(0, 1), fire(12 * 60, 13 * 60)], []).night == 1


def test_overlapping_useful_alerts_of_one_place_are_one_incident() -> None:
    def useful(since: int, until: int, queue: str = "q") -> Graded:
        return Graded("surge", "t", queue, "*", T + since, T + until, "useful")

    found = confirmed(
        [
            useful(0, 10),
            useful(20, 30),
            useful(5, 15),
            useful(7, 9, "p"),
            Graded("x", "t", "q", "*", T, T + 99, "noise"),
        ]
    )
    assert [(one.since - T, one.until - T, one.queue) for one in found] == [(0, 15, "q"), (7, 9, "p"), (20, 30, "q")]


def test_incidents_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "i.toml"
    file.write_text(
        'zone = "Asia/Shanghai"\n[[incident]]\nname = "x"\nqueue = "q"\n'
        "from = 2026-03-02T08:00:00\nto = 2026-03-02T01:00:00Z\n"
    )
    assert incidents_in(file) == [Incident("x", "*", T, T + 60 * MINUTE, "q")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[incident]]\nfrom = 2026-03-02T08:00:00Z\n", "incident 1: to is missing"),
        ("[[incident]]\nfrom = 2026-03-02\nto = 2026-03-03\n", "incident 1: 2026-03-02T00:00:00 has no offset"),
        ("[[incident]]\nsince = 1\n", "incident 1: not known there (allowed: name"),
        ("incident = 1\n", "not a list of incidents"),
        ("incident = [", "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "i.toml"
    file.write_text(text)
    with pytest.raises(IncidentsError) as wrong:
        incidents_in(file)
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)
