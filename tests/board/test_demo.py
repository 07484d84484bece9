"""The board of the running demo, its traffic included."""

from __future__ import annotations

import pytest

from tests.board import equal, picture
from tests.conftest import require

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(1_200)]


def test_in_its_surge_the_numbers_are_the_same_on_the_page_in_the_feed_and_in_clickhouse() -> None:
    require("chromium", "chromedriver")
    with picture.demo() as directory:
        equal.main(directory)
