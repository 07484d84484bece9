"""Thirty and more stories of alerts (`stories.md`), each with what must arrive in every interval: no less, no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alerts.collector import Collector, Story, told
from tests.alerts.receiver import run

STORIES = told((Path(__file__).parent / "stories.md").read_text(encoding="utf-8"))


def test_there_are_thirty_stories_and_more_each_with_a_name_of_its_own() -> None:
    assert len({story.name for story in STORIES}) == len(STORIES) >= 30


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_exactly_this_arrives_in_every_interval(story: Story, tmp_path: Path) -> None:
    differences, posts = run(Collector(story, tmp_path / "n.db").run())
    assert differences == []
    assert posts == sum(sum(expected.values()) for _, _, expected in story.steps), "no more in all"
