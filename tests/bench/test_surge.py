"""The bars below which the detectors are not shipped. Opt-in: `make bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.surge import HERE, PARTS, unpacked

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    sys.path.insert(0, str(HERE))
    yield unpacked(str(tmp_path_factory.mktemp("nab")))
    sys.path.remove(str(HERE))


@pytest.mark.parametrize("part", ["chat", "chat2", "tweets", "nab"])
def test_no_figure_falls_below_its_bar(data: Path, part: str) -> None:
    for figure in PARTS[part](data, 4, False):
        assert figure.unit == "µs" or figure.reaches(figure.bar), figure
