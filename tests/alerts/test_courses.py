"""The course of what a rule judges, for the picture in its letter: its own number, a point a minute, with its bound."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from alerts.chart import HEIGHT, png
from alerts.courses import KEPT, LEAST, MOST, Courses
from alerts.judging import Sample
from alerts.mail import picture_of
from alerts.notices import Policy
from alerts.outbox import Store
from alerts.paper import caption
from alerts.readings import TenantReading
from alerts.watch import Watch
from streams.events import REAL
from tests.alerts.build import BACKLOG, T0, M, S, key, readings, rules

WAIT = "- {name: oldest, metric: oldest_ms, scope: {queue: '*'}, fire: '> 15m', clear: '<= 5m'}"
LOW = "- {name: level, metric: service_level, window: 30m, scope: {queue: '*'}, fire: '< 60%', clear: '>= 75%'}"


def letter_after(minutes: int, ruleset: str = BACKLOG, **fields: Any) -> dict[str, Any]:
    """The body of the letter that tells of a breach after so many calm minutes, with a tick each half minute."""
    now = T0
    with Store(":memory:") as store:
        policy = Policy(("mail",), charted=frozenset({"mail"}))
        watch = Watch(store, rules(ruleset), policy, now=lambda: now)
        watch.chart_of = lambda _: {"from": T0, "customer_messages": [1.0, 2.0]}
        for step in range(2 * minutes):
            now = T0 + step * 30 * S
            watch.judge(REAL, now, readings([key(backlog=step // 2, oldest_ms=step * S)]))
        now = T0 + minutes * M
        watch.judge(REAL, now, readings([key(**{"backlog": 30, **fields})]))
        return dict(json.loads(store.due("mail", 1 << 60)[0].body))


def test_a_letter_shows_the_rules_own_number_to_the_one_that_fired_with_its_bound() -> None:
    chart = letter_after(10)["chart"]
    assert chart["values"] == [*range(10), 30]
    assert (chart["from"], chart["step_s"], chart["limit"], chart["unit"]) == (T0, 60, 20, "count")
    assert caption(chart, "en") == "Backlog, last 11 min; broken line: the limit, 20; upright line: when it began."
    assert caption(chart, "zh").endswith("虚线为阈值 20，竖线为开始时刻。")


def test_where_too_little_is_known_of_it_messages_are_shown() -> None:
    assert "values" not in letter_after(LEAST - 2)["chart"]
    assert "values" in letter_after(LEAST - 1)["chart"]


def test_without_letters_nothing_is_kept() -> None:
    with Store(":memory:") as store:
        watch = Watch(store, rules(BACKLOG), Policy(("hook",)), now=lambda: T0)
        watch.judge(REAL, T0, readings([key(backlog=3)]))
        assert watch._courses._of == {}


def noted(courses: Courses, minute: int, value: float | None, clock: str = REAL, queue: str = "q") -> None:
    (rule,) = rules(BACKLOG).rules
    courses.note(clock, T0 + minute * M, lambda: [Sample(rule, "shop", queue, "*", value)])


def test_a_course_is_three_hours_long_has_gaps_where_nothing_was_judged_and_ends_where_its_slot_has_gone() -> None:
    courses = Courses()
    for minute in range(400):
        noted(courses, minute, None if minute == 390 else float(minute))
    (course,) = courses._of.values()
    assert len(course.values) == KEPT
    assert [str(value) for value in course.values[-11:-8]] == ["389.0", "nan", "391.0"]
    for minute in range(400, 400 + KEPT + 1):
        noted(courses, minute, 1.0, queue="other")
    assert {slot.queue for slot in courses._of} == {"other"}


def test_another_clock_begins_a_course_anew_and_a_minute_is_noted_once() -> None:
    courses = Courses()
    noted(courses, 1_000, 5.0, clock="shop")
    noted(courses, 3, 7.0)
    noted(courses, 3, 9.0)
    (course,) = courses._of.values()
    assert list(course.values) == [7.0]


def test_however_many_places_there_are_the_courses_are_bounded() -> None:
    courses, (rule,) = Courses(), rules(BACKLOG).rules
    courses.note(REAL, T0, lambda: (Sample(rule, "shop", f"q{n}", "*", 1.0) for n in range(MOST + 50)))
    assert len(courses._of) == MOST


def pixels(chart: dict[str, Any]) -> Image.Image:
    """The picture, opened."""
    drawn = png(chart, T0 + 5 * M, "UTC")
    assert drawn is not None
    return Image.open(io.BytesIO(drawn)).convert("RGB")


@pytest.mark.parametrize(
    ("unit", "values", "limit"),
    [
        ("ms", [0, 60_000, 1_200_000, None, 900_000], 900_000),
        ("ratio", [1.0, 0.9, 0.5, 0.4, None], 0.6),
        ("score", [0.1, -0.2, -0.4, -0.5, -0.45], -0.3),
        ("count", [0, 5, 25, 60, 27], 20),
        ("s", [1, 2, 3, 4, 5], None),
    ],
)
def test_any_number_is_drawn_with_its_bound_at_its_height(unit: str, values: list[Any], limit: float | None) -> None:
    chart = {"from": T0, "step_s": 60, "values": values, "unit": unit, "limit": limit}
    image, bare = pixels(chart), pixels({**chart, "limit": None})
    rows = [y for y in range(HEIGHT) if any(image.getpixel((x, y)) != bare.getpixel((x, y)) for x in range(60, 600, 7))]
    assert bool(rows) is (limit is not None)
    assert len(rows) < 12, "one line"


def test_what_is_no_number_of_a_queue_has_a_course_too() -> None:
    body = letter_after(10, WAIT, oldest_ms=16 * M)
    assert body["chart"]["unit"] == "ms"
    shown = picture_of([body], "zh")
    assert shown is not None
    assert "15分" in shown.caption
    low = letter_after(10, LOW, w30m={"service_level": 0.4})
    assert "values" not in low["chart"], "judged once"


def test_a_number_of_a_whole_tenant_has_a_course() -> None:
    now = T0
    with Store(":memory:") as store:
        watch = Watch(
            store, rules("- {name: silent, metric: no_data, fire: '> 8m'}"),
            Policy(("mail",), charted=frozenset({"mail"})), now=lambda: now,
        )  # fmt: skip
        for minute in range(10):
            now = T0 + minute * M
            watch.judge(REAL, now, readings([], shop=TenantReading(no_data_ms=minute * M)))
        chart = json.loads(store.due("mail", 1 << 60)[0].body)["chart"]
    assert chart["values"] == [minute * M for minute in range(10)]
