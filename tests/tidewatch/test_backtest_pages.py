"""The page and the picture of a backtest."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tidewatch.backtest import write
from tidewatch.backtest_page import data, page
from tidewatch.backtest_result import POINTS, Minutes, Panel, Result
from tidewatch.backtest_score import Fire, Incident, Score

MINUTE = 60_000
T = 1_772_409_600_000
NASTY = '<script>alert("x")</script>&'


def minutes(values: list[float | None], first: int = T) -> Minutes:
    made = Minutes(first)
    for place, value in enumerate(values):
        made.put(first + place * MINUTE, value)
    return made


def result(panels: int = 1, length: int = 600) -> Result:
    why = ({"dimension": "topic", "value": "退款", "excess": 30.0, "share": 0.7},)
    begun, over = T + 60 * MINUTE, T + 90 * MINUTE
    fires = [Fire("surge", "t", NASTY, "*", begun, over, peak=51.0, expected=10.0, drivers=why, keywords=("退款",))]
    seen = minutes([float(n % 50) for n in range(length)])
    band = [minutes([float(n % 50) + add for n in range(length)]) for add in (0, -5, 5)]
    one = Panel("surge", "t", NASTY, "*", "surge", "messages a minute", seen, band[0], band[1], band[2], fires=fires)
    gauge = Panel("backlog-high", "t", "q", "*", "backlog", "count", seen, bound=20.0)
    score = Score("surge", "warning", 1, 1, 30.0, 0.5, 1, 1, 1, 2, -60_000.0, 3, 1)
    incidents = [Incident("outage", "t", T + 61 * MINUTE, T + 80 * MINUTE)]
    drawn = [one, gauge][:panels] if panels < 3 else [one] * panels
    return Result(T, T + length * MINUTE, T, 5, 6, 1.0, [score], fires, incidents, drawn, "Asia/Shanghai", "rules.yaml")


class _Tags(HTMLParser):
    """Every tag that opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "rect", "path", "line", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert not self.open or self.open.pop() == tag or tag in ("rect", "path", "line")


def test_the_page_is_whole_needs_no_network_and_says_everything_in_both_languages() -> None:
    text = page(result(2), 10)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert {"svg", "table"} <= tags.seen
    assert not re.search(r"https?://|src=|@import", text)
    assert len(re.findall('class="zh"', text)) == len(re.findall('class="en"', text)) > 20
    assert "规则回测" in text
    assert "Asia/Shanghai" in text
    assert "2026-03-02 08:00" in text


def test_names_from_outside_are_text_and_nothing_else() -> None:
    text = page(result(), 10)
    assert NASTY not in text
    assert "&lt;script&gt;" in text


def test_a_long_history_is_drawn_in_as_many_points_as_a_screen_has() -> None:
    text = page(result(2, length=60 * 1440), 10)
    assert max(path.count("L") for path in re.findall(r'd="(M[^"]*)"', text)) <= 2 * POINTS + 2
    assert len(text) < 600_000


def test_a_history_in_which_nothing_fired_says_so() -> None:
    text = page(result(0), 10)
    assert "No rule fired." in text
    assert "<svg" not in text


def test_more_panels_than_are_drawn_are_counted() -> None:
    text = page(result(5), 3)
    assert text.count("<svg") == 3
    assert re.search(r"Not drawn: </span>\s*2", text)


def test_a_minute_of_which_nothing_is_known_is_a_gap() -> None:
    line = minutes([1.0, None, None, None, 2.0])
    assert [at - T for at, _, _ in line.points(5)] == [0, 4 * MINUTE]
    line.put(T - MINUTE, 9.0)
    assert len(line.values) == 5


def test_the_numbers_are_there_for_programs() -> None:
    told = json.loads(data(result()))
    assert told["rules"][0]["useful_rate"] == 0.75
    assert told["fires"][0]["drivers"][0]["value"] == "退款"


@pytest.mark.slow
@pytest.mark.parametrize("panels", [0, 1, 2, 40])
def test_page_picture_and_numbers_are_written(tmp_path: Path, panels: int) -> None:
    files = write(result(panels), tmp_path / "out")
    assert [file.name for file in files] == ["backtest.html", "backtest.png", "backtest.json"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert files[1].stat().st_size > 5_000
